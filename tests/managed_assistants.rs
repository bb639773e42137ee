//! The managed configurations that IT writes admit Deskgate and nothing else, as the assistants themselves see it.

use serde_json::Value;
use testkit::bench::Echo;
use testkit::{Claude, Codex, Gateway, Listing, ManagedMachine};

use crate::common::Personal;

async fn at_echo() -> (Echo, Gateway) {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default().http("echo", &upstream).server("desk", &["echo"]).start().await;
    (echo, gateway)
}

/// The file's place below `/etc`, and what it says.
async fn managed(gateway: &Gateway, assistant: &str) -> (String, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("managed");
    let arguments = ["managed-config", assistant, "--out", out.to_str().expect("text")];
    let told = gateway.deskgate_json(&arguments).await.expect("printed");
    assert_eq!(std::fs::read_to_string(&out).expect("written"), told["text"].as_str().expect("text"));
    let rights = std::fs::metadata(&out).expect("there").permissions().mode();
    assert_eq!(rights & 0o777, 0o644, "every employee's assistant reads it");
    let place = told["file"].as_str().and_then(|it| it.strip_prefix("/etc/")).expect("a place").to_owned();
    (place, told["text"].as_str().expect("text").to_owned())
}

#[tokio::test]
async fn claude_code_reaches_deskgate_alone() {
    let (_echo, gateway) = at_echo().await;
    let machine = ManagedMachine::wholly_around(&Claude::program().expect("installed")).expect("a machine");
    let claude = Claude::new().expect("installed").started_by(machine.program());
    claude.add_program("mine", "KEY=x", &["true"]).await.expect("added while nothing is managed");
    assert!(claude.list().await.expect("listed").contains("mine"));
    let (place, text) = managed(&gateway, "claude-code").await;
    machine.put(&place, &text).expect("written");
    let listed = claude.list().await.expect("listed");
    assert!(listed.contains("deskgate-desk") && !listed.contains("mine"), "{listed}");
    let more = claude.add_program("more", "KEY=x", &["true"]).await;
    assert!(more.is_err(), "nothing can be added");
}

#[tokio::test]
async fn codex_reaches_deskgate_alone() {
    let (_echo, gateway) = at_echo().await;
    let url = gateway.url("desk").expect("a URL");
    let other = "http://127.0.0.1:9/mcp".parse().expect("a URL");
    let codex = Codex::knowing(&[("deskgate-desk", url), ("mine", other)]).expect("installed");
    let machine = ManagedMachine::wholly_around(codex.program()).expect("a machine");
    let codex = codex.started_by(machine.program());
    let enabled = async || {
        let listed = codex.list().await.expect("listed");
        let is_on = |it: &&Value| it["enabled"] == true;
        let on = listed.as_array().expect("a list").iter().filter(is_on);
        on.map(|it| it["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(enabled().await, ["deskgate-desk", "mine"]);
    let (place, text) = managed(&gateway, "codex").await;
    machine.put(&place, &text).expect("written");
    assert_eq!(enabled().await, ["deskgate-desk"]);
}

#[tokio::test]
async fn gemini_reaches_deskgate_alone() {
    let (_echo, gateway) = at_echo().await;
    let gemini = Listing::gemini().expect("installed");
    let settings = gemini.home().join(".gemini/settings.json");
    std::fs::write(settings, r#"{"mcpServers": {"mine": {"command": "true"}}}"#).expect("written");
    let machine = ManagedMachine::wholly_around(gemini.program()).expect("a machine");
    let gemini = gemini.started_by(machine.program());
    assert!(gemini.list().await.expect("listed").contains("mine"));
    let (place, text) = managed(&gateway, "gemini").await;
    machine.put(&place, &text).expect("written");
    let listed = gemini.list().await.expect("listed");
    let is_blocked = listed.lines().filter(|line| line.contains("mine")).all(|line| line.contains("locked"));
    assert!(listed.contains("deskgate-desk") && is_blocked, "{listed}");
}
