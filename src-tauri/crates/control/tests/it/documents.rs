//! The signed documents as desktops fetch them, and the health check.

use org_protocol::{Freshness, TrustState};
use reqwest::StatusCode;
use serde_json::Value;

use crate::harness::{Org, now, served, unpublished};

async fn get(org: &Org, path: &str) -> (StatusCode, Vec<u8>) {
    let answer = reqwest::Client::new().get(org.url(path)).send().await.expect("answers");
    (answer.status(), answer.bytes().await.expect("a body").to_vec())
}

#[tokio::test]
async fn a_desktop_comes_from_the_fingerprint_to_the_bundle() {
    let org = served().await;
    let (_, discovery) = get(&org, ".well-known/deskgate").await;
    let discovery: Value = serde_json::from_slice(&discovery).expect("JSON");
    let fingerprint = discovery["root_key_fingerprint"].as_str().expect("text").parse().expect("a digest");

    let (_, root) = get(&org, "v1/root/1.json").await;
    let state = TrustState::begin(fingerprint, &root, now()).expect("begins");
    assert_eq!(get(&org, "v1/root/2.json").await.0, StatusCode::NOT_FOUND, "there is no next version");
    let (_, manifest) = get(&org, "v1/manifest.json").await;
    let state = state.accept_manifest(&manifest, now()).expect("accepts");
    let wanted = state.wanted(None).expect("readable").expect("new");
    let (_, bundle) = get(&org, &wanted.path).await;
    let (state, content) = state.accept_bundle(None, &bundle).expect("applies");
    assert_eq!(content.org.name, "Acme");
    assert!(matches!(state.freshness(now(), std::time::Duration::ZERO), Freshness::Fresh { .. }));
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let org = served().await;
    let first = reqwest::Client::new().get(org.url("v1/manifest.json")).send().await.expect("answers");
    let tag = first.headers()["etag"].clone();
    let again = reqwest::Client::new().get(org.url("v1/manifest.json")).header("if-none-match", tag.clone());
    assert_eq!(again.send().await.expect("answers").status(), StatusCode::NOT_MODIFIED);
    let mut org = org;
    org.publish(|_| ()).await.expect("publishes");
    let again = reqwest::Client::new().get(org.url("v1/manifest.json")).header("if-none-match", tag);
    assert_eq!(again.send().await.expect("answers").status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_else_is_served() {
    let org = served().await;
    for path in ["v1/bundles/..%2fmanifest.json", "v1/root/x", "v1/credentials", "", "v1/bundles/"] {
        assert_eq!(get(&org, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn health_is_told_before_and_after_publishing() {
    let org = unpublished(None).await;
    let (status, body) = get(&org, "healthz").await;
    let health: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((status, health["published"].as_bool()), (StatusCode::OK, Some(false)));
    assert_eq!(get(&org, "v1/manifest.json").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_document_that_names_deskgate_at_connectors_is_served_where_it_is_named() {
    let mut org = served().await;
    assert_eq!(
        get(&org, "deskgate/client.json").await.0,
        StatusCode::NOT_FOUND,
        "this organisation names none"
    );
    const URL: &str = "https://deskgate.acme.test/deskgate/client.json";
    org.publish(|folder| {
        let path = folder.join("org.toml");
        let text = std::fs::read_to_string(&path).expect("reads");
        std::fs::write(&path, format!("client_metadata_url = \"{URL}\"\n{text}")).expect("writes");
    })
    .await
    .expect("publishes");
    let (status, body) = get(&org, "deskgate/client.json").await;
    let document: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(
        (status, document["client_id"].as_str()),
        (StatusCode::OK, Some(URL)),
        "byte for byte its own address"
    );
    assert_eq!(document["redirect_uris"], serde_json::json!(["http://127.0.0.1/callback"]));
    assert_eq!(document["token_endpoint_auth_method"], "none");
}
