//! The control plane: the server behind the central configuration URL, and the tools with which IT writes and publishes
//! policy.
//!
//! Shared secrets are opened here and nowhere else; they leave only towards the connector that they belong to.
#![forbid(unsafe_code)]

pub mod author;
mod identity;
mod launch;
mod sealing;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
