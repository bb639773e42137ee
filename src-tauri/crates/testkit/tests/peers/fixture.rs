//! The connector for the conformance suite speaks one era only.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Process, Program, Spec, program};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

const SOON: Duration = Duration::from_secs(60);

/// A request as an assistant of the newer era sends it.
fn discover() -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}})
}

fn initialize() -> Value {
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": params})
}

async fn over_http(era: &str) -> (Process, String) {
    let fixture = program(Program::Fixture).expect("built");
    let spec = Spec::new("fixture", fixture).args(["--era", era, "--transport", "http"]);
    let mut process = spec.start().expect("it starts");
    let url = process.ready_line("ready ", SOON).await.expect("it is ready");
    (process, url)
}

async fn post(url: &str, headers: &[(&str, &str)], message: &Value) -> reqwest::Response {
    let mut request = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(message.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

/// Sends messages over standard streams and returns as many answers.
async fn over_stdio(era: &str, messages: &[Value]) -> Vec<Value> {
    let mut child = tokio::process::Command::new(program(Program::Fixture).expect("built"))
        .args(["--era", era, "--transport", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut answers = Vec::new();
    for message in messages {
        stdin.write_all(format!("{message}\n").as_bytes()).await.expect("written");
        let line = tokio::time::timeout(SOON, lines.next_line()).await.expect("in time").expect("readable");
        answers.push(serde_json::from_str(&line.expect("a line")).expect("JSON"));
    }
    answers
}

#[tokio::test]
async fn a_connector_of_the_older_era_refuses_newer_requests_as_old_ones_do() {
    let (_process, url) = over_http("legacy").await;
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "server/discover")];
    let refused = post(&url, &headers, &discover()).await;
    assert_eq!(refused.status(), 400);
    let body: Value = refused.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], -32000, "not an error that only newer servers know: {body}");
    let opened = post(&url, &[], &initialize()).await;
    assert!(opened.headers().contains_key("mcp-session-id") && opened.status() == 200);

    let answers = over_stdio("legacy", &[discover(), initialize()]).await;
    assert_eq!(answers[0]["error"]["code"], -32601, "{answers:?}");
    assert_eq!(answers[1]["result"]["protocolVersion"], "2025-11-25", "{answers:?}");
}

#[tokio::test]
async fn a_connector_of_the_newer_era_opens_no_sessions() {
    let (_process, url) = over_http("modern").await;
    let refused = post(&url, &[], &initialize()).await;
    assert!(!refused.headers().contains_key("mcp-session-id"));
    let body = refused.text().await.expect("text");
    assert!(body.contains("-32022"), "{body}");
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "server/discover")];
    let found = post(&url, &headers, &discover()).await.text().await.expect("text");
    assert!(found.contains(r#""supportedVersions":["2026-07-28"]"#), "{found}");

    let answers = over_stdio("modern", &[initialize()]).await;
    assert_eq!(answers[0]["error"]["code"], -32022, "{answers:?}");
}

#[tokio::test]
async fn an_answer_whose_stream_broke_off_is_there_for_whoever_comes_back() {
    let (_process, url) = over_http("legacy").await;
    let opened = post(&url, &[], &initialize()).await;
    let session = opened.headers()["mcp-session-id"].to_str().expect("text").to_owned();
    let headers = [("mcp-protocol-version", "2025-11-25"), ("mcp-session-id", session.as_str())];
    post(&url, &headers, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    let params = json!({"name": "test_reconnection", "arguments": {}});
    let call = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params});
    let begun = post(&url, &headers, &call).await.text().await.expect("it ends");
    assert!(!begun.contains("\"result\""), "{begun}");
    let last = begun.lines().find_map(|line| line.strip_prefix("id: ")).expect("an event id");
    let mut rest = reqwest::Client::new().get(&url).header("accept", "text/event-stream");
    for (name, value) in headers.iter().chain(&[("last-event-id", last)]) {
        rest = rest.header(*name, *value);
    }
    let mut rest = rest.send().await.expect("an answer");
    let mut seen = String::new();
    while !seen.contains("whoever came back") {
        let chunk = tokio::time::timeout(SOON, rest.chunk()).await.expect("in time").expect("readable");
        seen += &String::from_utf8_lossy(&chunk.expect("more to come"));
    }
}
