//! The schemas are those of the code, are of use to a validator, and tell which keys there are.

use std::collections::BTreeSet;

use super::*;
use crate::author::init;

fn committed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn blessed() -> bool {
    std::env::var_os("DESKGATE_BLESS").is_some()
}

#[test]
fn the_committed_schemas_are_the_generated_ones() {
    let folder = committed("schemas");
    if blessed() {
        write_schemas(&folder).expect("writes");
    }
    for (name, schema) in schemas() {
        let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert_eq!(committed, format!("{schema:#}\n"), "{name}: run this test with DESKGATE_BLESS=1");
    }
}

#[test]
fn links_are_plain_words() {
    let text = "As [`crate::Content::org`](crate::Content) and [`X`] say:\na `b`.";
    assert_eq!(without_links(text), "As `org` and `X` say: a `b`.");
}

#[test]
fn the_example_s_files_name_schemas_that_are_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let org = dir.path().join("org");
    let files = init(&org, "example").expect("writes the example");
    let mut named = 0;
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "toml")) {
        let text = std::fs::read_to_string(file).expect("reads");
        let schema = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).expect("a schema");
        assert!(file.parent().expect("a folder").join(schema).is_file(), "{}: {schema}", file.display());
        named += 1;
    }
    assert_eq!(named, 4);
}

/// Whether a way leads to a later key, or past one.
fn is_later(path: &str) -> bool {
    org_protocol::later_keys().iter().any(|key| {
        path.strip_prefix(key.path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '=']))
    })
}

/// Whether a kind of something came later, and all its keys with it.
fn is_of_a_later_kind(schema: &Value, at: &str) -> bool {
    let kind = |(name, schema): (&String, &Value)| {
        schema["const"].as_str().is_some_and(|value| is_later(&format!("{at}.{name}={value}")))
    };
    schema["properties"].as_object().into_iter().flatten().any(kind)
}

/// Every way to a key, and to a value that stands for one, as `org_protocol::LaterKey::path` writes it.
fn paths(root: &Value, schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/definitions/")) {
        paths(root, &root["definitions"][name], at, found);
    }
    for several in ["allOf", "anyOf", "oneOf"] {
        let all = schema[several].as_array().into_iter().flatten();
        for one in all.filter(|one| !is_of_a_later_kind(one, at)) {
            paths(root, one, at, found);
        }
    }
    let values = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
    found.extend(values.filter_map(Value::as_str).map(|value| format!("{at}={value}")));
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(below(name));
        paths(root, schema, &below(name), found);
    }
    for schema in schema["patternProperties"].as_object().into_iter().flat_map(|entries| entries.values()) {
        paths(root, schema, &below("*"), found);
    }
    for rest in ["additionalProperties", "items"] {
        if schema[rest].is_object() {
            paths(root, &schema[rest], &below("*"), found);
        }
    }
}

#[test]
fn a_key_that_came_after_the_first_format_is_in_the_table_of_later_keys() {
    let mut found = BTreeSet::new();
    for (name, at) in [
        ("org.schema.json", "org"),
        ("connector.schema.json", "connectors.*"),
        ("server.schema.json", "servers.*"),
    ] {
        let schema = schemas().into_iter().find(|(found, _)| *found == name).expect("a schema").1;
        paths(&schema, &schema, at, &mut found);
    }
    found.retain(|path| !is_later(path));
    let list = committed("schemas/format-1.txt");
    let first = std::fs::read_to_string(&list).unwrap_or_default();
    let first: BTreeSet<String> = first.lines().map(ToOwned::to_owned).collect();
    // The list is closed: it is what the first format has, and nothing is ever added to it.
    let unlisted: Vec<&String> = found.difference(&first).collect();
    assert!(unlisted.is_empty(), "give each a line in LATER_KEYS of org-protocol's format.rs: {unlisted:?}");
    let gone: Vec<&String> = first.difference(&found).collect();
    assert!(gone.is_empty(), "bundles of the first format may have these keys: {gone:?}");
}

const EVENTS: (&str, &str) = ("<!-- events, from the code -->\n", "<!-- end of events -->");

#[test]
fn the_guide_s_kinds_of_events_are_those_of_the_code() {
    let mut table = String::from("| event | what happened | facts |\n|---|---|---|\n");
    for kind in org_protocol::AuditEvent::ALL {
        let facts = kind.facts().iter().map(|(name, meaning)| format!("`{name}`: {meaning}"));
        let facts = facts.collect::<Vec<_>>().join("; ");
        table += &format!("| *{}* | {} | {facts} |\n", kind.as_str(), kind.meaning());
    }
    let guide = committed("../../../ADMIN.md");
    let text = std::fs::read_to_string(&guide).expect("reads");
    let (before, rest) = text.split_once(EVENTS.0).expect("the guide has a place for them");
    let (committed, after) = rest.split_once(EVENTS.1).expect("and it has an end");
    if blessed() {
        let text = format!("{before}{}{table}{}{after}", EVENTS.0, EVENTS.1);
        std::fs::write(&guide, text).expect("writes");
    } else {
        assert_eq!(committed, table, "run this test with DESKGATE_BLESS=1");
    }
}
