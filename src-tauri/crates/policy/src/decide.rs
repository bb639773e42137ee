//! The one decision. Four questions, each of which must be answered by a permit and by no forbid; a policy that fails
//! refuses, whatever the others say.

use std::sync::Arc;

use model::CredentialId;
use org_protocol::Approved;
use payload::Passed;

use crate::approval::{asking, unless_asked};
use crate::convert::ArgumentFault;
use crate::facts::{FactFault, Question, Target};
use crate::given::Given;
use crate::listing::Outlook;
use crate::outcome::{Aim, CredentialChoice, Denial, DenialKind, Permit, Refused, Stage};
use crate::payloads::unless_blocked;
use crate::set::{
    ActView, Answer, Ask, Case, ConnectorView, CredentialView, InForce, Policy, ServerView, State,
};

impl Policy {
    /// Decides one call.
    ///
    /// # Errors
    /// The [`Denial`].
    pub fn decide(&self, question: &Question<'_>) -> Result<Permit, Denial> {
        self.decide_with(question, &Passed::Freely, None)
    }

    /// Decides one call that a person has approved. Where nobody had to be asked, the approval changes nothing.
    ///
    /// # Errors
    /// The [`Denial`]; [`DenialKind::ApprovalNeeded`] where the approval is for another call, or for less than what is asked for.
    pub fn decide_approved(&self, question: &Question<'_>, approved: &Approved) -> Result<Permit, Denial> {
        self.decide_with(question, &Passed::Freely, Some(approved))
    }

    /// Decides one call through whose arguments the payload rules were looked: about the arguments as they are sent on.
    ///
    /// # Errors
    /// The [`Denial`]; [`DenialKind::Payload`] where a rule blocks it.
    pub fn decide_screened(
        &self,
        question: &Question<'_>,
        passed: &Passed,
        approved: Option<&Approved>,
    ) -> Result<Permit, Denial> {
        self.decide_with(question, passed, approved)
    }

    fn decide_with(
        &self,
        question: &Question<'_>,
        passed: &Passed,
        approved: Option<&Approved>,
    ) -> Result<Permit, Denial> {
        let force = match &self.state {
            State::InForce(force) => force,
            State::DenyAll(why) => {
                let refusal = Refusal::of(DenialKind::DenyAll, None);
                let outside = format!("{why}");
                return Err(self.denial(question, refusal, true, outside));
            }
        };
        let Some(route) = Route::find(force, question) else {
            let refusal = Refusal::of(DenialKind::NotListed, None);
            return Err(self.denial(question, refusal, true, String::new()));
        };
        match route.judge(question) {
            Ok(granted) => {
                let permit = Permit {
                    call: question.call,
                    server: question.server.clone(),
                    connector: question.connector.clone(),
                    aim: Aim::of(&question.target),
                    rules: force.rule_ids(&granted.rules),
                    observed: force.rule_ids(&granted.observed),
                    version: Arc::clone(&self.version),
                    credential: granted.credential,
                    digest: question.target.digest(),
                    approval: None,
                };
                // Nobody is asked about what is stopped.
                let permit = self.unless_stopped(permit, question)?;
                let permit = unless_blocked(permit, passed)?;
                unless_asked(&route, permit, &granted.asked, (question, passed), approved)
            }
            Err(refusal) => {
                let outlook = route.outlook(question);
                let outside = outside(force, &refusal, &outlook, &question.target);
                Err(self.denial(question, refusal, !outlook.possible, outside))
            }
        }
    }

    fn denial(&self, question: &Question<'_>, refusal: Refusal, hidden: bool, outside: String) -> Denial {
        let detail = match (&refusal.stage, &refusal.argument) {
            (_, Some(fault)) => fault.to_string(),
            (Some(stage), None) => stage.to_string(),
            (None, None) => "nothing was asked".to_owned(),
        };
        let rules = match &self.state {
            State::InForce(force) => force.rule_ids(&refusal.rules),
            State::DenyAll(_) => Vec::new(),
        };
        Denial(Box::new(Refused {
            call: question.call,
            server: question.server.clone(),
            connector: question.connector.clone(),
            aim: Aim::of(&question.target),
            kind: refusal.kind,
            // A deny-all policy hides nothing: there is no list that could be compared.
            hidden: hidden && refusal.kind != DenialKind::DenyAll,
            stage: refusal.stage,
            rules,
            version: Arc::clone(&self.version),
            detail,
            outside,
            approval: None,
        }))
    }
}

/// What the questions were answered with.
pub(crate) struct Granted {
    pub(crate) rules: Vec<usize>,
    pub(crate) credential: CredentialChoice,
    /// The forbids that are only observed and would have refused it.
    pub(crate) observed: Vec<usize>,
    /// The forbids that refuse it unless a person approves.
    pub(crate) asked: Vec<usize>,
}

/// The first question that was not.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: DenialKind,
    pub(crate) stage: Option<Stage>,
    pub(crate) rules: Vec<usize>,
    pub(crate) argument: Option<ArgumentFault>,
}

impl Refusal {
    pub(crate) fn of(kind: DenialKind, stage: Option<Stage>) -> Self {
        Self { kind, stage, rules: Vec::new(), argument: None }
    }
}

/// The way from a virtual server to a tool, or to a connector's resources or prompts.
pub(crate) struct Route<'a> {
    pub(crate) force: &'a InForce,
    pub(crate) server: &'a ServerView,
    pub(crate) connector: &'a ConnectorView,
    pub(crate) act: &'a ActView,
}

impl<'a> Route<'a> {
    /// `None`: the virtual server does not offer such a tool or connector.
    pub(crate) fn find(force: &'a InForce, question: &Question<'_>) -> Option<Self> {
        let server = force.servers.get(question.server)?;
        let connector = server.connector(question.connector)?;
        let act = connector.act(&question.target)?;
        Some(Self { force, server, connector, act })
    }

    fn judge(&self, question: &Question<'_>) -> Result<Granted, Refusal> {
        let (mut rules, mut asked) = (Vec::new(), Vec::new());
        let see = Stage::SeeServer(question.server.clone());
        let case = self.case(question).map_err(failed(&see))?;

        let answer = case.ask(&self.server.see, Given::default()).map_err(failed(&see))?;
        rules.extend(granted(answer, &see)?);
        asked.extend(asking(&case, &self.server.see, Given::default(), &see)?);

        let expose = Stage::ExposeConnector(question.connector.clone());
        let answer = case.ask(&self.connector.expose, Given::default()).map_err(failed(&expose))?;
        rules.extend(granted(answer, &expose)?);
        asked.extend(asking(&case, &self.connector.expose, Given::default(), &expose)?);

        let act = Stage::of(&question.target);
        let given =
            self.act.given(&question.target).map_err(|fault| self.unread(&self.act.ask, fault, &act))?;
        let answer = case.ask(&self.act.ask, given).map_err(failed(&act))?;
        rules.extend(granted(answer, &act)?);
        if let Some(ask) = &self.act.ask.asking {
            let given =
                self.act.given_to(ask, &question.target).map_err(|fault| self.unread(ask, fault, &act))?;
            asked.extend(asking(&case, &self.act.ask, given, &act)?);
        }

        let credential = match &self.connector.credential {
            CredentialView::None => CredentialChoice::None,
            CredentialView::Own(account) => CredentialChoice::Own(account.clone()),
            CredentialView::Shared(_) => {
                let Lent { credential, by, asked: about } = self.shared(&case)?;
                rules.extend(by);
                asked.extend(about);
                CredentialChoice::Shared(credential)
            }
        };
        rules.sort_unstable();
        rules.dedup();
        let observed = self.observed(&case, &question.target, &credential);
        asked.sort_unstable();
        asked.dedup();
        Ok(Granted { rules, credential, observed, asked })
    }

    /// What policies have to read, and cannot.
    fn unread(&self, ask: &Ask, fault: ArgumentFault, act: &Stage) -> Refusal {
        let (kind, rules) = match fault.unknown_facts() {
            Some(_) => (DenialKind::UnknownFact, self.force.reading(&ask.slice, &fault)),
            None => (DenialKind::Arguments, Vec::new()),
        };
        Refusal { argument: Some(fault), rules, ..Refusal::of(kind, Some(act.clone())) }
    }

    pub(crate) fn case<'q>(&'q self, question: &'q Question<'_>) -> Result<Case<'q>, FactFault> {
        Case::open(self.force, self.server, &self.act.scene, question.subject, question.circumstance, false)
    }

    /// The first shared credential that the policies permit.
    fn shared(&self, case: &Case<'_>) -> Result<Lent, Refusal> {
        let CredentialView::Shared(shared) = &self.connector.credential else {
            return Err(Refusal::of(DenialKind::NoPermit, None));
        };
        let mut refused = Refusal::of(DenialKind::NoPermit, None);
        for (id, ask) in shared {
            let stage = Stage::UseSharedCredential(id.clone());
            let answer = case.ask(ask, Given::default()).map_err(failed(&stage))?;
            // Asked of each that is tried: a policy that fails refuses the call, whatever becomes of this credential.
            let asked = asking(case, ask, Given::default(), &stage)?;
            match granted(answer, &stage) {
                Ok(by) => return Ok(Lent { credential: id.clone(), by, asked }),
                // A policy that fails refuses the call; it does not move it to the next credential.
                Err(refusal) if refusal.kind == DenialKind::Error => return Err(refusal),
                // The last one is reported, and a forbid rather than the mere lack of a permit.
                Err(refusal)
                    if refusal.kind == DenialKind::Forbidden || refused.kind != DenialKind::Forbidden =>
                {
                    refused = refusal;
                }
                Err(_) => {}
            }
        }
        Err(refused)
    }
}

/// A shared credential that may be used.
struct Lent {
    credential: CredentialId,
    by: Vec<usize>,
    /// The forbids that refuse it unless a person approves.
    asked: Vec<usize>,
}

pub(crate) fn failed(stage: &Stage) -> impl FnOnce(FactFault) -> Refusal {
    let stage = stage.clone();
    move |fault| {
        tracing::error!(%fault, "a question could not be put to the policies");
        Refusal::of(DenialKind::Error, Some(stage))
    }
}

/// The rules of a permission, or why it is none.
pub(crate) fn granted(answer: Answer, stage: &Stage) -> Result<Vec<usize>, Refusal> {
    let (kind, rules) = match answer {
        Answer::Permitted(rules) => return Ok(rules),
        Answer::NoPermit => (DenialKind::NoPermit, Vec::new()),
        Answer::Forbidden(rules) => (DenialKind::Forbidden, rules),
        Answer::Failed(rules) => (DenialKind::Error, rules),
    };
    Err(Refusal { rules, ..Refusal::of(kind, Some(stage.clone())) })
}

/// What an assistant that sees the tool is told.
fn outside(force: &InForce, refusal: &Refusal, outlook: &Outlook, target: &Target<'_>) -> String {
    let what = match target {
        Target::Tool { .. } => "these arguments",
        Target::Resource { .. } => "this URI",
        Target::Prompt { .. } => "this prompt",
    };
    match refusal.kind {
        DenialKind::NotListed
        | DenialKind::DenyAll
        | DenialKind::Halted
        | DenialKind::ApprovalNeeded
        | DenialKind::Payload
        | DenialKind::Limit => String::new(),
        DenialKind::Arguments => refusal
            .argument
            .as_ref()
            .map_or_else(String::new, |fault| format!("Policy cannot decide on {what}: {fault}.")),
        DenialKind::UnknownFact => refusal
            .argument
            .as_ref()
            .and_then(|fault| fault.unknown_facts()?.first())
            .map_or_else(String::new, |one| {
                format!("Policy cannot decide on {what}: {one}. {}", one.why.instead())
            }),
        DenialKind::Forbidden => format!("Policy forbids this call{}", citations(force, &refusal.rules)),
        DenialKind::Error => {
            format!("A policy could not be evaluated for this call{}", citations(force, &refusal.rules))
        }
        // The permits that other arguments could meet: what the assistant can do something about.
        DenialKind::NoPermit => {
            format!("No policy permits this call with {what}{}", citations(force, &outlook.open))
        }
    }
}

/// How many policies an answer names at most.
const CITED: usize = 3;

pub(crate) fn citations(force: &InForce, rules: &[usize]) -> String {
    let cited: Vec<String> = rules
        .iter()
        .filter_map(|at| force.rules.get(*at))
        .take(CITED)
        .map(|rule| match &rule.reason {
            Some(reason) => format!("{} ({})", rule.id, reason.trim_end_matches('.')),
            None => rule.id.to_string(),
        })
        .collect();
    if cited.is_empty() { ".".to_owned() } else { format!(": {}.", cited.join("; ")) }
}
