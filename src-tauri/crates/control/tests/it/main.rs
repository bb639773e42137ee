//! The control plane as it is served: over real HTTP, with a real database, a stand-in provider and a scripted connector.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends at once")]

mod access;
mod admin_guide;
mod administration;
mod administrators;
mod approvals;
mod authoring;
mod broker;
mod call_limits;
mod commands;
mod commands_user;
mod copies;
mod diagnostics;
mod documents;
mod enrolment;
mod events;
mod foreign_signer;
mod formats;
mod halts;
mod harness;
mod identity;
mod limits;
mod logout;
mod openapi;
mod payload;
mod record_schema;
mod records;
mod relay;
mod restoring;
mod rollout;
mod rotation;
mod saml;
mod schemas;
mod service;
mod sinks;
mod sources;
mod streams;
mod traces;
mod watching;

/// A file beside the server's other data.
#[expect(clippy::unused_async, reason = "the other database takes a while to start")]
async fn database() -> Option<(control::Database, control::testing::Kept)> {
    None
}
