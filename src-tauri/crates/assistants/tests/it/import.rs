//! Entries of other servers that are taken out of a file, and put back.

use assistants::{Place, PutBack, Taken, TakenOut, put_back, take_out};

use crate::{Desk, named};

fn take(desk: &Desk, assistant: &str, places: &[Place]) -> Vec<TakenOut> {
    let mut ledger = desk.ledger();
    let taken = take_out(named(assistant), &desk.file(assistant), places, &ledger);
    let Taken { change, out } = taken.expect("possible");
    let secrets: Vec<_> = out.iter().map(|it| it.configured(named(assistant)).expect("fit")).collect();
    let secrets: Vec<&str> = secrets.iter().flat_map(|it| it.secrets()).collect();
    let shown = change.masked_diff(&secrets);
    assert!(!shown.contains("hunter2") && shown.contains("••••"), "{shown}");
    change.apply(&mut ledger).expect("written");
    assert!(!std::fs::read_to_string(ledger_file(desk)).unwrap_or_default().contains("hunter2"));
    out
}

fn ledger_file(desk: &Desk) -> std::path::PathBuf {
    desk.ledger_folder().join("assistants.json")
}

fn put(desk: &Desk, assistant: &str, all: &[TakenOut], name: Option<&str>) -> (bool, Vec<TakenOut>) {
    let mut ledger = desk.ledger();
    let wanted = |it: &TakenOut| name.is_none_or(|name| it.place.name == name);
    let back = put_back(named(assistant), &desk.file(assistant), all, wanted, &ledger);
    let PutBack { change, left } = back.expect("possible");
    change.apply(&mut ledger).expect("written");
    (change.exact, left)
}

fn places(within: &[&str], names: &[&str]) -> Vec<Place> {
    let within: Vec<String> = within.iter().map(|it| (*it).to_owned()).collect();
    names.iter().map(|name| Place { within: within.clone(), name: (*name).to_owned() }).collect()
}

const JSON: &str = "{\n  // mine\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x\", \"env\": {\"T\": \"hunter2\"}}, // about a\n    \"b\": {\n      \"command\": \"y\",\n      \"args\": [\"--token\", \"hunter2\"]\n    }\n  },\n  \"z\": 1.50\n}\n";
const TOML: &str = "model = \"m\" # mine\n\n[mcp_servers.a]\ncommand = \"x\"\nenv = { T = \"hunter2\" }\n\n[mcp_servers.b]\nurl = \"https://h.example/mcp\"\n\n[mcp_servers.b.http_headers]\nX-Key = \"hunter2\"\n";
const YAML: &str = "extensions:\n  a:\n    enabled: true\n    type: stdio\n    cmd: x\n    envs:\n      T: hunter2\n  b:\n    type: streamable_http\n    uri: https://h.example/mcp\n    headers:\n      X-Key: 'hunter2'\nmore: 1\n";
const FILES: [(&str, &str, &str); 3] =
    [("cursor", "mcpServers", JSON), ("codex", "mcp_servers", TOML), ("goose", "extensions", YAML)];

#[test]
fn what_was_taken_out_comes_back_byte_for_byte_in_any_order() {
    for (assistant, within, before) in FILES {
        for order in [["a", "b"], ["b", "a"]] {
            let desk = Desk::new();
            desk.write(assistant, before);
            let out = take(&desk, assistant, &places(&[within], &order));
            assert!(!desk.read(assistant).contains("hunter2"), "{assistant}: {}", desk.read(assistant));
            let (exact, left) = put(&desk, assistant, &out, Some("a"));
            assert!(exact && left.len() == 1, "{assistant}");
            let (exact, left) = put(&desk, assistant, &left, None);
            assert!(exact && left.is_empty(), "{assistant}");
            assert_eq!(desk.read(assistant), before);
        }
    }
}

#[test]
fn an_entry_comes_back_into_a_file_that_was_changed_since_and_the_rest_stays() {
    for (assistant, within, before) in FILES {
        let desk = Desk::new();
        desk.write(assistant, before);
        let out = take(&desk, assistant, &places(&[within], &["a", "b"]));
        desk.connect(assistant, "desk").expect("connected");
        let (exact, left) = put(&desk, assistant, &out, None);
        assert!(!exact && left.is_empty(), "{assistant}");
        assert_eq!(desk.connected(assistant).len(), 1, "{assistant}: {}", desk.read(assistant));
        let now = take(&desk, assistant, &places(&[within], &["a", "b"]));
        let said = |out: &[TakenOut]| -> Vec<_> {
            out.iter().map(|it| it.configured(named(assistant)).expect("fit")).collect()
        };
        assert_eq!(said(&now), said(&out), "{assistant}");
    }
}

#[test]
fn connecting_and_importing_come_back_exactly_the_other_way_round() {
    let desk = Desk::new();
    desk.write("cursor", JSON);
    let out = take(&desk, "cursor", &places(&["mcpServers"], &["b"]));
    desk.connect("cursor", "desk").expect("connected");
    assert!(desk.disconnect("cursor", "desk").expect("undone"));
    assert!(put(&desk, "cursor", &out, None).0);
    assert_eq!(desk.read("cursor"), JSON);
}

#[test]
fn an_entry_for_one_folder_is_taken_out_there() {
    let desk = Desk::new();
    let before = "{\n  \"projects\": {\n    \"/p\": {\n      \"mcpServers\": {\n        \"a\": {\"command\": \"x\", \"env\": {\"T\": \"hunter2\"}}\n      }\n    }\n  }\n}\n";
    desk.write("claude-code", before);
    let out = take(&desk, "claude-code", &places(&["projects", "/p", "mcpServers"], &["a"]));
    assert_eq!(out.first().and_then(|it| it.place.project()), Some("/p"));
    assert!(put(&desk, "claude-code", &out, None).0);
    assert_eq!(desk.read("claude-code"), before);
}

#[test]
fn another_entry_of_the_name_and_one_that_is_gone_are_refused() {
    let desk = Desk::new();
    desk.write("cursor", JSON);
    let out = take(&desk, "cursor", &places(&["mcpServers"], &["a"]));
    let file = desk.write("cursor", "{\"mcpServers\": {\"a\": {\"command\": \"other\"}}}");
    let back = put_back(named("cursor"), &file, &out, |_| true, &desk.ledger());
    assert!(matches!(back, Err(assistants::Fault::Occupied { .. })));
    let none = take_out(named("cursor"), &file, &places(&["mcpServers"], &["b"]), &desk.ledger());
    assert!(matches!(none, Err(assistants::Fault::Gone { .. })));
    // One that is there again as it was is not put in twice.
    desk.write("cursor", JSON);
    put(&desk, "cursor", &out, None);
    assert_eq!(desk.read("cursor"), JSON);
}

#[test]
fn neither_way_shows_what_stands_beside_or_is_not_understood() {
    // "b" is not understood for its folder, and taking it out changes the line of "a".
    let a = "    \"a\": {\"command\": \"x\", \"env\": {\"T\": \"hunter2\"}}";
    let b = "    \"b\": {\"command\": \"y\", \"cwd\": \"hunter2\", \"env\": {\"U\": \"hunter2\"}}";
    let lines = format!("{{\n  \"mcpServers\": {{\n{a},\n{b}\n  }}\n}}\n");
    let minified = lines.replace(['\n', ' '], "").replacen('{', "{\"apiKey\":\"hunter2\",", 1);
    for before in [lines, minified] {
        let desk = Desk::new();
        let file = desk.write("cursor", &before);
        let mut ledger = desk.ledger();
        let check = |change: &assistants::Change| {
            let shown = change.masked_diff(&[]);
            assert!(!shown.contains("hunter2") && shown.contains("\"U\":"), "{shown}");
        };
        let taken = take_out(named("cursor"), &file, &places(&["mcpServers"], &["b"]), &ledger);
        let Taken { change, out } = taken.expect("possible");
        check(&change);
        change.apply(&mut ledger).expect("written");
        let back = put_back(named("cursor"), &file, &out, |_| true, &ledger).expect("possible");
        check(&back.change);
        back.change.apply(&mut ledger).expect("written");
        assert_eq!(desk.read("cursor"), before);
    }
}
