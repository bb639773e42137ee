//! ID tokens, good and bent, from a stand-in provider over real HTTP.

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
    provider_like(issuer, &json!({}))
}

/// One of which IT says this besides.
fn provider_like(issuer: &str, more: &Value) -> IdentityProvider {
    let mut settings = json!({"issuer": issuer, "client_id": CLIENT_ID});
    settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    serde_json::from_value(settings).expect("an identity provider")
}

async fn verify(verifier: &Verifier, idp: &StandInProvider, token: &str) -> Result<Verified, IdentityFault> {
    verifier.verify(&provider(&idp.issuer()), token, None, NONCE, now()).await
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
    verifier.verify(&provider, &idp.token(&claims), None, NONCE, now()).await.expect("accepted");
    idp.rotate();
    let token = idp.token(&claims);
    let soon = now().plus(Duration::from_secs(1));
    assert!(verifier.verify(&provider, &token, None, NONCE, soon).await.is_err(), "not asked again at once");
    let later = now().plus(IMPATIENCE).plus(Duration::from_secs(1));
    verifier.verify(&provider, &token, None, NONCE, later).await.expect("accepted with the new key");
}

#[tokio::test]
async fn a_provider_that_is_down_or_insecure_is_said() {
    let verifier = Verifier::new().expect("a client");
    let idp = StandInProvider::start().await.expect("starts");
    let token = idp.token(&idp.claims("alice", &[], Some(NONCE), now().seconds()));
    let verify = async |issuer: &str| verifier.verify(&provider(issuer), &token, None, NONCE, now()).await;
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
    let verify = async |at| verifier.verify(&provider, &token, None, NONCE, at).await;
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

/// What a token of this provider says, with claims bent.
async fn at(more: &Value, change: impl FnOnce(&mut Value)) -> Result<Verified, IdentityFault> {
    let idp = StandInProvider::start().await.expect("starts");
    let mut claims = idp.claims("alice", &["staff"], Some(NONCE), now().seconds());
    change(&mut claims);
    let provider = provider_like(&idp.issuer(), more);
    Verifier::new().expect("a client").verify(&provider, &idp.token(&claims), None, NONCE, now()).await
}

#[tokio::test]
async fn only_people_of_the_hosted_domain_are_known() {
    let google = json!({"kind": "google", "client_secret": "s", "hosted_domain": "acme.test"});
    at(&google, |claims| claims["hd"] = "acme.test".into()).await.expect("accepted");
    for wrong in [json!("evil.test"), json!("acme.test.evil.test"), json!(["acme.test"]), json!(null)] {
        let outcome = at(&google, |claims| claims["hd"] = wrong.clone()).await;
        assert!(matches!(outcome, Err(IdentityFault::Refused(TokenFault::HostedDomain(_)))), "{wrong}");
    }
    let outcome = at(&google, |_| ()).await;
    assert!(matches!(outcome, Err(IdentityFault::Refused(TokenFault::HostedDomain(_)))), "a private account");
}

#[tokio::test]
async fn declared_claims_are_read_by_their_types_even_those_of_openid_connect() {
    let declared =
        json!({"claims": {"level": "Long", "preferred_username": "String", "roles": "Set<String>"}});
    let verified = at(&declared, |claims| {
        claims["level"] = 3.into();
        claims["preferred_username"] = "al".into();
        claims["roles"] = json!({"approver": true});
        claims["undeclared"] = "x".into();
    });
    let attributes = verified.await.expect("accepted").subject.attributes;
    let expected = [
        ("level".to_owned(), model::AttributeValue::Long(3)),
        ("preferred_username".to_owned(), model::AttributeValue::Text("al".to_owned())),
    ];
    assert_eq!(attributes, expected.into());
}

/// A directory in which everybody who has the access token `<name>` is that person. It says which groups they are in as
/// long as they are one.
async fn directory(whose: &'static str) -> (url::Url, Arc<std::sync::atomic::AtomicUsize>) {
    use axum::routing::{get, post};
    let asked = Arc::<std::sync::atomic::AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let count = move || count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let groups = move |headers: http::HeaderMap| {
        count();
        let known =
            headers.get("authorization").is_some_and(|value| value == format!("Bearer {whose}").as_str());
        let status = if known { http::StatusCode::OK } else { http::StatusCode::UNAUTHORIZED };
        async move { (status, axum::Json(json!({"value": ["group-1", "group-2"]}))) }
    };
    let app = axum::Router::new()
        .route("/v1.0/me", get(move || async move { axum::Json(json!({"id": whose})) }))
        .route("/v1.0/me/getMemberObjects", post(groups));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}/v1.0/", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (base.parse().expect("a URL"), asked)
}

#[tokio::test]
async fn groups_that_are_too_many_for_a_token_are_looked_up_and_only_where_the_table_says() {
    let ((table, asked), (token_s, never)) =
        (directory("oid-of-alice").await, directory("oid-of-alice").await);
    let entra = json!({"kind": "entra"});
    let verified = at(&entra, |claims| {
        claims["oid"] = "oid-of-alice".into();
        claims["_claim_names"] = json!({"groups": "src1"});
        claims["_claim_sources"] = json!({"src1": {"endpoint": token_s}});
    });
    let verified = verified.await.expect("accepted");
    assert!(verified.subject.groups.is_empty(), "what is there is not all of them: {verified:?}");
    let provider = provider_like("https://login.microsoftonline.com/", &entra);
    let verifier = Verifier::new().expect("a client").asking(table);
    let found =
        verifier.with_groups(&provider, verified.clone(), Some("oid-of-alice")).await.expect("looked up");
    assert_eq!(found.subject.groups, ["group-1", "group-2"].map(str::to_owned).into());
    let asked_so_far = asked.load(std::sync::atomic::Ordering::SeqCst);

    let refused = verifier.with_groups(&provider, verified.clone(), None).await;
    assert!(matches!(refused, Err(IdentityFault::GroupsUnknown(DirectoryFault::Nothing))), "{refused:?}");
    let refused = verifier.with_groups(&provider, verified.clone(), Some("revoked")).await;
    assert!(matches!(refused, Err(IdentityFault::GroupsUnknown(DirectoryFault::Status(401)))), "{refused:?}");
    let (bob_s, _) = directory("oid-of-bob").await;
    let verifier = Verifier::new().expect("a client").asking(bob_s);
    let refused = verifier.with_groups(&provider, verified.clone(), Some("oid-of-bob")).await;
    assert!(
        matches!(refused, Err(IdentityFault::GroupsUnknown(DirectoryFault::AnotherPerson))),
        "somebody else's access token: {refused:?}"
    );
    let verifier = Verifier::new().expect("a client").asking("http://127.0.0.1:1/".parse().expect("a URL"));
    let refused = verifier.with_groups(&provider, verified.clone(), Some("oid-of-alice")).await;
    assert!(
        matches!(refused, Err(IdentityFault::GroupsUnknown(DirectoryFault::Unreachable(_)))),
        "{refused:?}"
    );
    assert_eq!(asked_so_far, 1);
    assert_eq!(never.load(std::sync::atomic::Ordering::SeqCst), 0, "what the token says is not followed");

    let plain = provider_like("https://idp.acme.test/", &json!({}));
    let without = verifier.with_groups(&plain, verified, Some("oid-of-alice")).await.expect("no groups");
    assert!(without.subject.groups.is_empty(), "a provider that is not known to have a directory");
}
