//! The application without Tauri: state, tray menu as a value, view models, effects; wires the traits.
#![forbid(unsafe_code)]
