//! The Tauri shell.
#![forbid(unsafe_code)]
