//! A connector behind a URL that learns for whom a call is made.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Org, now, served, signed_in};

/// The assertions that came, one a request; nothing where there was none.
type Heard = Arc<Mutex<Vec<Option<String>>>>;

/// A connector that repeats the assertion that it was given; `/moved` sends elsewhere.
async fn connector() -> (String, Heard) {
    let heard = Heard::default();
    let keep = Arc::clone(&heard);
    let answer = post(async move |headers: HeaderMap, body: String| -> Response {
        let assertion =
            headers.get("deskgate-user-assertion").map(|value| value.to_str().expect("text").to_owned());
        keep.lock().expect("a list").push(assertion.clone());
        let request: Value = serde_json::from_str(&body).expect("JSON");
        let result = match request["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "r", "version": "1"},
            }),
            Some("tools/call") => {
                json!({"content": [{"type": "text", "text": format!("you are {assertion:?}")}]})
            }
            _ => return StatusCode::ACCEPTED.into_response(),
        };
        axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).into_response()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("an address");
    let moved = post(async || axum::response::Redirect::temporary("/mcp"));
    let app = axum::Router::new().route("/mcp", answer).route("/moved", moved);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}"), heard)
}

async fn with_connector(url: &str, identity: &str) -> Org {
    let mut org = served().await;
    org.publish(|folder| {
        let spec = format!(
            "title = \"Warehouse\"\nurl = \"{url}\"\ncredential = {{ kind = \"brokered\", credentials = [\"warehouse-finance\", \"warehouse-analyst\"]{identity} }}\n"
        );
        std::fs::write(folder.join("connectors/warehouse.toml"), spec).expect("writes");
    })
    .await
    .expect("publishes");
    org.put_credential("warehouse-analyst", "the-token-of-the-org").await;
    org
}

const SIGNED: &str = ", identity = \"signed_assertion\"";

/// What an assertion says, once its signature was verified with the published key.
async fn verified(org: &Org, assertion: &str) -> Value {
    let keys = reqwest::get(org.url("v1/assertions/keys.json")).await.expect("answers");
    let keys: Value = keys.json().await.expect("JSON");
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { panic!("three parts: {assertion}") };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let header: Value = serde_json::from_slice(&decode(header)).expect("JSON");
    let key = &keys["keys"][0];
    assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &key["kid"]));
    assert!(key.get("d").is_none(), "the public half alone: {keys}");
    let coordinate = |name: &str| decode(key[name].as_str().expect("a coordinate"));
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let signed = assertion.rsplit_once('.').expect("a signature").0;
    let signature = Signature::from_slice(&decode(signature)).expect("a signature");
    let key = VerifyingKey::from_sec1_bytes(&point).expect("a point");
    key.verify(signed.as_bytes(), &signature).expect("signed with the published key");
    serde_json::from_slice(&decode(claims)).expect("JSON")
}

#[tokio::test]
async fn a_connector_learns_for_whom_each_call_is_made_by_a_signed_word_that_is_for_it_alone() {
    let (address, heard) = connector().await;
    let url = format!("{address}/mcp");
    let org = with_connector(&url, SIGNED).await;
    for user in ["alice", "bob"] {
        let device = signed_in(&org, user, &["analysts"]).await;
        let (status, answer) = device.call("query", json!({"sql": "x"})).await;
        assert_eq!(status, StatusCode::OK);
        let text = answer["result"]["content"][0]["text"].as_str().expect("text");
        assert_eq!(text, "you are Some(\"[redacted]\")", "the device does not get it");
        let assertion = heard.lock().expect("a list").last().cloned().flatten().expect("an assertion");
        let claims = verified(&org, &assertion).await;
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!(user), &json!(url)));
        assert_eq!((&claims["iss"], &claims["groups"]), (&json!(org.url("")), &json!(["analysts"])));
        assert_eq!(claims["idp"].as_str(), Some(signed_by(&org).as_str()));
        let time = |name: &str| claims[name].as_i64().expect("a number");
        assert_eq!(time("exp") - time("iat"), 60);
        assert!((now().seconds() - time("iat")).abs() < 30);
    }
    let all: Vec<String> = heard.lock().expect("a list").iter().flatten().cloned().collect();
    let distinct: BTreeSet<&String> = all.iter().collect();
    assert!(distinct.len() >= 2, "each call has its own");
}

fn signed_by(org: &Org) -> String {
    org.idp.issuer().to_string()
}

#[tokio::test]
async fn nothing_is_said_of_the_person_where_it_does_not_say_so_nor_to_where_a_redirect_leads() {
    let (address, heard) = connector().await;
    let org = with_connector(&format!("{address}/mcp"), "").await;
    let alice = signed_in(&org, "alice", &["analysts"]).await;
    assert_eq!(alice.call("query", json!({"sql": "x"})).await.0, StatusCode::OK);
    assert!(heard.lock().expect("a list").iter().all(Option::is_none));

    heard.lock().expect("a list").clear();
    let moved = with_connector(&format!("{address}/moved"), SIGNED).await;
    let alice = signed_in(&moved, "alice", &["analysts"]).await;
    assert_eq!(alice.call("query", json!({"sql": "x"})).await.0, StatusCode::BAD_GATEWAY);
    assert!(heard.lock().expect("a list").is_empty(), "nobody was asked there");
}
