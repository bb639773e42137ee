//! The end-to-end tests live in main.rs; this library is empty.
#![forbid(unsafe_code)]
