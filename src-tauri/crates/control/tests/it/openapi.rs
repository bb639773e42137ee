//! What the server says of itself is what it does, whatever is sent to it.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::harness::{Org, served};

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
