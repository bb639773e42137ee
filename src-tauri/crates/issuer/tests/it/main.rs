//! The issuer through its public surface, feature by feature.

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
