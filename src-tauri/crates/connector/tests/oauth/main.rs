//! The employee's own grants at connectors, against real counterparts and against ones that misbehave.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod asking;
mod bound;
mod clients;
mod enterprise;
mod misled;
mod mixed_up;
mod people;
mod real;
mod refusals;
mod renewals;
mod server;
mod service;
mod stepping_up;
mod support;
mod typed;
