//! Assistants, virtual servers and connectors, as they really speak.

mod bridge;
mod content;
pub(crate) mod dialogues;
mod lists;
mod outages;
mod pairings;
mod search;
mod visits;

use serde_json::json;
use testkit::bench::Echo;
use testkit::{
    Access, Assistant, Claude, Codex, Gateway, Opened, Program, Step, filesystem_server, program, until,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Personal, SOON, is_refused, lets_in};

#[tokio::test]
async fn an_assistant_registers_is_let_in_and_reads_a_file_in_either_era() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("note.txt"), "buy milk").expect("written");
    let files = filesystem_server(folder.path()).expect("installed");
    let gateway = Personal::default().stdio("files", &files).server("desk", &["files"]).start().await;
    let read = Step::call("read_text_file", json!({"path": folder.path().join("note.txt")}));

    for mode in ["auto", "legacy"] {
        let mut opened = Opened::new().expect("a browser opener");
        let url = gateway.url("desk").expect("a URL");
        let assistant = Assistant::new(url, Access::OAuth).expect("an assistant").speaking(mode);
        let path = opened.path();
        let steps = [Step::ListTools, read.clone()];
        let (transcript, question) =
            tokio::join!(assistant.run(Some(path), &steps), lets_in(&mut opened, &gateway));

        let transcript = transcript.expect("connected");
        assert!(question.contains("Test assistant"), "the person reads who asks: {question}");
        assert_eq!(transcript.protocol, if mode == "auto" { "2026-07-28" } else { "2025-11-25" });
        assert_eq!(
            transcript.tool_names(0).len(),
            14,
            "all of the connector's: {:?}",
            transcript.tool_names(0)
        );
        assert_eq!(transcript.text(1), Some("buy milk"));
        assert!(assistant.token().expect("it keeps one").starts_with("dga_"));
    }
}

#[tokio::test]
async fn a_connector_that_offers_nothing_holds_no_list_up() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let mut setup = Personal::default().http("echo", &upstream).server("desk", &["echo"]).setup();
    setup.settings += "[servers.desk.tools]\necho = []\n";
    let gateway =
        Gateway::start(&program(Program::Deskgate).expect("built"), setup).await.expect("it starts");
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    let answer = reqwest::Client::new()
        .post(gateway.url("desk").expect("a URL"))
        .bearer_auth(&token)
        .header("accept", "application/json, text/event-stream")
        .json(&list)
        // Below the longest time that a list waits for connectors that are only just starting.
        .timeout(std::time::Duration::from_secs(8))
        .send();
    let answer: serde_json::Value = answer.await.expect("at once").json().await.expect("JSON");
    assert_eq!(answer["result"]["tools"], json!([]));
}

#[tokio::test]
async fn claude_connects_after_one_consent() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default().http("echo", &upstream).server("desk", &["echo"]).start().await;
    let claude = Claude::new().expect("installed");
    let mut opened = Opened::new().expect("a browser opener");
    claude.add("desk", &gateway.url("desk").expect("a URL")).await.expect("added");

    let mut login = claude.start_login("desk", &opened).expect("started");
    lets_in(&mut opened, &gateway).await;
    let status = login.wait(SOON).await.expect("it ends");
    assert!(status.success(), "{}", login.log());
    let listed = claude.list().await.expect("listed");
    assert!(listed.contains("Connected"), "{listed}");
}

#[tokio::test]
async fn codex_signs_in_at_one_of_two_virtual_servers() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let personal = Personal::default().http("echo", &upstream);
    let gateway = personal.server("desk", &["echo"]).server("lab", &["echo"]).start().await;
    let servers = ["desk", "lab"].map(|name| (name, gateway.url(name).expect("a URL")));
    let codex = Codex::knowing(&servers).expect("installed");
    let mut opened = Opened::new().expect("a browser opener");

    let mut login = codex.start_login("lab", &opened).expect("started");
    let question = lets_in(&mut opened, &gateway).await;
    assert!(
        question.contains("Codex") && question.contains("lab"),
        "the person reads who asks for what: {question}"
    );
    let status = login.wait(SOON).await.expect("it ends");
    assert!(status.success(), "{}", login.log());
    let listed = codex.list().await.expect("listed");
    let state = |name: &str| {
        let server = listed.as_array().and_then(|all| all.iter().find(|server| server["name"] == name));
        server.map(|server| server["auth_status"].clone()).unwrap_or_default()
    };
    assert_eq!((state("lab"), state("desk")), (json!("o_auth"), json!("not_logged_in")), "{listed}");
}

#[tokio::test]
async fn a_token_of_one_virtual_server_is_refused_at_another() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default()
        .http("echo", &upstream)
        .server("desk", &["echo"])
        .server("lab", &["echo"])
        .start()
        .await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let call = [Step::call("echo", json!({"message": "hello"}))];

    let at =
        |server: &str| Assistant::new(gateway.url(server).expect("a URL"), Access::Bearer(token.clone()));
    let desk = at("desk").expect("an assistant").run(None, &call).await.expect("connected");
    assert_eq!(desk.text(0), Some("hello"));
    at("lab").expect("an assistant").run(None, &call).await.expect_err("another audience");

    let refused = reqwest::Client::new()
        .post(gateway.url("lab").expect("a URL"))
        .bearer_auth(&token)
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}))
        .send()
        .await
        .expect("answered");
    assert_eq!(refused.status(), 401);
    let challenge = refused.headers()["www-authenticate"].to_str().expect("text");
    let document =
        format!("http://127.0.0.1:{}/.well-known/oauth-protected-resource/s/lab/mcp", gateway.port());
    assert!(challenge.contains(&document), "RFC 9728 leads to the right server: {challenge}");
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default().http("echo", &upstream).server("desk", &["echo"]).start().await;
    let connected = gateway.connect("desk", "Test").await.expect("let in");
    let first = connected.tokens.refresh_token.expect("one is issued");

    let second = connected.client.refresh(&first).await.expect("renewed");
    assert_ne!(second.access_token, connected.tokens.access_token);
    connected.client.refresh(&first).await.expect_err("used before");
}

#[tokio::test]
async fn a_web_page_cannot_reach_the_gateway() {
    let echo = Echo::start().await.expect("an upstream");
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Personal::default().http("echo", &upstream).server("desk", &["echo"]).start().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    let status = async |name: &'static str, value: &str| {
        let request = reqwest::Client::new().post(gateway.url("desk").expect("a URL")).bearer_auth(&token);
        request.header(name, value).json(&list).send().await.expect("answered").status().as_u16()
    };

    assert_eq!(
        status("accept", "application/json, text/event-stream").await,
        200,
        "the honest request works"
    );
    assert!((400..500).contains(&status("origin", "https://evil.example").await));
    assert!((400..500).contains(&status("host", "evil.example").await), "DNS rebinding");
    assert!((400..500).contains(&status("host", "127.0.0.1:1").await), "another port");
}

#[tokio::test]
async fn a_connector_that_dies_is_an_answer_and_its_return_is_noticed() {
    let echo = Echo::start().await.expect("an upstream");
    let address = echo.address();
    let upstream = format!("http://{address}/mcp");
    let gateway = Personal::default().http("echo", &upstream).server("desk", &["echo"]).start().await;
    let token = gateway.connect("desk", "Test").await.expect("let in").tokens.access_token;
    let url = gateway.url("desk").expect("a URL");
    let assistant = Assistant::new(url, Access::Bearer(token)).expect("an assistant");
    let call = [Step::call("echo", json!({"message": "hello"}))];
    assert_eq!(assistant.run(None, &call).await.expect("connected").text(0), Some("hello"));

    drop(echo);
    let dead = assistant.run(None, &call).await.expect("the gateway itself answers");
    assert!(is_refused(&dead.answers[0]), "{dead:?}");

    let again = until("the port to be free", SOON, async || Echo::start_at(address).await.ok());
    let _echo = again.await.expect("the connector is back");
    let answered = until("an answer of the connector", SOON, async || {
        let transcript = assistant.run(None, &call).await.ok()?;
        (transcript.text(0) == Some("hello")).then_some(())
    });
    answered.await.expect("nothing has to be restarted");
}

#[tokio::test]
async fn a_second_instance_says_why_it_does_not_start() {
    let gateway = Personal::default().start().await;
    let output = gateway.deskgate(&["serve"]).await.expect("it runs");
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("already"), "{told}");
    assert!(gateway.deskgate_json(&["status"]).await.is_ok(), "the first one goes on");
}

#[tokio::test]
async fn the_port_is_kept_over_a_restart() {
    let mut gateway = Personal::default().start().await;
    let port = gateway.port();
    gateway.restart().await.expect("it comes back");
    assert_eq!(gateway.port(), port, "assistants have stored it");
}

#[tokio::test]
async fn a_port_that_another_program_took_is_said_and_not_given_up() {
    let mut gateway = Personal::default().start().await;
    let port = gateway.port();
    gateway.stop();
    let thief = until("the port", SOON, async || std::net::TcpListener::bind(("127.0.0.1", port)).ok());
    let thief = thief.await.expect("taken");
    let told = gateway.restart().await.expect_err("it does not start").to_string();
    assert!(told.contains(&format!("uses port {port}")), "{told}");
    drop(thief);
    gateway.restart().await.expect("the port is free again");
    assert_eq!(gateway.port(), port, "assistants have stored it");
}

#[test]
fn the_command_line_starts_without_a_desktop() {
    let deskgate = program(Program::Deskgate).expect("built");
    let output = std::process::Command::new("ldd").arg(deskgate).output().expect("ldd runs");
    let libraries = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(libraries.contains("libc.so"), "{libraries}");
    assert!(!libraries.contains("gtk") && !libraries.contains("webkit"), "{libraries}");
}

#[tokio::test]
async fn an_assistant_that_is_refused_can_ask_for_the_way_in_on_the_same_connection() {
    let gateway =
        Personal::default().http("echo", "http://127.0.0.1:9/mcp").server("desk", &["echo"]).start().await;
    let mut connection = TcpStream::connect(("127.0.0.1", gateway.port())).await.expect("connected");
    let (path, host) = ("/s/desk/mcp", format!("127.0.0.1:{}", gateway.port()));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
         Expect: 100-continue\r\n\r\n"
    );

    connection.write_all(head.as_bytes()).await.expect("sent");
    let asked = until_text(&mut connection, "\r\n\r\n").await;
    assert!(asked.starts_with("HTTP/1.1 100 "), "the message is taken before it is refused: {asked}");
    connection.write_all(b"{}").await.expect("sent");
    let refused = until_text(&mut connection, "\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let about = format!(
        "GET /.well-known/oauth-protected-resource{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(about.as_bytes()).await.expect("sent");
    let told = until_text(&mut connection, "authorization_servers").await;
    assert!(told.contains("authorization_servers"), "{told}");
}

/// Reads until this text has come, or the end.
async fn until_text(connection: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        if connection.read_buf(&mut read).await.expect("readable") == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}
