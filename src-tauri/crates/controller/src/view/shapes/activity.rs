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

/// Which calls somebody wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Type)]
pub struct ActivityFilter {
    /// Words that must all occur somewhere in a call.
    pub text: String,
    /// How it went; all where it is none.
    pub outcome: Option<OutcomeKind>,
}

/// Some of the calls that were made, and how far they go back.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct PastView {
    /// The calls, the newest first.
    pub calls: Vec<ActivityView>,
    /// Up to when was looked; none before anything was.
    pub back_to: Option<Millis>,
    /// Whether there is nothing further back.
    pub is_over: bool,
}

/// How far calls have been saved.
#[derive(Debug, Clone, PartialEq, Serialize, Type)]
pub struct SavingView {
    /// How many.
    pub calls: u32,
    /// Up to when was looked; none before anything was.
    pub back_to: Option<Millis>,
    /// Where they are, once all of them were saved.
    pub file: Option<String>,
}

impl Default for PastView {
    /// Nothing, and nothing further.
    fn default() -> Self {
        Self { calls: Vec::new(), back_to: None, is_over: true }
    }
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It is being made.
    Running,
    /// It answered.
    Done,
    /// The tool said that it failed, or the call could not be made.
    Failed,
    /// It was not allowed.
    Denied,
    /// It needed a sign-in.
    SignInNeeded,
}
