//! What is shown before the arguments are known.

use model::{Timestamp, ToolName};

use crate::desk::{circumstance, decide, desk, id, listed, server, user};

const OPEN: &str = r#"
@id("see") permit (principal, action in [Action::"see_server", Action::"expose_connector"], resource);
"#;

/// Whether `mail/search` is listed on the desk server for somebody in group `a`.
fn shown(policies: &str) -> bool {
    let policy = desk().policy(&format!("{OPEN}{policies}"));
    listed(&policy, &user("u", &["a"]), "desk").contains(&"mail/search".to_owned())
}

fn permit(condition: &str) -> String {
    format!(
        r#"@id("p") permit (principal, action == Action::"mail/search", resource) when {{ {condition} }};"#
    )
}

#[test]
fn a_permit_that_depends_on_arguments_is_shown() {
    assert!(shown(&permit("context.input has limit && context.input.limit <= 3")));
    assert!(shown(&permit(r#"context.input.query like "a*""#)));
}

#[test]
fn what_is_known_decides_wherever_it_stands() {
    assert!(!shown(&permit(r#"principal in Group::"b" && context.input.query like "a*""#)));
    assert!(!shown(&permit(r#"context.input.query like "a*" && principal in Group::"b""#)));
    assert!(!shown(&permit(r#"context.input.query like "a*" && context.server == Server::"analyst""#)));
    assert!(shown(&permit(r#"context.input.query like "a*" && context.server == Server::"desk""#)));
    assert!(!shown(&permit(r#"context.input.query like "a*" && context.client.name == "Other""#)));
    assert!(!shown(&permit(r#"context.input.query like "a*" && context has device"#)));
    assert!(!shown(&permit(r#"context.input.query like "a*" && principal has roles"#)));
    assert!(shown(&permit(
        r#"context.input.query like "a*" && principal has department && principal.department == "research""#
    )));
}

#[test]
fn a_certain_forbid_hides_and_a_possible_one_does_not() {
    let all = r#"@id("all") permit (principal, action == Action::"mail/search", resource);"#;
    let forbid = |condition: &str| {
        format!(
            r#"{all} @id("f") forbid (principal, action == Action::"mail/search", resource) when {{ {condition} }};"#
        )
    };
    assert!(!shown(&forbid(r#"principal in Group::"a""#)));
    assert!(shown(&forbid(r#"principal in Group::"b""#)));
    assert!(shown(&forbid("context.input has limit && context.input.limit > 3")));
    assert!(!shown(&forbid(r#"principal in Group::"a" || context.input.query like "a*""#)));
}

#[test]
fn a_policy_that_always_fails_hides_the_tool_and_refuses_every_call() {
    let fails = r#"context.now.offset(duration("9223372036854775807ms")) > context.now"#;
    for effect in ["permit", "forbid"] {
        let text = format!(
            r#"{OPEN} @id("all") permit (principal, action == Action::"mail/search", resource);
               @id("reads") forbid (principal, action == Action::"mail/search", resource)
               when {{ context.input has limit && context.input.limit > 3 }};
               @id("fails") {effect} (principal, action == Action::"mail/search", resource) when {{ {fails} }};"#
        );
        let policy = desk().policy(&text);
        let user = user("u", &[]);
        assert!(!listed(&policy, &user, "desk").contains(&"mail/search".to_owned()), "{effect}");
        let denial = decide(&policy, &user, "desk mail/search", r#"{"query": ""}"#).expect_err("it fails");
        assert_eq!(denial.kind(), policy::DenialKind::Error, "{effect}");
        assert_eq!(denial.rules().iter().map(policy::RuleId::as_str).collect::<Vec<_>>(), ["fails"]);
    }
}

#[test]
fn a_failing_condition_behind_a_false_one_fails_nothing() {
    let fails = r#"context.now.offset(duration("9223372036854775807ms")) > context.now"#;
    let text = format!(
        r#"{OPEN} @id("all") permit (principal, action == Action::"mail/search", resource);
           @id("reads") permit (principal, action == Action::"mail/search", resource)
           when {{ context.input.query like "a*" && {fails} }};"#
    );
    let policy = desk().policy(&text);
    let user = user("u", &[]);
    assert!(listed(&policy, &user, "desk").contains(&"mail/search".to_owned()));
    assert!(decide(&policy, &user, "desk mail/search", r#"{"query": "b"}"#).is_ok());
    assert!(decide(&policy, &user, "desk mail/search", r#"{"query": "a"}"#).is_err());
}

#[test]
fn time_is_part_of_the_circumstances() {
    let policy = desk().policy(&format!(
        r#"{OPEN} @id("until") permit (principal, action == Action::"mail/search", resource)
           when {{ context.input.query like "a*" && context.now < datetime("2026-12-01") }};"#
    ));
    let user = user("u", &[]);
    let at = |text: &str| {
        let now: Timestamp = text.parse().expect("a time");
        policy.listed(&user, &server("desk"), &policy::Circumstance { now, ..circumstance() })
    };
    let search: (_, ToolName) = (id("mail"), "search".parse().expect("a name"));
    assert_eq!(at("2026-11-30T23:59:59.999999Z"), [search]);
    assert_eq!(at("2026-12-01T00:00:00Z"), []);
}
