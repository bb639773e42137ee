//! Forbids that refuse unless a person approves: marked `@approval`, they are asked of what is permitted otherwise. They are laid
//! out apart, so they hide nothing; an approval makes up for them and for nothing else.

use model::{ApprovalScope, ConnectorId, Digest, ServerId, Subject, ToolName};
use org_protocol::{Approved, statement_target};
use payload::Passed;

use crate::decide::{Refusal, Route, citations, failed, granted};
use crate::facts::{Circumstance, Question, Target};
use crate::given::Given;
use crate::halt::Reach;
use crate::outcome::{Aim, Denial, DenialKind, Permit, Refused, Stage};
use crate::payloads::{and_payloads, cited_payloads};
use crate::rule::RuleId;
use crate::set::{Answer, Ask, Case, Policy, State};

/// What a person is to be asked before a call that is permitted otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalNeeded {
    pub(crate) rules: Vec<RuleId>,
    pub(crate) reasons: Vec<String>,
    pub(crate) most: ApprovalScope,
    pub(crate) factor: bool,
    pub(crate) terms: Digest,
    pub(crate) reach: Reach,
}

impl ApprovalNeeded {
    /// The policies that ask.
    pub fn rules(&self) -> &[RuleId] {
        &self.rules
    }

    /// Their `@reason`s.
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// The most that the person may allow: the narrowest of what the policies say.
    pub fn most(&self) -> ApprovalScope {
        self.most
    }

    /// Whether the person also has to prove to the operating system who they are: where one of the policies says so.
    pub fn factor(&self) -> bool {
        self.factor
    }

    /// The digest of what the policies say: an approval is for these and no others.
    pub fn terms(&self) -> Digest {
        self.terms
    }

    /// What the call would reach, to see whether it is stopped meanwhile.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }
}

/// The forbids at one question that refuse unless a person approves.
pub(crate) fn asking(case: &Case<'_>, ask: &Ask, given: Given, stage: &Stage) -> Result<Vec<usize>, Refusal> {
    let Some(asking) = &ask.asking else { return Ok(Vec::new()) };
    match case.ask(asking, given).map_err(failed(stage))? {
        Answer::Forbidden(rules) => Ok(rules),
        // Forbids alone: nothing permits here, and that is no refusal.
        Answer::NoPermit | Answer::Permitted(_) => Ok(Vec::new()),
        failed @ Answer::Failed(_) => granted(failed, stage),
    }
}

/// The permit, unless a person is to be asked who has not approved this very call.
pub(crate) fn unless_asked(
    route: &Route<'_>,
    permit: Permit,
    asked: &[usize],
    (question, passed): (&Question<'_>, &Passed),
    approved: Option<&Approved>,
) -> Result<Permit, Denial> {
    let by_policies = needed(route, asked, &permit);
    let Some(needed) = and_payloads(by_policies, passed, &permit) else { return Ok(permit) };
    match approved.filter(|approved| covers(approved, question, &needed)) {
        Some(approved) => Ok(Permit { approval: Some(approved.clone()), ..permit }),
        None => {
            let outside = format!(
                "A person has to approve this call{}{}",
                citations(route.force, asked),
                cited_payloads(passed)
            );
            Err(Denial(Box::new(Refused {
                stage: Some(Stage::of(&question.target)),
                rules: needed.rules.clone(),
                detail: "a person has to approve it".to_owned(),
                approval: Some(needed),
                ..Refused::although(permit, DenialKind::ApprovalNeeded, outside)
            })))
        }
    }
}

fn needed(route: &Route<'_>, asked: &[usize], permit: &Permit) -> Option<ApprovalNeeded> {
    let rules: Vec<_> = asked.iter().filter_map(|at| route.force.rules.get(*at)).collect();
    let most = rules.iter().filter_map(|rule| rule.manner.asks()).min()?;
    let texts: Vec<String> = rules
        .iter()
        .map(|rule| {
            // Facts that are computed otherwise are other terms.
            let facts = route.act.kind.facts.as_ref().map(|facts| facts.facts.described(&rule.facts));
            let facts = facts.unwrap_or_default();
            format!("{}\n{:?}\n{:?}\n{}{facts}", rule.id, rule.manner, rule.reason, rule.body)
        })
        .collect();
    let parts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    Some(ApprovalNeeded {
        rules: rules.iter().map(|rule| rule.id.clone()).collect(),
        reasons: rules.iter().filter_map(|rule| rule.reason.clone()).collect(),
        most,
        factor: rules.iter().any(|rule| rule.manner.proves()),
        terms: Digest::of_parts(&parts),
        reach: permit.reach(),
    })
}

/// Whether it is this call that was approved, on these terms, and no more than they allow.
fn covers(approved: &Approved, question: &Question<'_>, needed: &ApprovalNeeded) -> bool {
    let statement = approved.statement();
    let (subject, circumstance) = (question.subject, question.circumstance);
    let text = match question.target {
        Target::Tool { arguments, .. } | Target::Prompt { arguments, .. } => arguments,
        Target::Resource { uri } => uri,
    };
    statement.call == question.call
        && circumstance.device == Some(statement.device)
        && (&statement.issuer, &statement.subject) == (&subject.issuer, &subject.subject)
        && statement.client_id == circumstance.client_id
        && statement.server == *question.server
        && statement.connector == *question.connector
        && statement.target == statement_target(&Aim::of(&question.target).to_approve())
        && approved.covers(text)
        && statement.terms == needed.terms
        && statement.scope <= needed.most
        && (statement.factor.is_some() || !needed.factor)
}

impl Policy {
    /// Why a person would be asked about calls of a tool by this user; `None` where nobody would. What depends on the arguments
    /// counts as asked.
    pub fn asks(
        &self,
        subject: &Subject,
        server: &ServerId,
        connector: &ConnectorId,
        tool: &ToolName,
        circumstance: &Circumstance,
    ) -> Option<String> {
        let State::InForce(force) = &self.state else { return None };
        let server = force.servers.get(server)?;
        let view = server.connector(connector)?;
        let act = view.tools.get(tool)?;
        let case = Case::open(force, server, &act.scene, subject, circumstance, false).ok()?;
        let found = [&server.see, &view.expose, &act.ask].into_iter().find_map(|ask| {
            let asking = ask.asking.as_ref()?;
            if asking.slice.reads.arguments() {
                return asking.slice.rules.first().copied();
            }
            match case.ask(asking, Given::default()) {
                Ok(Answer::Forbidden(rules) | Answer::Failed(rules)) => rules.first().copied(),
                Ok(Answer::NoPermit | Answer::Permitted(_)) | Err(_) => None,
            }
        })?;
        Some(force.rules.get(found)?.reason.clone().unwrap_or_default())
    }
}
