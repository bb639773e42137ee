//! The loopback server and the path of a call.
#![forbid(unsafe_code)]
