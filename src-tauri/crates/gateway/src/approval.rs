//! Calls that a policy leaves to a person: they are asked while the assistant waits, and what they answer is proved by a statement
//! for this very call. Then policy decides again, by what is in force by then.

use issuer::AccessGrant;
use model::{BoxFuture, CallId, Digest};
use policy::{ApprovalNeeded, Approved, Denial, Permit, PolicyVersion, Question};

use crate::call::{Call, Reply};
use crate::gate::Gate;
use crate::voice::Voice;
use crate::wanted::Wanted;

/// What assistants that hear of progress are told meanwhile.
const WAITING: &str = "Waiting for a person to approve this call.";

/// Asks a person whether a call may be made, and proves the answer.
pub trait Approver: Send + Sync {
    /// Asks, unless the person has answered for this call already. Dropping the future withdraws the question.
    fn approve<'a>(&'a self, wish: Wish<'a>) -> BoxFuture<'a, Result<Approved, Unapproved>>;
}

/// A call that waits for a person.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// The call.
    pub question: Question<'a>,
    /// What the policies ask for.
    pub needed: &'a ApprovalNeeded,
    /// The policy set.
    pub policy: &'a PolicyVersion,
    /// The assistant.
    pub grant: &'a AccessGrant,
    /// The digest of the tool's definition as it is offered: leave for more than one call ends when it changes.
    pub definition: Digest,
    /// The approved call that this one goes on with: nobody is asked anew.
    pub continues: Option<CallId>,
}

/// Why a call was not approved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unapproved {
    /// The person refused.
    #[error("The person at this computer did not approve it.")]
    Denied,
    /// Nobody answered in time.
    #[error("Nobody approved it in time.")]
    Deadline,
    /// There is nobody who could be asked.
    #[error("There is nobody who could approve it: {0}.")]
    Nobody(String),
    /// The assistant asked for too much at once.
    #[error(
        "This assistant has asked for too many approvals at once: for some minutes nobody is asked for it."
    )]
    Suspended,
    /// The person allowed it, and did not prove to the operating system who they are.
    #[error("The person who allowed it has not proved who they are: {0}.")]
    Unproved(String),
    /// The answer could not be signed.
    #[error("The approval could not be signed by this device: {0}.")]
    Unsigned(String),
}

impl Unapproved {
    /// The kind of denial, as the journal has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Denied => "approval-denied",
            Self::Deadline => "approval-deadline",
            Self::Nobody(_) => "approval-nobody",
            Self::Suspended => "approval-suspended",
            Self::Unproved(_) => "approval-unproved",
            Self::Unsigned(_) => "approval-unsigned",
        }
    }
}

/// A person's leave that goes on: for a task that an approved call began, or for the rounds of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leave {
    call: CallId,
    terms: Digest,
}

impl Leave {
    /// What a permit rests on.
    pub(crate) fn of(permit: &Permit) -> Option<Self> {
        let statement = permit.approval()?.statement();
        Some(Self { call: statement.continues.unwrap_or(statement.call), terms: statement.terms })
    }

    /// The call that was approved, if it was on these terms.
    fn for_terms(self, needed: &ApprovalNeeded) -> Option<CallId> {
        (self.terms == needed.terms()).then_some(self.call)
    }
}

impl Call<'_> {
    /// Has a person asked; how the call is answered where they do not approve it.
    pub(crate) async fn asked(
        &self,
        gate: &Gate,
        wanted: &Wanted<'_>,
        voice: &Voice,
        denial: &Denial,
        leave: Option<Leave>,
    ) -> Result<Approved, Reply> {
        let Some(needed) = denial.approval() else { return Err(self.denied(gate, wanted, denial).await) };
        let continues = leave.and_then(|leave| leave.for_terms(needed));
        // A person decides on what is done, not on what an assistant looks up beside.
        if continues.is_none() && !(voice.is_waited_for && self.is_put_to_people()) {
            return Err(self.denied(gate, wanted, denial).await);
        }
        let wish = Wish {
            question: self.question(wanted),
            needed,
            policy: denial.version(),
            grant: self.grant,
            definition: wanted.definition(),
            continues,
        };
        let answer = tokio::select! {
            answer = voice.patiently(WAITING, gate.approver.approve(wish)) => answer,
            words = self.stopped(gate, needed.reach()) => {
                return Err(self.unapproved(gate, wanted, denial, "halted", words).await);
            }
            () = gate.issuer.left(&self.grant.subject) => {
                let words = "The person for whom it was made is not signed in any more.".to_owned();
                return Err(self.unapproved(gate, wanted, denial, "signed-out", words).await);
            }
        };
        match answer {
            Ok(approved) => Ok(approved),
            Err(why) => Err(self.unapproved(gate, wanted, denial, why.kind(), why.to_string()).await),
        }
    }

    async fn unapproved(
        &self,
        gate: &Gate,
        wanted: &Wanted<'_>,
        denial: &Denial,
        kind: &str,
        words: String,
    ) -> Reply {
        let text = format!("{} {words}", denial.outside_text());
        self.denied_as(gate, wanted, denial.rules(), kind, &text).await
    }
}
