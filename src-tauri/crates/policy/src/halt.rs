//! What administrators have stopped, whatever the policies permit. It is asked last, of what would be permitted: so a refusal
//! never tells of something that its user could not see anyway.

use model::{ConnectorId, CredentialId, Subject, ToolName};
use org_protocol::{Halt, Halts};

use crate::facts::{Circumstance, Question};
use crate::outcome::{CredentialChoice, Denial, DenialKind, Permit, Refused};
use crate::rule::RuleId;
use crate::set::Policy;

/// What a permitted call reaches: all of it that can be stopped while it is under way. It is no permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    connector: ConnectorId,
    tool: Option<ToolName>,
    credential: Option<CredentialId>,
}

impl Permit {
    /// What the call reaches.
    pub fn reach(&self) -> Reach {
        let credential = match self.credential() {
            CredentialChoice::Shared(credential) => Some(credential.clone()),
            CredentialChoice::None | CredentialChoice::Own(_) => None,
        };
        Reach { connector: self.connector().clone(), tool: self.tool().cloned(), credential }
    }
}

impl Policy {
    /// Why what was permitted must not be done, or not go on: something that it reaches, or who makes it, is stopped by now.
    pub fn stops(&self, reach: &Reach, subject: &Subject, circumstance: &Circumstance) -> Option<&Halt> {
        let halts = &self.halts;
        let tool = || reach.tool.as_ref().and_then(|tool| halts.of_tool(&reach.connector, tool));
        of_caller(halts, subject, circumstance)
            .or_else(|| of_connector(halts, &reach.connector, reach.credential.as_ref()))
            .or_else(tool)
    }

    /// The permit, unless something of it is stopped.
    pub(crate) fn unless_stopped(&self, permit: Permit, question: &Question<'_>) -> Result<Permit, Denial> {
        if self.halts.is_empty() {
            return Ok(permit);
        }
        let Some(halt) = self.stops(&permit.reach(), question.subject, question.circumstance) else {
            return Ok(permit);
        };
        Err(Denial(Box::new(Refused {
            rules: halt.rule().parse::<RuleId>().into_iter().collect(),
            detail: halt.target.to_string(),
            ..Refused::although(permit, DenialKind::Halted, halt.words())
        })))
    }
}

/// Why whoever asks gets nothing at all.
pub(crate) fn of_caller<'h>(
    halts: &'h Halts,
    subject: &Subject,
    circumstance: &Circumstance,
) -> Option<&'h Halt> {
    halts
        .of_person(subject)
        .or_else(|| circumstance.device.and_then(|device| halts.of_device(device)))
        .or_else(|| halts.of_assistant(&circumstance.client_id, &circumstance.client_name))
}

/// Why nothing of a connector is to be had with this shared credential, or without one.
pub(crate) fn of_connector<'h>(
    halts: &'h Halts,
    connector: &ConnectorId,
    credential: Option<&CredentialId>,
) -> Option<&'h Halt> {
    halts
        .of_connector(connector)
        .or_else(|| credential.and_then(|credential| halts.of_credential(credential)))
}
