//! What is not believed.

use std::sync::Arc;

use model::{PersonFault, SignInRequest};
use serde_json::json;
use signin::FaultKind;
use url::Url;

use crate::people::Someone;
use crate::provider::{Bend, Provider, allowed, yes};
use crate::support::{Desk, wish};

/// Signs in at a provider that deviates, and says why it was refused.
async fn refused(bend: Bend) -> FaultKind {
    refused_by(bend, Someone::who(yes)).await
}

async fn refused_by(bend: Bend, person: Someone) -> FaultKind {
    let provider = Provider::start(bend).await;
    let desk = Desk::new();
    let sso = desk.sso(&provider.issuer, &Arc::new(person)).await;
    let fault = sso.sign_in(wish("n")).await.map(|session| session.subject().clone()).unwrap_err();
    assert!(!desk.remembers().await, "nothing of it is kept");
    sso.close().await;
    fault.kind
}

fn mismatch(fault: &FaultKind, about: &str) {
    assert!(
        matches!(fault, FaultKind::Mismatch(why) if why.contains(about)),
        "{fault:?} is not about {about}"
    );
}

#[tokio::test]
async fn the_stand_in_is_believed_when_it_behaves() {
    let provider = Provider::start(Bend::default()).await;
    let desk = Desk::new();
    let sso = desk.sso(&provider.issuer, &Arc::new(Someone::who(yes))).await;
    let session = sso.sign_in(wish("n")).await.unwrap();
    assert_eq!(session.subject().subject, "alice");
    assert!(session.subject().groups.contains("analysts"));
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let bend = Bend { header: |header| header["alg"] = json!("none"), ..Bend::default() };
    mismatch(&refused(bend).await, "ID token");
}

#[tokio::test]
async fn a_symmetric_algorithm_is_refused_even_if_the_provider_offers_it() {
    let bend = Bend {
        metadata: |metadata| metadata["id_token_signing_alg_values_supported"] = json!(["HS256"]),
        header: |header| header["alg"] = json!("HS256"),
        ..Bend::default()
    };
    mismatch(&refused(bend).await, "HS256");
}

#[tokio::test]
async fn another_key_is_refused() {
    mismatch(&refused(Bend { foreign_key: true, ..Bend::default() }).await, "ignature");
}

#[tokio::test]
async fn another_nonce_issuer_or_audience_is_refused() {
    let claims = |claims| Bend { claims, ..Bend::default() };
    mismatch(&refused(claims(|claims| claims["nonce"] = json!("other"))).await, "nonce");
    mismatch(&refused(claims(|claims| drop(claims.as_object_mut().unwrap().remove("nonce")))).await, "nonce");
    mismatch(&refused(claims(|claims| claims["iss"] = json!("https://evil.example"))).await, "issuer");
    mismatch(&refused(claims(|claims| claims["aud"] = json!("somebody-else"))).await, "audience");
    mismatch(&refused(claims(|claims| claims["aud"] = json!(["deskgate", "other"]))).await, "audience");
}

#[tokio::test]
async fn an_old_token_is_refused_but_for_what_clocks_may_be_off() {
    let claims = |claims| Bend { claims, ..Bend::default() };
    mismatch(
        &refused(claims(|claims| claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 330))).await,
        "expired",
    );
    let slightly = claims(|claims| claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 240));
    let provider = Provider::start(slightly).await;
    let sso = Desk::new().sso(&provider.issuer, &Arc::new(Someone::who(yes))).await;
    assert!(sso.sign_in(wish("n")).await.is_ok());
}

#[tokio::test]
async fn an_access_token_that_the_id_token_does_not_speak_of_is_refused() {
    let bend =
        Bend { claims: |claims| claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA"), ..Bend::default() };
    mismatch(&refused(bend).await, "access token's digest");
}

#[tokio::test]
async fn metadata_of_another_issuer_are_refused() {
    let bend = Bend { metadata: |m| m["issuer"] = json!("https://evil.example"), ..Bend::default() };
    mismatch(&refused(bend).await, "speaks for");
}

#[tokio::test]
async fn a_provider_without_s256_is_refused_before_anybody_is_asked() {
    let bend =
        Bend { metadata: |m| m["code_challenge_methods_supported"] = json!(["plain"]), ..Bend::default() };
    let nobody = Someone::who(|_| unreachable!("nobody is asked"));
    assert_eq!(refused_by(bend, nobody).await, FaultKind::NotOffered("PKCE with S256".to_owned()));
}

#[tokio::test]
async fn endpoints_at_forbidden_places_are_refused_before_anybody_is_asked() {
    let bend = |metadata| Bend { metadata, ..Bend::default() };
    let nobody = || Someone::who(|_| unreachable!("nobody is asked"));
    for bend in [
        bend(|m| m["authorization_endpoint"] = json!("javascript:alert(1)")),
        bend(|m| m["authorization_endpoint"] = json!("file:///etc/passwd")),
        bend(|m| m["authorization_endpoint"] = json!("http://idp.example/authorize")),
        bend(|m| m["token_endpoint"] = json!("http://169.254.169.254/token")),
        bend(|m| m["jwks_uri"] = json!("http://10.0.0.1/keys")),
    ] {
        let fault = refused_by(bend, nobody()).await;
        assert!(matches!(fault, FaultKind::NotAllowed(_)), "{fault:?}");
    }
}

#[tokio::test]
async fn a_redirect_of_another_issuer_or_state_is_refused() {
    let with = |name: &'static str, value: &'static str| {
        move |request: &SignInRequest| -> Result<Url, PersonFault> {
            let mut back = allowed(request);
            let kept: Vec<(String, String)> =
                back.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
            back.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, value);
            Ok(back)
        }
    };
    let fault = refused_by(Bend::default(), Someone::who(with("iss", "https://evil.example"))).await;
    assert_eq!(fault, FaultKind::Mismatch("issuer".to_owned()));
    let fault = refused_by(Bend::default(), Someone::who(with("state", "guess"))).await;
    assert_eq!(fault, FaultKind::Mismatch("state".to_owned()));
    let announced = Bend {
        metadata: |m| m["authorization_response_iss_parameter_supported"] = json!(true),
        ..Bend::default()
    };
    assert_eq!(
        refused_by(announced, Someone::who(yes)).await,
        FaultKind::Mismatch("issuer missing".to_owned())
    );
}

#[tokio::test]
async fn a_taken_port_leads_to_a_fresh_one_and_not_for_ever() {
    let provider = Provider::start(Bend::default()).await;
    let unlucky = Arc::new(Someone::who(yes).with_ports_taken(2));
    let sso = Desk::new().sso(&provider.issuer, &unlucky).await;
    sso.sign_in(wish("n")).await.unwrap();
    let mut ports: Vec<_> = unlucky.requests().iter().map(|r| r.redirect_uri.port().unwrap()).collect();
    ports.dedup();
    assert_eq!(ports.len(), 3);
    let hopeless = Someone::who(yes).with_ports_taken(99);
    let fault = refused_by(Bend::default(), hopeless).await;
    assert_eq!(fault, FaultKind::Internal("the redirect port was taken".to_owned()));
}

#[tokio::test]
async fn a_token_of_another_type_is_refused() {
    let bend = Bend { response: |response| response["token_type"] = json!("DPoP"), ..Bend::default() };
    assert_eq!(refused(bend).await, FaultKind::NotOffered("bearer tokens".to_owned()));
    let bend = Bend { response: |r| drop(r.as_object_mut().unwrap().remove("id_token")), ..Bend::default() };
    assert_eq!(refused(bend).await, FaultKind::NotOffered("an ID token".to_owned()));
}
