use org_protocol::{PayloadAction, PayloadDirection, PayloadSettings};
use payload::{MOST_SCANNED, Passed, PayloadFault, PayloadPlace, Screen, Sieve, recorded};
use proptest::prelude::*;
use serde_json::{Value, json};

const IBAN: &str = "DE89370400440532013000";

fn compile(settings: Value) -> Result<Screen, Vec<(PayloadPlace, PayloadFault)>> {
    let settings: PayloadSettings = serde_json::from_value(settings).expect("settings");
    Screen::compile(&settings, |connector| connector.as_str() == "mail")
}

fn sieve(settings: Value) -> Sieve {
    let screen = compile(settings).expect("compiles");
    screen.sieve(&"mail".parse().expect("an id"), None, PayloadDirection::Request).expect("rules")
}

fn rules(rules: &[(&str, &str, &str)]) -> Sieve {
    let rule = |(id, detect, action): &(&str, &str, &str)| json!({"id": id, "detect": [detect], "action": action, "reason": "Because."});
    sieve(json!({
        "patterns": {"herons": {"words": ["blue heron"]}, "any-iban": {"regex": "[A-Z]{2}[0-9]{20}"}},
        "rule": rules.iter().map(rule).collect::<Vec<_>>(),
    }))
}

#[test]
fn what_is_found_is_taken_out_and_the_rest_passes_to_the_digit() {
    let sieve = rules(&[("bank", "personal_data.iban", "redact")]);
    let json =
        format!(r#"{{"n":1.50, "t":"pay \u0044E89370400440532013000 now","{IBAN}":[1e3],"x":"{IBAN}"}}"#);
    let found = sieve.json(&json);
    assert_eq!(
        found.redacted.as_deref(),
        Some(r#"{"n":1.50, "t":"pay [redacted: bank] now","[redacted: bank]":[1e3],"x":"[redacted: bank]"}"#)
    );
    assert_eq!(found.passed(), Passed::Freely);
    let places: Vec<&str> = found.findings.iter().map(|finding| finding.pointer.as_str()).collect();
    assert_eq!(places, ["/t", "/*", "/x"]);
    assert_eq!(found.findings[0].range, 4..26);
    let record = serde_json::to_string(&recorded(&found.findings)).expect("JSON");
    assert!(!record.contains(IBAN) && record.contains(r#""count":3"#), "{record}");
    let again = sieve.json(found.redacted.as_deref().expect("redacted"));
    assert_eq!((again.findings, again.redacted), (Vec::new(), None), "who comes after finds nothing");
}

#[test]
fn two_names_of_one_object_do_not_become_one() {
    let sieve = rules(&[("bank", "personal_data.iban", "redact")]);
    let json = json!({IBAN: 1, "GB82WEST12345698765432": 2}).to_string();
    let clean: Value = serde_json::from_str(&sieve.json(&json).redacted.expect("redacted")).expect("JSON");
    assert_eq!(clean, json!({"[redacted: bank]": 1, "[redacted: bank] 2": 2}));
}

#[test]
fn the_strictest_rule_decides_on_what_several_find() {
    let text = json!({"t": format!("to {IBAN}")}).to_string();
    for (strict, expected) in [("log", None), ("ask", Some("ask")), ("block", Some("block"))] {
        let found = rules(&[("one", "personal_data.iban", "redact"), ("two", "pattern:any-iban", strict)])
            .json(&text);
        let passed = match found.passed() {
            Passed::Freely => None,
            Passed::IfApproved(_) => Some("ask"),
            Passed::Not { .. } => Some("block"),
        };
        assert_eq!(passed, expected, "{strict}");
        assert_eq!(found.redacted.is_some(), expected.is_none(), "{strict}");
        assert_eq!(found.findings.len(), 2, "{strict}");
    }
}

#[test]
fn words_say_which_rule_and_why_and_nothing_of_the_payload() {
    let text = json!({"t": format!("to {IBAN}")}).to_string();
    let Passed::Not { rules: ids, words } = rules(&[("bank", "personal_data", "block")]).json(&text).passed()
    else {
        panic!("passes")
    };
    assert_eq!(
        (ids, words.as_str()),
        (vec!["bank".to_owned()], "bank (Because). Found: personal_data.iban.")
    );
    let Passed::IfApproved(asking) = rules(&[("bank", "personal_data", "ask")]).json(&text).passed() else {
        panic!("passes")
    };
    assert_eq!(asking[0].reason, "bank (Because): found personal_data.iban at /t.");
}

#[test]
fn what_is_not_looked_through_counts_as_found() {
    let text = json!({"a": "x".repeat(MOST_SCANNED), "b": "y"}).to_string();
    for (action, expected) in [
        ("log", PayloadAction::Log),
        ("redact", PayloadAction::Block),
        ("ask", PayloadAction::Ask),
        ("block", PayloadAction::Block),
    ] {
        let found = rules(&[("herons", "pattern:herons", action)]).json(&text);
        let all: Vec<_> =
            found.findings.iter().map(|one| (one.class.as_str(), one.pointer.as_str(), one.action)).collect();
        // The name "a" was looked at before.
        assert_eq!(all.first(), Some(&("unscanned", "/a", expected)), "{action}");
    }
}

/// What was found, each class once for each time and place.
fn classes(found: &payload::Screened) -> Vec<(&str, &str, PayloadAction)> {
    found.findings.iter().map(|one| (one.class.as_str(), one.pointer.as_str(), one.action)).collect()
}

#[test]
fn deep_and_large_json_costs_no_more_than_its_length() {
    let deep =
        |item: &str| format!("{}{}0{}", "[".repeat(100), format!("{item},").repeat(300_000), "]".repeat(100));
    let sieve = rules(&[("herons", "pattern:herons", "redact")]);
    assert_eq!(classes(&sieve.json(&deep("1"))), []);
    // Behind very many texts, nothing is looked through.
    let last = format!("{}/250000", "/0".repeat(99));
    assert_eq!(classes(&sieve.json(&deep("\"\""))), [("unscanned", last.as_str(), PayloadAction::Block)]);
}

#[test]
fn a_text_full_of_findings_is_not_looked_through_to_its_end() {
    let text = json!({"t": ":a@b.co".repeat(200_000), "u": "c@d.co"}).to_string();
    for (action, expected) in [("log", PayloadAction::Log), ("redact", PayloadAction::Block)] {
        let found = rules(&[("mail", "personal_data.email", action)]).json(&text);
        let all = classes(&found);
        assert_eq!(all.len(), 10_002, "{action}");
        assert!(all.contains(&("personal_data.email", "/t", expected)), "{action}");
        assert!(all.contains(&("unscanned", "/t", expected)), "{action}");
        assert_eq!(all.last(), Some(&("unscanned", "/*", expected)), "{action}");
    }
}

#[test]
fn a_text_with_many_findings_is_redacted_whole() {
    let text = json!("to a@b.co, ".repeat(5_000)).to_string();
    let sieve = rules(&[("mail", "personal_data.email", "redact")]);
    let clean = sieve.json(&text).redacted;
    assert_eq!(clean, Some(json!("to [redacted: mail], ".repeat(5_000)).to_string()));
    assert_eq!(classes(&sieve.json(&clean.expect("redacted"))), []);
}

#[test]
fn of_a_uri_nothing_can_be_taken_out() {
    let found = rules(&[("bank", "personal_data.iban", "redact")]).whole(&format!("bank://{IBAN}/x"), "/uri");
    assert!(matches!(found.passed(), Passed::Not { .. }) && found.redacted.is_none());
}

#[test]
fn secrets_are_known_by_the_name_of_their_member() {
    let value = ["q7Rt2", "Zp9LmX4", "vK8sW1n"].concat();
    let sieve = rules(&[("secrets", "secrets", "redact")]);
    let found = sieve.json(&json!({"api_key": value, "note": value}).to_string());
    let places: Vec<_> =
        found.findings.iter().map(|one| (one.class.as_str(), one.pointer.as_str())).collect();
    assert_eq!(places, [("secrets:generic-api-key", "/api_key")]);
    assert_eq!(found.redacted, Some(json!({"api_key": "[redacted: secrets]", "note": value}).to_string()));
}

#[test]
fn rules_are_about_their_connectors_tools_and_direction() {
    let screen = compile(json!({"rule": [
        {"id": "a", "tools": ["send"], "direction": "request", "detect": ["secrets"], "action": "log"},
        {"id": "b", "connectors": ["mail"], "direction": "response", "detect": ["secrets"], "action": "log"},
    ]}))
    .expect("compiles");
    let (mail, other) = ("mail".parse().expect("an id"), "other".parse().expect("an id"));
    let send = "send".parse().expect("a tool");
    let lines =
        |connector, tool| screen.lines(connector, tool).into_iter().map(|line| line.id).collect::<Vec<_>>();
    assert_eq!(lines(&mail, Some(&send)), ["a", "b"]);
    assert_eq!(lines(&mail, None), ["b"], "a rule about tools is not about resources");
    assert_eq!(lines(&other, Some(&send)), ["a"]);
    assert!(screen.sieve(&mail, None, PayloadDirection::Request).is_none());
    assert!(screen.sieve(&mail, Some(&send), PayloadDirection::Request).is_some());
}

#[test]
fn rules_that_cannot_be_obeyed_are_refused() {
    let rule = |detect: &str| json!({"id": "r", "detect": [detect], "action": "log"});
    for (settings, expected) in [
        (json!({"rule": [rule("secrets"), rule("secrets")]}), "twice"),
        (json!({"rule": [{"id": "r", "detect": [], "action": "log"}]}), "looks for nothing"),
        (json!({"rule": [rule("secrets:no-such-rule")]}), "secrets:no-such-rule"),
        (json!({"rule": [rule("secrets:pkcs12-file")]}), "cannot be looked for here"),
        (json!({"rule": [rule("pattern:nobody")]}), "no [payload.patterns.nobody]"),
        (
            json!({"rule": [{"id": "r", "connectors": ["bank"], "detect": ["secrets"], "action": "log"}]}),
            "does not exist",
        ),
        (
            json!({"rule": [{"id": "r", "detect": ["secrets"], "action": "log", "reason": "a\nb"}]}),
            "one line",
        ),
        (json!({"patterns": {"p": {"regex": "("}}}), "cannot be used"),
    ] {
        let faults = compile(settings).expect_err("refused");
        assert!(faults.len() == 1 && faults[0].1.to_string().contains(expected), "{expected}: {faults:?}");
    }
}

proptest! {
    /// However a text and its JSON look, what is found is gone afterwards, and the JSON is still one.
    #[test]
    fn nothing_that_is_taken_out_is_left(before in "[a-z \"\\\\é/]{0,9}", after in "([ .,\"\\\\/][a-zé ]{0,5})?", name in "[a-z\"é]{1,5}") {
        let sieve = rules(&[("bank", "personal_data.iban", "redact")]);
        let text = format!("{before} {IBAN}{after}");
        let json = json!({name.clone(): [text, 1.5]}).to_string();
        let clean = sieve.json(&json).redacted.expect("redacted");
        prop_assert!(!clean.contains(IBAN));
        let read: Value = serde_json::from_str(&clean).expect("still JSON");
        let expected = format!("{before} [redacted: bank]{after}");
        prop_assert_eq!(read[&name][0].as_str(), Some(expected.as_str()));
    }
}
