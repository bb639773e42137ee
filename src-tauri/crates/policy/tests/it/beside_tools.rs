//! Resources and prompts: what policies say of what connectors offer beside tools.

use model::{Advice, ForPerson as _};
use policy::{Aim, CredentialChoice, DenialKind, PERSONAL, Policy, Stage, Target, Viewer};

use crate::desk::{circumstance, decide, desk, id, server, shown, user, with_question};

const POLICIES: &str = r#"
@id("tools-for-all")
permit (
    principal,
    action in [Action::"see_server", Action::"expose_connector", Action::"call_tool"],
    resource
);

@id("public-files")
@reason("Analysts read what is public.")
permit (principal in Group::"analysts", action == Action::"read_resource", resource == Connector::"files")
when { context.input.uri like "file:///public/*" };

@id("prompts")
permit (principal, action == Action::"get_prompt", resource);

@id("no-payroll-prompt")
@reason("The payroll prompt is for finance.")
forbid (principal, action == Action::"get_prompt", resource)
when { context.input.name == "payroll" }
unless { principal in Group::"finance" };
"#;

fn permitted(policy: &Policy, groups: &[&str], what: &str) -> bool {
    let decided = decide(policy, &user("u", groups), what, "{}");
    assert_eq!(decided.is_ok(), shown(policy, &user("u", groups), &circumstance(), what), "{what}");
    decided.is_ok()
}

#[test]
fn analysts_read_public_files_only() {
    let policy = desk().policy(POLICIES);
    for (uri, expected) in [
        ("file:///public/", true),
        ("file:///public/a/b.txt", true),
        ("file:///private/a.txt", false),
        ("file:///public", false),
        ("FILE:///public/a.txt", false),
        ("", false),
    ] {
        let what = format!("desk files resource {uri}");
        assert_eq!(permitted(&policy, &["analysts"], &what), expected, "{uri}");
        assert!(!permitted(&policy, &["sales"], &what), "{uri}");
        assert!(!permitted(&policy, &["analysts"], &format!("desk mail resource {uri}")), "{uri}");
    }
    let templates = |groups: &[&str], connector: &str| {
        let (user, on, now) = (user("u", groups), server("desk"), circumstance());
        policy.viewer(&user, &on, &now).shows_templates(&id(connector))
    };
    assert!(templates(&["analysts"], "files"));
    assert!(!templates(&["sales"], "files"), "no URI would be permitted");
    assert!(!templates(&["analysts"], "mail"));
}

#[test]
fn a_uri_that_leads_elsewhere_is_refused_where_policies_look_at_uris() {
    let policy = desk().policy(POLICIES);
    let personal = desk().policy(PERSONAL);
    for path in [
        "../private",
        "a/../../private",
        ".",
        "%2E%2e/private",
        "..%2fprivate",
        "..%5Cprivate",
        "..\\private",
    ] {
        let what = format!("desk files resource file:///public/{path}");
        let denial = decide(&policy, &user("u", &["analysts"]), &what, "{}").expect_err(path);
        assert_eq!((denial.kind(), denial.is_hidden()), (DenialKind::Arguments, true), "{path}");
        assert!(!permitted(&policy, &["analysts"], &what), "{path}");
        assert!(permitted(&personal, &[], &what), "no policy looks at it: {path}");
    }
    for path in ["a..b", "...", "v1.2/x", ".hidden", "a%20b"] {
        assert!(
            permitted(&policy, &["analysts"], &format!("desk files resource file:///public/{path}")),
            "{path}"
        );
    }
}

#[test]
fn a_prompt_hidden_from_a_group_answers_like_one_that_does_not_exist() {
    let policy = desk().policy(POLICIES);
    assert!(permitted(&policy, &["finance"], "desk files prompt payroll"));
    assert!(permitted(&policy, &["analysts"], "desk files prompt review"));
    assert!(!permitted(&policy, &["analysts"], "desk files prompt payroll"));
    let hidden =
        decide(&policy, &user("u", &["analysts"]), "desk files prompt payroll", "{}").expect_err("hidden");
    assert_eq!((hidden.kind(), hidden.is_hidden()), (DenialKind::Forbidden, true));
    assert_eq!(hidden.stage(), Some(&Stage::GetPrompt("payroll".to_owned())));
    assert_eq!(hidden.rules().iter().map(policy::RuleId::as_str).collect::<Vec<_>>(), ["no-payroll-prompt"]);
    let elsewhere =
        decide(&policy, &user("u", &[]), "desk warehouse prompt payroll", "{}").expect_err("not there");
    assert_eq!((elsewhere.kind(), elsewhere.is_hidden()), (DenialKind::NotListed, true));
    for denial in [hidden, elsewhere] {
        assert_eq!(denial.outside_text(), "There is no such prompt here.");
    }
}

#[test]
fn policies_about_tools_say_nothing_of_the_rest() {
    let tools = r#"@id("t") permit (principal, action in
        [Action::"see_server", Action::"expose_connector", Action::"call_tool"], resource);"#;
    let policy = desk().policy(tools);
    for what in ["desk files resource file:///a", "desk files prompt review"] {
        let denial = decide(&policy, &user("u", &["analysts"]), what, "{}").expect_err("nothing permits it");
        assert_eq!((denial.kind(), denial.is_hidden()), (DenialKind::NoPermit, true), "{what}");
        assert!(!shown(&policy, &user("u", &[]), &circumstance(), what));
        assert!(permitted(&desk().policy(PERSONAL), &[], what), "the personal policy permits all");
    }
}

#[test]
fn the_same_four_questions_are_asked() {
    let stage = |policies: &str, what: &str| {
        let denial = decide(&desk().policy(policies), &user("u", &[]), what, "{}").expect_err("refused");
        denial.stage().map(ToString::to_string)
    };
    let all_but = |action: &str| {
        format!(r#"@id("a") permit (principal, action, resource) unless {{ action == Action::"{action}" }};"#)
    };
    for (action, expected) in [
        ("see_server", "see server analyst"),
        ("expose_connector", "use connector warehouse"),
        ("read_resource", "read resource db://sales"),
        ("use_shared_credential", "use shared credential warehouse-analyst"),
    ] {
        let what = "analyst warehouse resource db://sales";
        assert_eq!(stage(&all_but(action), what).as_deref(), Some(expected));
        assert!(!shown(&desk().policy(&all_but(action)), &user("u", &[]), &circumstance(), what), "{action}");
    }
    let permit = decide(&desk().policy(PERSONAL), &user("u", &[]), "analyst warehouse prompt review", "{}");
    let credential = CredentialChoice::Shared("warehouse-finance".parse().expect("an id"));
    assert_eq!(permit.expect("permitted").credential(), &credential);
}

#[test]
fn a_permit_covers_what_was_decided_on_and_nothing_else() {
    let policy = desk().policy(PERSONAL);
    let ann = user("u", &[]);
    let read = decide(&policy, &ann, "desk files resource file:///a", "").expect("permitted");
    assert_eq!((read.aim(), read.tool()), (&Aim::Resource("file:///a".to_owned()), None));
    assert!(read.covers(&Target::Resource { uri: "file:///a" }));
    assert!(!read.covers(&Target::Resource { uri: "file:///a/" }));
    assert!(!read.covers(&Target::Prompt { name: "file:///a", arguments: "file:///a" }));

    let arguments = r#"{"quarter": "Q3"}"#;
    let prompt = decide(&policy, &ann, "desk files prompt review", arguments).expect("permitted");
    assert!(prompt.covers(&Target::Prompt { name: "review", arguments }));
    assert!(!prompt.covers(&Target::Prompt { name: "review", arguments: "{}" }));
    assert!(!prompt.covers(&Target::Prompt { name: "revise", arguments }));
}

#[test]
fn a_uri_is_printed_without_what_can_carry_a_secret() {
    let policy = desk().policy(POLICIES);
    let what = "desk files resource https://u:canary@host/a?t=canary#canary";
    let denial = decide(&policy, &user("u", &["analysts"]), what, "{}").expect_err("refused");
    for text in
        [denial.to_string(), denial.advice().to_string(), format!("{denial:?}"), denial.outside_text()]
    {
        assert!(!text.contains("canary"), "{text}");
    }
    assert!(denial.to_string().contains("https://host/a"), "{denial}");
    assert_eq!(denial.stage().map(ToString::to_string).as_deref(), Some("read resource https://host/a"));
}

#[test]
fn without_a_policy_nothing_is_shown() {
    let none = Policy::deny_all(Advice::new("none", "There is no policy.", "", ""));
    let (ann, on, now) = (user("u", &[]), server("desk"), circumstance());
    let viewer = none.viewer(&ann, &on, &now);
    assert!(!viewer.shows_resource(&id("files"), "file:///a") && !viewer.shows_templates(&id("files")));
    let denial = decide(&none, &ann, "desk files prompt review", "{}").expect_err("denied");
    assert_eq!((denial.is_hidden(), denial.outside_text().as_str()), (false, "There is no policy."));

    let policy = desk().policy(PERSONAL);
    let nowhere = server("elsewhere");
    assert!(!policy.viewer(&ann, &nowhere, &now).shows_prompt(&id("files"), "review"), "no such server");
    assert!(!policy.viewer(&ann, &on, &now).shows_prompt(&id("warehouse"), "review"), "not on this server");
}

#[test]
fn a_refused_resource_is_explained() {
    let policy = desk().policy(POLICIES);
    let explain =
        |what: &str| with_question(&user("u", &["sales"]), what, "{}", |question| policy.explain(question));
    let read = explain("desk files resource file:///public/a");
    let text = read.to_string();
    assert!(
        text.starts_with("u@corp.example may not read file:///public/a on files through desk.\n"),
        "{text}"
    );
    assert!(text.contains("- read resource file:///public/a: not permitted by any policy"), "{text}");
    assert!(text.contains("The resource is not shown."), "{text}");
    let json = serde_json::to_value(&read).expect("JSON");
    assert_eq!(
        (&json["resource"], &json["steps"][2]["question"]),
        (&"file:///public/a".into(), &"read_resource".into())
    );
    let prompt = explain("desk files prompt payroll");
    assert_eq!(prompt.denial, Some(DenialKind::Forbidden));
    assert!(prompt.to_string().contains("— The payroll prompt is for finance."), "{prompt}");
}

#[test]
fn a_viewer_can_be_kept_while_a_list_is_fetched() {
    fn check<T: Send + Sync>() {}
    check::<Viewer<'_>>();
}
