//! Every payload rule of a policy, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{ConnectorId, ToolName};
use org_protocol::{Detect, PayloadAction, PayloadDirection, PayloadSettings};
use serde::Serialize;

use crate::fault::{PayloadFault, PayloadPlace};
use crate::own::Own;
use crate::rules::Rule;
use crate::secrets;
use crate::sieve::Sieve;

/// The most rules and the most patterns.
const MOST: usize = 256;
/// The longest reason, in characters: it must fit into one line of an assistant's answer.
const LONGEST_REASON: usize = 240;

/// Every payload rule of a policy.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    rules: Vec<Arc<Rule>>,
}

/// A rule as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleLine {
    /// Its id.
    pub id: String,
    /// Which way payloads go that it is about.
    pub direction: PayloadDirection,
    /// What it looks for.
    pub detect: Vec<Detect>,
    /// What becomes of a payload in which it is found.
    pub action: PayloadAction,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl std::fmt::Display for RuleLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, direction, detect, action, reason } = self;
        let way = match direction {
            PayloadDirection::Request => "what is sent",
            PayloadDirection::Response => "the answer",
            PayloadDirection::Both => "what is sent and in the answer",
        };
        let sought: Vec<String> = detect.iter().map(ToString::to_string).collect();
        write!(f, "Payload rule {id}: where {} is found in {way}, ", sought.join(", "))?;
        f.write_str(match action {
            PayloadAction::Log => "it is recorded",
            PayloadAction::Redact => "it is taken out",
            PayloadAction::Ask => "a person is asked",
            PayloadAction::Block => "it does not pass",
        })?;
        if reason.is_empty() { f.write_str(".") } else { write!(f, " — {reason}") }
    }
}

impl Screen {
    /// Checks what was written, and makes it ready to look. Which `connectors` there are, the policy knows.
    ///
    /// # Errors
    /// Every [`PayloadFault`], with its place.
    pub fn compile(
        settings: &PayloadSettings,
        is_connector: impl Fn(&ConnectorId) -> bool,
    ) -> Result<Self, Vec<(PayloadPlace, PayloadFault)>> {
        let mut faults = Vec::new();
        if settings.rule.len() > MOST || settings.patterns.len() > MOST {
            return Err(vec![(PayloadPlace::Rule(0), PayloadFault::TooMany(MOST))]);
        }
        let mut patterns = BTreeMap::new();
        for (name, pattern) in &settings.patterns {
            match Own::compile(name.as_str(), pattern) {
                Ok(own) => {
                    patterns.insert(name.clone(), Arc::new(own));
                }
                Err(fault) => faults.push((PayloadPlace::Pattern(name.to_string()), fault)),
            }
        }
        let mut ids = BTreeSet::new();
        let mut rules = Vec::new();
        for (at, written) in settings.rule.iter().enumerate() {
            let place = PayloadPlace::Rule(at);
            let id = || written.id.to_string();
            let mut fault = |fault| faults.push((place.clone(), fault));
            if !ids.insert(&written.id) {
                fault(PayloadFault::Twice(id()));
            }
            if written.detect.is_empty() {
                fault(PayloadFault::Nothing(id()));
            }
            if written.reason.chars().count() > LONGEST_REASON || written.reason.contains(char::is_control) {
                fault(PayloadFault::Reason(id()));
            }
            for connector in written.connectors.iter().filter(|connector| !is_connector(connector)) {
                fault(PayloadFault::UnknownConnector { rule: id(), connector: connector.to_string() });
            }
            let mut own = Vec::new();
            for detect in &written.detect {
                match detect {
                    Detect::Secret(secret) if !secrets::is_known(secret) => {
                        fault(PayloadFault::UnknownSecret { rule: id(), id: secret.clone() });
                    }
                    Detect::Pattern(name) => match patterns.get(name) {
                        Some(pattern) => own.push((detect.to_string(), Arc::clone(pattern))),
                        // What is wrong with it was said already.
                        None if settings.patterns.contains_key(name) => {}
                        None => fault(PayloadFault::UnknownPattern { rule: id(), name: name.to_string() }),
                    },
                    Detect::Secrets | Detect::Secret(_) | Detect::PersonalData | Detect::Personal(_) => {}
                }
            }
            rules.push(Arc::new(Rule { written: written.clone(), own }));
        }
        if faults.is_empty() { Ok(Self { rules }) } else { Err(faults) }
    }

    /// The rules that a payload has to pass; `None` where there are none.
    pub fn sieve(
        &self,
        connector: &ConnectorId,
        tool: Option<&ToolName>,
        way: PayloadDirection,
    ) -> Option<Sieve> {
        let rules = self.about(connector, tool).filter(|rule| rule.is_about(way)).cloned().collect();
        Sieve::of(rules)
    }

    /// The rules about a tool, or about resources and prompts, in the order in which they were written.
    pub fn lines(&self, connector: &ConnectorId, tool: Option<&ToolName>) -> Vec<RuleLine> {
        self.about(connector, tool)
            .map(|rule| RuleLine {
                id: rule.id().to_owned(),
                direction: rule.written.direction,
                detect: rule.written.detect.clone(),
                action: rule.action(),
                reason: rule.written.reason.clone(),
            })
            .collect()
    }

    fn about<'a>(
        &'a self,
        connector: &'a ConnectorId,
        tool: Option<&'a ToolName>,
    ) -> impl Iterator<Item = &'a Arc<Rule>> {
        self.rules.iter().filter(move |rule| {
            let written = &rule.written;
            let is_its = written.connectors.is_empty() || written.connectors.contains(connector);
            let is_tool = written.tools.is_empty() || tool.is_some_and(|tool| written.tools.contains(tool));
            is_its && is_tool
        })
    }
}
