//! Laws that hold for every policy set, user and call.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression,
};
use model::{Subject, Timestamp};
use policy::{Circumstance, FaultKind, Policy, Target};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::approving::{approved, at_device};
use crate::desk::{
    Desk, circumstance, decide, desk, id, listed, server, shown, user, with_question_at, with_target,
};

/// Tools, and what is known as a whole before it is asked for.
const THINGS: [&str; 9] = [
    "mail/search",
    "mail/send",
    "warehouse/execute_sql",
    "mail resource file:///public/a",
    "mail resource file:///private/b",
    "warehouse resource file:///public/a",
    "mail prompt review",
    "mail prompt weekly",
    "warehouse prompt review",
];

/// Those that a server offers.
fn things(server: &str) -> impl Iterator<Item = &'static str> {
    THINGS.into_iter().filter(move |thing| server == "analyst" || thing.starts_with("mail"))
}

/// Conditions that are known before the arguments are, one of which always fails.
fn known() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r#"(principal in Group::"a")"#,
        r#"(context.client.name == "Assistant")"#,
        r#"(context.client has program && context.client.program.name == "assistant")"#,
        r#"(context.network has address && context.network.address.isInRange(ip("10.0.0.0/8")))"#,
        r#"(context.server == Server::"desk")"#,
        r#"(principal has email && principal.email like "*@corp.example")"#,
        r#"(context.now < datetime("2020-01-01"))"#,
        r#"(context.now.offset(duration("9223372036854775807ms")) > context.now)"#,
    ])
    .prop_map(str::to_owned)
}

/// Conditions on the arguments of `mail/search`, two of which fail for a limit or labels of two and more, and one of which asks for
/// what cannot be told of most.
fn unknown() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "(context.input has limit && context.input.limit <= 3)",
        "(context.input has limit && context.input.limit * 4611686018427387904 > 0)",
        r#"(context.input.query like "a*")"#,
        r#"(context.input has labels && context.input.labels.contains("inbox"))"#,
        "(context.facts.early)",
        "(context.facts has labelled && context.facts.labelled > 1)",
        "(context.facts has labelled && context.facts.labelled * 9223372036854775807 > 0)",
        r#"(context.facts.link.host == "a.example")"#,
    ])
    .prop_map(str::to_owned)
}

/// Conditions on the URI of a resource, one of which always fails, and on the name of a prompt.
fn of_uri() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r#"(context.input.uri like "file:///public/*")"#,
        r#"(context.input.uri == "file:///private/b")"#,
        r#"(context.input.uri like "*/a" && context.now.offset(duration("9223372036854775807ms")) > context.now)"#,
    ])
    .prop_map(str::to_owned)
}

fn of_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![r#"(context.input.name == "review")"#, r#"(context.input.name like "w*")"#])
        .prop_map(str::to_owned)
}

/// Conditions that can be put to both.
fn of_either() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r#"(context.input has uri && context.input.uri like "file:///public/*")"#,
        r#"(context.input has name && context.input.name == "review")"#,
    ])
    .prop_map(str::to_owned)
}

fn condition(leaf: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    leaf.prop_recursive(2, 6, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            3 => pair.clone().prop_map(|(a, b)| format!("({a} && {b})")),
            1 => pair.prop_map(|(a, b)| format!("({a} || {b})")),
            1 => inner.clone().prop_map(|a| format!("(!{a})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
        ]
    })
}

/// One policy without its id.
fn rule(effect: impl Strategy<Value = &'static str>) -> impl Strategy<Value = String> {
    let principal =
        prop::sample::select(vec!["principal", r#"principal in Group::"a""#, r#"principal in Group::"b""#]);
    let anything = (
        prop::sample::select(vec![
            "action",
            r#"action in Action::"call_tool""#,
            r#"action in [Action::"see_server", Action::"expose_connector"]"#,
            r#"action == Action::"use_shared_credential""#,
            r#"action == Action::"mail/send""#,
            r#"action == Action::"read_resource""#,
            r#"action in [Action::"call_tool", Action::"get_prompt"]"#,
        ]),
        prop::sample::select(vec![
            "resource",
            r#"resource in Server::"desk""#,
            r#"resource in Server::"analyst""#,
        ]),
        prop::option::of(condition(known().boxed())),
    );
    let search = (
        Just(r#"action == Action::"mail/search""#),
        prop::sample::select(vec!["resource", r#"resource == Connector::"mail""#]),
        prop::option::of(condition(prop_oneof![known(), unknown()].boxed())),
    );
    let about_all = |action: &'static str, leaf: BoxedStrategy<String>| {
        let resource = prop::sample::select(vec!["resource", r#"resource == Connector::"mail""#]);
        (Just(action), resource, prop::option::of(condition(prop_oneof![known().boxed(), leaf].boxed())))
    };
    let resources = about_all(r#"action == Action::"read_resource""#, of_uri().boxed());
    let prompts = about_all(r#"action == Action::"get_prompt""#, of_name().boxed());
    let both = about_all(r#"action in [Action::"read_resource", Action::"get_prompt"]"#, of_either().boxed());
    let about = prop_oneof![2 => anything, 3 => search, 2 => resources, 1 => prompts, 1 => both];
    (effect, principal, about, prop::sample::select(vec!["when", "unless"])).prop_map(
        |(effect, principal, (action, resource, condition), clause)| {
            let condition =
                condition.map_or(String::new(), |condition| format!(" {clause} {{ {condition} }}"));
            format!("{effect} ({principal}, {action}, {resource}){condition};")
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<String>> {
    let one = rule(prop_oneof![3 => Just("permit"), 1 => Just("forbid")]);
    (prop::collection::vec(one, 0..6), any::<bool>()).prop_map(|(mut rules, open)| {
        if open {
            rules.push(
                "permit (principal, action, resource) unless { action == Action::\"mail/search\" || \
                 action == Action::\"read_resource\" };"
                    .to_owned(),
            );
        }
        rules
    })
}

/// Policies with ids in their order.
fn named(rules: &[String]) -> Vec<String> {
    rules.iter().enumerate().map(|(at, rule)| format!("@id(\"r{at}\") {rule}")).collect()
}

/// The desk without the tools that no law asks about.
fn small() -> Desk {
    let mut small = desk();
    small.tools.remove(&id("files"));
    small.with_facts()
}

/// Compiles; `None` where a random policy can be seen to never apply.
fn compile(policies: &[String]) -> Option<Policy> {
    match small().compile(&policies.join("\n")) {
        Ok(policy) => Some(policy),
        Err(faults) => {
            assert!(
                faults.iter().all(|fault| matches!(fault.kind, FaultKind::Never(_))),
                "{faults:?}\n{policies:?}"
            );
            None
        }
    }
}

fn arguments() -> impl Strategy<Value = Value> {
    let limit = prop::option::of(0..6_i64);
    let labels = prop::option::of(prop::sample::subsequence(vec!["inbox", "sent"], 0..=2));
    (limit, prop::sample::select(vec!["abc", "b", "https://A.example/"]), labels).prop_map(
        |(limit, query, labels)| {
            let mut arguments = json!({ "query": query });
            for (name, value) in [("limit", limit.map(Value::from)), ("labels", labels.map(Value::from))] {
                if let Some(value) = value {
                    arguments[name] = value;
                }
            }
            arguments
        },
    )
}

fn subject() -> impl Strategy<Value = Subject> {
    prop::sample::subsequence(vec!["a", "b"], 0..=2).prop_map(|groups| user("u", &groups))
}

/// A time before or after the one that policies ask about, one of two assistants, and a program and a network, known or not.
fn moment() -> impl Strategy<Value = Circumstance> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(early, other, told, inside)| {
        let mut moment = circumstance();
        if early {
            moment.now = Timestamp::from_seconds(0);
        }
        if other {
            moment.client_name = "Another".to_owned();
        }
        moment.program = told.then(|| "/usr/bin/assistant".to_owned());
        moment.address = inside.then_some([10, 0, 0, 1].into());
        moment
    })
}

/// Everything that a policy says of one call, but for its number.
fn said(policy: &Policy, subject: &Subject, moment: &Circumstance, what: &str, arguments: &Value) -> String {
    with_question_at(moment, subject, what, &arguments.to_string(), |question| {
        match policy.decide(question) {
            Ok(permit) => format!("{:?} {:?}", permit.rules(), permit.credential()),
            Err(denial) => format!(
                "{:?} {:?} {:?} {} {}",
                denial.kind(),
                denial.stage(),
                denial.rules(),
                denial.is_hidden(),
                denial.outside_text()
            ),
        }
    })
}

fn uid(text: &str) -> EntityUid {
    EntityUid::from_str(text).expect("an entity")
}

/// What Cedar itself says when the whole set is asked, unsliced, with every fact, and any failing policy refuses.
fn oracle(policies: &[String], subject: &Subject, server: &str, what: &str, arguments: &Value) -> bool {
    let (connector, act, input) = with_target(what, "", |connector, target| match target {
        Target::Tool { .. } => (connector.to_string(), what.to_owned(), arguments.clone()),
        Target::Resource { uri } => (connector.to_string(), "read_resource".to_owned(), json!({"uri": uri})),
        Target::Prompt { name, .. } => {
            (connector.to_string(), "get_prompt".to_owned(), json!({"name": name}))
        }
    });
    // What a policy asks for and nobody can tell refuses, whatever the others say.
    let link = arguments["query"].as_str().expect("a text").starts_with("https:");
    if what == "mail/search" && !link && policies.iter().any(|policy| policy.contains("context.facts.link")) {
        return false;
    }
    let mut facts = json!({"early": arguments["query"] == "abc"});
    if link {
        facts["link"] = json!({"host": "a.example"});
    }
    if let Some(labels) = arguments["labels"].as_array() {
        facts["labelled"] = json!(labels.len());
    }
    let set: PolicySet = policies.join("\n").parse().expect("Cedar");
    let (server, connector_id) =
        (uid(&format!("Server::\"{server}\"")), uid(&format!("Connector::\"{connector}\"")));
    let user = uid(&format!("User::\"https://idp.example#{}\"", subject.subject));
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let attributes = HashMap::from([
        ("issuer".to_owned(), text("https://idp.example")),
        ("subject".to_owned(), text("u")),
        ("email".to_owned(), text("u@corp.example")),
    ]);
    let groups: HashSet<EntityUid> =
        subject.groups.iter().map(|group| uid(&format!("Group::\"{group}\""))).collect();
    let credentials =
        ["warehouse-finance", "warehouse-analyst"].map(|id| uid(&format!("Credential::\"{id}\"")));
    let action = uid(&format!("Action::\"{act}\""));
    let group = if what == act { HashSet::from([uid("Action::\"call_tool\"")]) } else { HashSet::new() };
    let mut entities = vec![
        Entity::new(user.clone(), attributes, groups).expect("a user"),
        Entity::new_no_attrs(connector_id.clone(), [server.clone()].into()),
        Entity::new_no_attrs(action.clone(), group),
    ];
    entities
        .extend(credentials.iter().map(|id| Entity::new_no_attrs(id.clone(), [connector_id.clone()].into())));
    let entities = Entities::from_entities(entities, None).expect("entities");
    let ask = |action: &EntityUid, resource: &EntityUid| {
        let context = json!({
            "server": {"__entity": {"type": "Server", "id": server.id().unescaped()}},
            "now": {"__extn": {"fn": "datetime", "arg": "2026-11-23T14:20:20.000Z"}},
            "client": {"id": "client-1", "name": "Assistant"},
            "network": {},
            "input": input,
            "facts": facts,
        });
        let context = Context::from_json_value(context, None).expect("a context");
        let request =
            Request::new(user.clone(), action.clone(), resource.clone(), context, None).expect("a request");
        let response = Authorizer::new().is_authorized(&request, &set, &entities);
        let failed = response.diagnostics().errors().next().is_some();
        if failed { Err(()) } else { Ok(response.decision() == Decision::Allow) }
    };
    let open = ask(&uid("Action::\"see_server\""), &server) == Ok(true)
        && ask(&uid("Action::\"expose_connector\""), &connector_id) == Ok(true)
        && ask(&action, &connector_id) == Ok(true);
    let credential = || {
        for id in &credentials {
            match ask(&uid("Action::\"use_shared_credential\""), id) {
                Ok(false) => {}
                Ok(true) => return true,
                Err(()) => return false,
            }
        }
        false
    };
    open && (connector != "warehouse" || credential())
}

/// As many cases as a landing can afford, unless the environment (`PROPTEST_CASES`) asks for a number of its own.
fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { usual.cases } else { 40 };
    ProptestConfig { cases, max_global_rejects: 10_000, failure_persistence: None, ..usual }
}

proptest! {
    #![proptest_config(cases())]

    /// Slicing, leaving facts out and converting arguments change no decision.
    #[test]
    fn decides_as_the_whole_set_would(rules in rules(), subject in subject(), arguments in arguments()) {
        let policies = named(&rules);
        let Some(policy) = compile(&policies) else { return Err(TestCaseError::reject("never applies")) };
        for server in ["desk", "analyst"] {
            for tool in things(server) {
                let decided = decide(&policy, &subject, &format!("{server} {tool}"), &arguments.to_string());
                let expected = oracle(&policies, &subject, server, tool, &arguments);
                prop_assert_eq!(decided.is_ok(), expected, "{} {} {:?}\n{}", server, tool, decided, policies.join("\n"));
            }
        }
    }

    /// What was asked before, for whomever, whenever and with whatever arguments, changes no answer.
    #[test]
    fn answers_do_not_depend_on_earlier_ones(
        rules in rules(),
        calls in prop::collection::vec((subject(), moment(), arguments()), 2..6),
    ) {
        let policies = named(&rules);
        let Some(asked) = compile(&policies) else { return Err(TestCaseError::reject("never applies")) };
        for (subject, moment, arguments) in &calls {
            let Some(fresh) = compile(&policies) else { return Err(TestCaseError::fail("it was compiled before")) };
            for at in ["desk", "analyst"] {
                let listed = |policy: &Policy| policy.listed(subject, &server(at), moment);
                prop_assert_eq!(listed(&asked), listed(&fresh), "{}", policies.join("\n"));
                for tool in things(at) {
                    let what = format!("{at} {tool}");
                    let of = |policy: &Policy| {
                        (said(policy, subject, moment, &what, arguments), shown(policy, subject, moment, &what))
                    };
                    prop_assert_eq!(of(&asked), of(&fresh), "{}\n{}", what, policies.join("\n"));
                }
            }
        }
    }

    /// What is not listed is refused, whatever the arguments; where no policy reads them, what is listed is permitted.
    #[test]
    fn listed_is_what_may_be_permitted(
        rules in rules(),
        subject in subject(),
        calls in prop::collection::vec(arguments(), 8),
    ) {
        let policies = named(&rules);
        let Some(policy) = compile(&policies) else { return Err(TestCaseError::reject("never applies")) };
        for server in ["desk", "analyst"] {
            let listed = listed(&policy, &subject, server);
            let (on, moment) = (self::server(server), circumstance());
            let viewer = policy.viewer(&subject, &on, &moment);
            for tool in things(server) {
                let is_listed = shown(&policy, &subject, &moment, &format!("{server} {tool}"));
                if tool.contains('/') && !tool.contains(' ') {
                    prop_assert_eq!(is_listed, listed.iter().any(|listed| listed == tool));
                }
                if let (true, Some((connector, _))) = (is_listed, tool.split_once(" resource ")) {
                    prop_assert!(viewer.shows_templates(&id(connector)), "{}\n{}", tool, policies.join("\n"));
                }
                let reads = tool == "mail/search" && policies.iter().any(|policy| policy.contains("context.input") || policy.contains("context.facts"));
                for arguments in &calls {
                    let decided = decide(&policy, &subject, &format!("{server} {tool}"), &arguments.to_string());
                    if !is_listed {
                        prop_assert!(decided.is_err(), "{} is not listed\n{}", tool, policies.join("\n"));
                    } else if !reads {
                        prop_assert!(decided.is_ok(), "{} is listed: {:?}\n{}", tool, decided, policies.join("\n"));
                    }
                    if let Err(denial) = decided {
                        prop_assert_eq!(denial.is_hidden(), !is_listed, "{}\n{}", tool, policies.join("\n"));
                    }
                }
            }
        }
    }

    /// One more forbid permits nothing and lists nothing that was not there before.
    #[test]
    fn a_forbid_never_widens(
        rules in rules(),
        forbid in rule(Just("forbid")),
        subject in subject(),
        arguments in arguments(),
    ) {
        let Some(before) = compile(&named(&rules)) else { return Err(TestCaseError::reject("never applies")) };
        let more: Vec<String> = rules.into_iter().chain([forbid]).collect();
        let Some(after) = compile(&named(&more)) else { return Err(TestCaseError::reject("never applies")) };
        for server in ["desk", "analyst"] {
            let listed_before = listed(&before, &subject, server);
            for tool in listed(&after, &subject, server) {
                prop_assert!(listed_before.contains(&tool), "{}\n{}", tool, named(&more).join("\n"));
            }
            for thing in things(server) {
                let what = format!("{server} {thing}");
                if decide(&after, &subject, &what, &arguments.to_string()).is_ok() {
                    prop_assert!(decide(&before, &subject, &what, &arguments.to_string()).is_ok(), "{}\n{}", what, named(&more).join("\n"));
                }
                let seen = |policy: &Policy| shown(policy, &subject, &circumstance(), &what);
                prop_assert!(!seen(&after) || seen(&before), "{}\n{}", what, named(&more).join("\n"));
            }
        }
    }

    /// Neither the order of policies nor their files matter, beyond the order in which they are named.
    #[test]
    fn order_is_irrelevant(
        (rules, shuffled) in rules().prop_flat_map(|rules| {
            let named = named(&rules);
            (Just(named.clone()), Just(named).prop_shuffle())
        }),
        subject in subject(),
        arguments in arguments(),
    ) {
        let Some(one) = compile(&rules) else { return Err(TestCaseError::reject("never applies")) };
        let files: Vec<(String, String)> = shuffled.iter().enumerate().map(|(at, rule)| (format!("{at}.cedar"), rule.clone())).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(file, rule)| (file.as_str(), rule.as_str())).collect();
        let other = small().compile_files(&files).expect("the same policies");
        prop_assert_eq!(listed(&one, &subject, "desk"), listed(&other, &subject, "desk"));
        let outcome = |policy: &Policy, what: &str| {
            let sorted = |rules: &[policy::RuleId]| {
                let mut rules = rules.to_vec();
                rules.sort();
                rules
            };
            match decide(policy, &subject, what, &arguments.to_string()) {
                Ok(permit) => (None, sorted(permit.rules()), false),
                Err(denial) => (Some(denial.kind()), sorted(denial.rules()), denial.is_hidden()),
            }
        };
        for thing in things("desk") {
            let what = format!("desk {thing}");
            prop_assert_eq!(outcome(&one, &what), outcome(&other, &what), "{}", what);
        }
    }

    /// A forbid that is only observed decides nothing, and tells exactly those calls that it would have refused or made with
    /// another credential.
    #[test]
    fn observing_decides_nothing_and_tells_what_enforcing_would_change(
        rules in rules(),
        tried in prop::collection::vec(rule(Just("forbid")), 1..3),
        subject in subject(),
        moment in moment(),
        (mut arguments, declared) in (arguments(), prop::bool::weighted(0.8)),
    ) {
        if !declared {
            arguments["undeclared"] = json!(1);
        }
        let with = |mark: &str| {
            let tried = tried.iter().enumerate().map(|(at, rule)| format!("@id(\"tried{at}\") {mark} {rule}"));
            compile(&named(&rules).into_iter().chain(tried).collect::<Vec<_>>())
        };
        let (Some(before), Some(observed), Some(enforced)) = (compile(&named(&rules)), with("@observe"), with("")) else {
            return Err(TestCaseError::reject("never applies"));
        };
        for server_id in ["desk", "analyst"] {
            prop_assert_eq!(
                before.listed(&subject, &server(server_id), &moment),
                observed.listed(&subject, &server(server_id), &moment)
            );
            for thing in things(server_id) {
                let what = format!("{server_id} {thing}");
                prop_assert_eq!(
                    said(&before, &subject, &moment, &what, &arguments),
                    said(&observed, &subject, &moment, &what, &arguments),
                    "{}", what
                );
                prop_assert_eq!(
                    shown(&before, &subject, &moment, &what),
                    shown(&observed, &subject, &moment, &what)
                );
                let ask = |policy: &Policy| with_question_at(&moment, &subject, &what, &arguments.to_string(), |question| policy.decide(question));
                let Ok(permit) = ask(&observed) else { continue };
                let changes = ask(&enforced).map_or(true, |enforced| enforced.credential() != permit.credential());
                prop_assert_eq!(!permit.observed().is_empty(), changes, "{} {:?}\n{}\n{}", what, permit, named(&rules).join("\n"), tried.join("\n"));
                let told = with_question_at(&moment, &subject, &what, &arguments.to_string(), |question| observed.explain(question));
                prop_assert_eq!(permit.observed(), told.observed);
            }
        }
    }

    /// A forbid that asks for a person hides nothing. Nothing is permitted without leave that would not be if it were obeyed, and
    /// with leave nothing that would not be without it.
    #[test]
    fn asking_widens_nothing_and_hides_nothing(
        rules in rules(),
        asked in prop::collection::vec(rule(Just("forbid")), 1..3),
        subject in subject(),
        moment in moment(),
        (mut arguments, declared) in (arguments(), prop::bool::weighted(0.8)),
    ) {
        if !declared {
            arguments["undeclared"] = json!(1);
        }
        let moment = at_device(moment);
        let with = |mark: &str| {
            let asked = asked.iter().enumerate().map(|(at, rule)| format!("@id(\"asked{at}\") {mark} {rule}"));
            compile(&named(&rules).into_iter().chain(asked).collect::<Vec<_>>())
        };
        let (Some(before), Some(asking), Some(obeyed)) = (compile(&named(&rules)), with("@approval"), with("")) else {
            return Err(TestCaseError::reject("never applies"));
        };
        for server_id in ["desk", "analyst"] {
            let listed = |policy: &Policy| policy.listed(&subject, &server(server_id), &moment);
            prop_assert_eq!(listed(&before), listed(&asking));
            for thing in things(server_id) {
                let what = format!("{server_id} {thing}");
                let seen = |policy: &Policy| shown(policy, &subject, &moment, &what);
                prop_assert_eq!(seen(&before), seen(&asking));
                with_question_at(&moment, &subject, &what, &arguments.to_string(), |question| {
                    let said = |permit: &policy::Permit| format!("{:?} {:?}", permit.rules(), permit.credential());
                    let told = asking.explain(question);
                    let denial = match asking.decide(question) {
                        Ok(permit) => {
                            prop_assert_eq!(Ok(said(&permit)), obeyed.decide(question).map(|permit| said(&permit)), "{}", what);
                            prop_assert!(permit.approval().is_none());
                            return Ok(());
                        }
                        Err(denial) => denial,
                    };
                    let Some(needed) = denial.approval() else {
                        prop_assert!(obeyed.decide(question).is_err(), "{}", what);
                        return Ok(());
                    };
                    prop_assert_eq!(needed.rules(), told.asking);
                    // Obeyed, it would refuse, or leave the call to another account.
                    let other = obeyed.decide(question).ok().map(|permit| permit.credential().clone());
                    prop_assert_ne!(&other, &before.decide(question).ok().map(|permit| permit.credential().clone()));
                    let leave = approved(question, needed, |_| ());
                    let permit = asking.decide_approved(question, &leave);
                    prop_assert_eq!(permit.map(|permit| said(&permit)), before.decide(question).map(|permit| said(&permit)));
                    Ok(())
                })?;
            }
        }
    }
}
