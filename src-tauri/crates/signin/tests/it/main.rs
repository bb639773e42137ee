//! The organisation's session against a real identity provider, and against one that misbehaves.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod by_code;
mod kinds;
mod people;
mod provider;
mod real;
mod refusals;
mod renewals;
mod support;
