//! Tokens that are bound to a key (RFC 9449), where connectors and authorization servers do not agree on them.

use std::sync::Arc;

use std::time::Duration;

use connector::GrantHappening;
use serde_json::{Value, json};
use signin::FaultKind;
use vault::Kind;

use crate::people::Someone;
use crate::server::{Bend, Server, parameters};
use crate::support::{Desk, bearer, serve};

fn demanded(resource: &mut Value) {
    resource["dpop_bound_access_tokens_required"] = true.into();
}

fn offered(metadata: &mut Value) {
    metadata["dpop_signing_alg_values_supported"] = json!(["ES256", "RS256"]);
}

/// What comes of a first sign-in, and how often the person was asked.
async fn signed_in(bend: Bend) -> (Result<(), FaultKind>, Arc<Someone>) {
    let server = Server::start(bend).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);
    let outcome = bearer(&grants).await.map(|_| ());
    grants.close().await;
    (outcome, person)
}

#[tokio::test]
async fn a_connector_that_demands_bound_tokens_gets_no_others() {
    let missing = FaultKind::NotOffered("tokens that are bound to a key".to_owned());

    let (nowhere, person) = signed_in(Bend { resource: demanded, ..Bend::default() }).await;
    assert_eq!(nowhere, Err(missing.clone()));
    assert_eq!(person.asked(), 0, "nobody is asked for what cannot be had");

    let (withheld, _) = signed_in(Bend { resource: demanded, metadata: offered, ..Bend::default() }).await;
    assert_eq!(withheld, Err(missing), "the server gave bearer tokens all the same");
}

#[tokio::test]
async fn a_connector_that_says_nothing_of_bound_tokens_gets_bearer_tokens() {
    let (outcome, person) = signed_in(Bend { metadata: offered, ..Bend::default() }).await;
    assert_eq!(outcome, Ok(()));
    assert!(!parameters(&person.requests()[0].authorize_url).contains_key("dpop_jkt"));
}

#[tokio::test]
async fn a_bound_token_is_not_taken_from_a_server_that_was_not_asked_for_one() {
    let (outcome, _) =
        signed_in(Bend { response: |tokens| tokens["token_type"] = "DPoP".into(), ..Bend::default() }).await;
    assert_eq!(outcome, Err(FaultKind::NotOffered("bearer tokens".to_owned())));
}

#[tokio::test]
async fn a_grant_with_bound_tokens_goes_on_with_no_others() {
    fn bound_at_first(tokens: &mut Value) {
        let first = tokens["access_token"] == "access-1";
        tokens["token_type"] = if first { "DPoP" } else { "Bearer" }.into();
    }
    let bend = Bend { resource: demanded, metadata: offered, response: bound_at_first, ..Bend::default() };
    let server = Server::start(bend).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);
    bearer(&grants).await.unwrap();

    desk.clock.advance(Duration::from_secs(700));
    let unbound = bearer(&grants).await.map(|_| ());

    assert_eq!(server.count("refresh_token"), 1);
    assert_eq!(unbound, Err(FaultKind::NotOffered("tokens that are bound to a key".to_owned())));
    assert_eq!(person.asked(), 2, "the person is asked, and a sign-in finds out what can be had");
    assert!(desk.happened().contains(&GrantHappening::Ended));
    assert!(desk.stored(Kind::Grant).await.is_empty());
    grants.close().await;
}
