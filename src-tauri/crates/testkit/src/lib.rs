//! Real peers and stand-ins for tests.
#![forbid(unsafe_code)]
