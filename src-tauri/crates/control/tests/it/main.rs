//! The control plane as it is served: over real HTTP, with a real database, a stand-in provider and a scripted connector.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends at once")]

mod administration;
mod authoring;
mod broker;
mod commands;
mod documents;
mod enrolment;
mod events;
mod formats;
mod halts;
mod harness;
mod logout;
mod records;
mod relay;
mod saml;
