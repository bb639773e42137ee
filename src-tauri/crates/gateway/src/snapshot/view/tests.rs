use proptest::prelude::*;

use super::*;
use crate::snapshot::Found;

fn raw(text: &str) -> Box<RawValue> {
    serde_json::from_str(text).unwrap()
}

fn offer(connector: &str, tools: &[&str]) -> Offer {
    let tool = |name: &&str| {
        let raw = mcp::raw(&serde_json::json!({"name": name, "inputSchema": {"type": "object"}}));
        (name.parse().unwrap(), raw)
    };
    Offer {
        account: connector.parse().unwrap(),
        title: connector.to_owned(),
        tools: tools.iter().map(tool).collect(),
        resources: Vec::new(),
        templates: Vec::new(),
        prompts: Vec::new(),
        about: Some(about(r#"{"tools":{}}"#)),
        withdrawn: None,
    }
}

fn about(capabilities: &str) -> About {
    let result = format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities}}}"#);
    mcp::connector::read_initialized(&raw(&result)).unwrap().about
}

/// A connector with resources and templates.
fn resourceful(connector: &str, uris: &[&str], templates: &[&str]) -> Offer {
    let entries = |key: &str, all: &[&str]| {
        let entry =
            |one: &&str| ((*one).to_owned(), mcp::raw(&serde_json::json!({key: one, "by": connector})));
        all.iter().map(entry).collect()
    };
    Offer {
        resources: entries("uri", uris),
        templates: entries("uriTemplate", templates),
        about: Some(about(r#"{"resources":{}}"#)),
        ..offer(connector, &[])
    }
}

fn prompting(connector: &str, prompts: &[&str]) -> Offer {
    let prompt = |name: &&str| ((*name).to_owned(), mcp::raw(&serde_json::json!({"name": name, "n": 1.50})));
    Offer { prompts: prompts.iter().map(prompt).collect(), ..offer(connector, &[]) }
}

fn view(offers: Vec<Offer>) -> ServerView {
    ServerView::assemble(&"desk".parse().unwrap(), "T".to_owned(), offers)
}

fn owner(view: &ServerView, uri: &str) -> Option<(String, Found)> {
    view.resource(uri).map(|owner| (owner.connector.to_string(), owner.found))
}

#[test]
fn names_stay_unless_they_collide() {
    let view = ServerView::assemble(
        &"desk".parse().unwrap(),
        "T".to_owned(),
        vec![offer("files", &["read", "search"]), offer("mail", &["search", "send"])],
    );
    let names: Vec<_> = view.tools().iter().map(|tool| tool.entry.name.as_str()).collect();
    assert_eq!(names, ["read", "files_search", "mail_search", "send"]);
    let offered = view.tool("mail_search").unwrap();
    assert_eq!((offered.connector.as_str(), offered.tool.as_str()), ("mail", "search"));
    assert!(view.tool("search").is_none(), "the bare name would be ambiguous");
}

#[test]
fn no_connector_takes_the_name_that_another_s_tool_is_given() {
    for order in [["files", "mail", "x"], ["x", "files", "mail"]] {
        let offer = |connector| match connector {
            "x" => offer("x", &["mail_search"]),
            other => offer(other, &["search"]),
        };
        let id = "desk".parse().unwrap();
        let view = ServerView::assemble(&id, "T".to_owned(), order.into_iter().map(offer).collect());
        let owner = |name: &str| view.tool(name).map(|offered| offered.connector.to_string());
        assert_eq!(owner("mail_search").as_deref(), Some("mail"));
        assert_eq!(owner("x_mail_search").as_deref(), Some("x"));
        assert_eq!(owner("files_search").as_deref(), Some("files"));
        assert_eq!((view.tools().len(), view.left_out.len()), (3, 0));
    }
}

#[test]
fn names_of_ours_fit_what_models_take_and_keep_their_tail() {
    let id: ServerId = "a-virtual-server-of-31-letters-".parse().unwrap();
    let long = format!("{}_by_identifier", "get_customer_account_details".repeat(3));
    let view = ServerView::assemble(
        &id,
        "T".to_owned(),
        vec![offer("crm", &[&long, "get"]), offer("erp", &[&long, "get"])],
    );
    let names: Vec<&str> = view.tools().iter().map(|tool| tool.entry.name.as_str()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.contains(&"crm_get") && names.contains(&"erp_get"), "{names:?}");
    for name in names {
        assert!(format!("mcp__{id}__{name}").len() <= 64, "{name}");
        assert!(name.ends_with("_get") || name.ends_with("_by_identifier"), "{name}");
    }
}

#[test]
fn prompts_are_named_as_tools_are_and_else_untouched() {
    let view = view(vec![prompting("a", &["review", "say"]), prompting("b", &["review", "a_review"])]);
    let names: Vec<&str> = view.prompts().iter().map(|prompt| prompt.name.as_str()).collect();
    assert_eq!(names, ["a_review", "say", "b_review", "b_a_review"]);
    let prompt = view.prompt("b_review").unwrap();
    assert_eq!((prompt.connector.as_str(), prompt.prompt.as_str()), ("b", "review"));
    assert_eq!(prompt.entry.get(), r#"{"name":"b_review","n":1.5}"#);
    assert!(view.prompt("review").is_none() && view.left_out.is_empty());
}

#[test]
fn a_uri_keeps_its_first_connector() {
    let view = view(vec![
        resourceful("a", &["file:///x"], &["note://{id}"]),
        resourceful("b", &["file:///x", "file:///y"], &["note://{id}", "note://{id}/more"]),
    ]);
    let listed: Vec<_> =
        view.resources().iter().map(|one| (one.uri.as_str(), one.connector.as_str())).collect();
    assert_eq!(listed, [("file:///x", "a"), ("file:///y", "b")]);
    let templates: Vec<_> =
        view.templates().iter().map(|one| (one.uri.as_str(), one.connector.as_str())).collect();
    assert_eq!(templates, [("note://{id}", "a"), ("note://{id}/more", "b")]);
    assert_eq!(view.left_out.len(), 2, "{:?}", view.left_out);
    assert_eq!(owner(&view, "file:///x"), Some(("a".to_owned(), Found::Listed)));
    assert_eq!(owner(&view, "note://7"), Some(("a".to_owned(), Found::Template)));
    assert_eq!(owner(&view, "note://7/more"), Some(("b".to_owned(), Found::Template)));
    assert_eq!(owner(&view, "file:///z"), None, "either may have it");
}

#[test]
fn an_interface_belongs_to_the_tool_that_names_it() {
    let tool = raw(r#"{"name":"chart","_meta":{"ui":{"resourceUri":"ui://chart"}}}"#);
    let file = raw(r#"{"name":"steal","_meta":{"ui":{"resourceUri":"file:///y"}}}"#);
    let tools = vec![("chart".parse().unwrap(), tool), ("steal".parse().unwrap(), file)];
    let first = Offer { tools, ..resourceful("a", &[], &[]) };
    let view = view(vec![first, resourceful("b", &["ui://chart", "file:///y"], &["ui://{all}"])]);
    assert_eq!(owner(&view, "ui://chart"), Some(("a".to_owned(), Found::Interface)));
    assert_eq!(owner(&view, "file:///y"), Some(("b".to_owned(), Found::Listed)), "no interface");
    assert_eq!(owner(&view, "ui://other"), Some(("b".to_owned(), Found::Template)));
    assert_eq!(view.resources().len(), 1, "the other is not b's to list");
}

#[test]
fn the_only_connector_with_resources_is_asked_for_what_nobody_lists() {
    let alone = view(vec![offer("a", &["x"]), resourceful("b", &[], &[])]);
    assert_eq!(owner(&alone, "odd:thing"), Some(("b".to_owned(), Found::OnlyOne)));
    let unheard = Offer { about: None, ..offer("c", &[]) };
    let unclear = view(vec![resourceful("b", &[], &[]), unheard]);
    assert_eq!(owner(&unclear, "odd:thing"), None, "one that was not heard yet may have it");
}

#[test]
fn a_mark_changes_with_its_topic_only() {
    let marks = |offer: Offer| Topic::ALL.map(|topic| view(vec![offer.clone()]).mark_of(topic));
    let [tools, resources, prompts] = marks(offer("a", &["x"]));
    let prompt = Offer { tools: offer("a", &["x"]).tools, ..prompting("a", &["p"]) };
    let [same_tools, same_resources, other_prompts] = marks(prompt);
    assert_eq!((tools, resources), (same_tools, same_resources));
    assert_ne!(prompts, other_prompts);
    let [.., template] = [marks(resourceful("a", &[], &["a:{x}"]))[1]];
    assert_ne!(template, marks(resourceful("a", &["a:{x}"], &[]))[1], "a template is no resource");
}

proptest! {
    /// Whatever connectors list: each URI and name that is offered leads back to the connector that it is offered of, and
    /// nothing leads to a connector that does not have it.
    #[test]
    fn what_is_offered_leads_back_to_its_connector(
        all in prop::collection::vec(
            (
                prop::collection::btree_set("[a-c]:[xy]{1,2}", 0..4),
                prop::collection::btree_set("[a-c]:(\\{x\\}|x\\{y\\})", 0..3),
                prop::collection::btree_set("(b_)?[pq]", 0..3),
            ),
            1..4,
        ),
        asked in "[a-d]:[xyz]{1,3}",
    ) {
        let ids = ["a", "b", "c"];
        let texts = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        let offers = all.iter().zip(ids).map(|((uris, templates, prompts), id)| {
            let (uris, templates, prompts) = (texts(uris), texts(templates), texts(prompts));
            let refs = |all: &[String]| all.iter().map(|one| Box::leak(one.clone().into_boxed_str()) as &str).collect::<Vec<_>>();
            let with_prompts = prompting(id, &refs(&prompts));
            Offer { prompts: with_prompts.prompts, ..resourceful(id, &refs(&uris), &refs(&templates)) }
        });
        let view = view(offers.collect());
        for one in view.resources() {
            let found = view.resource(&one.uri).map(|owner| (owner.connector, owner.found));
            prop_assert_eq!(found, Some((&one.connector, Found::Listed)));
        }
        for one in view.prompts() {
            let found = view.prompt(&one.name).map(|prompt| (&prompt.connector, &prompt.prompt));
            prop_assert_eq!(found, Some((&one.connector, &one.prompt)));
            let (_, _, prompts) = &all[ids.iter().position(|id| *id == one.connector.as_str()).unwrap()];
            prop_assert!(prompts.contains(&one.prompt), "its own name");
        }
        let total: usize = all.iter().map(|(_, _, prompts)| prompts.len()).sum();
        prop_assert_eq!(view.prompts().len(), total, "none is lost");
        match view.resource(&asked).map(|owner| (owner.connector.clone(), owner.found)) {
            Some((id, Found::Listed)) => {
                let (uris, ..) = &all[ids.iter().position(|other| *other == id.as_str()).unwrap()];
                prop_assert!(uris.contains(&asked));
            }
            Some((_, Found::OnlyOne)) => prop_assert_eq!(all.len(), 1),
            Some((_, Found::Interface)) => prop_assert!(false, "no tool names one"),
            Some((_, Found::Template)) | None => {}
        }
    }
}

#[test]
fn what_is_withdrawn_keeps_its_names_and_uris_from_others() {
    let offers = |withdrawn: Option<Advice>| {
        let both = |id| Offer {
            tools: offer(id, &["find"]).tools,
            prompts: prompting(id, &["p"]).prompts,
            ..resourceful(id, &["a:one"], &["a:{x}"])
        };
        vec![Offer { withdrawn, ..both("a") }, both("b")]
    };
    let known = view(offers(None));
    let down = view(offers(Some(Advice::new("down", "It is down.", "", ""))));
    for name in ["a_find", "b_find"] {
        assert_eq!(down.tool(name).unwrap().connector, known.tool(name).unwrap().connector, "{name}");
    }
    assert_eq!(owner(&down, "a:one"), owner(&known, "a:one"), "it is not asked of another connector");
    assert!(
        down.withdrawn(&"a".parse().unwrap()).is_some() && down.withdrawn(&"b".parse().unwrap()).is_none()
    );
    for topic in Topic::ALL {
        assert_ne!(down.mark_of(topic), known.mark_of(topic), "{topic:?}: assistants are told");
        assert!(down.declared().has(topic) == known.declared().has(topic), "what is declared stays");
    }
    let again = view(offers(None));
    assert_eq!(Topic::ALL.map(|topic| again.mark_of(topic)), Topic::ALL.map(|topic| known.mark_of(topic)));
    let other = view(offers(Some(Advice::new("down", "It is still down.", "", ""))));
    assert_eq!(other.mark_of(Topic::Tools), down.mark_of(Topic::Tools), "other words change no list");
}
