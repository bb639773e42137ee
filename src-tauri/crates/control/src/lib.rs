//! The control plane and its command line.
#![forbid(unsafe_code)]
