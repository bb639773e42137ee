//! What the server says of itself is what it does, whatever is sent to it.

use model::CallId;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{Caller, Insider};

use crate::administrators::Admin;
use crate::harness::{Device, Org, context, modern, served, signed_in};

async fn description(org: &Org) -> Vec<(String, String)> {
    let description: Value =
        reqwest::get(org.url("openapi.json")).await.expect("answers").json().await.expect("JSON");
    assert_eq!(description["openapi"], "3.1.0");
    let paths = description["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods");
        methods.keys().map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    });
    operations.collect()
}

#[tokio::test]
async fn what_is_described_is_there_and_nothing_that_is_sent_makes_it_fail() {
    let org = served().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
    let client = client.expect("a client");
    let operations = description(&org).await;
    assert!(operations.len() > 20, "{operations:?}");
    let bodies = [
        "",
        "{}",
        "[]",
        "null",
        "\u{0}",
        "a=b&a=c",
        "code=%00&grant_type=authorization_code",
        "\u{feff}{\"format\":1e400}",
    ];
    for (method, path) in operations {
        for name in ["nothing", "%00", "..%2f..", "%ff", "1.json"] {
            let url = org.url(
                path.trim_start_matches('/').replace("{name}", name).replace("{connector}", name).as_str(),
            );
            for body in bodies {
                for kind in ["application/json", "application/x-www-form-urlencoded", "nonsense"] {
                    let method: Method = method.parse().expect("a method");
                    let request = client.request(method.clone(), url.clone());
                    // Each from another address: nobody asks for too much.
                    let from = format!("192.0.2.{}", body.len() + name.len() * 16);
                    let request = request
                        .header("content-type", kind)
                        .header("dpop", "not.a.proof")
                        .header("authorization", "DPoP nonsense")
                        .header("x-forwarded-for", from)
                        .body(body);
                    let answer = request.send().await.expect("answers");
                    let status = answer.status();
                    assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
                    assert!(!status.is_server_error(), "{method} {url} {body:?}: {status}");
                    drop(answer);
                }
            }
            if !path.contains('{') {
                break;
            }
        }
    }
}

fn caller(device: &Device<'_>) -> Caller {
    let key = device.key.to_bytes();
    let key = p256::SecretKey::from_slice(&key).expect("a key").to_pkcs8_pem(LineEnding::LF).expect("PEM");
    Caller { key: key.to_string(), token: device.token.clone() }
}

/// What a device and an administrator send who have all rights, beyond the proofs.
#[tokio::test]
async fn whoever_proves_who_they_are_breaks_nothing_either() {
    let mut org = crate::administrators::org().await;
    let changed = org.publish(|folder| {
        crate::administrators::with_roles(folder);
        Org::with_ledger(folder);
    });
    changed.await.expect("publishes");
    let device = signed_in(&org, "alice", &["analysts"]).await;
    let admin = Admin::signed_in(&org, "ann", &["publishers", "custodians", "auditors", "helpdesk"]).await;
    let callers = [
        ("session", caller(&device)),
        ("administration", caller(&admin.0)),
        ("key", Caller { token: None, ..caller(&device) }),
    ];
    let context = context(CallId::new()).to_header();
    let call = modern("tools/call", json!({"name": "query", "arguments": {"sql": "select 1"}}));
    let good = [
        (
            "/v1/broker/{connector}/mcp",
            json!({
                "path": {"connector": "warehouse"},
                "headers": {
                    "deskgate-context": context,
                    "mcp-protocol-version": "2026-07-28",
                    "mcp-method": "tools/call",
                    "mcp-name": "query",
                },
                "body": call,
            }),
        ),
        (
            "/v1/leases",
            json!({"body": {"connector": "ledger", "credential": "warehouse-analyst", "server": "analyst"}}),
        ),
        (
            "/v1/enrol",
            json!({"body": {"id_token": device.id_token("alice", &[]), "nonce_seed": device.seed}}),
        ),
        ("/v1/root/{name}", json!({"path": {"name": "1.json"}})),
    ];
    // Streams do not end.
    let insider = Insider { callers: callers.into(), good: good.into(), left_out: &["/v1/events"] };
    let examples = if testkit::full_size() { 200 } else { 10 };
    let sent = testkit::send_nonsense(&org.url("openapi.json"), 7, examples, Some(&insider)).await;
    let sent = sent.unwrap_or_else(|fault| panic!("{fault}"));
    for (operation, statuses) in [
        // Beyond the proof, and beyond what comes after it.
        ("POST /v1/admin/act", ["2", "400"].as_slice()),
        ("POST /v1/admin/session", &["403"]),
        ("POST /v1/enrol", &["2", "400"]),
        ("POST /v1/session", &["403"]),
        ("POST /v1/leases", &["2", "403", "404"]),
        ("POST /v1/audit", &["400"]),
        ("POST /v1/broker/{connector}/mcp", &["2", "400", "404"]),
        ("GET /v1/halts", &["2"]),
        ("GET /v1/root/{name}", &["2"]),
    ] {
        for status in statuses {
            assert!(sent.answered(operation, status) > 0, "{operation} {status}: {:#?}", sent.answers);
        }
    }
}
