//! Against npm `oidc-provider`.

use std::sync::Arc;
use std::time::Duration;

use model::{ForPerson as _, SignInPurpose};
use os::{Clock as _, ManualClock, SystemClock};
use secrecy::ExposeSecret as _;
use signin::{FaultKind, Session, SessionState};
use testkit::{Employee, Idp, IdpSettings};

use crate::people::Someone;
use crate::support::{Desk, state, wish};

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_says_who_somebody_is_and_lasts_over_a_restart() {
    let mut idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let desk = Desk::new();
    let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
    let sso = desk.sso(idp.issuer(), &alice).await;
    assert_eq!(
        sso.session().await.map(|_| ()).unwrap_err().kind,
        FaultKind::SignInNeeded,
        "nobody is asked until somebody wants it"
    );

    let session = sso.sign_in(wish("binds-the-device")).await.unwrap();

    assert_eq!(session.subject().issuer, idp.issuer());
    assert_eq!(session.subject().subject, "alice");
    assert_eq!(session.subject().email.as_deref(), Some("alice@acme.test"));
    assert_eq!(session.subject().name.as_deref(), Some("Alice Analyst"));
    assert_eq!(session.subject().groups.iter().collect::<Vec<_>>(), ["analysts", "employees"]);
    assert_eq!(session.nonce(), Some("binds-the-device"));
    assert_eq!(session.id_token().expose_secret().split('.').count(), 3);
    let request = &alice.requests()[0];
    assert_eq!(request.purpose, SignInPurpose::Organisation { name: "Acme".to_owned() });
    assert_eq!(request.redirect_uri.path(), "/callback");
    sso.close().await;
    next_second(Duration::from_secs(600), &session).await;

    let again = desk.sso(idp.issuer(), &alice).await;
    // What was read back is renewed at the start.
    let renewed = state(&again, |state| {
        matches!(state, SessionState::SignedIn { expires, trouble: None, .. } if *expires > session.expires())
    })
    .await;
    assert!(matches!(renewed, SessionState::SignedIn { subject, .. } if subject == *session.subject()));
    assert_eq!(alice.asked(), 1, "silently");
    assert_eq!(idp.sign_ins(), ["alice"]);
    again.close().await;
    idp.process().kill();
}

/// Waits until a token made now differs from this one: they count whole seconds.
async fn next_second(lasts: Duration, session: &Session) {
    testkit::until("the next second", Duration::from_secs(5), async || {
        (SystemClock.now().plus(lasts).seconds() > session.expires().seconds()).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_renews_again_and_again_with_rotating_tokens() {
    let settings = IdpSettings { id_token: Duration::from_secs(60), ..IdpSettings::default() };
    let idp = Idp::start(&settings).await.unwrap();
    let desk = Desk::new();
    let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let sso = desk.sso_by(idp.issuer(), &alice, Arc::<ManualClock>::clone(&clock)).await;
    let mut last = sso.sign_in(wish("n")).await.unwrap();

    for _ in 0..3 {
        next_second(settings.id_token, &last).await;
        // 80 % of what is left as this clock sees it, which has stood still since it was set; not yet the end.
        let left = last.expires().since(clock.now());
        clock.advance(left * 4 / 5 + Duration::from_secs(1));
        clock.set(SystemClock.now());
        last = testkit::until("a renewal at 80 % of the life", Duration::from_secs(20), async || {
            let session = sso.session().await.ok()?;
            (session.expires() > last.expires()).then_some(session)
        })
        .await
        .unwrap();
    }

    assert_eq!(alice.asked(), 1);
    sso.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_leaves_the_session_as_it_is() {
    let mut idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let issuer = idp.issuer().to_owned();
    let desk = Desk::new();
    let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
    let sso = desk.sso(&issuer, &alice).await;
    let session = sso.sign_in(wish("n")).await.unwrap();
    sso.close().await;
    idp.process().kill();

    let again = desk.sso(&issuer, &alice).await;

    let known = again.last_known().await.unwrap();
    assert_eq!(known.subject(), session.subject());
    let seen = state(&again, |state| matches!(state, SessionState::SignedIn { trouble: Some(_), .. })).await;
    let SessionState::SignedIn { subject, trouble: Some(advice), .. } = seen else { unreachable!() };
    assert_eq!(subject, *session.subject());
    assert_eq!(advice.code, "sign-in-unreachable");
    assert_eq!(advice.happened, "The sign-in service of Acme cannot be reached.");
    let fault = again.sign_in(wish("n2")).await.unwrap_err();
    assert_eq!(fault.advice().code, "sign-in-unreachable");
    assert!(again.session().await.is_ok(), "the ID token is still valid");
    again.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_says_no_is_not_asked_twice() {
    let idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let desk = Desk::new();
    let alice = Arc::new(Someone::who_presses_cancel(Employee::alice()));
    let sso = desk.sso(idp.issuer(), &alice).await;

    let fault = sso.sign_in(wish("n")).await.unwrap_err();

    assert_eq!(fault.kind, FaultKind::Refused("access_denied".to_owned()));
    assert_eq!(alice.asked(), 1);
    assert!(!desk.remembers().await);
    sso.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_forgets_and_the_next_person_is_somebody_else() {
    let idp = Idp::start(&IdpSettings::default()).await.unwrap();
    let desk = Desk::new();
    let alice = Arc::new(Someone::at_a_browser(Employee::alice()));
    let sso = desk.sso(idp.issuer(), &alice).await;
    sso.sign_in(wish("n")).await.unwrap();

    sso.sign_out().await.unwrap();

    assert_eq!(sso.session().await.map(|_| ()).unwrap_err().kind, FaultKind::SignInNeeded);
    assert_eq!(state(&sso, |_| true).await, SessionState::SignedOut { why: None });
    assert!(!desk.remembers().await);
    sso.close().await;
    let bob = Arc::new(Someone::at_a_browser(Employee::bob()));
    let sso = desk.sso(idp.issuer(), &bob).await;
    let session = sso.sign_in(wish("n")).await.unwrap();
    assert_eq!(session.subject().subject, "bob");
    assert!(session.subject().groups.contains("finance"));
    sso.close().await;
}
