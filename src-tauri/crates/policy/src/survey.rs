//! What can be said of a policy without a question: for those who compare two.

use std::collections::{BTreeMap, BTreeSet};

use model::{ConnectorId, ServerId, ToolName};

use crate::rule::{Rule, RuleId};
use crate::set::{Policy, State};

impl Policy {
    /// The groups that policies name.
    pub fn groups(&self) -> BTreeSet<String> {
        let State::InForce(force) = &self.state else { return BTreeSet::new() };
        let literals = force.rules.iter().flat_map(|rule| rule.policy.entity_literals());
        let groups = literals.filter(|named| named.type_name().to_string() == "Group");
        groups.map(|named| named.id().unescaped().to_owned()).collect()
    }

    /// Each tool that the virtual server offers, with the policies that judge its arguments, as Cedar text, and how the facts
    /// that they read are computed. What is only observed judges nothing.
    pub fn conditions(
        &self,
        server: &ServerId,
    ) -> BTreeMap<(ConnectorId, ToolName), BTreeMap<RuleId, String>> {
        let State::InForce(force) = &self.state else { return BTreeMap::new() };
        let connectors = force.servers.get(server).map(|server| server.connectors.as_slice());
        let mut found = BTreeMap::new();
        for (connector, view) in connectors.unwrap_or_default() {
            for (tool, act) in &view.tools {
                let asking = act.ask.asking.iter().flat_map(|asking| &asking.slice.rules);
                let rules = act.ask.slice.rules.iter().chain(asking).filter_map(|at| force.rules.get(*at));
                let judging = rules.filter(|rule| rule.reads.arguments());
                let facts =
                    |rule: &Rule| act.kind.facts.as_ref().map(|facts| facts.facts.described(&rule.facts));
                let texts = judging.map(|rule| {
                    (rule.id.clone(), format!("{}{}", rule.body, facts(rule).unwrap_or_default()))
                });
                found.insert((connector.clone(), tool.clone()), texts.collect());
            }
        }
        found
    }
}
