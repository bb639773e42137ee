//! The issuer through its public surface, feature by feature.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod admission;
mod authorization;
mod concurrency;
mod laws;
mod metadata;
mod people;
mod persistence;
mod registration;
mod resources;
mod support;
mod tokens;
mod unregistered;
