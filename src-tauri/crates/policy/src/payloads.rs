//! Payload rules as a part of the decision: what they block is refused, what they ask about is put to a person together with what
//! policies ask. They never permit anything.

use model::{ApprovalScope, ConnectorId, Digest, ToolName};
use org_protocol::PayloadDirection;
use payload::{Asking, Passed, RuleLine, Screen, Sieve};

use crate::approval::ApprovalNeeded;
use crate::compile::PolicyInput;
use crate::fault::{FaultKind, PolicyFault};
use crate::halt::Reach;
use crate::outcome::{Denial, DenialKind, Permit, Refused};
use crate::rule::RuleId;
use crate::set::Policy;

/// What the rules are called among policies, in records and approvals.
const NAMED: &str = "payload:";

/// The organisation's payload rules, ready to look.
pub(crate) fn screen(input: &PolicyInput<'_>) -> Result<Screen, Vec<PolicyFault>> {
    let compiled = Screen::compile(input.payload, |connector| input.connectors.contains_key(connector));
    compiled.map_err(|faults| {
        let fault = |(place, fault)| PolicyFault {
            file: "org.toml".to_owned(),
            line: 1,
            policy: None,
            kind: FaultKind::Payload { place, fault: Box::new(fault) },
        };
        faults.into_iter().map(fault).collect()
    })
}

impl Policy {
    /// The rules that a payload of a call has to pass; `None` where there are none. Without a tool: of a resource or a prompt.
    pub fn sieve(
        &self,
        connector: &ConnectorId,
        tool: Option<&ToolName>,
        way: PayloadDirection,
    ) -> Option<Sieve> {
        self.screen.sieve(connector, tool, way)
    }

    /// The payload rules about a tool, or about resources and prompts.
    pub fn payload_rules(&self, connector: &ConnectorId, tool: Option<&ToolName>) -> Vec<RuleLine> {
        self.screen.lines(connector, tool)
    }
}

impl ApprovalNeeded {
    /// What a person is asked before an answer is handed on in which payload rules found something that they ask about.
    pub fn of_answer(reach: Reach, asking: &[Asking]) -> Self {
        Self {
            reasons: reasons("The call is done; its answer is held. ", asking),
            ..Self::of_payload(reach, asking)
        }
    }

    fn of_payload(reach: Reach, asking: &[Asking]) -> Self {
        Self {
            rules: ids(asking.iter().map(|one| one.rule.as_str())),
            reasons: reasons("", asking),
            most: ApprovalScope::Once,
            factor: false,
            terms: terms(asking),
            reach,
        }
    }
}

/// What policies ask for together with what payload rules ask for. Of what was found a person decides each time.
pub(crate) fn and_payloads(
    by_policies: Option<ApprovalNeeded>,
    passed: &Passed,
    permit: &Permit,
) -> Option<ApprovalNeeded> {
    let Passed::IfApproved(asking) = passed else { return by_policies };
    let own = ApprovalNeeded::of_payload(permit.reach(), asking);
    let Some(mut both) = by_policies else { return Some(own) };
    both.rules.extend(own.rules);
    both.reasons.extend(own.reasons);
    both.most = both.most.min(own.most);
    both.terms = Digest::of_parts(&[both.terms.as_bytes(), own.terms.as_bytes()]);
    Some(both)
}

/// The rules that ask, as assistants are told them.
pub(crate) fn cited_payloads(passed: &Passed) -> String {
    match passed {
        Passed::IfApproved(asking) => format!(" {}", reasons("", asking).join(" ")),
        Passed::Freely | Passed::Not { .. } => String::new(),
    }
}

/// The permit, unless a payload rule blocks the call.
pub(crate) fn unless_blocked(permit: Permit, passed: &Passed) -> Result<Permit, Denial> {
    let Passed::Not { rules, words } = passed else { return Ok(permit) };
    let outside = format!("A payload rule blocks this call: {words}");
    Err(Denial(Box::new(Refused {
        rules: ids(rules.iter().map(String::as_str)),
        detail: "a payload rule blocks it".to_owned(),
        ..Refused::although(permit, DenialKind::Payload, outside)
    })))
}

fn ids<'a>(rules: impl Iterator<Item = &'a str>) -> Vec<RuleId> {
    rules.filter_map(|rule| format!("{NAMED}{rule}").parse().ok()).collect()
}

fn reasons(before: &str, asking: &[Asking]) -> Vec<String> {
    asking.iter().map(|one| format!("{before}{}", one.reason)).collect()
}

/// The digest of the rules' texts: an approval is for these and no others.
fn terms(asking: &[Asking]) -> Digest {
    let texts: Vec<&[u8]> = asking.iter().map(|one| one.terms.as_bytes()).collect();
    Digest::of_parts(&texts)
}
