//! The right to cause one effect.

use audit::Intent;
use mcp::CallParams;
use policy::{Aim, Permit, Target};

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

    /// Whether it is this that was decided on. Tools and prompts go to the connector by the permit's name, whatever the
    /// assistant calls them.
    pub fn covers(&self, params: &CallParams<'_>) -> bool {
        let arguments = params.arguments();
        let target = match (params.target(), self.permit.aim()) {
            (mcp::Target::Tool(_), Aim::Tool(name)) => Target::Tool { name, arguments },
            (mcp::Target::Prompt(_), Aim::Prompt(name)) => Target::Prompt { name, arguments },
            (mcp::Target::Resource(uri), Aim::Resource(_)) => Target::Resource { uri },
            (mcp::Target::Tool(_) | mcp::Target::Prompt(_) | mcp::Target::Resource(_), _) => return false,
        };
        self.permit.covers(&target)
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
