//! Looks through what assistants send and connectors answer, by the organisation's rules (`org.payload`): for secrets, for personal
//! data that has a form of its own, and for patterns of the organisation's own.
//!
//! Pure: no IO, no clock, nothing asynchronous. What was found is never in an error, a log line or a finding: those say which rule,
//! what kind and where. Cost grows with the length of a payload and with nothing that is in it: every expression is one of the crate
//! `regex`, which knows no backtracking.
//!
//! Texts are looked at as they read, however JSON escapes them. What is encoded otherwise (base64, compression, encryption, a secret cut in
//! two) is not seen. More than [`MOST_SCANNED`] is not looked through, nor what is behind very many texts or findings: a rule that asks or
//! blocks takes what is left for found.
#![forbid(unsafe_code)]

mod entropy;
mod fault;
mod finding;
mod folded;
mod own;
mod personal;
mod places;
mod redact;
mod rules;
mod screen;
mod secrets;
mod sieve;
mod spans;

pub use fault::{PayloadFault, PayloadPlace};
pub use finding::{Finding, recorded};
pub use screen::{RuleLine, Screen};
pub use secrets::{LeftOut, RULE_SET_VERSION, left_out, rule_ids};
pub use sieve::{Asking, MOST_SCANNED, Passed, Screened, Sieve};
