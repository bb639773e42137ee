//! The same on PostgreSQL: whatever asks the database anything.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends at once")]

mod access;
mod administration;
mod administrators;
mod broker;
mod call_limits;
mod copies;
mod diagnostics;
mod documents;
mod enrolment;
mod events;
mod formats;
mod halts;
mod harness;
mod logout;
mod records;
mod relay;
mod replicas;
mod restoring;
mod rollout;
mod rotation;
mod saml;

/// A cluster of its own.
async fn database() -> Option<(control::Database, control::testing::Kept)> {
    let cluster = testkit::Database::start().await.expect("PostgreSQL starts");
    let database = cluster.url().parse().expect("an address");
    Some((database, Box::new(cluster)))
}
