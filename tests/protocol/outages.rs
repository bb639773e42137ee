//! A connector that does not answer: what it listed last stays for a while, marked, is withdrawn then, and comes back.

use std::path::Path;

use serde_json::{Value, json};
use testkit::bench::Echo;
use testkit::{Gateway, OddEra, Program, program, until};

use super::lists::Stream;
use super::pairings::{ERAS, body, post};
use crate::common::{Personal, SOON, is_refused, refusal_text, tells};
use crate::hostile::{Raw, call, script_that, tool};

/// One virtual server of a gateway, and an assistant's way to it.
struct Desk {
    gateway: Gateway,
    token: String,
}

impl Desk {
    /// `grace`: how many seconds lists stay, where not as long as everybody's.
    async fn start(personal: Personal, grace: Option<u32>) -> Self {
        let mut setup = personal.setup();
        if let Some(grace) = grace {
            setup.arguments = vec!["--list-grace".to_owned(), grace.to_string()];
        }
        let program = program(Program::Deskgate).expect("built");
        let gateway = Gateway::start(&program, setup).await.expect("it starts");
        let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
        Self { gateway, token }
    }

    async fn ask(&self, era: OddEra, method: &str, tool: &str, body: String) -> Value {
        let url = self.gateway.url("desk").expect("a URL");
        let answer = post(url.as_str(), Some(&self.token), era, method, tool, body).await;
        serde_json::from_str(&answer).expect("JSON")
    }

    async fn lists(&self, tool: &str) -> bool {
        let answer = self.ask(OddEra::Legacy, "tools/list", "", body(OddEra::Legacy, "tools/list", "")).await;
        answer["result"]["tools"].as_array().is_some_and(|tools| tools.iter().any(|one| one["name"] == tool))
    }

    /// What an assistant of this era gets for a call.
    async fn calls(&self, era: OddEra, tool: &str) -> Value {
        let arguments = format!(r#""name":"{tool}","arguments":{{"message":"hello"}}"#);
        self.ask(era, "tools/call", tool, body(era, "tools/call", &arguments)).await["result"].clone()
    }

    async fn status(&self, connector: &str) -> Value {
        let status = self.gateway.deskgate_json(&["status"]).await.expect("it answers");
        let all = status["connectors"].as_array().expect("connectors");
        all.iter().find(|one| one["id"] == connector).expect("it is there").clone()
    }

    async fn is_unmarked(&self, connector: &str) {
        let is_current = async || (self.status(connector).await["list"] == "current").then_some(());
        until("the mark to go", SOON, is_current).await.expect("it goes");
    }
}

fn echoing(echo: &Echo) -> Personal {
    Personal::default().http("echo", &format!("http://{}/mcp", echo.address()))
}

async fn back(address: std::net::SocketAddr) -> Echo {
    until("the port to be free", SOON, async || Echo::start_at(address).await.ok()).await.expect("it is back")
}

#[tokio::test]
async fn the_last_known_list_stays_for_a_while_and_is_marked() {
    let echo = Echo::start().await.expect("an upstream");
    let address = echo.address();
    let desk = Desk::start(echoing(&echo).server("desk", &["echo"]), None).await;
    assert!(desk.lists("echo").await);
    let status = desk.status("echo").await;
    assert_eq!((&status["list"], &status["silent_since"]), (&json!("current"), &Value::Null));

    drop(echo);
    for era in ERAS {
        let answer = desk.calls(era, "echo").await;
        assert!(
            answer["isError"] == true && answer["content"].as_array().expect("content").len() == 1,
            "{answer}"
        );
        assert!(refusal_text(&answer).starts_with("Connector echo cannot be reached."), "{answer}");
    }
    assert!(desk.lists("echo").await, "the last known list");
    tells(&desk.gateway, "Connector echo stopped answering just now. Its tools are the last known ones.")
        .await;
    let status = desk.status("echo").await;
    assert_eq!(
        (&status["status"], &status["list"], &status["tools"]),
        (&json!("unreachable"), &json!("kept"), &json!(10))
    );
    let since = status["silent_since"].clone();
    assert!(since.is_i64(), "{status}");
    desk.calls(OddEra::Legacy, "echo").await;
    assert_eq!(desk.status("echo").await["silent_since"], since, "since the first failure");

    let _echo = back(address).await;
    let answers = async || (!is_refused(&desk.calls(OddEra::Modern, "echo").await)).then_some(());
    until("an answer", SOON, answers).await.expect("it answers again");
    desk.is_unmarked("echo").await;
}

#[tokio::test]
async fn after_the_grace_a_list_is_withdrawn_and_comes_back_with_its_connector() {
    let echo = Echo::start().await.expect("an upstream");
    let other = Echo::offering(vec![tool("mirror")]).await.expect("another");
    let address = echo.address();
    let personal = echoing(&echo)
        .http("other", &format!("http://{}/mcp", other.address()))
        .server("desk", &["echo", "other"]);
    let desk = Desk::start(personal, Some(1)).await;
    assert!(desk.lists("echo").await && desk.lists("mirror").await);
    let url = desk.gateway.url("desk").expect("a URL");
    let mut streams = Vec::new();
    for era in ERAS {
        let mut stream = Stream::of(url.clone(), &desk.token, era, r#"{"toolsListChanged":true}"#).await;
        if era == OddEra::Modern {
            assert_eq!(stream.next().await["method"], "notifications/subscriptions/acknowledged");
        }
        streams.push(stream);
    }

    drop(echo);
    assert!(is_refused(&desk.calls(OddEra::Legacy, "echo").await));
    for stream in &mut streams {
        assert_eq!(stream.next().await["method"], "notifications/tools/list_changed");
    }
    assert!(!desk.lists("echo").await && desk.lists("mirror").await, "nothing of it, and all of the other");
    tells(&desk.gateway, "Its tools are withdrawn until it does.").await;
    assert_eq!(desk.status("echo").await["list"], "withdrawn");
    for era in ERAS {
        let answer = desk.calls(era, "echo").await;
        let told = refusal_text(&answer);
        assert!(answer["isError"] == true && told.contains("It has not answered since"), "{answer}");
        assert!(told.starts_with("Connector echo cannot be reached."), "{told}");
        assert!(!is_refused(&desk.calls(era, "mirror").await), "the other works");
    }
    let journal = desk.gateway.deskgate(&["audit", "export"]).await.expect("it runs");
    assert!(String::from_utf8_lossy(&journal.stdout).contains(r#""kind":"withdrawn""#), "it is recorded why");

    let _echo = back(address).await;
    // Whoever wants it has it tried again, so that nobody has to wait for the next look.
    let answers = async || (!is_refused(&desk.calls(OddEra::Modern, "echo").await)).then_some(());
    until("an answer", SOON, answers).await.expect("it answers again");
    assert!(desk.lists("echo").await);
    for stream in &mut streams {
        assert_eq!(stream.next().await["method"], "notifications/tools/list_changed");
    }
    desk.is_unmarked("echo").await;
}

/// A program that does not start while there is such a file.
fn fragile(folder: &Path) -> Vec<String> {
    let first = format!("[ -e '{}' ] && exit 3", folder.join("broken").display());
    script_that(folder, "fragile", &first, "done_")
}

#[tokio::test]
async fn a_list_that_is_known_from_before_is_withdrawn_too_where_its_program_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let personal = Personal::default().stdio("fragile", &fragile(folder.path())).server("desk", &["fragile"]);
    let mut desk = Desk::start(personal, Some(1)).await;
    assert!(desk.lists("fragile").await);

    std::fs::write(folder.path().join("broken"), "").expect("written");
    desk.gateway.restart().await.expect("it comes back");
    let gone = async || (!desk.lists("fragile").await).then_some(());
    until("the list to be withdrawn", SOON, gone).await.expect("nobody had to call it");
    assert!(refusal_text(&desk.calls(OddEra::Legacy, "fragile").await).contains("It has not answered since"));

    std::fs::remove_file(folder.path().join("broken")).expect("removed");
    let raw = Raw { port: desk.gateway.port(), token: desk.token.clone() };
    let works = async || {
        let answer = raw.post(&[], call("fragile", &json!({})).to_string()).await.json();
        (answer["result"]["content"][0]["text"] == "done").then_some(())
    };
    until("an answer", SOON, works).await.expect("it comes back");
    assert!(desk.lists("fragile").await);
}
