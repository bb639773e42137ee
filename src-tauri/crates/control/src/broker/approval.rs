//! A person's leave that comes with a call: believed if the calling device's key signed it, for this call, and once.

use mcp::CallParams;
use model::{Advice, ForPerson, Timestamp};
use org_protocol::{ApprovalFault, Approved};

use super::call::Asked;
use super::fault::BrokerFault;
use crate::server::Plane;

/// Why a leave that comes with a call is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApprovalRefusal {
    /// It does not verify.
    #[error(transparent)]
    Unverified(ApprovalFault),
    /// A call was made with it before.
    #[error("the approval was used before")]
    Used,
}

impl ForPerson for ApprovalRefusal {
    fn advice(&self) -> Advice {
        let happened = "The organisation's server did not accept that the call was approved.";
        let (means, todo) = match self {
            Self::Unverified(ApprovalFault::Time { .. }) => (
                "The approval is not good any more, or this computer's clock is wrong.",
                "Make the call again; if this stays, set this computer's clock.",
            ),
            Self::Unverified(
                ApprovalFault::Signature
                | ApprovalFault::Unreadable
                | ApprovalFault::Key
                | ApprovalFault::Format(_),
            ) => ("It is not signed by this computer.", "Tell your IT department."),
            Self::Used => ("A call was made with it before.", "Make the call again."),
        };
        Advice::new("approval-refused", happened, means, todo)
    }
}

impl Asked<'_> {
    /// The leave that came with the call, verified; none where none came.
    pub(super) fn approved(&self, now: Timestamp) -> Result<Option<Approved>, ApprovalRefusal> {
        let Some(proof) = &self.context.approval else { return Ok(None) };
        Approved::verified(proof, self.thumbprint, now).map(Some).map_err(ApprovalRefusal::Unverified)
    }

    /// Records that the leave is none.
    pub(super) async fn not_approved(
        &self,
        plane: &Plane,
        params: &CallParams<'_>,
        refusal: ApprovalRefusal,
    ) -> Result<BrokerFault, BrokerFault> {
        tracing::warn!(call = %self.context.call, device = %self.device, %refusal, "an approval was refused");
        let advice = refusal.advice();
        let record =
            self.refusal(plane, params, self.policy.version(), Vec::new(), "approval-refused", &advice);
        plane.journal.denial(record).await?;
        Ok(BrokerFault::Approval(refusal))
    }
}
