//! How files look with our entry, and how they come back.

use std::os::unix::fs::PermissionsExt as _;

use crate::Desk;

/// Connected, the file looks like this; disconnected, like before.
#[track_caller]
fn check(assistant: &str, before: &str, expected: &str) {
    let desk = Desk::new();
    desk.write(assistant, before);
    desk.connect(assistant, "desk").expect("connected");
    assert_eq!(desk.read(assistant), expected);
    assert!(desk.disconnect(assistant, "desk").expect("undone"), "exactly");
    assert_eq!(desk.read(assistant), before);
    // Without the ledger only what a container of ours may leave behind is left.
    desk.connect(assistant, "desk").expect("connected");
    std::fs::remove_file(desk.ledger_folder().join("assistants.json")).expect("removed");
    assert!(!desk.disconnect(assistant, "desk").expect("undone"));
    assert_eq!(desk.connected(assistant), []);
}

#[test]
fn json_keeps_its_style() {
    check(
        "cursor",
        "{\n    \"mcpServers\": {\n        \"a\": {\"url\": \"x\"}\n    },\n    \"b\": 1.50\n}",
        "{\n    \"mcpServers\": {\n        \"a\": {\"url\": \"x\"},\n        \"deskgate-desk\": {\n            \"url\": \"http://127.0.0.1:7717/s/desk/mcp\"\n        }\n    },\n    \"b\": 1.50\n}",
    );
    check(
        "cursor",
        "{\"a\": 1}",
        "{\"a\": 1, \"mcpServers\": {\"deskgate-desk\": {\"url\": \"http://127.0.0.1:7717/s/desk/mcp\"}}}",
    );
    check(
        "cursor",
        "\u{feff}{\r\n\t\"mcpServers\": { }\r\n}\r\n",
        "\u{feff}{\r\n\t\"mcpServers\": {\r\n\t\t\"deskgate-desk\": {\r\n\t\t\t\"url\": \"http://127.0.0.1:7717/s/desk/mcp\"\r\n\t\t}\r\n\t}\r\n}\r\n",
    );
    check(
        "cursor",
        "",
        "{\n  \"mcpServers\": {\n    \"deskgate-desk\": {\n      \"url\": \"http://127.0.0.1:7717/s/desk/mcp\"\n    }\n  }\n}\n",
    );
}

#[test]
fn comments_stay_where_they_are() {
    check(
        "zed",
        "// mine\n{\n  \"context_servers\": {\n    \"a\": {}, // about a\n    // the end\n  },\n}\n",
        "// mine\n{\n  \"context_servers\": {\n    \"a\": {}, // about a\n    \"deskgate-desk\": {\n      \"url\": \"http://127.0.0.1:7717/s/desk/mcp\"\n    },\n    // the end\n  },\n}\n",
    );
    check(
        "zed",
        "{\n  \"context_servers\": {\n    \"a\": {} // about a\n  }\n}\n",
        "{\n  \"context_servers\": {\n    \"a\": {}, // about a\n    \"deskgate-desk\": {\n      \"url\": \"http://127.0.0.1:7717/s/desk/mcp\"\n    }\n  }\n}\n",
    );
    check(
        "zed",
        "{\n  \"context_servers\": {\n    // none yet\n  }\n}\n",
        "{\n  \"context_servers\": {\n    // none yet\n    \"deskgate-desk\": {\n      \"url\": \"http://127.0.0.1:7717/s/desk/mcp\"\n    }\n  }\n}\n",
    );
    check(
        "zed",
        "// nothing yet",
        "// nothing yet\n{\n  \"context_servers\": {\n    \"deskgate-desk\": {\n      \"url\": \"http://127.0.0.1:7717/s/desk/mcp\"\n    }\n  }\n}\n",
    );
}

#[test]
fn toml_gets_a_table_at_the_end() {
    check(
        "codex",
        "model = \"m\" # mine\n\n[mcp_servers.a]\nurl = \"x\"",
        "model = \"m\" # mine\n\n[mcp_servers.a]\nurl = \"x\"\n\n[mcp_servers.deskgate-desk]\nurl = \"http://127.0.0.1:7717/s/desk/mcp\"\n",
    );
    check(
        "codex",
        "mcp_servers.a.url = \"x\"\r\n",
        "mcp_servers.a.url = \"x\"\r\n\r\n[mcp_servers.deskgate-desk]\r\nurl = \"http://127.0.0.1:7717/s/desk/mcp\"\r\n",
    );
}

#[test]
fn yaml_gets_the_first_entry() {
    let entry = "deskgate-desk:\n    enabled: true\n    type: \"streamable_http\"\n    name: \"deskgate-desk\"\n    description: \"Deskgate\"\n    uri: \"http://127.0.0.1:7717/s/desk/mcp\"\n    timeout: 300\n";
    check(
        "goose",
        "GOOSE_MODE: auto # mine\nextensions: # all\n  # built in\n  developer:\n    enabled: true\n    note: |\n      ü two\n      lines\n\nmore: 1",
        &format!(
            "GOOSE_MODE: auto # mine\nextensions: # all\n  # built in\n  {entry}  developer:\n    enabled: true\n    note: |\n      ü two\n      lines\n\nmore: 1"
        ),
    );
    check("goose", "a: 'b'", &format!("a: 'b'\nextensions:\n  {entry}"));
    check("goose", "extensions:\nb: 1\n", &format!("extensions:\n  {entry}b: 1\n"));
    check("goose", "extensions: {}\nb: 1\n", &format!("extensions: \n  {entry}b: 1\n"));
    check("goose", "# nothing\n", &format!("# nothing\nextensions:\n  {entry}"));
    let crlf = entry.replace('\n', "\r\n");
    check(
        "goose",
        "extensions:\r\n  a:\r\n    b: 1\r\n",
        &format!("extensions:\r\n  {crlf}  a:\r\n    b: 1\r\n"),
    );
}

/// What somebody does to the file between connecting and disconnecting stays, and nothing else.
#[track_caller]
fn changed(assistant: &str, before: &str, change: impl Fn(&str) -> String) {
    let desk = Desk::new();
    let file = desk.write(assistant, before);
    desk.connect(assistant, "desk").expect("connected");
    std::fs::write(&file, change(&desk.read(assistant))).expect("written");
    assert!(!desk.disconnect(assistant, "desk").expect("undone"), "not the bytes from before");
    assert_eq!(desk.read(assistant), change(before));
    assert!(desk.ledger().records().is_empty());
}

#[test]
fn what_was_changed_elsewhere_stays() {
    changed("codex", "a = 1\n", |text| format!("# new\n{text}"));
    changed("codex", "a = 1\n", |text| format!("{text}\n[mcp_servers.other]\nurl = \"y\"\n"));
    changed("goose", "extensions:\n  a:\n    b: 1\n", |text| text.replace("b: 1", "b: 2"));
    changed("cursor", "{\n  \"mcpServers\": {\n    \"a\": {}\n  }\n}\n", |text| {
        text.replace("{}", "{\"url\": \"y\"}")
    });
    changed("zed", "{\n  \"context_servers\": {\n    \"a\": {} // about a\n  }\n}\n", |text| {
        text.replace("// about a", "// about b")
    });
    // Another entry behind ours.
    changed("zed", "{\n  \"context_servers\": {\n    \"a\": {},\n  }\n}\n", |text| {
        text.replace("\n  }\n}", "\n    \"z\": {},\n  }\n}")
    });
}

#[test]
fn an_entry_of_ours_that_the_assistant_wrote_more_into_goes_with_it() {
    let desk = Desk::new();
    let file = desk.write("codex", "a = 1\n");
    desk.connect("codex", "desk").expect("connected");
    let more = desk.read("codex")
        + "enabled = false\n\n[mcp_servers.deskgate-desk.oauth]\nclient_id = \"x\"\n\n# theirs\n[b]\nc = 1\n";
    std::fs::write(&file, more).expect("written");
    desk.disconnect("codex", "desk").expect("undone");
    assert_eq!(desk.read("codex"), "a = 1\n\n# theirs\n[b]\nc = 1\n");
}

#[test]
fn two_connections_are_undone_in_either_order() {
    for assistant in ["cursor", "codex", "goose"] {
        for order in [["desk", "other"], ["other", "desk"]] {
            let desk = Desk::new();
            desk.connect(assistant, "desk").expect("connected");
            desk.connect(assistant, "other").expect("connected");
            assert_eq!(desk.connected(assistant).len(), 2);
            for server in order {
                assert!(desk.disconnect(assistant, server).expect("undone"), "{assistant}: {server}");
            }
            assert_eq!(crate::below(&desk.machine.home), Vec::<std::path::PathBuf>::new(), "{assistant}");
        }
    }
}

#[test]
fn connecting_twice_changes_nothing_and_a_new_address_replaces_the_old_one() {
    let desk = Desk::new();
    let before = "{\n  \"mcpServers\": {\n    \"a\": {}\n  }\n}\n";
    desk.write("cursor", before);
    desk.connect("cursor", "desk").expect("connected");
    let once = desk.read("cursor");
    desk.connect("cursor", "desk").expect("connected");
    assert_eq!(desk.read("cursor"), once);
    let mut ledger = desk.ledger();
    let mut moved = crate::target("desk");
    moved.url.set_port(Some(7718)).expect("a port");
    let connection =
        assistants::connect(&desk.machine, crate::named("cursor"), &moved, &ledger).expect("a change");
    let assistants::Connection::Change(change) = connection else { panic!("a change") };
    assert!(change.diff().contains("-      \"url\": \"http://127.0.0.1:7717") && change.diff().contains("+"));
    change.apply(&mut ledger).expect("written");
    assert_eq!(desk.read("cursor"), once.replace("7717", "7718"));
    assert_eq!(desk.ledger().records().len(), 1);
    assert!(desk.disconnect("cursor", "desk").expect("undone"));
    assert_eq!(desk.read("cursor"), before);
}

#[test]
fn an_entry_that_is_gone_is_forgotten() {
    let desk = Desk::new();
    let file = desk.write("cursor", "{}");
    desk.connect("cursor", "desk").expect("connected");
    std::fs::write(&file, "{ }").expect("written");
    desk.disconnect("cursor", "desk").expect("forgotten");
    assert_eq!((desk.read("cursor").as_str(), desk.ledger().records().len()), ("{ }", 0));
}

#[test]
fn an_entry_that_was_taken_out_by_hand_is_put_in_anew() {
    let desk = Desk::new();
    let file = desk.write("cursor", "{}");
    desk.connect("cursor", "desk").expect("connected");
    std::fs::write(&file, "{ }").expect("written");
    desk.connect("cursor", "desk").expect("connected");
    assert_eq!(desk.ledger().records().len(), 1);
    assert!(desk.disconnect("cursor", "desk").expect("undone"));
    assert_eq!(desk.read("cursor"), "{ }");
    // The same where the whole file went.
    desk.connect("cursor", "desk").expect("connected");
    std::fs::remove_file(&file).expect("removed");
    desk.disconnect("cursor", "desk").expect("forgotten");
    assert!(!file.exists() && desk.ledger().records().is_empty());
}

#[test]
fn permissions_and_links_stay() {
    let desk = Desk::new();
    let file = desk.write("cursor", "");
    let real = file.with_file_name("real.json");
    std::fs::write(&real, "{}").expect("written");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).expect("set");
    std::fs::remove_file(&file).expect("removed");
    std::os::unix::fs::symlink("real.json", &file).expect("linked");
    desk.connect("cursor", "desk").expect("connected");
    assert!(std::fs::read_to_string(&real).expect("a file").contains("deskgate-desk"));
    desk.disconnect("cursor", "desk").expect("undone");
    assert_eq!(std::fs::read(&real).expect("a file"), b"{}");
    assert_eq!(real.metadata().expect("a file").permissions().mode() & 0o777, 0o640);
    assert!(file.symlink_metadata().expect("a link").is_symlink());
    let ledger = desk.ledger_folder().join("assistants.json");
    assert_eq!(ledger.metadata().expect("a ledger").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_folder_that_somebody_used_meanwhile_stays() {
    let desk = Desk::new();
    desk.connect("kiro", "desk").expect("connected");
    let theirs = desk.machine.home.join(".kiro/theirs");
    std::fs::write(&theirs, "").expect("written");
    assert!(desk.disconnect("kiro", "desk").expect("undone"));
    assert_eq!(crate::below(&desk.machine.home), [desk.machine.home.join(".kiro"), theirs]);
}
