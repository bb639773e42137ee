//! The proof that a call may be made.

use std::sync::Arc;

use model::CallId;
use org_protocol::{CallContext, Outcome};

use super::queue::{Shared, unknown};
use crate::fault::JournalFault;

/// The proof that a call's intent is on disk, or that it was counted as missing where the organisation wants calls to go on
/// without a record. Buys one effect, and is consumed by `Journal::outcome`.
///
/// One that is dropped leaves an outcome `unknown` with the code `dropped`.
pub struct Intent {
    context: Arc<CallContext>,
    shared: Option<Arc<Shared>>,
}

impl Intent {
    pub(super) fn new(context: Arc<CallContext>, shared: Arc<Shared>) -> Self {
        Self { context, shared: Some(shared) }
    }

    /// Of a call that has no record, and will have none of its outcome.
    pub(super) fn unrecorded(context: Arc<CallContext>) -> Self {
        Self { context, shared: None }
    }

    /// The call.
    pub fn call(&self) -> CallId {
        self.context.call
    }

    /// What identifies the call.
    pub fn context(&self) -> &CallContext {
        &self.context
    }

    pub(super) fn finish(mut self, outcome: Outcome) -> Result<(), JournalFault> {
        self.shared.take().map_or(Ok(()), |shared| shared.push_outcome(&self.context, outcome))
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            // Where it cannot be queued any more, the next start records the same.
            let _ = shared.push_outcome(&self.context, unknown("dropped"));
        }
    }
}

impl std::fmt::Debug for Intent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Intent({})", self.context.call)
    }
}
