//! Errors that speak to a person.

use serde::{Deserialize, Serialize};

/// What a person needs to know about a fault: what happened, what it means for them, and what to do.
///
/// The texts hold no secret and no internal detail; those belong in the log.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// A stable code for scripts and support, such as `keychain-locked`.
    pub code: String,
    /// What happened, in one plain sentence.
    pub happened: String,
    /// What it means for the person; empty where the first sentence says it.
    pub means: String,
    /// What to do next; empty where nothing can be done.
    pub todo: String,
}

impl Advice {
    /// Builds an advice from its four parts.
    pub fn new(
        code: impl Into<String>,
        happened: impl Into<String>,
        means: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self { code: code.into(), happened: happened.into(), means: means.into(), todo: todo.into() }
    }
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.happened)?;
        for part in [&self.means, &self.todo] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        Ok(())
    }
}

/// An error that can be shown to a person. The `Display` of the error itself is for the log.
pub trait ForPerson {
    /// The words for the person.
    fn advice(&self) -> Advice;
}
