//! Calls, as Activity lists them.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::Millis;

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct ActivityView {
    /// The call's id, as in the audit record.
    pub call: String,
    /// When it was decided.
    pub at: Millis,
    /// The assistant's name.
    pub assistant: String,
    /// The virtual server's title.
    pub server: String,
    /// The connector's title.
    pub connector: String,
    /// The MCP method, such as `tools/call` or `resources/read`.
    pub method: String,
    /// The tool, the resource's URI or the prompt.
    pub target: String,
    /// How it went.
    pub outcome: OutcomeKind,
    /// How it went, in words.
    pub outcome_words: String,
    /// How long it took, in milliseconds.
    pub took: Option<Millis>,
    /// The rules that decided.
    pub rules: Vec<String>,
    /// The policy's version.
    pub policy: String,
    /// The credential's reference; empty without one.
    pub credential: String,
    /// What is recorded of the arguments.
    pub arguments: Vec<String>,
}


