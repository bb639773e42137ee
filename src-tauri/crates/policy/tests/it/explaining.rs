//! The words for those who write policies and those who are refused by them.

use model::Subject;
use policy::{DenialKind, Explanation, Policy, Verdict};

use crate::desk::{decide, desk, user, with_question};

const POLICIES: &str = r#"@id("see")
permit (principal, action in [Action::"see_server", Action::"expose_connector"], resource);

@id("finance-search")
permit (principal in Group::"finance", action == Action::"mail/search", resource);

@id("small-search")
@reason("At most 10 messages.")
permit (principal, action == Action::"mail/search", resource)
when { context.input has limit && context.input.limit <= 10 }
unless { context.input.query like "*secret*" };

@id("no-sending")
@reason("Nothing is sent from here.")
forbid (principal, action == Action::"mail/send", resource)
when { context.input.to.contains("all@corp.example") };

@id("sending")
permit (principal, action == Action::"mail/send", resource);

@id("overflow")
forbid (principal, action == Action::"mail/search", resource)
when { context.input has limit && context.input.limit * 4611686018427387904 < 0 };
"#;

fn explain(policy: &Policy, subject: &Subject, what: &str, arguments: &str) -> Explanation {
    let explanation = with_question(subject, what, arguments, |question| policy.explain(question));
    let decided = decide(policy, subject, what, arguments);
    assert_eq!(explanation.permitted, decided.is_ok(), "an explanation explains the decision");
    assert_eq!(explanation.denial, decided.as_ref().err().map(policy::Denial::kind));
    explanation
}

/// What the last step says of its policies.
fn verdicts(explanation: &Explanation) -> Vec<(&str, Verdict)> {
    let step = explanation.steps.last().expect("a step");
    step.rules.iter().map(|rule| (rule.id.as_str(), rule.verdict.clone())).collect()
}

fn not_met(condition: &str) -> Verdict {
    Verdict::NotMet(condition.to_owned())
}

#[test]
fn a_missing_permit_is_explained_by_the_conditions_that_were_not_met() {
    let policy = desk().policy(POLICIES);
    let sales = user("u", &["sales"]);
    for (arguments, condition) in [
        (r#"{"query": "q"}"#, "context.input has limit"),
        (r#"{"query": "q", "limit": 11}"#, "context.input.limit <= 10"),
        (r#"{"query": "a secret", "limit": 1}"#, r#"unless { context.input.query like "*secret*" }"#),
    ] {
        // Limits from two on overflow in the last policy, which is another test's business.
        let policies = POLICIES.replace("* 4611686018427387904 < 0", "< 0");
        let policy =
            if arguments.contains("11") { desk().policy(&policies) } else { desk().policy(POLICIES) };
        let explanation = explain(&policy, &sales, "desk mail/search", arguments);
        assert_eq!(explanation.denial, Some(DenialKind::NoPermit), "{arguments}");
        assert!(explanation.listed);
        assert_eq!(
            verdicts(&explanation),
            [
                ("finance-search", not_met(r#"principal in Group::"finance""#)),
                ("small-search", not_met(condition))
            ]
        );
    }
    let denial = decide(&policy, &sales, "desk mail/search", r#"{"query": "q"}"#).expect_err("denied");
    assert_eq!(
        denial.outside_text(),
        "No policy permits this call with these arguments: small-search (At most 10 messages)."
    );
}

#[test]
fn a_forbid_is_explained_by_its_reason() {
    let policy = desk().policy(POLICIES);
    let arguments = r#"{"to": ["all@corp.example"], "body": "canary"}"#;
    let explanation = explain(&policy, &user("u", &[]), "desk mail/send", arguments);
    assert_eq!(verdicts(&explanation), [("no-sending", Verdict::Applied)]);
    assert_eq!(
        explanation.to_string(),
        "u@corp.example may not call send on mail through desk.\n\
         - see server desk: permitted\n\
         \x20 - permit see (policies/desk.cedar:1)\n\
         - use connector mail: permitted\n\
         \x20 - permit see (policies/desk.cedar:1)\n\
         - call tool send: forbidden\n\
         \x20 - forbid no-sending (policies/desk.cedar:13) — Nothing is sent from here.\n\
         The tool is shown: other arguments may be permitted.\n\
         Policy: 7 (sha256:cbc62794911fb31f7a017eb2dbddc8c8d4b63ff8f2c5ab85f0ad8f15d1dd5e85)"
            .replace(
                "cbc62794911fb31f7a017eb2dbddc8c8d4b63ff8f2c5ab85f0ad8f15d1dd5e85",
                &policy.version().digest.hex()
            )
    );
    let json = serde_json::to_value(&explanation).expect("JSON");
    assert_eq!(json["denial"], "forbidden");
    assert_eq!(json["steps"][2]["question"], "call_tool");
    assert_eq!(json["steps"][2]["about"], "send");
    assert_eq!(json["steps"][2]["rules"][0]["id"], "no-sending");
    assert_eq!(json["steps"][2]["rules"][0]["verdict"], "applied");
    assert!(!json.to_string().contains("canary"), "no argument's value");
}

#[test]
fn a_failing_policy_is_named_with_the_condition_that_failed() {
    let policy = desk().policy(POLICIES);
    let explanation = explain(&policy, &user("u", &[]), "desk mail/search", r#"{"query": "q", "limit": 4}"#);
    assert_eq!(explanation.denial, Some(DenialKind::Error));
    assert_eq!(
        verdicts(&explanation),
        [("overflow", Verdict::Failed("(context.input.limit * 4611686018427387904) < 0".to_owned()))]
    );
}

#[test]
fn a_permission_names_what_it_rests_on() {
    let desk = desk();
    let policy = desk.policy(
        r#"@id("all") permit (principal, action, resource) unless { action == Action::"use_shared_credential" };
           @id("credential") permit (principal, action, resource == Credential::"warehouse-analyst");"#,
    );
    let explanation = explain(&policy, &user("u", &[]), "analyst warehouse/execute_sql", "{}");
    assert_eq!(
        explanation.rules.iter().map(policy::RuleId::as_str).collect::<Vec<_>>(),
        ["all", "credential"]
    );
    assert_eq!(explanation.steps.len(), 5, "see, expose, call and two credentials");
    let text = explanation.to_string();
    assert!(text.contains("u@corp.example may call execute_sql on warehouse through analyst."), "{text}");
    assert!(
        text.contains("- use shared credential warehouse-finance: not permitted by any policy"),
        "{text}"
    );
    assert!(text.contains("The call would be made with the shared credential warehouse-analyst."), "{text}");
}

#[test]
fn what_never_reached_a_policy_is_said_in_words() {
    let policy = desk().policy(POLICIES);
    let user = user("u", &[]);
    let unknown = explain(&policy, &user, "desk mail/no_such_tool", "{}");
    assert_eq!(
        (unknown.denial, unknown.steps.len(), unknown.listed),
        (Some(DenialKind::NotListed), 0, false)
    );
    let wrong = explain(&policy, &user, "desk mail/search", r#"{"limit": 1}"#);
    assert_eq!(
        wrong.note.as_deref(),
        Some("Policy cannot decide on these arguments: the arguments lack /query.")
    );
    let none = Policy::deny_all(model::Advice::new("none", "There is no policy.", "", ""));
    assert_eq!(explain(&none, &user, "desk mail/search", "{}").note.as_deref(), Some("There is no policy."));
}

#[test]
fn a_forbid_that_is_only_observed_is_told_with_its_place_and_refuses_nothing() {
    let tried = "\n@id(\"tried\")\n@reason(\"Ten are enough.\")\n@observe\nforbid (principal, action == Action::\"mail/search\", resource)\nwhen { context.input has limit && context.input.limit > 0 };\n";
    let policy = desk().policy(&format!("{POLICIES}{tried}"));
    let finance = user("u", &["finance"]);
    let explanation = explain(&policy, &finance, "desk mail/search", r#"{"query": "q", "limit": 1}"#);
    assert!(explanation.permitted);
    assert_eq!(explanation.observed.iter().map(policy::RuleId::as_str).collect::<Vec<_>>(), ["tried"]);
    let text = explanation.to_string();
    let line = POLICIES.lines().count() + 2;
    assert!(
        text.contains(&format!("  - only observed, else this would be refused: forbid tried (policies/desk.cedar:{line}) — Ten are enough.")),
        "{text}"
    );
    // What enforcing would refuse because it cannot be read is told as well.
    let explanation = explain(&policy, &finance, "desk mail/send", r#"{"to": []}"#);
    assert_eq!(explanation.observed, [], "about another tool");
    let explanation =
        explain(&policy, &user("u", &["sales"]), "desk mail/search", r#"{"query": "q", "limit": 11}"#);
    assert!(
        !explanation.permitted && explanation.observed.is_empty(),
        "what is refused anyway is not observed"
    );
}
