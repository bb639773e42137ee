//! Laws over files of any content: what is connected and disconnected is as it was, and nothing else is ever touched.

use proptest::prelude::*;

use crate::Desk;

/// White space and, where they are allowed, comments.
fn gap(comments: bool) -> BoxedStrategy<String> {
    let plain = prop_oneof![
        Just(""),
        Just(" "),
        Just("\n"),
        Just("\n  "),
        Just("\n    "),
        Just("\n\t"),
        Just("\n\n  ")
    ];
    let comment = if comments {
        prop_oneof![3 => Just(""), 1 => Just("// deskgate-desk, \"x\": {\n"), 1 => Just("/* , } */"), 1 => Just(" // a\n  ")].boxed()
    } else {
        Just("").boxed()
    };
    (plain, comment, prop_oneof![Just(""), Just(" "), Just("\n  ")])
        .prop_map(|(a, b, c)| format!("{a}{b}{c}"))
        .boxed()
}

fn scalar() -> BoxedStrategy<String> {
    prop_oneof![
        Just("1.50"),
        Just("true"),
        Just("null"),
        Just("\"a, b\""),
        Just("\"\\u00e9 } // no\""),
        Just("12345678901234567890123"),
        Just("\"ü\""),
    ]
    .prop_map(str::to_owned)
    .boxed()
}

fn object(
    comments: bool,
    keys: &'static [&'static str],
    value: BoxedStrategy<String>,
) -> BoxedStrategy<String> {
    let member = (gap(comments), gap(comments), value, gap(comments));
    let members = proptest::collection::vec(member, 0..=keys.len());
    (members, gap(comments), any::<bool>())
        .prop_map(move |(members, end, trailing)| {
            let trailing = if comments && trailing && !members.is_empty() { "," } else { "" };
            let members: Vec<String> = members
                .into_iter()
                .zip(keys)
                .map(|((before, colon, value, after), key)| {
                    format!("{before}\"{key}\":{colon}{value}{after}")
                })
                .collect();
            format!("{{{}{trailing}{end}}}", members.join(","))
        })
        .boxed()
}

/// A configuration in JSON, with MCP servers in it or not, in any style.
fn json(comments: bool, within: &'static str) -> BoxedStrategy<String> {
    let servers =
        object(comments, &["a", "b", "c"], object(comments, &["url", "env"], scalar().boxed()).boxed());
    let other = object(comments, &["x", "y"], scalar().boxed());
    let member = prop_oneof![
        servers.prop_map(move |it| format!("\"{within}\": {it}")),
        other.prop_map(|it| format!("\"z\": {it}")),
    ];
    (gap(comments), gap(comments), proptest::option::of(member), gap(comments), gap(comments), any::<bool>())
        .prop_map(|(a, b, member, c, d, more)| {
            let more = if more { ", \"last\": [1, 2]" } else { "" };
            member.map_or(format!("{a}{{{b}}}{d}"), |it| format!("{a}{{{b}{it}{c}{more}}}{d}"))
        })
        .boxed()
}

fn toml() -> BoxedStrategy<String> {
    let line = prop_oneof![
        Just("# deskgate-desk"),
        Just(""),
        Just("[a]"),
        Just("[[list]]"),
        Just("[mcp_servers.other]"),
        Just("[mcp_servers]"),
        Just("[mcp_servers.other.env]"),
        Just("k = \"v\" # c"),
        Just("t = \"\"\"\n[mcp_servers.deskgate-desk]\n\"\"\""),
        Just("n = [\n  1,\n  2, # two\n]"),
    ];
    (proptest::collection::vec(line, 0..8), any::<bool>())
        .prop_map(|(lines, end)| lines.join("\n") + if end { "\n" } else { "" })
        .boxed()
}

fn yaml() -> BoxedStrategy<String> {
    let top = prop_oneof![
        Just("# deskgate-desk:"),
        Just(""),
        Just("mode: auto # c"),
        Just("list:\n- 1\n- two"),
        Just("text: |\n  extensions:\n    a: 1\n"),
        Just("folded: >-\n  a\n\n  b"),
        Just(
            "extensions:\n  one:\n    enabled: true # c\n  # between\n  two:\n    args: [\"a\", b]\n    note: |+\n      kept\n\n"
        ),
        Just("extensions: # c\n\n    deep:\n        enabled: true"),
        Just("extensions:"),
        Just("extensions: {}"),
        Just("\"quoted\": 'it''s ü'"),
    ];
    (proptest::collection::vec(top, 0..6), any::<bool>())
        .prop_map(|(lines, end)| lines.join("\n") + if end { "\n" } else { "" })
        .boxed()
}

/// A file of one of the formats, with one way or the other to end lines, with or without a byte-order mark.
fn file() -> BoxedStrategy<(&'static str, String)> {
    let text = prop_oneof![
        json(false, "mcpServers").prop_map(|it| ("claude-code", it)),
        json(true, "context_servers").prop_map(|it| ("zed", it)),
        toml().prop_map(|it| ("codex", it)),
        yaml().prop_map(|it| ("goose", it)),
    ];
    (text, any::<bool>(), any::<bool>())
        .prop_map(|((assistant, text), crlf, mark)| {
            let text = if crlf { text.replace('\n', "\r\n") } else { text };
            let mark = if mark && assistant != "codex" { "\u{feff}" } else { "" };
            (assistant, format!("{mark}{text}"))
        })
        .boxed()
}

/// Whether all but white space of one text stands in the other, in order.
fn is_kept(before: &str, after: &str) -> bool {
    let mut rest = after.chars();
    before
        .chars()
        .filter(|it| !it.is_whitespace() && *it != '{' && *it != '}')
        .all(|it| rest.any(|other| other == it))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn connected_and_disconnected_is_as_it_was((assistant, before) in file()) {
        let desk = Desk::new();
        desk.write(assistant, &before);
        if desk.connect(assistant, "desk").is_err() {
            prop_assert_eq!(desk.read(assistant), before, "refused is untouched");
            return Ok(());
        }
        let after = desk.read(assistant);
        prop_assert!(is_kept(&before, &after), "{}\n---\n{}", before, after);
        let named = ("deskgate-desk".to_owned(), "desk".to_owned());
        prop_assert_eq!(desk.connected(assistant), vec![named]);
        prop_assert!(desk.disconnect(assistant, "desk").expect("undone"));
        prop_assert_eq!(desk.read(assistant), before);
    }

    #[test]
    fn without_the_ledger_only_our_entry_goes((assistant, before) in file()) {
        let desk = Desk::new();
        desk.write(assistant, &before);
        if desk.connect(assistant, "desk").is_err() {
            return Ok(());
        }
        let connected = desk.read(assistant);
        std::fs::remove_file(desk.ledger_folder().join("assistants.json")).expect("removed");
        match desk.disconnect(assistant, "desk") {
            Ok(exact) => {
                let after = desk.read(assistant);
                prop_assert!(!exact && is_kept(&before, &after), "{}\n---\n{}", before, after);
                prop_assert_eq!(desk.connected(assistant), vec![]);
            }
            Err(fault) => prop_assert_eq!(desk.read(assistant), connected, "refused is untouched: {}", fault),
        }
    }

    #[test]
    fn two_connections_go_in_either_order((assistant, before) in file(), first in any::<bool>()) {
        let desk = Desk::new();
        desk.write(assistant, &before);
        if desk.connect(assistant, "desk").is_err() || desk.connect(assistant, "other").is_err() {
            return Ok(());
        }
        for server in if first { ["desk", "other"] } else { ["other", "desk"] } {
            prop_assert!(desk.disconnect(assistant, server).expect("undone"));
        }
        prop_assert_eq!(desk.read(assistant), before);
    }
}

#[test]
fn most_files_are_connected() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let connected = (0..200).filter(|_| {
        let (assistant, text) = file().new_tree(&mut runner).expect("a file").current();
        let desk = Desk::new();
        desk.write(assistant, text);
        desk.connect(assistant, "desk").is_ok()
    });
    let count = connected.count();
    assert!(count > 120, "the laws are about files that are not refused: {count} of 200");
}
