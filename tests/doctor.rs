//! `deskgate doctor`, and the way out where another program has the port.

use std::net::TcpListener;

use serde_json::Value;
use testkit::{Gateway, free_port};

use crate::common::{Personal, SOON, files_below};
use crate::hostile::{Raw, script};

/// One thing that was looked at.
pub(crate) fn check(examination: &Value, name: &str) -> Value {
    let checks = examination["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {examination:#}")).clone()
}

/// What doctor finds, and whether it is content.
async fn examined(gateway: &Gateway) -> (Value, bool) {
    let output = gateway.deskgate(&["doctor", "--json"]).await.expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).expect(&told), output.status.success())
}

fn assert_state(examination: &Value, name: &str, state: &str) {
    let check = check(examination, name);
    assert_eq!(check["state"], state, "{check:#}");
}

async fn said(gateway: &Gateway, arguments: &[&str]) -> (String, bool) {
    let output = gateway.deskgate(arguments).await.expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.success())
}

#[tokio::test]
async fn doctor_finds_what_is_wrong_beside_a_gateway_and_without_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = script(folder.path(), "here", "done_");
    let gone = [folder.path().join("gone").display().to_string()];
    let personal = Personal::default().stdio("here", &here).stdio("gone", &gone);
    let mut gateway = personal.server("desk", &["here", "gone"]).start().await;

    gateway.offers("desk").await.expect("offered");
    let (running, content) = examined(&gateway).await;
    assert!(!content && running["running"] == true, "{running:#}");
    for name in ["folder", "instance", "port", "keychain", "organisation", "policy", "records", "version"] {
        assert_state(&running, name, "ok");
    }
    assert_state(&running, "connector:gone", "problem");
    assert_state(&running, "tray", "note");
    let (text, _) = said(&gateway, &["doctor"]).await;
    assert!(
        text.contains("problem") && text.contains("gone is not there.") && text.contains("→ Install"),
        "{text}"
    );

    gateway.stop();
    let before = files_below(gateway.home());
    let (beside, content) = examined(&gateway).await;
    assert!(!content && beside["running"] == false, "{beside:#}");
    for name in ["folder", "port", "keychain", "organisation", "records", "version"] {
        assert_state(&beside, name, "ok");
    }
    assert_state(&beside, "instance", "note");
    assert_state(&beside, "assistants", "not_checked");
    assert_state(&beside, "connector:gone", "problem");
    assert_eq!(files_below(gateway.home()), before, "it leaves everything as it is");

    std::fs::copy(&here[0], &gone[0]).expect("installed");
    let (mended, content) = examined(&gateway).await;
    assert!(content, "{mended:#}");
    std::fs::write(gateway.home().join("deskgate.toml"), "surprise = 1").expect("written");
    let (wrong, content) = examined(&gateway).await;
    assert!(!content, "{wrong:#}");
    assert_state(&wrong, "settings", "problem");
}

#[tokio::test]
async fn a_program_that_has_the_port_is_named_and_one_command_leads_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = script(folder.path(), "here", "done_");
    let mut gateway = Personal::default().stdio("here", &here).server("desk", &["here"]).start().await;
    let before = gateway.port();
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let raw = Raw { port: before, token };
    let list = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let asks = async |raw: &Raw| raw.post(&[], list.as_str()).await.status;
    assert_ne!(asks(&raw).await, 401, "its access is good");
    let (refused, moved) = said(&gateway, &["port", "--move"]).await;
    assert!(!moved && refused.contains("Deskgate is running"), "{refused}");

    // Another program takes the port while Deskgate is away: this one.
    gateway.stop();
    let taken = TcpListener::bind(("127.0.0.1", before)).expect("free");
    let named = format!("(process {}, ", std::process::id());
    gateway.spawn().expect("started");
    let process = gateway.process().expect("started");
    let status = process.wait(SOON).await.expect("it gives up");
    assert!(!status.success());
    let log = gateway.log();
    for words in [&named, &format!("uses port {before}"), "deskgate port --move"] {
        assert!(log.contains(words), "{log}");
    }
    let (looked, content) = examined(&gateway).await;
    assert!(!content);
    let port = check(&looked, "port");
    assert!(port["found"].as_str().is_some_and(|found| found.contains(&named)), "{port:#}");

    // The port comes back: assistants find Deskgate where it was, but what the other may have heard is worth nothing.
    drop(taken);
    gateway.restart().await.expect("it starts");
    assert_eq!(gateway.port(), before, "no address has changed by itself");
    assert_eq!(asks(&raw).await, 401);
    let token = gateway.connect("desk", "Test").await.expect("let in again").tokens.access_token;
    let raw = Raw { port: before, token };
    gateway.restart().await.expect("it starts");
    assert_ne!(asks(&raw).await, 401, "once is enough");

    // The other program stays: one command.
    gateway.stop();
    let _taken = TcpListener::bind(("127.0.0.1", before)).expect("free");
    let wanted = free_port().expect("a port");
    let (told, moved) = said(&gateway, &["port", "--move", &wanted.to_string()]).await;
    assert!(moved && told.contains(&format!("http://127.0.0.1:{wanted}/s/desk/mcp")), "{told}");
    gateway.restart().await.expect("it starts beside the other");
    assert_eq!(gateway.port(), wanted);
    gateway.connect("desk", "Test").await.expect("it is reached at its new address");
    let (looked, _) = examined(&gateway).await;
    assert_state(&looked, "port", "ok");
}
