//! ID tokens, good and bent, from a stand-in provider over real HTTP.

use std::collections::BTreeSet;

use os::Clock as _;
use p256::ecdsa::SigningKey;
use serde_json::{Value, json};

use super::*;
use crate::testing::{CLIENT_ID, StandInProvider, public_jwk, signed};

const NONCE: &str = "the-device's-nonce";

fn now() -> Timestamp {
    os::SystemClock.now()
}

fn provider(issuer: &str) -> IdentityProvider {
    IdentityProvider {
        issuer: issuer.parse().expect("a URL"),
        client_id: CLIENT_ID.to_owned(),
        scopes: BTreeSet::new(),
        groups_claim: "groups".to_owned(),
        sign_out_returns: false,
    }
}

async fn verify(verifier: &Verifier, idp: &StandInProvider, token: &str) -> Result<Verified, IdentityFault> {
    verifier.verify(&provider(&idp.issuer()), token, NONCE, now()).await
}

/// The outcome for a token whose claims were bent.
async fn bent(change: impl FnOnce(&mut Value)) -> Result<Verified, IdentityFault> {
    let idp = StandInProvider::start().await.expect("starts");
    let mut claims = idp.claims("alice", &["staff"], Some(NONCE), now().seconds());
    change(&mut claims);
    verify(&Verifier::new().expect("a client"), &idp, &idp.token(&claims)).await
}

fn refused(outcome: Result<Verified, IdentityFault>) -> String {
    match outcome {
        Err(IdentityFault::Refused(reason)) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_good_token_names_the_person_and_the_groups() {
    let verified = bent(|_| ()).await.expect("accepted");
    assert!(verified.bound);
    assert_eq!(verified.subject.subject, "alice");
    assert_eq!(verified.subject.email.as_deref(), Some("alice@example.test"));
    assert_eq!(verified.subject.groups, ["staff".to_owned()].into());
    assert!(!verified.subject.issuer.ends_with('/'), "the issuer is the provider's own text");
}

#[tokio::test]
async fn an_unverified_address_is_none_and_a_login_names_who_has_no_name() {
    let verified = bent(|claims| {
        claims.as_object_mut().expect("an object").remove("name");
        claims["email_verified"] = false.into();
        claims["preferred_username"] = "al".into();
    });
    let subject = verified.await.expect("accepted").subject;
    assert_eq!((subject.email, subject.name.as_deref()), (None, Some("al")));
}

#[tokio::test]
async fn a_token_without_nonce_is_told_apart() {
    let verified = bent(|claims| {
        claims.as_object_mut().expect("an object").remove("nonce");
    });
    assert!(!verified.await.expect("accepted").bound);
}

#[tokio::test]
async fn another_device_s_nonce_is_refused() {
    let outcome = bent(|claims| claims["nonce"] = "another".into()).await;
    assert!(matches!(outcome, Err(IdentityFault::NotBound)), "{outcome:?}");
}

#[tokio::test]
async fn wrong_audience_issuer_and_expiry_are_refused() {
    assert!(refused(bent(|claims| claims["aud"] = "another".into()).await).contains("audience"));
    assert!(refused(bent(|claims| claims["aud"] = json!([CLIENT_ID, "another"])).await).contains("audience"));
    assert!(refused(bent(|claims| claims["iss"] = "http://evil.example".into()).await).contains("issuer"));
    let past = now().seconds() - 3600;
    assert!(refused(bent(|claims| claims["exp"] = past.into()).await).starts_with("Expired"));
}

#[tokio::test]
async fn a_token_from_the_future_is_refused() {
    let future = now().seconds() + 4000;
    let outcome = bent(|claims| {
        claims["iat"] = future.into();
        claims["exp"] = (future + 60).into();
    });
    assert!(matches!(outcome.await, Err(IdentityFault::Refused(TokenFault::FromTheFuture(_)))));
}

#[tokio::test]
async fn strangers_symmetric_algorithms_and_none_are_refused() {
    let idp = StandInProvider::start().await.expect("starts");
    let verifier = Verifier::new().expect("a client");
    let claims = idp.claims("alice", &[], Some(NONCE), now().seconds());
    let stranger = SigningKey::from_slice(&[9; 32]).expect("a scalar");
    for header in [
        json!({"alg": "ES256", "kid": "one"}),
        json!({"alg": "ES256", "kid": "nobody's"}),
        json!({"alg": "HS256", "kid": "one"}),
        json!({"alg": "none"}),
        json!({"alg": "ES256", "jwk": public_jwk(&stranger)}),
    ] {
        let outcome = verify(&verifier, &idp, &signed(&header, &claims, &stranger)).await;
        assert!(matches!(outcome, Err(IdentityFault::Refused(_))), "{header}: {outcome:?}");
    }
    for garbage in ["", "a.b.c", &"a".repeat(100_000)] {
        let outcome = verify(&verifier, &idp, garbage).await;
        assert!(matches!(outcome, Err(IdentityFault::Refused(TokenFault::Unreadable))), "{outcome:?}");
    }
}

#[tokio::test]
async fn new_keys_of_the_provider_are_fetched() {
    let idp = StandInProvider::start().await.expect("starts");
    let verifier = Verifier::new().expect("a client");
    let provider = provider(&idp.issuer());
    let claims = idp.claims("alice", &[], Some(NONCE), now().seconds());
    verifier.verify(&provider, &idp.token(&claims), NONCE, now()).await.expect("accepted");
    idp.rotate();
    let token = idp.token(&claims);
    let soon = now().plus(Duration::from_secs(1));
    assert!(verifier.verify(&provider, &token, NONCE, soon).await.is_err(), "not asked again at once");
    let later = now().plus(IMPATIENCE).plus(Duration::from_secs(1));
    verifier.verify(&provider, &token, NONCE, later).await.expect("accepted with the new key");
}

#[tokio::test]
async fn a_provider_that_is_down_or_insecure_is_said() {
    let verifier = Verifier::new().expect("a client");
    let idp = StandInProvider::start().await.expect("starts");
    let token = idp.token(&idp.claims("alice", &[], Some(NONCE), now().seconds()));
    let verify = async |issuer: &str| verifier.verify(&provider(issuer), &token, NONCE, now()).await;
    assert!(matches!(verify("http://127.0.0.1:1").await, Err(IdentityFault::Unreachable { .. })));
    assert!(matches!(verify("http://idp.example.test").await, Err(IdentityFault::Insecure(_))));
    let other = format!("{}/tenant", idp.issuer());
    assert!(
        matches!(verify(&other).await, Err(IdentityFault::Unreachable { .. })),
        "another issuer's metadata"
    );
}

#[tokio::test]
async fn a_provider_that_did_not_answer_is_not_asked_again_at_once() {
    let idp = StandInProvider::start().await.expect("starts");
    let verifier = Verifier::new().expect("a client");
    let provider = provider(&idp.issuer());
    let token = idp.token(&idp.claims("alice", &[], Some(NONCE), now().seconds()));
    let verify = async |at| verifier.verify(&provider, &token, NONCE, at).await;
    idp.fall_silent(true);
    let begun = now();
    for seconds in [0, 1, 9] {
        let outcome = verify(begun.plus(Duration::from_secs(seconds))).await;
        assert!(matches!(outcome, Err(IdentityFault::Unreachable { .. })), "{outcome:?}");
    }
    assert_eq!(idp.asked_for_metadata(), 1, "one token was enough to know");
    idp.fall_silent(false);
    verify(begun.plus(IMPATIENCE)).await.expect("asked again");
}
