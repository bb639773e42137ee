//! Limits as a part of the decision: what is too large, or too often, is refused although a policy permits it. They never permit
//! anything. Here it is said which limits a call has and what is counted together; who counts is told by whom the call is made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::{ConnectorId, Digest, Subject, Timestamp, ToolName};
use org_protocol::{CallAllowance, CredentialSpec, LimitPer, LimitRule};
use serde::Serialize;

use crate::compile::PolicyInput;
use crate::fault::{FaultKind, PolicyFault};
use crate::outcome::{Aim, CredentialChoice, Denial, DenialKind, Permit, Refused};
use crate::rule::{REASON_LIMIT, RuleId};
use crate::set::Policy;

/// What limits are called among policies, in records.
const NAMED: &str = "limit:";
/// The most limits.
const MOST: usize = 256;
/// The arguments of a call without any: `{}`.
const LEAST_ARGUMENTS: u32 = 2;

/// Why a limit is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "fault", content = "detail", rename_all = "snake_case")]
pub enum LimitFault {
    /// Two limits have one id.
    #[error("the limit {0:?} is there twice; records name limits by their ids")]
    Twice(String),
    /// Nothing is limited.
    #[error("the limit {0:?} limits nothing; give it calls, argument_bytes or result_bytes")]
    Nothing(String),
    /// Nothing is counted.
    #[error(
        "the limit {0:?} says per whom calls are counted, and not how many; give it calls, or remove per"
    )]
    NothingCounted(String),
    /// Not even a call without arguments would pass.
    #[error("the limit {0:?} lets no call pass: arguments have two bytes where there are none")]
    NoArguments(String),
    /// The reason is too long or more than one line.
    #[error("the reason of limit {0:?} is not one line of at most 240 characters")]
    Reason(String),
    /// No such connector.
    #[error("the limit {limit:?} is about connector {connector}, which does not exist")]
    UnknownConnector {
        /// The limit.
        limit: String,
        /// The connector.
        connector: String,
    },
    /// None of the limit's connectors has such a tool.
    #[error("the limit {limit:?} is about tool {tool}, which none of its connectors has")]
    UnknownTool {
        /// The limit.
        limit: String,
        /// The tool.
        tool: String,
    },
    /// Calls with accounts that no control plane sees cannot be counted together.
    #[error(
        "the limit {limit:?} counts calls by shared account, and nobody sees all those to {connector}: only the control plane could, which makes no calls to it. Name brokered connectors in connectors, or count per person"
    )]
    NotBrokered {
        /// The limit.
        limit: String,
        /// The connector.
        connector: String,
    },
    /// It is not said which connectors' accounts.
    #[error("the limit {0:?} counts calls by shared account; name the brokered connectors in connectors")]
    NoConnector(String),
    /// More than is good.
    #[error("there are more than {0} limits")]
    TooMany(usize),
}

/// Every limit of a policy, checked.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    rules: Vec<LimitRule>,
    brokered: BTreeSet<ConnectorId>,
}

impl Limits {
    /// Checks what was written.
    pub(crate) fn compile(input: &PolicyInput<'_>) -> Result<Self, Vec<PolicyFault>> {
        let is_brokered = |id: &ConnectorId| {
            let spec = input.connectors.get(id);
            spec.is_some_and(|spec| matches!(spec.credential, CredentialSpec::Brokered { .. }))
        };
        let mut faults = Vec::new();
        let mut fault = |at, fault| {
            faults.push(PolicyFault {
                file: "org.toml".to_owned(),
                line: 1,
                policy: None,
                kind: FaultKind::Limit { at, fault: Box::new(fault) },
            });
        };
        if input.limits.len() > MOST {
            fault(MOST, LimitFault::TooMany(MOST));
        }
        let mut ids = BTreeSet::new();
        for (at, rule) in input.limits.iter().enumerate() {
            let id = || rule.id.to_string();
            if !ids.insert(&rule.id) {
                fault(at, LimitFault::Twice(id()));
            }
            if let Some(found) = fault_of(rule) {
                fault(at, found);
            }
            for connector in &rule.connectors {
                if !input.connectors.contains_key(connector) {
                    let connector = connector.to_string();
                    fault(at, LimitFault::UnknownConnector { limit: id(), connector });
                } else if rule.counted_per() == LimitPer::Credential && !is_brokered(connector) {
                    fault(at, LimitFault::NotBrokered { limit: id(), connector: connector.to_string() });
                }
            }
        }
        let brokered = input.connectors.keys().filter(|id| is_brokered(id)).cloned().collect();
        if faults.is_empty() { Ok(Self { rules: input.limits.to_vec(), brokered }) } else { Err(faults) }
    }

    fn about<'a>(
        &'a self,
        connector: &'a ConnectorId,
        tool: Option<&'a ToolName>,
    ) -> impl Iterator<Item = &'a LimitRule> {
        self.rules.iter().filter(move |rule| rule.is_about(connector, tool))
    }
}

/// What is wrong with a limit by itself.
fn fault_of(rule: &LimitRule) -> Option<LimitFault> {
    let id = || rule.id.to_string();
    if rule.calls.is_none() && rule.argument_bytes.is_none() && rule.result_bytes.is_none() {
        return Some(LimitFault::Nothing(id()));
    }
    if rule.per.is_some() && rule.calls.is_none() {
        return Some(LimitFault::NothingCounted(id()));
    }
    if rule.argument_bytes.is_some_and(|most| most.get() < LEAST_ARGUMENTS) {
        return Some(LimitFault::NoArguments(id()));
    }
    if rule.reason.chars().count() > REASON_LIMIT || rule.reason.contains(char::is_control) {
        return Some(LimitFault::Reason(id()));
    }
    (rule.counted_per() == LimitPer::Credential && rule.connectors.is_empty())
        .then(|| LimitFault::NoConnector(id()))
}

/// A limit as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitLine {
    /// Its id.
    pub id: String,
    /// The most calls, and in which period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<CallAllowance>,
    /// Whose calls are counted together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per: Option<LimitPer>,
    /// The most bytes of arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argument_bytes: Option<u32>,
    /// The most bytes of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<u32>,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl LimitLine {
    fn of(rule: &LimitRule) -> Self {
        Self {
            id: rule.id.to_string(),
            calls: rule.calls,
            per: rule.calls.map(|_| rule.counted_per()),
            argument_bytes: rule.argument_bytes.map(Into::into),
            result_bytes: rule.result_bytes.map(Into::into),
            reason: rule.reason.clone(),
        }
    }
}

impl std::fmt::Display for LimitLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, calls, per, argument_bytes, result_bytes, reason } = self;
        let calls = calls.map(|most| format!("{most} {}", per.unwrap_or_default().words()));
        let arguments = argument_bytes.map(|most| format!("{most} bytes of arguments"));
        let results = result_bytes.map(|most| format!("{most} bytes of an answer"));
        let parts: Vec<String> = [calls, arguments, results].into_iter().flatten().collect();
        write!(f, "Limit {id}: at most {}.", parts.join(", "))?;
        if reason.is_empty() { Ok(()) } else { write!(f, " — {reason}") }
    }
}

/// Who counts calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedBy {
    /// A desktop: the calls that it makes itself. Those that the control plane makes are counted there alone.
    Desktop,
    /// The control plane.
    ControlPlane,
}

/// Something that a call is counted as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    key: String,
    allowance: CallAllowance,
    per: LimitPer,
    limit: Cited,
}

impl Count {
    /// Under what it is counted: a digest of the limit's id, its period, the connector and whose calls are counted together.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How many in which period.
    pub fn allowance(&self) -> CallAllowance {
        self.allowance
    }

    /// That this many were counted already.
    pub fn reached(&self, again: Again) -> Over {
        let what = TooMuch::Calls { most: self.allowance, per: self.per, again };
        Over { limit: self.limit.clone(), what }
    }
}

/// When a call may be made again that was one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// After so long.
    In(Duration),
    /// At this time.
    At(Timestamp),
}

impl std::fmt::Display for Again {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::In(wait) => match wait.as_millis().div_ceil(1000).max(1) {
                1 => f.write_str("in a second"),
                seconds if seconds <= 120 => write!(f, "in {seconds} seconds"),
                seconds => write!(f, "in {} minutes", seconds.div_ceil(60)),
            },
            Self::At(time) => {
                let text = time.to_string();
                let (date, clock) = text.split_once('T').unwrap_or((&text, ""));
                write!(f, "on {date} at {} UTC", clock.get(..5).unwrap_or(clock))
            }
        }
    }
}

/// A limit that a call is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub struct Over {
    limit: Cited,
    what: TooMuch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cited {
    id: String,
    reason: String,
}

impl Cited {
    fn of(rule: &LimitRule) -> Self {
        Self { id: rule.id.to_string(), reason: rule.reason.clone() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TooMuch {
    Arguments { bytes: u64, most: u32 },
    Answer { bytes: u64, most: u32 },
    Calls { most: CallAllowance, per: LimitPer, again: Again },
}

impl Over {
    /// The limit's id.
    pub fn limit(&self) -> &str {
        &self.limit.id
    }

    /// Which limit, why, and what to do; no values.
    pub fn words(&self) -> String {
        let Cited { id, reason } = &self.limit;
        let cited = match reason.as_str() {
            "" => id.clone(),
            reason => format!("{id} ({})", reason.trim_end_matches('.')),
        };
        match &self.what {
            TooMuch::Arguments { bytes, most } => format!(
                "The arguments have {bytes} bytes; limit {cited} lets at most {most} pass. Send less at once."
            ),
            TooMuch::Answer { bytes, most } => {
                format!(
                    "The answer has {bytes} bytes; limit {cited} lets at most {most} pass. Ask for less at once."
                )
            }
            TooMuch::Calls { most, per, again } => {
                format!("Limit {cited} is reached: {most} {}. Try again {again}.", per.words())
            }
        }
    }
}

impl Policy {
    /// The limits about a tool, or about resources and prompts.
    pub fn limits(&self, connector: &ConnectorId, tool: Option<&ToolName>) -> Vec<LimitLine> {
        self.limits.about(connector, tool).map(LimitLine::of).collect()
    }

    /// The limit that arguments of so many bytes are over.
    pub fn arguments_over(
        &self,
        connector: &ConnectorId,
        tool: Option<&ToolName>,
        bytes: usize,
    ) -> Option<Over> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.tightest(connector, tool, bytes, |rule| rule.argument_bytes.map(Into::into))
            .map(|(limit, most)| Over { limit, what: TooMuch::Arguments { bytes, most } })
    }

    /// The limit that an answer of so many bytes is over.
    pub fn answer_over(&self, connector: &ConnectorId, tool: Option<&ToolName>, bytes: u64) -> Option<Over> {
        self.tightest(connector, tool, bytes, |rule| rule.result_bytes.map(Into::into))
            .map(|(limit, most)| Over { limit, what: TooMuch::Answer { bytes, most } })
    }

    fn tightest(
        &self,
        connector: &ConnectorId,
        tool: Option<&ToolName>,
        bytes: u64,
        most: impl Fn(&LimitRule) -> Option<u32>,
    ) -> Option<(Cited, u32)> {
        let over = self.limits.about(connector, tool).filter_map(|rule| Some((rule, most(rule)?)));
        let over = over.filter(|(_, most)| bytes > u64::from(*most)).min_by_key(|(_, most)| *most);
        over.map(|(rule, most)| (Cited::of(rule), most))
    }

    /// What a call is counted as by whoever makes it.
    pub fn counts(
        &self,
        by: CountedBy,
        (subject, connector, aim): (&Subject, &ConnectorId, &Aim),
        credential: &CredentialChoice,
    ) -> Vec<Count> {
        if by == CountedBy::Desktop && self.limits.brokered.contains(connector) {
            return Vec::new();
        }
        let tool = match aim {
            Aim::Tool(name) => Some(name),
            Aim::Resource(_) | Aim::Prompt(_) => None,
        };
        let shared = match credential {
            CredentialChoice::Shared(id) => id.as_str(),
            CredentialChoice::None | CredentialChoice::Own(_) => "",
        };
        let count = |rule: &LimitRule| {
            let allowance = rule.calls?;
            let per = rule.counted_per();
            let whose: [&str; 4] = match per {
                LimitPer::Person => ["person", &subject.issuer, &subject.subject, ""],
                LimitPer::PersonAndTool => {
                    // What is no tool is counted by what it is: URIs can be thought up.
                    let what = tool.map_or("", ToolName::as_str);
                    [aim.kind(), &subject.issuer, &subject.subject, what]
                }
                LimitPer::Credential => ["credential", shared, "", ""],
            };
            let parts = [rule.id.as_str(), allowance.period().as_str(), connector.as_str()];
            let parts: Vec<&[u8]> = parts.iter().chain(&whose).map(|part| part.as_bytes()).collect();
            let key = Digest::of_parts(&parts).to_string();
            Some(Count { key, allowance, per, limit: Cited::of(rule) })
        };
        self.limits.about(connector, tool).filter_map(count).collect()
    }
}

impl Permit {
    /// What was permitted, refused because it is over a limit.
    #[must_use]
    pub fn over(self, over: &Over) -> Denial {
        Denial(Box::new(Refused {
            rules: ids(over),
            detail: "it is over a limit".to_owned(),
            ..Refused::although(self, DenialKind::Limit, over.words())
        }))
    }
}

impl Denial {
    /// What would be put to a person, refused because it is over a limit anyway.
    #[must_use]
    pub fn over(self, over: &Over) -> Self {
        Self(Box::new(Refused {
            kind: DenialKind::Limit,
            rules: ids(over),
            detail: "it is over a limit".to_owned(),
            outside: over.words(),
            approval: None,
            ..*self.0
        }))
    }
}

fn ids(over: &Over) -> Vec<RuleId> {
    format!("{NAMED}{}", over.limit()).parse().into_iter().collect()
}

pub(crate) fn limits(input: &PolicyInput<'_>) -> Result<Arc<Limits>, Vec<PolicyFault>> {
    Limits::compile(input).map(Arc::new)
}
