//! Why a call is permitted or refused, for the people who write policies and those who are refused by them. The same
//! decision is made again with its steps kept; nothing here permits anything.

use std::collections::BTreeMap;

use cedar_policy::pst::Clause;
use cedar_policy::{Context, Decision, Policy as CedarPolicy, PolicySet};
use model::{ApprovalScope, ConnectorId, ServerId, ToolName};
use payload::RuleLine;
use serde::Serialize;

use crate::conjunct::{conjuncts, probe, scope_probe};
use crate::decide::Route;
use crate::facts::{FactFault, Question, Target};
use crate::given::Given;
use crate::limits::LimitLine;
use crate::observed;
use crate::outcome::{Aim, CredentialChoice, DenialKind, Stage};
use crate::rule::{PolicyVersion, Rule, RuleId};
use crate::set::{Answer, Ask, Case, CredentialView, Policy, State};

/// What a call would be answered with, and why. It holds no argument's value, but the facts that policies read of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The user, as people know them.
    pub user: String,
    /// The virtual server.
    pub server: ServerId,
    /// The connector.
    pub connector: ConnectorId,
    /// The tool, resource or prompt.
    #[serde(flatten)]
    pub aim: Aim,
    /// Whether the call would be permitted.
    pub permitted: bool,
    /// Why not.
    pub denial: Option<DenialKind>,
    /// Whether it is shown to the user.
    pub listed: bool,
    /// The credential that the call would be made with.
    pub credential: Option<CredentialChoice>,
    /// Every policy that the permission or the refusal rests on.
    pub rules: Vec<RuleId>,
    /// Every forbid that is only observed and would have refused a permitted call, or changed its credential.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<RuleId>,
    /// Every forbid that refuses the call unless a person approves it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asking: Vec<RuleId>,
    /// The most that the person may allow then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<ApprovalScope>,
    /// Whether they also have to prove to the operating system who they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub factor: bool,
    /// The payload rules that what is sent and answered has to pass.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<RuleLine>,
    /// The limits of how large and how often.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitLine>,
    /// What is to be said beside the steps.
    pub note: Option<String>,
    /// The questions in the order in which they were put; the last one decided.
    pub steps: Vec<Step>,
    /// The policy set.
    pub version: PolicyVersion,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it was about.
    #[serde(flatten)]
    pub stage: Stage,
    /// Whether it was permitted.
    pub permitted: bool,
    /// What policies read of the arguments as `context.facts`, as Cedar text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// The policies that decided it; where none permits, those that could have.
    pub rules: Vec<RuleNote>,
    /// The forbids that are only observed (`@observe`) and would have refused it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<RuleNote>,
    /// The forbids that refuse it unless a person approves (`@approval`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asking: Vec<RuleNote>,
}

/// What one policy had to do with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleNote {
    /// The policy.
    pub id: RuleId,
    /// Its effect: `true` for a permit, `false` for a forbid.
    pub permits: bool,
    /// Whether it applied.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Its `@reason`.
    pub reason: Option<String>,
    /// The file that it stands in.
    pub file: String,
    /// The line at which it begins.
    pub line: u32,
}

/// Whether a policy applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "condition", rename_all = "snake_case")]
pub enum Verdict {
    /// Everything in it held.
    Applied,
    /// This part of it did not hold, as Cedar text.
    NotMet(String),
    /// This part of it could not be evaluated.
    Failed(String),
}

impl Policy {
    /// Explains one call. The outcome is that of [`Policy::decide`].
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let mut explanation = Explanation {
            user: question.subject.label().to_owned(),
            server: question.server.clone(),
            connector: question.connector.clone(),
            aim: Aim::of(&question.target),
            permitted: false,
            denial: None,
            listed: false,
            credential: None,
            rules: Vec::new(),
            observed: Vec::new(),
            asking: Vec::new(),
            most: None,
            factor: false,
            payload: self.payload_rules(question.connector, tool_of(&question.target)),
            limits: self.limits(question.connector, tool_of(&question.target)),
            note: None,
            steps: Vec::new(),
            version: self.version().clone(),
        };
        match self.decide(question) {
            Ok(permit) => {
                explanation.permitted = true;
                explanation.listed = true;
                explanation.credential = Some(permit.credential().clone());
                explanation.rules = permit.rules().to_vec();
                explanation.observed = permit.observed().to_vec();
            }
            Err(denial) => {
                explanation.denial = Some(denial.kind());
                explanation.listed = !denial.is_hidden() && denial.kind() != DenialKind::DenyAll;
                explanation.rules = denial.rules().to_vec();
                if let Some(needed) = denial.approval() {
                    explanation.asking = needed.rules().to_vec();
                    explanation.most = Some(needed.most());
                    explanation.factor = needed.factor();
                }
                explanation.note = match denial.kind() {
                    DenialKind::DenyAll
                    | DenialKind::Arguments
                    | DenialKind::UnknownFact
                    | DenialKind::Halted => Some(denial.0.outside.clone()),
                    DenialKind::NotListed => {
                        Some(format!("The virtual server does not offer this {}.", explanation.aim.kind()))
                    }
                    DenialKind::NoPermit
                    | DenialKind::Forbidden
                    | DenialKind::Error
                    | DenialKind::ApprovalNeeded
                    | DenialKind::Payload
                    | DenialKind::Limit => None,
                };
            }
        }
        if let State::InForce(force) = &self.state
            && let Some(route) = Route::find(force, question)
        {
            let walk =
                route.case(question).and_then(|case| Walk { route: &route, case: &case }.steps(question));
            explanation.steps = walk.unwrap_or_else(|fault| {
                tracing::error!(%fault, "a decision cannot be explained");
                Vec::new()
            });
        }
        explanation
    }
}

/// Puts the questions once more, in the order of the decision.
struct Walk<'a> {
    route: &'a Route<'a>,
    case: &'a Case<'a>,
}

impl Walk<'_> {
    fn steps(&self, question: &Question<'_>) -> Result<Vec<Step>, FactFault> {
        let Self { route, .. } = self;
        let (server, connector, act) = (route.server, route.connector, route.act);
        let mut steps = Vec::new();
        let see = Stage::SeeServer(question.server.clone());
        let expose = Stage::ExposeConnector(question.connector.clone());
        for (stage, ask) in [(see, &server.see), (expose, &connector.expose)] {
            let step = self.step(stage, ask, Given::default(), None)?;
            let goes_on = step.permitted;
            steps.push(step);
            if !goes_on {
                return Ok(steps);
            }
        }
        // What cannot be read the note says, and no policy was asked.
        let Ok(given) = act.given(&question.target) else { return Ok(steps) };
        let step = self.step(Stage::of(&question.target), &act.ask, given, Some(&question.target))?;
        let goes_on = step.permitted;
        steps.push(step);
        if !goes_on {
            return Ok(steps);
        }
        if let CredentialView::Shared(shared) = &connector.credential {
            for (id, ask) in shared {
                let step = self.step(Stage::UseSharedCredential(id.clone()), ask, Given::default(), None)?;
                let found = step.permitted;
                steps.push(step);
                if found {
                    break;
                }
            }
        }
        Ok(steps)
    }

    fn step(
        &self,
        stage: Stage,
        ask: &Ask,
        given: Given,
        target: Option<&Target<'_>>,
    ) -> Result<Step, FactFault> {
        let facts = given.values.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        let context = self.case.context(ask.slice.reads, given.clone())?;
        let ground = Ground { case: self.case, ask, context };
        let answer = self.case.ask(ask, given)?;
        let all = &self.route.force.rules;
        let notes = |places: &[usize]| -> Result<Vec<RuleNote>, FactFault> {
            places.iter().filter_map(|at| all.get(*at)).map(|rule| ground.note(rule)).collect()
        };
        let rules = match &answer {
            Answer::Permitted(rules) | Answer::Forbidden(rules) | Answer::Failed(rules) => notes(rules)?,
            Answer::NoPermit => {
                let permits =
                    ask.slice.rules.iter().copied().filter(|at| all.get(*at).is_some_and(Rule::permits));
                notes(&permits.collect::<Vec<_>>())?
            }
        };
        let permitted = matches!(answer, Answer::Permitted(_));
        let observed = if permitted { self.observed(ask, target)? } else { Vec::new() };
        let asking = if permitted { self.asking(ask, target)? } else { Vec::new() };
        Ok(Step { stage, permitted, facts, rules, observed, asking })
    }

    /// The forbids that refuse what was permitted unless a person approves. What they cannot be asked, the note says.
    fn asking(&self, ask: &Ask, target: Option<&Target<'_>>) -> Result<Vec<RuleNote>, FactFault> {
        let Some(asking) = &ask.asking else { return Ok(Vec::new()) };
        let given =
            target.map_or_else(|| Ok(Given::default()), |target| self.route.act.given_to(asking, target));
        let Ok(given) = given else { return Ok(Vec::new()) };
        let context = self.case.context(asking.slice.reads, given.clone())?;
        let ground = Ground { case: self.case, ask: asking, context };
        let found = match self.case.ask(asking, given)? {
            Answer::Forbidden(rules) | Answer::Failed(rules) => rules,
            Answer::NoPermit | Answer::Permitted(_) => Vec::new(),
        };
        let rule = |at: &usize| self.route.force.rules.get(*at);
        found.iter().filter_map(rule).map(|rule| ground.note(rule)).collect()
    }

    /// What the forbids that are only observed would have refused of what was permitted.
    fn observed(&self, ask: &Ask, target: Option<&Target<'_>>) -> Result<Vec<RuleNote>, FactFault> {
        let Some(observed) = &ask.observed else { return Ok(Vec::new()) };
        let all = &self.route.force.rules;
        let rule = |at: &usize| all.get(*at);
        let given =
            target.map_or_else(|| Ok(Given::default()), |target| self.route.act.given_to(observed, target));
        let given = match given {
            Ok(given) => given,
            Err(fault) => {
                let unread = |rule: &Rule| rule.note(Verdict::Failed(fault.to_string()));
                let reading = self.route.force.reading(&observed.slice, &fault);
                return Ok(reading.iter().filter_map(rule).map(unread).collect());
            }
        };
        let context = self.case.context(observed.slice.reads, given.clone())?;
        let ground = Ground { case: self.case, ask: observed, context };
        let found = observed::would_refuse(self.case, ask, given);
        found.iter().filter_map(rule).map(|rule| ground.note(rule)).collect()
    }
}

impl Rule {
    fn note(&self, verdict: Verdict) -> RuleNote {
        RuleNote {
            id: self.id.clone(),
            permits: self.permits(),
            verdict,
            reason: self.reason.clone(),
            file: self.file.to_string(),
            line: self.line,
        }
    }
}

/// What one question stands on: enough to ask it of single conditions.
struct Ground<'a> {
    case: &'a Case<'a>,
    ask: &'a Ask,
    context: Context,
}

/// What a probe says of a condition.
enum Holds {
    Yes,
    No,
    Fails,
}

impl Ground<'_> {
    fn note(&self, rule: &Rule) -> Result<RuleNote, FactFault> {
        Ok(rule.note(self.verdict(rule)?))
    }

    /// The first part of a policy that does not hold. What follows it may rest on it, so it is not asked.
    fn verdict(&self, rule: &Rule) -> Result<Verdict, FactFault> {
        let broken = |e: cedar_policy::pst::PstConstructionError| FactFault::Context(e.to_string());
        // Action and resource fit, or the policy would not be in the slice; what is left of the scope is the user.
        if !matches!(self.holds(scope_probe(&rule.body).map_err(broken)?)?, Holds::Yes) {
            return Ok(Verdict::NotMet(format!("principal {}", rule.body.principal)));
        }
        for clause in conjuncts(&rule.body) {
            let text = match &clause {
                Clause::When(expr) => expr.to_string(),
                Clause::Unless(_) => clause.to_string(),
            };
            match self.holds(probe(&rule.body, clause).map_err(broken)?)? {
                Holds::Yes => {}
                Holds::No => return Ok(Verdict::NotMet(text)),
                Holds::Fails => return Ok(Verdict::Failed(text)),
            }
        }
        Ok(Verdict::Applied)
    }

    fn holds(&self, probe: CedarPolicy) -> Result<Holds, FactFault> {
        let policies = PolicySet::from_policies([probe]).map_err(|e| FactFault::Context(e.to_string()))?;
        let request = self.case.request(self.ask, self.context.clone())?;
        let entities = &self.case.entered()?.entities;
        let response = self.case.force.authorizer.is_authorized(&request, &policies, entities);
        Ok(match (response.diagnostics().errors().next(), response.decision()) {
            (Some(_), _) => Holds::Fails,
            (None, Decision::Allow) => Holds::Yes,
            (None, Decision::Deny) => Holds::No,
        })
    }
}

fn tool_of<'a>(target: &Target<'a>) -> Option<&'a ToolName> {
    match target {
        Target::Tool { name, .. } => Some(name),
        Target::Resource { .. } | Target::Prompt { .. } => None,
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { user, server, connector, aim, .. } = self;
        let verb = if self.permitted || !self.asking.is_empty() { "may" } else { "may not" };
        let act = match aim {
            Aim::Tool(_) => "call",
            Aim::Resource(_) => "read",
            Aim::Prompt(_) => "get the prompt",
        };
        let asked = match (self.asking.is_empty(), self.factor) {
            (true, _) => "",
            (false, false) => ", if a person approves the call",
            (false, true) => {
                ", if a person approves the call and proves to the operating system who they are"
            }
        };
        writeln!(f, "{user} {verb} {act} {aim} on {connector} through {server}{asked}.")?;
        if let Some(note) = &self.note {
            writeln!(f, "{note}")?;
        }
        for step in &self.steps {
            write!(f, "{step}")?;
        }
        match &self.credential {
            Some(CredentialChoice::Shared(credential)) => {
                writeln!(f, "The call would be made with the shared credential {credential}.")?;
            }
            Some(CredentialChoice::Own(account)) if account.is_default() => {
                writeln!(f, "The call would be made with {user}'s own account.")?;
            }
            Some(CredentialChoice::Own(account)) => {
                writeln!(f, "The call would be made with {user}'s own account \"{account}\".")?;
            }
            Some(CredentialChoice::None) | None => {}
        }
        for rule in &self.payload {
            writeln!(f, "{rule}")?;
        }
        for limit in &self.limits {
            writeln!(f, "{limit}")?;
        }
        let told = [DenialKind::DenyAll, DenialKind::ApprovalNeeded];
        if self.denial.is_some_and(|denial| !told.contains(&denial)) {
            let listed = if self.listed { "shown: other arguments may be permitted" } else { "not shown" };
            writeln!(f, "The {} is {listed}.", aim.kind())?;
        }
        write!(f, "Policy: {}", self.version)
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let forbidden = self.rules.iter().any(|rule| !rule.permits && rule.verdict == Verdict::Applied);
        let failed = self.rules.iter().any(|rule| matches!(rule.verdict, Verdict::Failed(_)));
        let answer = match (self.permitted, forbidden, failed) {
            (true, _, _) => "permitted",
            (false, true, _) => "forbidden",
            (false, false, true) => "refused, because a policy failed",
            (false, false, false) => "not permitted by any policy",
        };
        writeln!(f, "- {}: {answer}", self.stage)?;
        for (name, value) in &self.facts {
            writeln!(f, "  - context.facts.{name} is {value}")?;
        }
        for rule in &self.rules {
            writeln!(f, "  - {rule}")?;
        }
        for rule in &self.asking {
            writeln!(f, "  - a person is asked: {rule}")?;
        }
        for rule in &self.observed {
            writeln!(f, "  - only observed, else this would be refused: {rule}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for RuleNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let effect = if self.permits { "permit" } else { "forbid" };
        write!(f, "{effect} {} ({}:{})", self.id, self.file, self.line)?;
        match &self.verdict {
            Verdict::Applied => {}
            Verdict::NotMet(condition) => write!(f, " does not apply, because this is not so: {condition}")?,
            Verdict::Failed(condition) => write!(f, " failed at: {condition}")?,
        }
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, " — {reason}"))
    }
}
