//! End-to-end tests of the real programs.
#![forbid(unsafe_code)]
