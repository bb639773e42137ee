//! Limits as IT writes them: tools that nobody has, and changes by which more passes.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use org_protocol::{Content, LimitPer, LimitRule};
use policy::{FaultKind, LimitFault, PolicyFault};

use super::payload::{is_wider, nobodys};

/// Tools that limits name and no connector has whose tools are pinned.
pub(super) fn unknown_tools(content: &Content) -> Vec<PolicyFault> {
    let limits = content.org.limits.iter().enumerate();
    let faults = limits.flat_map(|(at, limit)| {
        nobodys(content, &limit.connectors, &limit.tools).into_iter().map(move |tool| {
            let fault = LimitFault::UnknownTool { limit: limit.id.to_string(), tool: tool.to_string() };
            (at, fault)
        })
    });
    faults
        .map(|(at, fault)| PolicyFault {
            file: "org.toml".to_owned(),
            line: 1,
            policy: None,
            kind: FaultKind::Limit { at, fault: Box::new(fault) },
        })
        .collect()
}

/// The limits by their ids.
pub(super) fn by_id(content: &Content) -> BTreeMap<String, LimitRule> {
    content.org.limits.iter().map(|limit| (limit.id.to_string(), limit.clone())).collect()
}

/// Whether more passes, or may pass: where that is not certain, it is said. A limit that is gone lets everything pass.
pub(super) fn is_weaker(before: &LimitRule, after: Option<&LimitRule>) -> bool {
    let Some(after) = after else { return true };
    !is_wider(&before.connectors, &after.connectors)
        || !is_wider(&before.tools, &after.tools)
        || is_larger(before.argument_bytes, after.argument_bytes)
        || is_larger(before.result_bytes, after.result_bytes)
        || counts_less(before, after)
}

/// Whether a bound was raised or removed.
fn is_larger(before: Option<NonZeroU32>, after: Option<NonZeroU32>) -> bool {
    before.is_some_and(|before| after.is_none_or(|after| after > before))
}

fn counts_less(before: &LimitRule, after: &LimitRule) -> bool {
    let Some(most) = before.calls else { return false };
    let is_same_person = match (before.counted_per(), after.counted_per()) {
        (LimitPer::PersonAndTool, LimitPer::Person) => true,
        (before, after) => before == after,
    };
    after.calls.is_none_or(|calls| !most.is_as_wide_as(calls)) || !is_same_person
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::author::{Change, check, differences, examine, init};

    fn limit(written: Value) -> LimitRule {
        serde_json::from_value(written).expect("a limit")
    }

    #[test]
    fn weaker_is_what_lets_more_pass() {
        let before = limit(
            json!({"id": "l", "tools": ["a"], "calls": "60 per hour", "per": "person_and_tool", "result_bytes": 10}),
        );
        for (after, expected) in [
            (json!({"id": "l", "calls": "60 per hour", "result_bytes": 10}), false),
            (
                json!({"id": "l", "tools": ["a", "b"], "calls": "2 per day", "per": "person_and_tool", "result_bytes": 9, "argument_bytes": 9}),
                false,
            ),
            (
                json!({"id": "l", "tools": ["a"], "calls": "61 per hour", "per": "person_and_tool", "result_bytes": 10}),
                true,
            ),
            (
                json!({"id": "l", "tools": ["a"], "calls": "60 per minute", "per": "person_and_tool", "result_bytes": 10}),
                true,
            ),
            (
                json!({"id": "l", "tools": ["a"], "calls": "60 per hour", "per": "person_and_tool", "result_bytes": 11}),
                true,
            ),
            (json!({"id": "l", "tools": ["a"], "calls": "60 per hour", "per": "person_and_tool"}), true),
            (
                json!({"id": "l", "tools": ["a"], "calls": "60 per hour", "per": "credential", "result_bytes": 10}),
                true,
            ),
            (
                json!({"id": "l", "tools": ["b"], "calls": "60 per hour", "per": "person_and_tool", "result_bytes": 10}),
                true,
            ),
            (json!({"id": "l", "tools": ["a"], "result_bytes": 10}), true),
        ] {
            assert_eq!(is_weaker(&before, Some(&limit(after.clone()))), expected, "{after}");
        }
        assert!(is_weaker(&before, None));
    }

    /// The example with these limits, and the line after the last of its own.
    fn with(limits: &str) -> (tempfile::TempDir, usize) {
        let dir = tempfile::tempdir().expect("a directory");
        init(&dir.path().join("org"), "example").expect("writes the example");
        let path = dir.path().join("org/org.toml");
        let text = std::fs::read_to_string(&path).expect("reads");
        std::fs::write(&path, format!("{text}\n{limits}")).expect("writes");
        (dir, text.lines().count() + 2)
    }

    const PLAIN: &str = "[[limits]]\nid = \"gentle\"\ncalls = \"60 per minute\"\n";

    #[test]
    fn limits_are_refused_on_their_lines_when_they_cannot_be_kept() {
        let (dir, _) = with(PLAIN);
        let found = examine(&dir.path().join("org")).expect("a good folder");
        assert!(
            found.warnings.iter().any(|warning| warning.key == "limits"),
            "older desktops do not read it"
        );
        let limit = |rest: &str| format!("[[limits]]\nid = \"gentle\"\n{rest}\n");
        for (wrong, at, expected) in [
            (limit("calls = \"60 a minute\""), 2, "is not like \"60 per minute\""),
            (limit(""), 0, "limits nothing"),
            (limit("per = \"person\"\nresult_bytes = 10"), 0, "not how many"),
            (limit("calls = \"9 per day\"\nper = \"credential\""), 0, "name the brokered connectors"),
            (
                limit("calls = \"9 per day\"\nper = \"credential\"\nconnectors = [\"files\"]"),
                0,
                "which makes no calls to it",
            ),
            (limit("calls = \"9 per day\"\nconnectors = [\"nobody\"]"), 0, "does not exist"),
            (limit("calls = \"9 per day\"\ntools = [\"no_such_tool\"]"), 0, "no_such_tool"),
            (limit("argument_bytes = 1"), 0, "lets no call pass"),
            (limit("argument_bytes = 0"), 2, "nonzero"),
            (format!("{PLAIN}{PLAIN}"), 3, "is there twice"),
        ] {
            let (dir, line) = with(&wrong);
            let faults = check(&dir.path().join("org")).expect_err("refused");
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            let place = format!("org.toml:{}: ", line + at);
            assert!(
                told.len() == 1 && told[0].starts_with(&place) && told[0].contains(expected),
                "{place}{expected}: {told:?}"
            );
        }
    }

    #[test]
    fn a_difference_says_by_which_limits_more_passes() {
        let content = |limits: &str| check(&with(limits).0.path().join("org")).expect("a good folder");
        let (none, plain, wider) = (content(""), content(PLAIN), content(&PLAIN.replace("60", "600")));
        let told = |before, after| -> Vec<(Change, String)> {
            differences(before, after).iter().map(|one| (one.change, one.to_string())).collect()
        };
        assert_eq!(told(&none, &plain), [(Change::Added, "limit gentle is new".to_owned())]);
        assert_eq!(
            told(&plain, &none),
            [(Change::Removed, "limit gentle is removed; more passes".to_owned())]
        );
        assert_eq!(
            told(&plain, &wider),
            [(
                Change::Changed,
                "limit gentle is changed; more passes\n    calls: \"60 per minute\" becomes \"600 per minute\""
                    .to_owned()
            )]
        );
        assert!(!told(&wider, &plain)[0].1.contains("more passes"));
    }
}
