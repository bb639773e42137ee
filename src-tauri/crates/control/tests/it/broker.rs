//! Calls with shared accounts: decided here, recorded here, made here.

use control::testing::ANALYST_SECRET;
use model::CallId;
use org_protocol::{BROKER_CONTEXT_HEADER, BROKER_FORMAT, BrokerContext};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Org, context, modern, served, signed_in};

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

pub(crate) fn of_call(call: CallId) -> control::Filter {
    control::Filter { call: Some(call.to_string()), ..Default::default() }
}

pub(crate) async fn eventually(org: &Org, call: CallId, count: usize) -> Vec<Value> {
    for _ in 0..500 {
        let records = org.records(of_call(call)).await;
        if records.len() >= count {
            return records;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the records of call {call} do not come");
}

#[tokio::test]
async fn a_call_is_made_with_the_account_that_policy_permits() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let (status, answer) = alice.call("query", json!({"sql": "select 1"})).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text(&answer).starts_with("select 1 as [redacted] in "), "{answer}");
    assert_eq!(answer["result"]["resultType"], "complete");

    let bob = signed_in(&org, "bob", &["analysts", "finance"]).await;
    let call = CallId::new();
    bob.call_as(call, "query", json!({"sql": "select 2"})).await;
    let records = eventually(&org, call, 2).await;
    assert_eq!(records[0]["body"]["credential"], "shared:warehouse-finance");
}

#[tokio::test]
async fn numbers_pass_to_the_digit() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
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
    let answer = alice
        .request(Method::POST, "v1/broker/warehouse/mcp")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "query")
        .header(BROKER_CONTEXT_HEADER, context.to_header())
        .body(modern("tools/call", json!({"name": "query", "arguments": {"sql": "x"}})).to_string())
        .send()
        .await
        .expect("answers");
    let body = answer.text().await.expect("a body");
    assert!(body.contains(r#""n":12345678901234567890123"#), "{body}");
}

#[tokio::test]
async fn the_control_plane_decides_again() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let call = CallId::new();
    let (status, answer) = alice.call_as(call, "query", json!({"sql": "drop table x"})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(answer["error"]["code"], "policy-forbids");
    let records = eventually(&org, call, 1).await;
    assert_eq!(records[0]["kind"], "denial");
    assert_eq!(records[0]["body"]["rules"], json!(["no-drop"]));

    let stranger = signed_in(&org, "eve", &["visitors"]).await;
    let (status, _) = stranger.call("query", json!({"sql": "select 1"})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_call_is_judged_by_the_address_that_the_proxy_saw_and_the_program_that_the_device_names() {
    let mut org = served().await;
    let office = r#"@id("office") forbid (principal, action in Action::"call_tool", resource) unless {
        context.network has address && context.network.address.isInRange(ip("10.0.0.0/8")) &&
        context.client has program && context.client.program.name == "claude" };"#;
    org.publish(|folder| std::fs::write(folder.join("policies/office.cedar"), office).expect("written"))
        .await
        .expect("published");
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let outside = StatusCode::FORBIDDEN;
    for (forwarded, program, expected) in [
        (Some("10.1.2.3"), Some("/opt/claude"), StatusCode::OK),
        (Some("203.0.113.9, 10.1.2.3"), Some("/opt/claude"), StatusCode::OK),
        (Some("10.1.2.3, 203.0.113.9"), Some("/opt/claude"), outside),
        (Some("unknown"), Some("/opt/claude"), outside),
        (None, Some("/opt/claude"), outside),
        (Some("10.1.2.3"), Some("/opt/other"), outside),
        (Some("10.1.2.3"), None, outside),
    ] {
        let said = BrokerContext { program: program.map(ToOwned::to_owned), ..context(CallId::new()) };
        let mut calling = alice.calling(&said, "query", json!({"sql": "select 1"}));
        if let Some(forwarded) = forwarded {
            calling = calling.header("x-forwarded-for", forwarded);
        }
        let answer = calling.send().await.expect("answers");
        assert_eq!(answer.status(), expected, "{forwarded:?} {program:?}");
    }
}

#[tokio::test]
async fn the_intent_comes_before_the_outcome_under_the_device_s_call_id() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let call = CallId::new();
    alice.call_as(call, "query", json!({"sql": "select 1"})).await;
    let records = eventually(&org, call, 2).await;
    let kinds: Vec<&str> = records.iter().map(|record| record["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["intent", "outcome"]);
    assert_eq!(records[0]["body"]["subject"]["subject"], "alice");
    assert_eq!(records[1]["body"]["outcome"]["status"], "ok");
    let by_credential =
        control::Filter { credential: Some("warehouse-analyst".to_owned()), ..Default::default() };
    assert_eq!(org.records(by_credential).await, records, "the calls of an account, with their outcomes");
}

#[tokio::test]
async fn sessions_are_shared_by_calls_of_one_person_and_by_nobody_else() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let bob = signed_in(&org, "bob", &["analysts"]).await;
    let process = async |device: &crate::harness::Device<'_>| {
        let (_, answer) = device.call("query", json!({"sql": "x"})).await;
        text(&answer).rsplit(' ').next().expect("a number").to_owned()
    };
    let first = process(&alice).await;
    assert_eq!(process(&alice).await, first);
    assert_ne!(process(&bob).await, first);
    org.put_credential("warehouse-analyst", ANALYST_SECRET).await;
    assert_ne!(process(&alice).await, first, "a new secret ends what held the old one");
}

#[tokio::test]
async fn a_connector_that_dies_is_said_and_started_again() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let call = CallId::new();
    let (status, answer) = alice.call_as(call, "crash", json!({})).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(answer["error"]["code"], "connector-ended");
    assert!(!answer.to_string().contains("password"), "{answer}");
    let records = eventually(&org, call, 2).await;
    assert_eq!(records[1]["body"]["outcome"]["status"], "unknown");
    let (status, _) = alice.call("query", json!({"sql": "x"})).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_missing_secret_and_an_unknown_connector_are_said() {
    let org = served().await;
    let id = "warehouse-analyst".parse().expect("an id");
    org.ask(&control::admin::Ask::RemoveCredential { id }).await.expect("removes");
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let call = CallId::new();
    let (status, answer) = alice.call_as(call, "query", json!({"sql": "x"})).await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (StatusCode::BAD_GATEWAY, Some("credential-unusable"))
    );
    let records = eventually(&org, call, 2).await;
    assert_eq!(records[1]["body"]["outcome"]["status"], "failed");

    let answer =
        alice.request(Method::POST, "v1/broker/nobody/mcp").body("{}").send().await.expect("answers");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn tools_are_listed_as_policy_lets_them_be_seen() {
    let org = served().await;
    let list = async |user: &str, groups: &[&str]| {
        let device = signed_in(&org, user, groups).await;
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
        let answer = device
            .request(Method::POST, "v1/broker/warehouse/mcp")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/list")
            .header(BROKER_CONTEXT_HEADER, context.to_header())
            .body(modern("tools/list", json!({})).to_string())
            .send()
            .await
            .expect("answers");
        let answer: Value = answer.json().await.expect("JSON");
        answer["result"]["tools"].as_array().map(Vec::len)
    };
    assert_eq!(list("alice", &["analysts"]).await, Some(2));
    assert_eq!(list("eve", &["visitors"]).await, Some(0));
}

#[tokio::test]
async fn the_secret_is_nowhere_in_the_clear() {
    let org = served().await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    alice.call("query", json!({"sql": "x"})).await;
    alice.call("crash", json!({})).await;
    let records = org.records(control::Filter::default()).await;
    assert!(!format!("{records:?}").contains("password"));
    drop(alice);
    let password = b"an-analyst's-password";
    for file in walk(&org.data("")) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!bytes.windows(password.len()).any(|window| window == password), "{}", file.display());
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).expect("reads").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// A connector behind a URL that tells which token it was given; `/moved` sends elsewhere.
async fn http_connector() -> String {
    use axum::http::HeaderMap;
    use axum::response::{IntoResponse as _, Redirect, Response};
    use axum::routing::post;

    async fn answer(headers: HeaderMap, body: String) -> Response {
        let request: Value = serde_json::from_str(&body).expect("JSON");
        let told =
            headers.get("authorization").map(|value| value.to_str().expect("text")).unwrap_or_default();
        let result = match request["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "r", "version": "1"},
            }),
            Some("tools/call") => json!({"content": [{"type": "text", "text": format!("I got {told}")}]}),
            _ => return StatusCode::ACCEPTED.into_response(),
        };
        axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).into_response()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("an address");
    let app = axum::Router::new()
        .route("/mcp", post(answer))
        .route("/moved", post(async || Redirect::temporary("/mcp")));
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

async fn with_http(path: &str) -> Org {
    let url = http_connector().await + path;
    let mut org = served().await;
    org.publish(|folder| {
        let spec = format!(
            "title = \"Warehouse\"\nurl = \"{url}\"\ncredential = {{ kind = \"brokered\", credentials = [\"warehouse-finance\", \"warehouse-analyst\"] }}\n"
        );
        std::fs::write(folder.join("connectors/warehouse.toml"), spec).expect("writes");
    })
    .await
    .expect("publishes");
    org.put_credential("warehouse-analyst", "the-token-of-the-org").await;
    org
}

#[tokio::test]
async fn a_connector_behind_a_url_gets_the_secret_as_its_token() {
    let org = with_http("/mcp").await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let (status, answer) = alice.call("query", json!({"sql": "x"})).await;
    assert_eq!((status, text(&answer)), (StatusCode::OK, "I got Bearer [redacted]"));
}

#[tokio::test]
async fn a_redirect_never_carries_the_secret_elsewhere() {
    let org = with_http("/moved").await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    let (status, answer) = alice.call("query", json!({"sql": "x"})).await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (StatusCode::BAD_GATEWAY, Some("connector-failed"))
    );
}
