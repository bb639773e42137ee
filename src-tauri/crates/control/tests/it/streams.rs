//! What a connector tells before its answer.

use model::CallId;
use org_protocol::{BROKER_CONTEXT_HEADER, BROKER_FORMAT, BrokerContext};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Device, modern, served, signed_in};

/// Calls as somebody who wants to hear of progress. The status, the kind of the answer and its text.
async fn heard(device: &Device<'_>, sql: &str) -> (StatusCode, String, String) {
    let context = BrokerContext {
        format: BROKER_FORMAT,
        call: CallId::new(),
        server: "analyst".parse().expect("an id"),
        policy: model::Digest::of(b""),
        client_id: String::new(),
        client_name: String::new(),
        program: None,
        approval: None,
    };
    let mut request = modern("tools/call", json!({"name": "query", "arguments": {"sql": sql}}));
    request["params"]["_meta"]["progressToken"] = json!(7);
    let answer = device
        .request(Method::POST, "v1/broker/warehouse/mcp")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "query")
        .header(BROKER_CONTEXT_HEADER, context.to_header())
        .body(request.to_string())
        .send()
        .await
        .expect("answers");
    let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
    (answer.status(), kind, answer.text().await.expect("a body"))
}

/// The events of a stream: their names and what they say.
fn events(text: &str) -> Vec<(String, Value)> {
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let data = serde_json::from_str(field("data:")?).expect("JSON");
        Some((field("event:").unwrap_or_default().to_owned(), data))
    };
    text.split("\n\n").filter_map(event).collect()
}

#[tokio::test]
async fn progress_comes_before_the_answer_and_without_the_secret() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let (status, kind, text) = heard(&alice, "tell").await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "text/event-stream"));
    assert!(!text.contains("password"), "{text}");
    let events = events(&text);
    let [(first, progress), (last, answer)] = events.as_slice() else { panic!("{text}") };
    assert_eq!((first.as_str(), last.as_str()), ("", "answer"));
    assert_eq!(progress["method"], "notifications/progress");
    let params = &progress["params"];
    assert_eq!((&params["progressToken"], &params["message"]), (&json!(7), &json!("as [redacted]")));
    assert_eq!(answer["result"]["content"][0]["text"], "told");
}

#[tokio::test]
async fn a_call_that_fails_after_something_was_told_says_so_as_the_stream_s_end() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let (status, _, text) = heard(&alice, "tell and die").await;
    assert_eq!(status, StatusCode::OK, "it had begun");
    let events = events(&text);
    let (name, fault) = events.last().expect("an end");
    assert_eq!((name.as_str(), &fault["status"]), ("fault", &json!(502)));
    assert_eq!(fault["body"]["error"]["code"], "connector-ended");
}

#[tokio::test]
async fn a_call_that_tells_nothing_is_answered_as_ever() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let (status, kind, text) = heard(&alice, "select 1").await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/json"));
    assert!(text.contains("select 1 as [redacted]"), "{text}");
    let (status, kind, text) = heard(&alice, "drop table x").await;
    assert_eq!((status, kind.as_str()), (StatusCode::FORBIDDEN, "application/json"), "{text}");
}
