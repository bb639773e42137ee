//! Payload rules as IT writes them: tools that nobody has, and changes by which less is looked for.

use std::collections::{BTreeMap, BTreeSet};

use model::{ConnectorId, ToolName};
use org_protocol::{Content, Detect, PayloadDirection, PayloadRule, PersonalData};
use policy::{PayloadFault, PayloadPlace};

use super::pin::tool_name;

/// Tools that rules name and no connector has whose tools are pinned.
pub(super) fn unknown_tools(content: &Content) -> Vec<(PayloadPlace, PayloadFault)> {
    let rules = content.org.payload.rule.iter().enumerate();
    let faults = rules.flat_map(|(at, rule)| {
        nobodys(content, &rule.connectors, &rule.tools).into_iter().map(move |tool| {
            let fault = PayloadFault::UnknownTool { rule: rule.id.to_string(), tool: tool.to_string() };
            (PayloadPlace::Rule(at), fault)
        })
    });
    faults.collect()
}

/// Those of the tools that none of the connectors has, of all where none is named. Of a connector without a pinned list nobody knows.
pub(super) fn nobodys<'a>(
    content: &Content,
    connectors: &BTreeSet<ConnectorId>,
    tools: &'a BTreeSet<ToolName>,
) -> Vec<&'a ToolName> {
    let is_its = |id: &ConnectorId| connectors.is_empty() || connectors.contains(id);
    let pinned: Vec<Option<BTreeSet<String>>> = content
        .connectors
        .keys()
        .filter(|id| !tools.is_empty() && is_its(id))
        .map(|id| Some(content.tools.get(id)?.0.iter().filter_map(|tool| tool_name(tool)).collect()))
        .collect();
    let may_have =
        |tool: &ToolName| pinned.iter().any(|has| has.as_ref().is_none_or(|has| has.contains(tool.as_str())));
    tools.iter().filter(|tool| !may_have(tool)).collect()
}

/// The rules by their ids.
pub(super) fn by_id(content: &Content) -> BTreeMap<String, PayloadRule> {
    content.org.payload.rule.iter().map(|rule| (rule.id.to_string(), rule.clone())).collect()
}

/// Whether less is looked for, in less, or less becomes of it; a rule that is gone looks for nothing.
pub(super) fn is_weaker(before: &PayloadRule, after: Option<&PayloadRule>) -> bool {
    let Some(after) = after else { return true };
    after.action < before.action
        || !is_wider(&before.connectors, &after.connectors)
        || !is_wider(&before.tools, &after.tools)
        || (after.direction != PayloadDirection::Both && after.direction != before.direction)
        || !before.detect.iter().all(|one| after.detect.iter().any(|other| covers(other, one)))
}

/// Whether a list in which nothing means everything names at least as much.
pub(super) fn is_wider<T: Ord>(before: &BTreeSet<T>, after: &BTreeSet<T>) -> bool {
    after.is_empty() || (!before.is_empty() && before.is_subset(after))
}

fn covers(after: &Detect, before: &Detect) -> bool {
    after == before
        || match (after, before) {
            (Detect::Secrets, Detect::Secret(_)) => true,
            (Detect::PersonalData, Detect::Personal(kind)) => PersonalData::is_usual(*kind),
            (
                Detect::Secrets
                | Detect::Secret(_)
                | Detect::PersonalData
                | Detect::Personal(_)
                | Detect::Pattern(_),
                _,
            ) => false,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::author::{Change, check, differences, examine, init};

    fn rule(written: Value) -> PayloadRule {
        serde_json::from_value(written).expect("a rule")
    }

    #[test]
    fn weaker_is_what_looks_for_less_in_less_or_does_less() {
        let before =
            rule(json!({"id": "r", "tools": ["a"], "detect": ["personal_data.iban"], "action": "redact"}));
        for (after, expected) in [
            (json!({"id": "r", "detect": ["personal_data"], "action": "block"}), false),
            (
                json!({"id": "r", "tools": ["a", "b"], "detect": ["personal_data.iban", "secrets"], "action": "redact"}),
                false,
            ),
            (json!({"id": "r", "tools": ["a"], "detect": ["personal_data.iban"], "action": "log"}), true),
            (json!({"id": "r", "tools": ["b"], "detect": ["personal_data.iban"], "action": "redact"}), true),
            (
                json!({"id": "r", "connectors": ["c"], "detect": ["personal_data.iban"], "action": "redact"}),
                true,
            ),
            (json!({"id": "r", "detect": ["personal_data.phone"], "action": "redact"}), true),
            (
                json!({"id": "r", "detect": ["personal_data"], "action": "block", "direction": "request"}),
                true,
            ),
        ] {
            assert_eq!(is_weaker(&before, Some(&rule(after.clone()))), expected, "{after}");
        }
        assert!(is_weaker(&before, None));
    }

    /// The example with these payload rules, and the line after the last of its own.
    fn with(payload: &str) -> (tempfile::TempDir, usize) {
        let dir = tempfile::tempdir().expect("a directory");
        init(&dir.path().join("org"), "example").expect("writes the example");
        let path = dir.path().join("org/org.toml");
        let text = std::fs::read_to_string(&path).expect("reads");
        std::fs::write(&path, format!("{text}\n{payload}")).expect("writes");
        (dir, text.lines().count() + 2)
    }

    const PLAIN: &str = "[[payload.rule]]\nid = \"keys\"\ndetect = [\"secrets\"]\naction = \"block\"\n";

    #[test]
    fn rules_are_refused_on_their_lines_when_they_cannot_be_obeyed() {
        let (dir, _) = with(PLAIN);
        let found = examine(&dir.path().join("org")).expect("a good folder");
        assert!(
            found.warnings.iter().any(|warning| warning.key == "payload"),
            "older desktops do not read it"
        );
        let rule = |rest: &str| format!("[[payload.rule]]\nid = \"keys\"\naction = \"log\"\n{rest}\n");
        for (wrong, at, expected) in [
            (rule("detect = [\"secrets:nobody\"]"), 0, "secrets:nobody"),
            (
                rule("detect = [\"secrets\"]\ntools = [\"no_such_tool\"]\nconnectors = [\"files\"]"),
                0,
                "no_such_tool",
            ),
            (rule("detect = [\"secrets\"]\nconnectors = [\"nobody\"]"), 0, "does not exist"),
            (rule("detect = [\"pattern:p\"]\n[payload.patterns.p]\nregex = \"(\""), 4, "cannot be used"),
            (rule("detect = [\"names\"]"), 3, "cannot be looked for"),
        ] {
            let (dir, line) = with(&wrong);
            let faults = check(&dir.path().join("org")).expect_err("refused");
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            let place = format!("org.toml:{}: ", line + at);
            assert!(
                told.len() == 1 && told[0].starts_with(&place) && told[0].contains(expected),
                "{place}: {told:?}"
            );
        }
    }

    #[test]
    fn a_difference_says_which_rules_are_weaker() {
        let content = |payload: &str| check(&with(payload).0.path().join("org")).expect("a good folder");
        let (none, plain) = (content(""), content(PLAIN));
        let weaker = content(&PLAIN.replace("block", "log"));
        let told = |before, after| -> Vec<(Change, String)> {
            differences(before, after).iter().map(|one| (one.change, one.to_string())).collect()
        };
        assert_eq!(told(&none, &plain), [(Change::Added, "payload rule keys is new".to_owned())]);
        assert_eq!(
            told(&plain, &none),
            [(Change::Removed, "payload rule keys is removed; less is looked for".to_owned())]
        );
        let [(Change::Changed, words)] = &told(&plain, &weaker)[..] else { panic!("one change") };
        assert!(
            words.starts_with("payload rule keys is changed; less is looked for, or less becomes of it"),
            "{words}"
        );
        assert!(words.contains("action"), "{words}");
    }
}
