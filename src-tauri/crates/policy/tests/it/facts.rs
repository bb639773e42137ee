//! What is computed of arguments, and read as `context.facts`.

use policy::{DenialKind, Policy, PolicyFault, Unknown};
use proptest::prelude::*;
use serde_json::json;

use crate::desk::{self, Desk, decide, id, listed, user, with_question};

fn desk() -> Desk {
    desk::desk().with_facts()
}

/// Everybody may do everything but call tools.
const OPEN: &str =
    r#"@id("open") permit (principal, action, resource) unless { action in Action::"call_tool" };"#;

fn rules(more: &str) -> String {
    format!("{OPEN}\n{more}")
}

/// Whether a call is permitted under one condition.
fn permits(tool: &str, condition: &str, arguments: &serde_json::Value) -> bool {
    let rule = format!(
        r#"@id("x") permit (principal, action == Action::"{tool}", resource) when {{ {condition} }};"#
    );
    let policy = desk().policy(&rules(&rule));
    decide(&policy, &user("u", &[]), &format!("analyst {tool}"), &arguments.to_string()).is_ok()
}

#[test]
fn each_kind_of_fact_is_read_with_its_type() {
    let search = |query: &str| json!({"query": query});
    let send = |to: &[&str], body: &str| json!({"to": to, "body": body});
    let sql = |sql: &str| json!({"sql": sql});
    for (tool, condition, yes, no) in [
        (
            "mail/search",
            r#"context.facts.link.host == "corp.example" && context.facts.link.port == 443 && context.facts.link.path like "/a/*""#,
            search("https://CORP.example/x/../a/b"),
            search("https://corp.example.evil.test/a/b"),
        ),
        ("mail/search", "context.facts.early", search("abc"), search("bca")),
        (
            "mail/search",
            "context.facts has labelled && context.facts.labelled <= 1",
            json!({"query": "q", "labels": ["sent"]}),
            json!({"query": "q", "labels": ["sent", "inbox"]}),
        ),
        (
            "mail/search",
            "!(context.facts has labelled)",
            json!({"query": "q", "labels": null}),
            json!({"query": "q", "labels": []}),
        ),
        (
            "mail/send",
            r#"["corp.example"].containsAll(context.facts.to.domains) && context.facts.to.count == context.facts.many"#,
            send(&["a@Corp.example", "Bob <b@corp.example>"], ""),
            send(&["a@corp.example", "b@evil.test"], ""),
        ),
        ("mail/send", "context.facts.length <= 3", send(&[], "\u{e4}\u{f6}\u{fc}"), send(&[], "abcd")),
        (
            "files/write_file",
            r#"context.facts.file.absolute && context.facts.file.path like "/srv/public/*""#,
            json!({"path": "/srv/x/../public/a", "content": ""}),
            json!({"path": "/srv/public/../private/a", "content": ""}),
        ),
    ] {
        assert!(permits(tool, condition, &yes), "{condition} {yes}");
        assert!(!permits(tool, condition, &no), "{condition} {no}");
    }
    let reads = r#"["select"].containsAll(context.facts.query.kinds) && ["a"].containsAll(context.facts.query.schemas)"#;
    let credential = r#"@id("y") permit (principal, action == Action::"use_shared_credential", resource);"#;
    let rule = format!(
        r#"@id("x") permit (principal, action == Action::"warehouse/execute_sql", resource) when {{ {reads} }};"#
    );
    let policy = desk().policy(&rules(&format!("{rule}\n{credential}")));
    let asked = |text: &str| {
        decide(&policy, &user("u", &[]), "analyst warehouse/execute_sql", &sql(text).to_string())
    };
    assert!(asked("with x as (select * from a.b) select * from x, A.C").is_ok());
    for text in
        ["select * from a.b, c.d", "delete from a.b", "with x as (delete from a.b returning *) select 1"]
    {
        assert_eq!(asked(text).expect_err("refused").kind(), DenialKind::NoPermit, "{text}");
    }
}

const ONLY_A: &str = r#"
@id("only-a")
@reason("Only the schema a is read.")
forbid (principal, action == Action::"warehouse/execute_sql", resource)
unless { ["a"].containsAll(context.facts.query.schemas) };
@id("all")
permit (principal, action, resource);
"#;

fn ask(policy: &Policy, text: &str) -> Result<policy::Permit, policy::Denial> {
    decide(policy, &user("u", &[]), "analyst warehouse/execute_sql", &json!({"sql": text}).to_string())
}

#[test]
fn what_cannot_be_told_refuses_with_words_that_help() {
    let policy = desk().policy(r#"@id("p") permit (principal, action, resource);"#);
    assert!(ask(&policy, "anything; at all").is_ok(), "where no policy asks, nothing is computed");

    let policy = desk().policy(ONLY_A);
    assert!(ask(&policy, "select * from a.b").is_ok());
    assert_eq!(ask(&policy, "select * from c.d").expect_err("refused").kind(), DenialKind::Forbidden);
    let denial = ask(&policy, "select * from b").expect_err("refused");
    assert_eq!((denial.kind(), denial.is_hidden()), (DenialKind::UnknownFact, false));
    assert_eq!(denial.rules().iter().map(policy::RuleId::as_str).collect::<Vec<_>>(), ["only-a"]);
    assert_eq!(
        denial.outside_text(),
        "Policy cannot decide on these arguments: the fact query is not known: a table is named without its schema. \
         Name each table as schema.table, one statement at a time."
    );
    assert_eq!(denial.kind().as_str(), "unknown-fact");
    for text in
        ["select 1; select 2", "set search_path to c", "select query_to_xml('select 1', true, true, '')"]
    {
        assert_eq!(ask(&policy, text).expect_err("refused").kind(), DenialKind::UnknownFact, "{text}");
    }
    assert!(
        ask(&policy, "").expect_err("refused").to_string().contains(&Unknown::NoStatement.to_string()),
        "the log says why"
    );
    // A permit that asks is no way around: what is not known for it refuses as well.
    let policy = desk().policy(
        r#"@id("asks") permit (principal, action == Action::"warehouse/execute_sql", resource)
           when { context.facts.query.kinds.contains("select") };
           @id("all") permit (principal, action, resource);"#,
    );
    assert_eq!(ask(&policy, "do $$x$$").expect_err("refused").kind(), DenialKind::UnknownFact);
    assert!(listed(&policy, &user("u", &[]), "analyst").contains(&"warehouse/execute_sql".to_owned()));
    // Arguments that are not what the tool declares have no facts.
    let arguments = r#"{"sql": "select * from a.b", "query": "select * from c.d"}"#;
    let denial = decide(&policy, &user("u", &[]), "analyst warehouse/execute_sql", arguments);
    assert_eq!(denial.expect_err("refused").kind(), DenialKind::Arguments);
}

#[test]
fn slips_are_found_where_policies_are_checked() {
    let faults = |condition: &str| {
        let text = format!(
            "\n@id(\"x\")\nforbid (principal, action == Action::\"warehouse/execute_sql\", resource)\nwhen {{ {condition} }};"
        );
        let faults = desk().compile(&text).map(|_| ()).expect_err("refused");
        faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (condition, expected) in [
        (
            "context.facts.qury.kinds.contains(\"x\")",
            "attribute `facts.qury` in context for Action::\"warehouse/execute_sql\" not found (did you mean `query`?)",
        ),
        ("context.facts.query.kind.contains(\"select\")", "not found"),
        ("context.facts.query.kinds.contains(\"selct\")", "context.facts.query.kinds is never \"selct\""),
        ("context.facts.query.tables.contains(1)", "the types Long and String are not compatible"),
        ("context.facts has qury && true", "nothing that this policy is about has context.facts.qury"),
        ("context.facts == context.facts", "can only be read member by member"),
    ] {
        let found = faults(condition);
        let named = |fault: &String| fault.starts_with("policies/desk.cedar:") && fault.contains(expected);
        assert!(found.iter().any(named), "{condition}: {found:?}");
    }
    // An optional argument's fact is optional.
    let unguarded = r#"@id("x") permit (principal, action == Action::"mail/search", resource) when { context.facts.labelled > 1 };"#;
    assert!(desk().compile(unguarded).is_err());
    // A rule for all tools asks those that have the fact.
    let guarded = r#"@id("x") forbid (principal, action in Action::"call_tool", resource)
        when { context has facts && context.facts has link && context.facts.link.scheme == "http" };"#;
    let policy = desk().policy(&format!("{guarded}\n@id(\"all\") permit (principal, action, resource);"));
    let search = |query: &str| {
        decide(&policy, &user("u", &[]), "analyst mail/search", &json!({"query": query}).to_string()).is_ok()
    };
    assert!(search("https://a.example/") && !search("http://a.example/") && !search("words"));
    assert!(
        decide(&policy, &user("u", &[]), "analyst mail/send", r#"{"to": ["a@b.test"], "body": ""}"#).is_ok()
    );
}

fn with_facts(connector: &str, facts: &str) -> Result<Policy, Vec<PolicyFault>> {
    let mut desk: Desk = desk();
    let spec = desk.connectors.get_mut(&id(connector)).expect("a connector");
    spec.facts = serde_json::from_str(facts).expect("facts");
    desk.compile(r#"@id("x") permit (principal, action, resource);"#)
}

#[test]
fn a_fact_that_cannot_be_computed_refuses_the_whole() {
    assert!(with_facts("mail", r#"{"send": {"to": {"email": "to"}}}"#).is_ok());
    for (connector, facts, expected) in [
        (
            "mail",
            r#"{"sned": {"to": {"email": "to"}}}"#,
            "the fact to of sned: the connector's pinned tools have no such tool",
        ),
        ("mail", r#"{"send": {"to": {"email": "cc"}}}"#, "the tool's schema declares no argument cc"),
        ("mail", r#"{"send": {"to": {"email": "to.name"}}}"#, "declares no argument to.name"),
        ("mail", r#"{"send": {"to": {"url": "to"}}}"#, "the argument to is not a text"),
        ("mail", r#"{"send": {"to": {"count": "body"}}}"#, "the argument body is not a list"),
        ("mail", r#"{"search": {"x": {"length": "limit"}}}"#, "the argument limit is not a text"),
        (
            "mail",
            r#"{"send": {"x": {"matches": "body", "pattern": "("}}}"#,
            "the pattern cannot be used: error: unclosed group",
        ),
        ("mail", r#"{"send": {"x": {"matches": "body", "pattern": "(a{1000}){1000}"}}}"#, "it is too large"),
        (
            "warehouse",
            r#"{"search_objects": {"x": {"length": "y"}}}"#,
            "nothing is known of the tool's arguments",
        ),
    ] {
        let faults = with_facts(connector, facts).map(|_| ()).expect_err("refused");
        let fault = faults[0].to_string();
        assert!(
            fault.starts_with(&format!("connectors/{connector}.toml:")) && fault.contains(expected),
            "{fault}"
        );
    }
}

#[test]
fn an_explanation_shows_what_was_computed() {
    let policy = desk().policy(ONLY_A);
    let explained = |text: &str| {
        let arguments = json!({"sql": text}).to_string();
        with_question(&user("u", &[]), "analyst warehouse/execute_sql", &arguments, |question| {
            policy.explain(question)
        })
    };
    let text = explained("select lower(x) from a.b, Secret.Files").to_string();
    for line in [
        "- call tool execute_sql: forbidden",
        r#"  - context.facts.query is {functions: ["lower"], kinds: ["select"], schemas: ["a", "secret"], tables: ["a.b", "secret.files"]}"#,
        "  - forbid only-a (policies/desk.cedar:2) — Only the schema a is read.",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let unknown = explained("select 1; select 2");
    assert_eq!(unknown.denial, Some(DenialKind::UnknownFact));
    assert!(unknown.note.expect("a note").contains("there is more than one statement"));
    assert_eq!(unknown.steps.len(), 2, "no policy about the call was asked");

    let permit = r#"@id("x") permit (principal, action == Action::"mail/send", resource)
        when { ["corp.example"].containsAll(context.facts.to.domains) };"#;
    let policy = desk().policy(&rules(permit));
    let arguments = r#"{"to": ["a@evil.test"], "body": "canary"}"#;
    let explained =
        with_question(&user("u", &[]), "analyst mail/send", arguments, |question| policy.explain(question));
    let text = explained.to_string();
    assert!(text.contains(r#"context.facts.to is {count: 1, domains: ["evil.test"]}"#), "{text}");
    assert!(
        text.contains(r#"because this is not so: ["corp.example"].containsAll(context.facts.to.domains)"#),
        "{text}"
    );
    assert!(!text.contains("canary"), "what no policy reads is not shown");
}

#[test]
fn a_forbid_that_is_only_observed_tells_what_it_could_not_read() {
    let observed = ONLY_A.replace("forbid", "@observe forbid");
    let policy = desk().policy(&observed);
    let told = |text: &str| {
        let permit = ask(&policy, text).expect("nothing is refused");
        permit.observed().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told("select * from a.b"), [""; 0]);
    assert_eq!(told("select * from c.d"), ["only-a"]);
    assert_eq!(told("select * from b"), ["only-a"]);
}

#[test]
fn a_fact_that_is_computed_otherwise_judges_otherwise() {
    let conditions = |functions: &str| {
        let mut desk = desk();
        let spec = desk.connectors.get_mut(&id("warehouse")).expect("a connector");
        let facts = format!(
            r#"{{"execute_sql": {{"query": {{"sql": "sql", "dialect": "postgresql", "functions": {functions}}}}}}}"#
        );
        spec.facts = serde_json::from_str(&facts).expect("facts");
        let policy = desk.policy(ONLY_A);
        policy.conditions(&desk::server("analyst"))
    };
    assert_eq!(conditions("[]"), conditions("[]"));
    assert_ne!(conditions("[]"), conditions(r#"["a.f"]"#));
}

/// Statements, and whether they can be told.
const STATEMENTS: [(&str, bool); 6] = [
    ("select * from a.b", true),
    ("select * from c.d", true),
    ("delete from a.b", true),
    ("select * from b", false),
    ("select 1; select 2", false),
    ("select f(1)", false),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// What cannot be told permits nothing where a policy asks for it, whatever the others say; and a forbid more never widens.
    #[test]
    fn what_is_not_known_never_permits(
        rules in prop::collection::vec((any::<bool>(), prop::sample::select(vec![
            r#"context.facts.query.kinds.contains("select")"#,
            r#"["a"].containsAll(context.facts.query.schemas)"#,
            r#"!(context.facts.query.tables.contains("a.b"))"#,
            r#"context.input.sql like "*a*" || context.facts.query.kinds.contains("select")"#,
            "true",
        ])), 1..4),
        more in prop::sample::select(vec!["context.facts.query.kinds.contains(\"delete\")", "context.input.sql like \"*c*\""]),
    ) {
        let open = r#"@id("open") permit (principal, action, resource) unless { action == Action::"warehouse/execute_sql" };"#;
        let written: Vec<String> = rules.iter().enumerate().map(|(at, (permits, condition))| {
            let effect = if *permits { "permit" } else { "forbid" };
            format!("@id(\"r{at}\") {effect} (principal, action == Action::\"warehouse/execute_sql\", resource) when {{ {condition} }};")
        }).collect();
        let before = desk().policy(&format!("{open}\n{}", written.join("\n")));
        let forbid = format!("@id(\"more\") forbid (principal, action == Action::\"warehouse/execute_sql\", resource) when {{ {more} }};");
        let after = desk().policy(&format!("{open}\n{}\n{forbid}", written.join("\n")));
        for (text, known) in STATEMENTS {
            let asks = |rule: &String| rule.contains("context.facts");
            let decided = ask(&before, text);
            if !known && written.iter().any(asks) {
                prop_assert_eq!(decided.as_ref().map(|_| ()).map_err(policy::Denial::kind), Err(DenialKind::UnknownFact), "{}", text);
            }
            prop_assert!(decided.is_ok() || ask(&after, text).is_err(), "{}\n{}", text, written.join("\n"));
        }
    }
}
