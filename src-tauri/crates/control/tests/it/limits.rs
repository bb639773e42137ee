//! Who asks for too much is told when to come again, and nobody else notices.

use org_protocol::AUDIT_PATH;
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Response, StatusCode};

use crate::harness::{served, signed_in};

/// Asks again until it is too much.
async fn too_much(mut ask: impl AsyncFnMut() -> Response, most: usize) -> Response {
    for _ in 0..=most {
        let answer = ask().await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            return answer;
        }
    }
    panic!("{most} were answered")
}

async fn check(refused: Response) {
    let wait = refused.headers()[RETRY_AFTER].to_str().expect("text").parse::<u64>().expect("seconds");
    assert!((1..=5).contains(&wait), "{wait}");
    let body: serde_json::Value = refused.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "too-many-requests");
}

#[tokio::test]
async fn an_address_that_asks_for_too_many_sign_ins_is_slowed_down_alone() {
    let org = served().await;
    let client = reqwest::Client::new();
    let token = |from: &'static str| {
        let request = client.post(org.url("v1/oidc/token")).header("x-forwarded-for", from).body("nonsense");
        async move { request.send().await.expect("answers") }
    };
    let refused = too_much(async || token("10.1.1.1, 192.0.2.7").await, 1000).await;
    check(refused).await;
    assert_ne!(token("10.1.1.1, 192.0.2.8").await.status(), StatusCode::TOO_MANY_REQUESTS, "another address");
    // Fewer than a fresh address may: what the client writes of itself is not believed.
    check(too_much(async || token("203.0.113.5, 192.0.2.7").await, 200).await).await;
    let documents = client.get(org.url("v1/manifest.json")).header("x-forwarded-for", "192.0.2.7");
    assert_eq!(
        documents.send().await.expect("answers").status(),
        StatusCode::OK,
        "what costs nothing goes on"
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_wherever_one_is_taken() {
    let org = served().await;
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let large = vec![b' '; 9 * 1024 * 1024];
    for path in ["v1/session", "v1/enrol", "v1/leases", "v1/broker/warehouse/mcp"] {
        // The server may answer and hang up before it has read everything.
        if let Ok(answer) = device.request(Method::POST, path).body(large.clone()).send().await {
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        }
    }
    let answer = device.request(Method::POST, AUDIT_PATH).body(large).send().await;
    assert!(answer.map_or(true, |answer| answer.status() == StatusCode::PAYLOAD_TOO_LARGE));
}

#[tokio::test]
async fn bodies_that_never_come_keep_nobody_else_out() {
    use tokio::io::AsyncWriteExt as _;

    let org = served().await;
    let client = reqwest::Client::new();
    let asked = |path: &'static str, from: &'static str| {
        let request = client.get(org.url(path)).header("x-forwarded-for", from);
        async move { request.send().await.expect("answers").status() }
    };
    let head = "POST /v1/broker/warehouse/mcp HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.7\r\ncontent-length: 10\r\n\r\n";
    let mut held = Vec::new();
    while asked("v1/manifest.json", "192.0.2.7").await == StatusCode::OK {
        assert!(held.len() < 1000, "somewhere there is an end");
        let mut stream = tokio::net::TcpStream::connect(org.running.address).await.expect("connects");
        stream.write_all(head.as_bytes()).await.expect("begins a request");
        held.push(stream);
    }
    assert_eq!(asked("v1/manifest.json", "192.0.2.7").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(asked("v1/manifest.json", "192.0.2.8").await, StatusCode::OK, "another address");
    assert_eq!(asked("healthz", "192.0.2.7").await, StatusCode::OK, "whoever looks whether it lives");
}
