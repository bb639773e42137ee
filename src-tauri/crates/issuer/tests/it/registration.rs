use std::time::Duration;

use issuer::testing::MemoryStore;
use issuer::{Event, Limits, RecordKind, Route};
use serde_json::{Value, json};

use crate::support::*;

fn records(store: &MemoryStore, kind: RecordKind) -> usize {
    store.dump().keys().filter(|(known, _)| *known == kind).count()
}

#[tokio::test]
async fn a_public_loopback_client_is_registered_and_durable() {
    let world = world().await;
    let response = world
        .post_json(&json!({
            "client_name": "Claude Code (analyst)",
            "redirect_uris": ["http://localhost:3118/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            "scope": "server:analyst",
            "software_statement": "ignored",
        }))
        .await;
    assert_eq!(response.status, 201);
    let mut body = document(&response);
    let client_id = body["client_id"].take();
    assert!(client_id.as_str().unwrap().starts_with("dg-client-"), "{client_id}");
    assert_eq!(
        body,
        json!({
            "client_id": null,
            "client_id_issued_at": START.seconds(),
            "client_name": "Claude Code (analyst)",
            "redirect_uris": ["http://localhost:3118/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "application_type": "native",
        })
    );
    assert_eq!(records(&world.store, RecordKind::Client), 1);
    assert!(world.seen(|event| matches!(event, Event::ClientRegistered { client_name, .. } if client_name == "Claude Code (analyst)")));
}

#[tokio::test]
async fn what_real_clients_send_is_accepted() {
    let corpus = [
        // Visual Studio Code: the web redirects are left out.
        (
            json!({ "client_name": "Visual Studio Code", "redirect_uris": ["https://insiders.vscode.dev/redirect",
                    "https://vscode.dev/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/"],
                    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"] }),
            json!(["http://127.0.0.1/", "http://127.0.0.1:33418/"]),
        ),
        (
            json!({ "client_name": "Cursor", "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback"] }),
            json!(["cursor://anysphere.cursor-mcp/oauth/callback"]),
        ),
        (
            json!({ "client_name": "Codex", "redirect_uris": ["http://127.0.0.1:37819/callback/abc"], "application_type": "native" }),
            json!(["http://127.0.0.1:37819/callback/abc"]),
        ),
        // Python's mcp asks for a client secret unless told otherwise; it takes what the answer says.
        (
            json!({ "redirect_uris": ["http://[::1]:3000/callback"], "token_endpoint_auth_method": "client_secret_post" }),
            json!(["http://[::1]:3000/callback"]),
        ),
    ];
    let world = world().await;
    for (metadata, redirects) in corpus {
        let response = world.post_json(&metadata).await;
        let body = document(&response);
        assert_eq!((response.status, &body["redirect_uris"]), (201, &redirects), "{metadata}");
        assert_eq!(body["token_endpoint_auth_method"], "none");
        assert_eq!(body.get("client_secret"), None);
    }
}

#[tokio::test]
async fn everything_else_is_refused_for_its_reason() {
    const LOOPBACK: &str = "http://127.0.0.1/callback";
    let redirect = |uri: &str| json!({ "redirect_uris": [uri] });
    let named = |name: &str| json!({ "redirect_uris": [LOOPBACK], "client_name": name });
    let corpus: Vec<(Value, &str)> = vec![
        (json!([]), "invalid_client_metadata"),
        (json!("x"), "invalid_client_metadata"),
        (json!({ "redirect_uris": LOOPBACK }), "invalid_client_metadata"),
        (json!({ "redirect_uris": [1] }), "invalid_client_metadata"),
        (json!({}), "invalid_redirect_uri"),
        (json!({ "redirect_uris": [] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": vec![LOOPBACK; 17] }), "invalid_redirect_uri"),
        (redirect("https://evil.example/callback"), "invalid_redirect_uri"),
        (redirect("http://evil.example/callback"), "invalid_redirect_uri"),
        (redirect("http://127.0.0.1.evil.example/"), "invalid_redirect_uri"),
        (redirect("http://127.0.0.1@evil.example/"), "invalid_redirect_uri"),
        (redirect("http://127.0.0.1:*/callback"), "invalid_redirect_uri"),
        (redirect("javascript:alert(1)"), "invalid_redirect_uri"),
        (redirect("vscode://x/callback"), "invalid_redirect_uri"),
        (redirect("cursor://evil/callback"), "invalid_redirect_uri"),
        (redirect("http://127.0.0.1/#fragment"), "invalid_redirect_uri"),
        (redirect(""), "invalid_redirect_uri"),
        (named(""), "invalid_client_metadata"),
        (named(&"a".repeat(81)), "invalid_client_metadata"),
        (named("Cl\u{430}ude Code"), "invalid_client_metadata"),
        (named("Claude\u{202e}"), "invalid_client_metadata"),
        (named("Claude\nCode"), "invalid_client_metadata"),
        (json!({ "redirect_uris": [LOOPBACK], "client_name": 1 }), "invalid_client_metadata"),
        (
            json!({ "redirect_uris": [LOOPBACK], "token_endpoint_auth_method": "private_key_jwt" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": [LOOPBACK], "grant_types": ["client_credentials"] }),
            "invalid_client_metadata",
        ),
        (json!({ "redirect_uris": [LOOPBACK], "grant_types": ["implicit"] }), "invalid_client_metadata"),
        (json!({ "redirect_uris": [LOOPBACK], "response_types": ["token"] }), "invalid_client_metadata"),
    ];
    let world = world().await;
    for (metadata, code) in corpus {
        let response = world.post_json(&metadata).await;
        assert_eq!((response.status, error(&response).as_str()), (400, code), "{metadata}");
    }
    assert_eq!(records(&world.store, RecordKind::Client), 0);
}

#[tokio::test]
async fn only_json_is_read() {
    let world = world().await;
    let body = json!({ "redirect_uris": ["http://127.0.0.1/callback"] }).to_string();
    for content_type in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonx")]
    {
        let response = world.issuer.handle(request(Route::Register, "POST", None, content_type, &body)).await;
        assert_eq!(response.status, 415, "{content_type:?}");
    }
    let response = world
        .issuer
        .handle(request(Route::Register, "POST", None, Some("Application/JSON; charset=utf-8"), &body))
        .await;
    assert_eq!(response.status, 201);
}

#[tokio::test]
async fn registrations_are_limited_in_rate() {
    let limits = Limits { registrations: 2, ..Limits::default() };
    let world = world_with(limits, &["analyst"]).await;
    let metadata = json!({ "redirect_uris": ["http://127.0.0.1/callback"] });
    assert_eq!(world.post_json(&metadata).await.status, 201);
    world.pass(Duration::from_secs(100));
    assert_eq!(world.post_json(&metadata).await.status, 201);
    let response = world.post_json(&metadata).await;
    assert_eq!((response.status, response.header("retry-after")), (429, Some("500")));
    world.pass(Duration::from_secs(500));
    assert_eq!(world.post_json(&metadata).await.status, 201, "the window has moved on");
}

#[tokio::test]
async fn a_full_house_lets_go_of_the_longest_unused_only() {
    let limits = Limits { clients: 2, ..Limits::default() };
    let world = world_with(limits, &["analyst"]).await;
    let used = world.register_as("used").await;
    world.sign_in(&used, "analyst").await;
    world.issuer.revoke_client(&used).await.unwrap();
    world.pass(Duration::from_secs(1));
    let unused = world.register_as("unused").await;
    let metadata = json!({ "redirect_uris": ["http://127.0.0.1/callback"] });
    assert_eq!(
        world.post_json(&metadata).await.status,
        429,
        "nobody leaves in the middle of a first sign-in"
    );

    world.pass(Duration::from_secs(15 * 60));
    let newcomer = world.register_as("newcomer").await;
    let known: Vec<_> = world.issuer.assistants().into_iter().map(|assistant| assistant.client_id).collect();
    assert!(known.contains(&used) && known.contains(&newcomer) && !known.contains(&unused), "{known:?}");
    assert_eq!(records(&world.store, RecordKind::Client), 2);
}

#[tokio::test]
async fn unused_clients_are_forgotten_and_those_with_grants_are_not() {
    let mut world = world().await;
    let granted = world.register_as("granted").await;
    let mut tokens = world.sign_in(&granted, "analyst").await;
    let unused = world.register_as("unused").await;
    // Two hundred days, with a refresh every twenty.
    for _ in 0..10 {
        world.pass(Duration::from_secs(20 * 24 * 60 * 60));
        tokens = crate::support::tokens(&world.refresh(&granted, &tokens.refresh).await);
    }
    world.register_as("newcomer").await;
    world.restart().await;
    let known = world.issuer.assistants();
    let registered = |id: &str| known.iter().any(|known| known.client_id == id && known.registered.is_some());
    assert!(registered(&granted), "it holds a live grant");
    assert!(!registered(&unused), "nobody ever consented to it");
}

#[tokio::test]
async fn a_store_that_fails_registers_nothing() {
    let world = world().await;
    world.store.fail(true);
    let response = world.post_json(&json!({ "redirect_uris": ["http://127.0.0.1/callback"] })).await;
    assert_eq!((response.status, error(&response).as_str()), (500, "server_error"));
    assert!(world.issuer.assistants().is_empty());
    assert!(world.seen(|event| matches!(event, Event::StoreFailed { .. })));
}
