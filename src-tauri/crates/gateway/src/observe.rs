//! What the rest of the application is told of calls. Never a secret, never an argument's value.

use std::time::Duration;

use audit::Effect;
use model::{AccountId, CallId, ServerId, Timestamp};

/// Somebody who is told. Must not block: calls wait for it.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn observe(&self, observation: Observation);
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A call was decided, and its intent or denial is on disk.
    Decided {
        /// The call, as in the journal.
        call: CallId,
        /// When.
        at: Timestamp,
        /// The assistant's client id.
        client_id: String,
        /// The assistant's name.
        client_name: String,
        /// The virtual server.
        server: ServerId,
        /// The connector, and the account that is used of it; `None` when nothing of that name is offered.
        account: Option<AccountId>,
        /// What was asked, as the assistant named it, and as the record has it.
        effect: Box<Effect>,
        /// The rules that decided.
        rules: Vec<String>,
        /// The policy's version.
        policy: String,
        /// The credential's reference.
        credential: String,
        /// The arguments' names and types.
        arguments: Vec<String>,
        /// Why not, in words; `None` for a permit.
        denied: Option<String>,
    },
    /// A permitted call ended.
    Ended {
        /// The call.
        call: CallId,
        /// How.
        end: CallEnd,
        /// How long it took.
        took: Duration,
    },
}

/// How a permitted call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEnd {
    /// The tool answered.
    Done,
    /// The tool answered that it failed.
    ToolError,
    /// Nobody signed in.
    SignInNeeded,
    /// There is no answer.
    Failed {
        /// Why, in words.
        reason: String,
    },
}
