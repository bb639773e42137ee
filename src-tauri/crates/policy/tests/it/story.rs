//! The stories *analyst* and *warehouse*, with the policies that tell them.

use model::{AccountName, Advice, ForPerson, ToolName};
use policy::{CredentialChoice, DenialKind, PERSONAL, Policy, Stage, Target};

use crate::desk::{Desk, circumstance, decide, desk, listed, server, user, with_question};

const POLICIES: &str = r#"
@id("desk-for-all")
permit (
    principal,
    action in [Action::"see_server", Action::"expose_connector", Action::"call_tool"],
    resource in Server::"desk"
);

@id("analyst-server")
@reason("The analyst server is for analysts and finance.")
permit (
    principal,
    action in [Action::"see_server", Action::"expose_connector", Action::"call_tool"],
    resource in Server::"analyst"
)
when { principal in Group::"analysts" || principal in Group::"finance" };

@id("no-writing")
@reason("Analysts do not change files.")
forbid (principal in Group::"analysts", action == Action::"files/write_file", resource);

@id("small-searches")
@reason("At most 100 messages at a time.")
forbid (principal, action == Action::"mail/search", resource)
unless { context.input has limit && context.input.limit <= 100 };

@id("finance-credential")
permit (principal in Group::"finance", action == Action::"use_shared_credential", resource == Credential::"warehouse-finance");

@id("analyst-credential")
permit (principal in Group::"analysts", action == Action::"use_shared_credential", resource == Credential::"warehouse-analyst");
"#;

fn policy() -> Policy {
    desk().policy(POLICIES)
}

#[test]
fn each_group_gets_its_credential() {
    let policy = policy();
    let credential = |groups: &[&str]| {
        decide(&policy, &user("u", groups), "analyst warehouse/execute_sql", r#"{"sql": "select 1"}"#)
            .map(|permit| permit.credential().clone())
            .map_err(|denial| (denial.kind(), denial.stage().cloned()))
    };
    let shared = |id: &str| Ok(CredentialChoice::Shared(id.parse().expect("an id")));
    assert_eq!(credential(&["analysts"]), shared("warehouse-analyst"));
    assert_eq!(credential(&["finance"]), shared("warehouse-finance"));
    assert_eq!(
        credential(&["analysts", "finance"]),
        shared("warehouse-finance"),
        "the first that is permitted"
    );
    assert_eq!(
        credential(&["sales"]),
        Err((DenialKind::NoPermit, Some(Stage::SeeServer(server("analyst")))))
    );
}

#[test]
fn a_tool_without_a_credential_for_the_user_is_refused_and_not_listed() {
    let desk = desk();
    let policy = desk.policy(
        r#"@id("all-but-credentials") permit (principal, action, resource)
           unless { action == Action::"use_shared_credential" };"#,
    );
    let user = user("u", &["analysts"]);
    let denial = decide(&policy, &user, "analyst warehouse/execute_sql", "{}").expect_err("no credential");
    assert_eq!(denial.kind(), DenialKind::NoPermit);
    assert_eq!(
        denial.stage(),
        Some(&Stage::UseSharedCredential("warehouse-analyst".parse().expect("an id")))
    );
    assert!(denial.is_hidden());
    assert!(!listed(&policy, &user, "analyst").iter().any(|tool| tool.starts_with("warehouse/")));
}

#[test]
fn own_grants_and_none() {
    let policy = policy();
    let user = user("u", &["finance"]);
    let permit = decide(&policy, &user, "analyst mail/send", r#"{"to": [], "body": ""}"#).expect("permitted");
    assert_eq!(permit.credential(), &CredentialChoice::Own(AccountName::default()));
    let permit = decide(&policy, &user, "analyst files/read_file", r#"{"path": "/a"}"#).expect("permitted");
    assert_eq!(permit.credential(), &CredentialChoice::None);
}

/// The same connector through two virtual servers: each permit is good for the account that its own server names.
#[test]
fn a_permit_is_good_for_the_account_that_its_virtual_server_names() {
    let policy = desk().policy("@id(\"all\") permit (principal, action, resource);");
    let user = user("u", &[]);
    for (server, account, words) in [
        ("analyst", "mail", "with u@corp.example's own account.\n"),
        ("desk", "mail/shared-inbox", "with u@corp.example's own account \"shared-inbox\".\n"),
    ] {
        let call = format!("{server} mail/send");
        let arguments = r#"{"to": [], "body": ""}"#;
        let permit = decide(&policy, &user, &call, arguments).expect("permitted");
        assert_eq!(permit.account().to_string(), account);
        let explained =
            with_question(&user, &call, arguments, |question| policy.explain(question)).to_string();
        assert!(explained.contains(words), "{explained}");
    }
    let files = decide(&policy, &user, "desk files/read_file", r#"{"path": "/a"}"#).expect("permitted");
    assert_eq!(files.account().to_string(), "files", "a connector without accounts is its own");
}

#[test]
fn a_permit_says_what_it_is_for() {
    let policy = policy();
    let subject = user("u", &["analysts"]);
    let arguments = r#"{"sql": "select 1"}"#;
    let (call, permit) = with_question(&subject, "analyst warehouse/execute_sql", arguments, |question| {
        (question.call, policy.decide(question).expect("permitted"))
    });
    assert_eq!(permit.call(), call);
    assert_eq!(permit.server(), &server("analyst"));
    assert_eq!(permit.connector().as_str(), "warehouse");
    assert_eq!(permit.tool().map(ToolName::as_str), Some("execute_sql"));
    let name = "execute_sql".parse().expect("a name");
    assert!(permit.covers(&Target::Tool { name: &name, arguments }));
    assert!(!permit.covers(&Target::Tool { name: &name, arguments: r#"{"sql": "select 2"}"# }));
    assert!(!permit.covers(&Target::Tool { name: &"search_objects".parse().expect("a name"), arguments }));
    assert!(!permit.covers(&Target::Prompt { name: "execute_sql", arguments }));
    assert_eq!(permit.version().label, "7");
    let rules: Vec<&str> = permit.rules().iter().map(policy::RuleId::as_str).collect();
    assert_eq!(rules, ["analyst-server", "analyst-credential"]);
}

#[test]
fn a_tool_hidden_from_a_group_answers_like_one_that_does_not_exist() {
    let policy = policy();
    let analyst = user("u", &["analysts"]);
    let hidden = decide(&policy, &analyst, "analyst files/write_file", r#"{"path": "/a", "content": ""}"#);
    let unknown = decide(&policy, &analyst, "analyst files/no_such_tool", "{}");
    let (hidden, unknown) = (hidden.expect_err("hidden"), unknown.expect_err("unknown"));
    assert_eq!((hidden.kind(), unknown.kind()), (DenialKind::Forbidden, DenialKind::NotListed));
    assert_eq!(hidden.rules().iter().map(policy::RuleId::as_str).collect::<Vec<_>>(), ["no-writing"]);
    assert_eq!(hidden.outside_text(), unknown.outside_text());
    assert!(!listed(&policy, &analyst, "analyst").contains(&"files/write_file".to_owned()));
    assert!(listed(&policy, &user("u", &["finance"]), "analyst").contains(&"files/write_file".to_owned()));
}

#[test]
fn an_argument_is_limited_and_the_denial_says_by_what() {
    let policy = policy();
    let analyst = user("u", &["analysts"]);
    let search = |arguments: &str| decide(&policy, &analyst, "analyst mail/search", arguments);
    assert!(search(r#"{"query": "q", "limit": 100}"#).is_ok());
    for arguments in [r#"{"query": "q", "limit": 101}"#, r#"{"query": "q"}"#] {
        let denial = search(arguments).expect_err("too many");
        assert_eq!(denial.kind(), DenialKind::Forbidden, "{arguments}");
        assert_eq!(
            denial.outside_text(),
            "Policy forbids this call: small-searches (At most 100 messages at a time)."
        );
    }
    assert!(listed(&policy, &analyst, "analyst").contains(&"mail/search".to_owned()));
}

#[test]
fn arguments_that_a_policy_must_read_are_typed_and_others_pass_untouched() {
    let policy = policy();
    let analyst = user("u", &["analysts"]);
    for (arguments, outside) in [
        (
            r#"{"query": "q", "limit": "100"}"#,
            "Policy cannot decide on these arguments: /limit is not an integer.",
        ),
        (
            r#"{"query": "q", "limit": 1, "Limit": 1000}"#,
            "Policy cannot decide on these arguments: the arguments have a member that the tool does not declare.",
        ),
        (
            r#"{"query": "q", "limit": 1, "limit": 1000}"#,
            "Policy cannot decide on these arguments: the arguments have a key twice.",
        ),
    ] {
        let denial = decide(&policy, &analyst, "analyst mail/search", arguments).expect_err("not typed");
        assert_eq!((denial.kind(), denial.outside_text().as_str()), (DenialKind::Arguments, outside));
    }
    // No policy reads what is sent to these two; one of them could not even be typed.
    for what in ["analyst files/read_file", "analyst warehouse/search_objects"] {
        assert!(decide(&policy, &analyst, what, r#"{"whatever": [1e400], "whatever": 2}"#).is_ok(), "{what}");
    }
}

#[test]
fn a_server_offers_what_it_names() {
    let policy = policy();
    let anybody = user("u", &[]);
    assert_eq!(listed(&policy, &anybody, "desk"), ["files/read_file", "mail/search", "mail/send"]);
    assert_eq!(policy.visible_servers(&anybody, &circumstance()), [server("desk")]);
    assert_eq!(
        policy.visible_servers(&user("u", &["finance"]), &circumstance()),
        [server("analyst"), server("desk")]
    );
    let denial = decide(&policy, &anybody, "desk files/write_file", "{}").expect_err("not offered");
    assert_eq!(denial.kind(), DenialKind::NotListed);
    let denial = decide(&policy, &anybody, "elsewhere files/read_file", "{}").expect_err("no such server");
    assert_eq!(denial.kind(), DenialKind::NotListed);
}

#[test]
fn nothing_is_permitted_without_a_policy() {
    let user = user("u", &["analysts", "finance"]);
    let empty = desk().policy("");
    let denial = decide(&empty, &user, "analyst files/read_file", "{}").expect_err("denied");
    assert_eq!((denial.kind(), denial.is_hidden()), (DenialKind::NoPermit, true));
    assert!(listed(&empty, &user, "analyst").is_empty());
    assert!(empty.visible_servers(&user, &circumstance()).is_empty());

    let why =
        Advice::new("policy-expired", "The policy has expired.", "Every call is refused.", "Go online.");
    let none = Policy::deny_all(why.clone());
    let denial = decide(&none, &user, "analyst files/read_file", "{}").expect_err("denied");
    assert_eq!(denial.kind(), DenialKind::DenyAll);
    assert_eq!(denial.outside_text(), "The policy has expired. Every call is refused. Go online.");
    assert_eq!(denial.advice().code, "no-policy");
    assert!(listed(&none, &user, "analyst").is_empty());
    assert!(none.visible_servers(&user, &circumstance()).is_empty());
    assert_eq!(none.refuses_all(), Some(&why));
}

#[test]
fn a_personal_gateway_permits_its_user_everything() {
    let policy = desk().policy(PERSONAL);
    let me = model::Subject::local("ann");
    assert_eq!(listed(&policy, &me, "analyst").len(), 6);
    let permit = decide(&policy, &me, "analyst warehouse/search_objects", "anything").expect("permitted");
    assert_eq!(permit.rules().iter().map(policy::RuleId::as_str).collect::<Vec<_>>(), ["personal"]);
    // Before the first tool is pinned there is nothing to call, but the policy stands.
    let mut bare = desk();
    bare.tools.clear();
    assert!(bare.compile(PERSONAL).is_ok());
    let nothing_yet = Desk { connectors: [].into(), servers: [].into(), tools: [].into() };
    assert!(nothing_yet.compile(PERSONAL).is_ok());
}

#[test]
fn a_policy_that_fails_for_one_credential_does_not_move_the_call_to_the_next() {
    let desk = desk();
    let policy = desk.policy(
        r#"@id("all") permit (principal, action, resource) unless { resource == Credential::"warehouse-finance" };
           @id("fails") permit (principal, action, resource == Credential::"warehouse-finance")
           when { context.now.offset(duration("9223372036854775807ms")) > context.now };"#,
    );
    let user = user("u", &[]);
    let denial = decide(&policy, &user, "analyst warehouse/execute_sql", "{}").expect_err("one policy fails");
    assert_eq!(denial.kind(), DenialKind::Error);
    assert_eq!(
        denial.stage(),
        Some(&Stage::UseSharedCredential("warehouse-finance".parse().expect("an id")))
    );
    assert!(!listed(&policy, &user, "analyst").contains(&"warehouse/execute_sql".to_owned()));
}

#[test]
fn a_connector_that_is_named_twice_is_exposed_once() {
    let mut desk = desk();
    if let Some(spec) = desk.servers.get_mut(&server("desk")) {
        spec.connectors.extend(spec.connectors.clone());
    }
    assert_eq!(
        listed(&desk.policy(PERSONAL), &user("u", &[]), "desk"),
        ["files/read_file", "mail/search", "mail/send"]
    );
}

#[test]
fn every_fact_can_be_decided_on() {
    let device = "019a0000-0000-7000-8000-000000000001";
    let policy = desk().policy(&format!(
        r#"@id("facts") permit (principal, action, resource) when {{
               context.server == Server::"desk" && context.now == datetime("2026-11-23T14:20:20.000Z") &&
               context.client.id == "client-1" && context.client.name == "Assistant" &&
               context has device && context.device == "{device}" &&
               principal == User::"https://idp.example#u" && principal.issuer == "https://idp.example" &&
               principal.subject == "u" && principal has email && principal.email == "u@corp.example" &&
               principal has department && principal.department == "research"
           }};"#
    ));
    let here = |device: Option<&str>| policy::Circumstance {
        device: device.map(|device| device.parse().expect("a device")),
        ..circumstance()
    };
    assert_eq!(policy.visible_servers(&user("u", &[]), &here(Some(device))), [server("desk")]);
    assert_eq!(policy.visible_servers(&user("u", &[]), &here(None)), []);
    assert_eq!(policy.visible_servers(&user("v", &[]), &here(Some(device))), []);
    assert_eq!(policy.listed(&user("u", &[]), &server("desk"), &here(Some(device))).len(), 3);
}

#[test]
fn one_policy_serves_every_thread() {
    fn check<T: Send + Sync>() {}
    check::<Policy>();
}
