//! Renewals that go wrong, with a provider that ends a family when a refresh token is used twice.

use std::sync::Arc;
use std::time::Duration;

use os::{Clock as _, ManualClock, SystemClock};
use serde_json::json;
use signin::{FaultKind, SessionState, Sso};

use crate::people::Someone;
use crate::provider::{Bend, Provider, Renewal, yes};
use crate::support::{Desk, state, wish};

struct Setup {
    provider: Provider,
    desk: Desk,
    person: Arc<Someone>,
    clock: Arc<ManualClock>,
    sso: Sso,
}

/// Signed in, at a provider that deviates.
async fn signed_in(bend: Bend) -> Setup {
    let provider = Provider::start(bend).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(yes));
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let sso = desk.sso_by(&provider.issuer, &person, Arc::<ManualClock>::clone(&clock)).await;
    sso.sign_in(wish("n")).await.unwrap();
    Setup { provider, desk, person, clock, sso }
}

impl Setup {
    /// Lets the token age without letting the provider's own time pass.
    fn age(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.clock.set(SystemClock.now());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_of_life_fifty_callers_share_one_renewal() {
    let Setup { provider, sso, clock, person, .. } = &signed_in(Bend::default()).await;
    clock.advance(Duration::from_secs(700));
    clock.set(SystemClock.now());
    let calls = (0..50).map(|_| {
        let sso = sso.clone();
        tokio::spawn(async move { sso.session().await.map(|session| session.expires()) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(provider.renewals(), 1, "{:?}", provider.log());
    assert_eq!(person.asked(), 1);
}

#[tokio::test]
async fn a_refused_renewal_ends_the_session_and_says_so() {
    let setup = signed_in(Bend { renewals: vec![Renewal::Error("invalid_grant")], ..Bend::default() }).await;
    setup.age(480);
    let ended = state(&setup.sso, |state| matches!(state, SessionState::SignedOut { .. })).await;
    let SessionState::SignedOut { why: Some(advice) } = ended else { panic!("no reason: {ended:?}") };
    assert_eq!(advice.code, "sign-in-ended");
    assert_eq!(setup.sso.session().await.map(|_| ()).unwrap_err().kind, FaultKind::SignInNeeded);
    assert_eq!(setup.person.asked(), 1, "the session never asks by itself");
    assert!(!setup.desk.remembers().await);
}

#[tokio::test]
async fn an_answer_that_got_lost_is_asked_for_once_more_and_no_more() {
    let renewals = vec![Renewal::Garbage, Renewal::Status(500)];
    let setup = signed_in(Bend { renewals, ..Bend::default() }).await;
    setup.age(480);
    state(&setup.sso, |state| matches!(state, SessionState::SignedIn { trouble: Some(_), .. })).await;
    assert!(setup.sso.session().await.is_ok(), "the old token still lasts");
    assert_eq!(setup.provider.renewals(), 1, "not in the background");
    setup.age(200);
    assert_eq!(setup.sso.session().await.map(|_| ()).unwrap_err().kind, FaultKind::SignInNeeded);
    assert_eq!(setup.provider.renewals(), 2, "one more use, when it is needed");
    setup.age(60);
    assert_eq!(setup.sso.session().await.map(|_| ()).unwrap_err().kind, FaultKind::SignInNeeded);
    assert_eq!(setup.provider.renewals(), 2, "the refresh token is not sent a third time");
}

#[tokio::test]
async fn an_answer_lost_to_a_crash_is_asked_for_once_after_the_restart() {
    let setup = signed_in(Bend { renewals: vec![Renewal::Garbage], ..Bend::default() }).await;
    setup.age(480);
    state(&setup.sso, |state| matches!(state, SessionState::SignedIn { trouble: Some(_), .. })).await;
    // What is on disk is what a crash between the answer and its saving leaves.
    setup.sso.close().await;
    let again = setup
        .desk
        .sso_by(&setup.provider.issuer, &setup.person, Arc::<ManualClock>::clone(&setup.clock))
        .await;
    assert!(again.last_known().await.is_some());
    assert_eq!(setup.provider.renewals(), 1, "nothing in the background while in doubt");
    setup.clock.advance(Duration::from_secs(700));
    let fault = again.session().await.map(|_| ()).unwrap_err();
    assert_eq!(setup.provider.renewals(), 2);
    assert_eq!(fault.kind, FaultKind::SignInNeeded, "the family was dead, and that is said once");
    again.close().await;
}

#[tokio::test]
async fn an_overloaded_provider_is_asked_again_without_doubt() {
    let renewals =
        vec![Renewal::Status(503), Renewal::Error("temporarily_unavailable"), Renewal::Status(429)];
    let setup = signed_in(Bend { renewals, ..Bend::default() }).await;
    setup.age(480);
    testkit::until("four renewals", Duration::from_secs(30), async || {
        // Whatever is waited for before the next attempt, it passes.
        setup.age(1);
        (setup.provider.renewals() >= 4).then_some(())
    })
    .await
    .unwrap();
    state(&setup.sso, |state| matches!(state, SessionState::SignedIn { trouble: None, .. })).await;
    assert_eq!(setup.person.asked(), 1);
}

#[tokio::test]
async fn a_renewal_without_an_id_token_keeps_who_it_was() {
    let bend = Bend {
        response: |response| {
            if response["refresh_token"] != "r1" {
                response.as_object_mut().unwrap().remove("id_token");
            }
        },
        ..Bend::default()
    };
    let setup = signed_in(bend).await;
    setup.clock.advance(Duration::from_secs(700));
    let session = setup.sso.session().await.unwrap();
    assert_eq!(session.subject().subject, "alice");
    assert_eq!(setup.provider.renewals(), 1);
}

#[tokio::test]
async fn a_renewal_that_speaks_of_somebody_else_ends_the_session() {
    let bend = Bend {
        claims: |claims| {
            if claims["jti"] != 1 {
                claims["sub"] = json!("mallory");
            }
        },
        ..Bend::default()
    };
    let setup = signed_in(bend).await;
    setup.age(480);
    let ended = state(&setup.sso, |state| matches!(state, SessionState::SignedOut { .. })).await;
    assert!(matches!(ended, SessionState::SignedOut { why: Some(_) }));
}

#[tokio::test]
async fn groups_are_read_again_at_each_renewal() {
    let bend = Bend {
        claims: |claims| {
            if claims["jti"] != 1 {
                claims["groups"] = json!(["finance"]);
            }
        },
        ..Bend::default()
    };
    let setup = signed_in(bend).await;
    setup.age(480);
    let changed = |state: &SessionState| matches!(state, SessionState::SignedIn { subject, .. } if subject.groups.contains("finance"));
    state(&setup.sso, changed).await;
}

#[tokio::test]
async fn signing_out_is_told_to_the_provider() {
    let setup = signed_in(Bend::default()).await;
    setup.sso.sign_out().await.unwrap();
    testkit::until("the revocation", Duration::from_secs(10), async || {
        setup.provider.log().contains(&"revoke deskgate refresh_token".to_owned()).then_some(())
    })
    .await
    .unwrap();
}
