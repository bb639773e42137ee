//! The right to cause one effect.

use audit::Intent;
use mcp::CallParams;
use policy::{Permit, Target};

/// A permit together with the durable intent of the same call. Only a decision makes permits and only the journal makes
/// intents, so whoever holds both has been through both.
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a> {
    permit: &'a Permit,
}

/// Permit and intent are of different calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the permit and the intent are of different calls")]
pub struct Mismatch;

impl<'a> Authority<'a> {
    /// Joins a permit and an intent.
    ///
    /// # Errors
    /// [`Mismatch`] when they are of different calls.
    pub fn new(permit: &'a Permit, intent: &'a Intent) -> Result<Self, Mismatch> {
        if permit.call() == intent.call() { Ok(Self { permit }) } else { Err(Mismatch) }
    }

    /// Whether it is a tool's call with these arguments that was decided on.
    pub fn covers(&self, params: &CallParams<'_>) -> bool {
        let arguments = params.arguments();
        self.permit.tool().is_some_and(|name| self.permit.covers(&Target::Tool { name, arguments }))
    }

    /// What was permitted.
    pub fn permit(&self) -> &'a Permit {
        self.permit
    }
}

/// The right to cause one effect, for whoever goes on with it after the record of its beginning is closed.
#[derive(Debug)]
pub struct Standing(Permit);

impl Standing {
    /// Joins a permit and an intent.
    ///
    /// # Errors
    /// [`Mismatch`] when they are of different calls.
    pub fn new(permit: Permit, intent: &Intent) -> Result<Self, Mismatch> {
        Authority::new(&permit, intent)?;
        Ok(Self(permit))
    }

    /// The right itself.
    pub fn authority(&self) -> Authority<'_> {
        Authority { permit: &self.0 }
    }
}
