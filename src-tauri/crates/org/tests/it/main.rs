//! The desktop's client against a control plane that is really served.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends at once")]

mod again;
mod attacks;
mod broker;
mod chip;
mod collect;
mod delivery;
mod events;
mod faults;
mod harness;
mod leases;
mod meeting;
mod mirror;
mod outage;
mod policy;
mod session;
mod simulation;
