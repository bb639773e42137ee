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

    /// Whether it is what this request asks for that was decided on.
    pub fn covers(&self, params: &CallParams<'_>) -> bool {
        let arguments = params.arguments();
        self.permit.covers(&match (params.target(), self.permit.aim()) {
            // What is done with a task is decided on like the call that began it.
            (mcp::Target::Tool(_) | mcp::Target::Task(_), Aim::Tool(name)) => {
                Target::Tool { name, arguments }
            }
            (mcp::Target::Prompt(_), Aim::Prompt(name)) => Target::Prompt { name, arguments },
            (mcp::Target::Resource(uri), Aim::Resource(_)) => Target::Resource { uri },
            (
                mcp::Target::Tool(_)
                | mcp::Target::Task(_)
                | mcp::Target::Prompt(_)
                | mcp::Target::Resource(_),
                _,
            ) => return false,
        })
    }

    /// What the connector calls that which is asked for.
    pub(crate) fn name<'s>(&'s self, params: &'s CallParams<'_>) -> &'s str {
        match self.permit.aim() {
            Aim::Tool(_) if matches!(params.target(), mcp::Target::Task(_)) => params.name(),
            Aim::Tool(name) => name.as_str(),
            Aim::Resource(name) | Aim::Prompt(name) => name,
        }
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
