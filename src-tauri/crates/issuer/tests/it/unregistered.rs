//! Assistants that do not register: those of a metadata document, and those that were named beforehand.

use issuer::{Limits, NamedClient};
use serde_json::json;

use crate::support::*;

const CLAUDE: &str = "https://claude.ai/oauth/claude-code-client-metadata";
/// A document that is not pinned.
const UNKNOWN: &str = "https://assistant.example/oauth/client.json";

fn published(world: &World) {
    let body = json!({
        "client_id": UNKNOWN,
        "client_name": "Example",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "token_endpoint_auth_method": "none",
    });
    world.network.documents.lock().unwrap().insert(UNKNOWN.to_owned(), body.to_string());
}

#[tokio::test]
async fn a_document_that_is_not_known_is_fetched_once_and_its_tokens_outlive_it() {
    let mut world = world().await;
    published(&world);
    let code = world.code(UNKNOWN, "analyst").await;
    let tokens = world.redeem(UNKNOWN, &code).await;
    assert_eq!(tokens.status, 200, "{}", text(&tokens));
    world.code(UNKNOWN, "analyst").await;
    assert_eq!(*world.network.asked.lock().unwrap(), [UNKNOWN]);
    assert_eq!(world.person.asked.lock().unwrap()[0].client_name, "Example");
    assert_eq!(world.person.asked.lock().unwrap()[0].client_id, UNKNOWN);

    world.network.documents.lock().unwrap().clear();
    world.restart().await;
    let refresh = document(&tokens)["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(world.refresh(UNKNOWN, &refresh).await.status, 200, "no network is needed to go on");
    assert_eq!(world.network.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_document_that_cannot_be_had_or_trusted_asks_nobody() {
    let world = world().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let good = ask(UNKNOWN, &challenge, &resource);
    assert_page(&world.authorize(&good).await, "nobody answers");
    let other =
        json!({"client_id": "https://other.example/", "redirect_uris": ["http://127.0.0.1/callback"]});
    world.network.documents.lock().unwrap().insert(UNKNOWN.to_owned(), other.to_string());
    assert_page(&world.authorize(&good).await, "a document about another client");
    published(&world);
    let elsewhere = with(&good, "redirect_uri", Some("http://127.0.0.1:40000/other"));
    assert_page(&world.authorize(&elsewhere).await, "a redirect that it does not name");
    let asked = world.network.asked.lock().unwrap().len();
    assert_eq!(asked, 3, "what is wrong is not kept, what is right is");
    let web = with(&good, "redirect_uri", Some("https://assistant.example/callback"));
    assert_page(&world.authorize(&web).await, "a redirect that code may never go to");
    let dots = with(&good, "client_id", Some("https://assistant.example/a/../b"));
    assert_page(&world.authorize(&dots).await, "an address that is no client id");
    assert_eq!(world.network.asked.lock().unwrap().len(), asked, "nothing was fetched for these");
    assert_eq!(world.times_asked(), 0);
}

#[tokio::test]
async fn no_page_makes_this_program_fetch_without_end() {
    let limits = Limits { registrations: 2, ..Limits::default() };
    let world = world_with(limits, &["analyst"]).await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    for number in 0..5 {
        let id = format!("https://assistant.example/{number}");
        assert_page(&world.authorize(&ask(&id, &challenge, &resource)).await, &id);
    }
    assert_eq!(world.network.asked.lock().unwrap().len(), 2);
    world.pass(limits.registration_window);
    published(&world);
    world.code(UNKNOWN, "analyst").await;
}

#[tokio::test]
async fn an_assistant_that_was_named_beforehand_does_not_register() {
    let world = world().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let uris = ["http://127.0.0.1/callback".to_owned()];
    let named = NamedClient::new("acme-agent", "Acme agent", &uris).unwrap();
    assert_page(&world.authorize(&ask("acme-agent", &challenge, &resource)).await, "not named yet");
    world.servers.named.lock().unwrap().insert("acme-agent".to_owned(), named);
    let code = world.code("acme-agent", "analyst").await;
    let tokens = world.redeem("acme-agent", &code).await;
    assert_eq!(tokens.status, 200, "{}", text(&tokens));
    assert_eq!(world.person.asked.lock().unwrap()[0].client_name, "Acme agent");

    world.servers.named.lock().unwrap().clear();
    let refresh = document(&tokens)["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(error(&world.refresh("acme-agent", &refresh).await), "invalid_client");
}

#[tokio::test]
async fn whoever_decides_has_the_first_word_about_a_document() {
    let world = world().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let named = NamedClient::new(CLAUDE, "Ours", &["http://127.0.0.1/ours".to_owned()]).unwrap();
    world.servers.named.lock().unwrap().insert(CLAUDE.to_owned(), named);
    let good = ask(CLAUDE, &challenge, &resource);
    assert_page(&world.authorize(&good).await, "a redirect of the pinned document only");
    let ours = with(&good, "redirect_uri", Some("http://127.0.0.1:40000/ours"));
    assert!(answer(&world.authorize(&ours).await, "code").is_some());
}

#[tokio::test]
async fn a_pinned_document_names_its_client_with_any_port() {
    let world = world().await;
    let (challenge, resource) = (challenge(VERIFIER), resource("analyst"));
    let good = ask(CLAUDE, &challenge, &resource);
    for redirect in ["http://localhost:58135/callback", "http://127.0.0.1:58135/callback"] {
        let response = world.authorize(&with(&good, "redirect_uri", Some(redirect))).await;
        assert!(answer(&response, "code").is_some(), "{redirect}: {}", text(&response));
    }
    assert_eq!(world.person.asked.lock().unwrap()[0].client_name, "Claude Code");
    assert_page(
        &world.authorize(&with(&good, "redirect_uri", Some("http://localhost:1/other"))).await,
        "its path only",
    );
    let code = world.code(CLAUDE, "analyst").await;
    assert_eq!(world.redeem(CLAUDE, &code).await.status, 200);
}
