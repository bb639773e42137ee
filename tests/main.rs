//! End-to-end tests: the real programs against real counterparts, one module for each area of `cargo xtask test`.
#![forbid(unsafe_code)]
#![expect(clippy::expect_used, clippy::panic, reason = "a test ends at its first surprise")]

mod another_port;
mod audit;
mod books;
mod common;
mod connect;
mod desktop;
mod doctor;
mod elsewhere;
mod hostile;
mod import;
mod isolation;
mod leave;
mod limits;
mod logs;
mod managed;
mod managed_assistants;
mod org;
mod overnight;
mod pictures;
mod policy;
mod protocol;
mod renewal;
mod sign_in;
mod sign_in_windows;
mod threats;
mod threats_to_secrets;
mod waking;
mod windows;
