//! Which program asks, and from where in the network.

use model::Subject;
use policy::{Circumstance, DenialKind, Permit, Policy};

use crate::desk::{circumstance, desk, shown, user, with_question_at};

const PERMIT: &str = r#"@id("all") permit (principal, action, resource);"#;

fn policy(rule: &str) -> Policy {
    desk().policy(&format!("{PERMIT}\n{rule}"))
}

fn moment(program: Option<&str>, address: Option<&str>) -> Circumstance {
    Circumstance {
        program: program.map(ToOwned::to_owned),
        address: address.map(|address| address.parse().expect("an address")),
        ..circumstance()
    }
}

/// What is decided, and that the list says the same.
fn decide(policy: &Policy, user: &Subject, moment: &Circumstance) -> Result<Permit, DenialKind> {
    const WHAT: &str = "analyst files/write_file";
    let decided =
        with_question_at(moment, user, WHAT, r#"{"path": "a"}"#, |question| policy.decide(question));
    assert_eq!(shown(policy, user, moment, WHAT), decided.is_ok(), "listed is callable: {moment:?}");
    decided.map_err(|denial| denial.kind())
}

#[test]
fn a_program_is_told_by_its_path_and_its_name() {
    let policy = policy(
        r#"@id("claude-alone") forbid (principal, action in Action::"call_tool", resource) unless {
            context.client has program &&
            (context.client.program.path == "/opt/claude/claude" || context.client.program.name == "codex.exe")
        };"#,
    );
    let user = user("u", &[]);
    for path in ["/opt/claude/claude", r"C:\Programs\codex.exe", "/usr/bin/codex.exe"] {
        assert!(decide(&policy, &user, &moment(Some(path), None)).is_ok(), "{path}");
    }
    for path in [Some("/tmp/claude"), Some("/opt/claude/claude (deleted)"), Some(""), None] {
        let denied = decide(&policy, &user, &moment(path, None));
        assert_eq!(
            denied.err(),
            Some(DenialKind::Forbidden),
            "{path:?}: what is not known is not let through"
        );
    }
}

#[test]
fn a_network_is_told_by_its_range() {
    let policy = policy(
        r#"@id("office") forbid (principal, action in Action::"call_tool", resource) unless {
            context.network has address &&
            (context.network.address.isInRange(ip("10.0.0.0/8")) || context.network.address.isInRange(ip("2001:db8::/32")))
        };"#,
    );
    let user = user("u", &[]);
    for address in ["10.255.0.1", "::ffff:10.0.0.1", "2001:db8::7"] {
        assert!(decide(&policy, &user, &moment(None, Some(address))).is_ok(), "{address}");
    }
    for address in [Some("11.0.0.1"), Some("::1"), None] {
        let denied = decide(&policy, &user, &moment(None, address));
        assert_eq!(denied.err(), Some(DenialKind::Forbidden), "{address:?}");
    }
}

#[test]
fn what_may_be_unknown_has_to_be_asked_for_first() {
    for condition in [
        r#"context.client.program.name == "claude""#,
        r#"context.client has program && context.client.program.file == "claude""#,
        r#"context.client has programme && true"#,
        "context.network.address.isLoopback()",
        r#"context.network has address && context.network.address == "10.0.0.1""#,
        "context has network && context.network has adress",
    ] {
        let rule = format!(r#"@id("x") forbid (principal, action, resource) when {{ {condition} }};"#);
        assert!(desk().compile(&format!("{PERMIT}\n{rule}")).is_err(), "{condition}");
    }
}
