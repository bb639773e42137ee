//! Limits of calls with shared accounts: counted here over all devices of a person and all people of an account.

use ::audit::Outcome;
use mcp::CallParams;
use model::{Timestamp, ToolName};
use policy::{CountedBy, Denial, LIMIT_EXCEEDED, Over, Permit};
use upstream::Answer;

use super::call::Asked;
use super::fault::BrokerFault;
use crate::server::Plane;

impl Asked<'_> {
    /// The permit, unless the arguments are too large.
    pub(super) fn not_too_large(
        &self,
        tool: &ToolName,
        params: &CallParams<'_>,
        permit: Permit,
    ) -> Result<Permit, Denial> {
        match self.policy.arguments_over(self.connector, Some(tool), params.arguments().len()) {
            Some(over) => Err(permit.over(&over)),
            None => Ok(permit),
        }
    }

    /// The permit, unless the call is one too many. Counts it, once and for all: what comes of it changes nothing.
    pub(super) async fn counted(
        &self,
        plane: &Plane,
        permit: Permit,
        now: Timestamp,
    ) -> Result<Result<Permit, Denial>, BrokerFault> {
        let what = (self.subject, self.connector, permit.aim());
        let counts = self.policy.counts(CountedBy::ControlPlane, what, permit.credential());
        if counts.is_empty() {
            return Ok(Ok(permit));
        }
        Ok(match plane.store.count_call(&counts, now).await? {
            None => Ok(permit),
            Some(over) => Err(permit.over(&over)),
        })
    }

    /// The limit that the answer is over.
    pub(super) fn answer_too_large(
        &self,
        tool: &ToolName,
        answer: &Result<Answer, BrokerFault>,
    ) -> Option<Over> {
        let Ok(Ok(json) | Err(json)) = answer else { return None };
        let bytes = u64::try_from(json.get().len()).unwrap_or(u64::MAX);
        self.policy.answer_over(self.connector, Some(tool), bytes)
    }
}

/// The outcome of a call whose answer is withheld for its size: the call was made.
pub(super) fn withheld(outcome: Outcome, over: &Over) -> Outcome {
    Outcome { limit: Some(over.limit().to_owned()), ..outcome.with_code(LIMIT_EXCEEDED) }
}
