//! What is peculiar to Google and Entra, at a stand-in for them. Neither was met in person.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use model::{AttributeValue, SignInRequest};
use os::{Clock as _, ManualClock, SystemClock};
use serde_json::{Value, json};
use signin::{FaultKind, Session, SessionState, SignInFault, Sso, Wish};
use tokio::net::TcpListener;
use url::Url;

use crate::people::Someone;
use crate::provider::{Bend, Provider, allowed, yes};
use crate::support::{Desk, provider_like, state, wish};

async fn sso(desk: &Desk, issuer: &str, more: Value, directory: Option<Url>) -> Sso {
    let person = Arc::new(Someone::who(yes));
    desk.sso_at(provider_like(issuer, more), directory, &person, Arc::new(SystemClock)).await
}

/// Signs in at a stand-in with these settings.
async fn signed_in(bend: Bend, more: Value, directory: Option<Url>) -> Result<(Session, Sso), SignInFault> {
    let provider = Provider::start(bend).await;
    let sso = sso(&Desk::new(), &provider.issuer, more, directory).await;
    sso.sign_in(wish("n")).await.map(|session| (session, sso))
}

fn google() -> Value {
    json!({"kind": "google", "client_secret": "no-secret", "hosted_domain": "acme.test"})
}

#[tokio::test]
async fn google_is_asked_as_google_wants_it() {
    fn asked(request: &SignInRequest) -> HashMap<String, String> {
        request.authorize_url.query_pairs().into_owned().collect()
    }
    let bend = Bend {
        claims: |claims| claims["hd"] = json!("acme.test"),
        client_secret: Some("no-secret"),
        ..Bend::default()
    };
    let provider = Provider::start(bend).await;
    let person = Arc::new(Someone::who(|request| {
        let asked = asked(request);
        assert_eq!(asked["access_type"], "offline");
        assert!(!asked["scope"].contains("offline_access"), "{}", asked["scope"]);
        assert_eq!(asked["hd"], "acme.test");
        assert!(["consent", "select_account consent"].contains(&asked["prompt"].as_str()));
        Ok(allowed(request))
    }));
    let desk = Desk::new();
    let settings = provider_like(&provider.issuer, google());
    let sso = desk.sso_at(settings, None, &person, Arc::new(SystemClock)).await;
    sso.sign_in(wish("n")).await.unwrap();
    sso.sign_in(Wish { nonce: "m".to_owned(), anew: true, by_code: false }).await.unwrap();
}

#[tokio::test]
async fn nobody_from_outside_the_hosted_domain_signs_in() {
    for claims in [|_: &mut Value| {}, |claims: &mut Value| claims["hd"] = json!("evil.test")] {
        let bend = Bend { claims, client_secret: Some("no-secret"), ..Bend::default() };
        let fault = signed_in(bend, google(), None).await.map(|_| ()).unwrap_err();
        assert!(matches!(&fault.kind, FaultKind::Mismatch(why) if why.contains("acme.test")), "{fault:?}");
    }
}

#[tokio::test]
async fn a_claim_of_another_type_is_left_out_and_the_person_is_told() {
    let declared = json!({"claims": {"level": "Long", "department": "String"}});
    let bend = Bend {
        claims: |claims| {
            claims["level"] = json!("three");
            claims["department"] = json!("research");
        },
        ..Bend::default()
    };
    let (session, sso) = signed_in(bend, declared, None).await.unwrap();
    let known = [("department".to_owned(), AttributeValue::Text("research".to_owned()))];
    assert_eq!(session.subject().attributes, known.into());
    let told = state(&sso, |state| matches!(state, SessionState::SignedIn { .. })).await;
    let SessionState::SignedIn { lacks: Some(advice), .. } = told else { panic!("{told:?}") };
    assert!(advice.happened.contains("level") && !advice.happened.contains("department"), "{advice}");
}

/// A directory that knows one person by the access token `a1`, and how often it was asked for groups.
async fn directory(id: &'static str, answer: Value) -> (Url, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let groups = move |headers: HeaderMap| {
        count.fetch_add(1, Ordering::SeqCst);
        let known = headers.get("authorization").is_some_and(|value| value == "Bearer a1");
        let status = if known { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        async move { (status, Json(answer)) }
    };
    let routes = Router::new()
        .route("/v1.0/me", get(move || async move { Json(json!({"id": id})) }))
        .route("/v1.0/me/getMemberObjects", post(groups));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}/v1.0/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (base.parse().unwrap(), asked)
}

fn too_many() -> Bend {
    Bend {
        claims: |claims| {
            claims["oid"] = json!("oid-1");
            claims["_claim_names"] = json!({"groups": "src1"});
            claims["_claim_sources"] = json!({"src1": {"endpoint": "http://127.0.0.1:1/steered"}});
        },
        ..Bend::default()
    }
}

#[tokio::test]
async fn groups_too_many_for_a_token_are_looked_up_in_the_directory() {
    let (base, asked) = directory("oid-1", json!({"value": ["g1", "g2"]})).await;
    let (session, sso) = signed_in(too_many(), json!({"kind": "entra"}), Some(base)).await.unwrap();
    assert_eq!(session.subject().groups, BTreeSet::from(["g1", "g2"].map(str::to_owned)));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(session.directory_access().is_some(), "the control plane looks for itself");
    let seen = state(&sso, |state| matches!(state, SessionState::SignedIn { .. })).await;
    assert!(matches!(seen, SessionState::SignedIn { lacks: None, .. }), "{seen:?}");
    assert!(!format!("{session:?}").contains("a1"), "{session:?}");

    let (ordinary, _) = signed_in(Bend::default(), json!({"kind": "entra"}), None).await.unwrap();
    assert!(ordinary.directory_access().is_none(), "nobody needs it");
}

/// A directory that answers whoever has just signed in, and holds every other answer back.
async fn holding_directory() -> (Url, Arc<AtomicUsize>) {
    let held = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&held);
    let me = move |headers: HeaderMap| {
        let first = headers.get("authorization").is_some_and(|value| value == "Bearer a1");
        let count = Arc::clone(&count);
        async move {
            if !first {
                count.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            Json(json!({"id": "oid-1"}))
        }
    };
    let routes = Router::new()
        .route("/v1.0/me", get(me))
        .route("/v1.0/me/getMemberObjects", post(async || Json(json!({"value": ["g1"]}))));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}/v1.0/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (base.parse().unwrap(), held)
}

/// The old refresh token is used up by then: if the new one were not on disk, the sign-in would be lost.
#[tokio::test]
async fn a_crash_while_groups_are_looked_up_at_a_renewal_loses_nothing() {
    let provider = Provider::start(too_many()).await;
    let (base, held) = holding_directory().await;
    let (desk, person) = (Desk::new(), Arc::new(Someone::who(yes)));
    let settings = || provider_like(&provider.issuer, json!({"kind": "entra"}));
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let sso = desk.sso_at(settings(), Some(base), &person, Arc::<ManualClock>::clone(&clock)).await;
    let session = sso.sign_in(wish("n")).await.unwrap();
    assert_eq!(session.subject().groups, BTreeSet::from(["g1".to_owned()]));
    clock.advance(Duration::from_secs(480));
    clock.set(SystemClock.now());
    testkit::until("a held look-up", Duration::from_secs(20), async || {
        (held.load(Ordering::SeqCst) > 0).then_some(())
    })
    .await
    .unwrap();

    // What a program finds that starts after a crash at this point, and renews at once.
    let again = desk.sso_at(settings(), None, &person, clock).await;
    testkit::until("a renewal at the start", Duration::from_secs(20), async || {
        (provider.renewals() == 2).then_some(())
    })
    .await
    .unwrap();
    again.close().await;
    assert!(desk.remembers().await, "the provider took the token that the renewal before had brought");
    assert_eq!(person.asked(), 1);
    drop(sso);
}

#[tokio::test]
async fn groups_that_cannot_be_looked_up_are_none_and_the_person_is_told() {
    let part = json!({"value": ["g1"], "@odata.nextLink": "http://127.0.0.1:1/next"});
    let places = [
        Some(directory("oid-2", json!({"value": ["g1"]})).await.0),
        Some(directory("oid-1", part).await.0),
        Some("http://127.0.0.1:1/".parse().unwrap()),
        None,
    ];
    for place in places {
        let (session, sso) = signed_in(too_many(), json!({"kind": "entra"}), place.clone()).await.unwrap();
        assert!(session.subject().groups.is_empty(), "{place:?}: {:?}", session.subject());
        let seen = state(&sso, |state| matches!(state, SessionState::SignedIn { .. })).await;
        let SessionState::SignedIn { lacks: Some(advice), .. } = seen else { panic!("{place:?}: {seen:?}") };
        assert_eq!(advice.code, "groups-unknown");
    }
}
