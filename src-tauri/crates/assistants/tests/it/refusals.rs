//! What is never done: overwrite what is not ours, or write what is not understood.

use assistants::{Connection, Fault, connect, disconnect};

use crate::{Desk, named, target};

/// Connecting is refused for this reason, and the file keeps its bytes.
#[track_caller]
fn refused(assistant: &str, text: &[u8], expected: &str) {
    let desk = Desk::new();
    let file = desk.write(assistant, text);
    let fault = match desk.connect(assistant, "desk") {
        Err(fault) => fault,
        Ok(()) => panic!("it is not refused: {}", desk.read(assistant)),
    };
    assert!(fault.to_string().contains(expected), "{fault}");
    assert_eq!(std::fs::read(&file).expect("a file"), text, "it keeps its bytes");
    assert!(desk.ledger().records().is_empty());
}

#[test]
fn a_file_that_is_not_understood_is_not_touched() {
    refused("claude-code", b"{\"mcpServers\": {", "is not understood");
    refused("claude-code", b"{\"a\": 1} // comment", "is not understood");
    refused("claude-code", b"[]", "it is not an object");
    refused("claude-code", b"{\"mcpServers\": []}", "\"mcpServers\" is not an object");
    refused("claude-code", b"{\"mcpServers\": {}, \"mcpServers\": {}}", "stands in it twice");
    refused("claude-code", b"{\"a\": \"\xff\"}", "not UTF-8");
    refused("zed", b"{'a': 1}", "is not understood");
    refused("zed", b"{a: 1}", "is not understood");
    refused("codex", b"[mcp_servers", "is not understood");
    refused("codex", b"mcp_servers = 3", "not written as a table");
    refused("codex", b"mcp_servers = {}", "not written as a table");
    refused("goose", b"extensions: [", "is not understood");
    refused("goose", b"extensions: 3\n", "is not a mapping");
    refused("goose", b"extensions: {a: {b: 1}}\n", "is not a mapping");
    refused("goose", b"- a\n- b\n", "it is not a mapping");
    refused("goose", b"{a: 1}\n", "cannot be edited");
    refused("goose", b"a: 1\n---\nb: 2\n", "more than one document");
    refused("goose", b"extensions: &e\n  a:\n    b: 1\nmore: *e\n", "cannot be edited");
}

#[test]
fn an_entry_of_the_name_that_is_not_ours_is_named_and_stays() {
    let other = "has another entry deskgate-desk";
    refused(
        "claude-code",
        br#"{"mcpServers": {"deskgate-desk": {"url": "https://other.example/mcp"}}}"#,
        other,
    );
    refused("codex", b"[mcp_servers.deskgate-desk]\ncommand = \"other\"\n", other);
    refused("goose", b"extensions:\n  deskgate-desk:\n    enabled: true\n", other);
}

#[test]
fn an_entry_that_became_somebody_elses_stays() {
    let desk = Desk::new();
    let file = desk.write("cursor", "{}");
    desk.connect("cursor", "desk").expect("connected");
    let theirs = r#"{"mcpServers": {"deskgate-desk": {"url": "https://other.example/mcp"}}}"#;
    std::fs::write(&file, theirs).expect("written");
    let fault = desk.disconnect("cursor", "desk").expect_err("refused");
    assert!(matches!(fault, Fault::Taken { .. }), "{fault}");
    assert_eq!(desk.read("cursor"), theirs);
}

#[test]
fn what_was_made_by_hand_is_named_and_stays() {
    let desk = Desk::new();
    let by_hand = r#"{"mcpServers": {"desk": {"type": "http", "url": "http://127.0.0.1:7717/s/desk/mcp"}}}"#;
    desk.write("claude-code", by_hand);
    assert_eq!(desk.connected("claude-code"), [("desk".to_owned(), "desk".to_owned())]);
    let fault = desk.disconnect("claude-code", "desk").expect_err("refused");
    assert!(matches!(&fault, Fault::ByHand { name, .. } if name == "desk"), "{fault}");
    let fault = desk.disconnect("claude-code", "other").expect_err("refused");
    assert!(matches!(fault, Fault::NotConnected { .. }), "{fault}");
    assert_eq!(desk.read("claude-code"), by_hand);
}

#[test]
fn a_file_that_changes_while_the_change_is_looked_at_is_not_written() {
    let desk = Desk::new();
    let file = desk.write("cursor", "{}");
    let mut ledger = desk.ledger();
    let connection = connect(&desk.machine, named("cursor"), &target("desk"), &ledger).expect("a change");
    let Connection::Change(change) = connection else { panic!("a change") };
    std::fs::write(&file, "{\"theirs\": 1}").expect("written");
    assert!(matches!(change.apply(&mut ledger), Err(Fault::Meanwhile { .. })));
    assert_eq!(desk.read("cursor"), "{\"theirs\": 1}");
}

#[test]
fn a_link_to_nothing_is_not_replaced() {
    let desk = Desk::new();
    let file = desk.write("cursor", "");
    std::fs::remove_file(&file).expect("removed");
    std::os::unix::fs::symlink("nothing", &file).expect("linked");
    assert!(matches!(desk.connect("cursor", "desk"), Err(Fault::Unreadable { .. })));
    assert!(file.symlink_metadata().expect("still there").is_symlink());
}

#[test]
fn the_ledger_tells_nothing_of_what_else_is_in_the_file() {
    let desk = Desk::new();
    let secret = "sk-live-0123456789";
    desk.write(
        "claude-code",
        format!(
            "{{\n  \"mcpServers\": {{\n    \"a\": {{ \"env\": {{ \"KEY\": \"{secret}\" }} }}\n  }}\n}}\n"
        ),
    );
    desk.connect("claude-code", "desk").expect("connected");
    let ledger = std::fs::read_to_string(desk.ledger_folder().join("assistants.json")).expect("a ledger");
    assert!(ledger.contains("deskgate-desk") && !ledger.contains(secret), "{ledger}");
}

#[test]
fn a_damaged_ledger_is_set_aside_and_the_entry_is_found_without_it() {
    let desk = Desk::new();
    let before = "{\n  \"mcpServers\": {\n    \"a\": {}\n  }\n}\n";
    desk.write("claude-code", before);
    desk.connect("claude-code", "desk").expect("connected");
    std::fs::write(desk.ledger_folder().join("assistants.json"), "{\"format\": 1, ").expect("written");
    let mut ledger = desk.ledger();
    assert!(ledger.set_aside().is_some_and(std::path::Path::exists), "it is told where it lies");
    let undone = disconnect(&desk.machine, named("claude-code"), "desk", &ledger).expect("undone");
    let assistants::Undone::Change(change) = undone else { panic!("a change") };
    change.apply(&mut ledger).expect("written");
    assert_eq!(desk.read("claude-code"), before);
}
