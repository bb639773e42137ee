//! A checked policy from a bundle, and the one decision.
#![forbid(unsafe_code)]
