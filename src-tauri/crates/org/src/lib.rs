//! The only desktop client of the central URL.
#![forbid(unsafe_code)]
