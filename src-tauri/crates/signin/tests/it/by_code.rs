//! Signing in by a code (RFC 8628) at a provider that answers as a real one does not on request.

use std::sync::Arc;
use std::time::Duration;

use model::{ForPerson as _, SignInPurpose};
use os::SystemClock;
use serde_json::json;
use signin::{FaultKind, Session, SessionState, Wish};

use crate::people::Someone;
use crate::provider::{Bend, Provider, Renewal, yes};
use crate::support::{Desk, provider_like, state, wish};

struct Signed {
    provider: Provider,
    person: Arc<Someone>,
    outcome: Result<Session, FaultKind>,
    remembered: bool,
}

/// Wants to sign in by a code, at a provider of which IT says so.
async fn by_code(bend: Bend, person: Someone) -> Signed {
    signs_in(bend, person, true, Wish { by_code: true, ..wish("n") }).await
}

async fn signs_in(bend: Bend, person: Someone, allowed: bool, wish: Wish) -> Signed {
    let provider = Provider::start(bend).await;
    let (desk, person) = (Desk::new(), Arc::new(person));
    let settings = provider_like(&provider.issuer, json!({ "device_code": allowed, "scopes": ["email"] }));
    let sso = desk.sso_at(settings, None, &person, Arc::new(SystemClock)).await;
    let outcome = sso.sign_in(wish).await.map_err(|fault| {
        assert!(!fault.advice().todo.is_empty(), "{fault}");
        fault.kind
    });
    if outcome.is_ok() {
        state(&sso, |state| matches!(state, SessionState::SignedIn { .. })).await;
    }
    sso.close().await;
    Signed { provider, person, outcome, remembered: desk.remembers().await }
}

#[tokio::test]
async fn a_code_is_waited_for_as_slowly_as_the_provider_wants() {
    let waits = vec![
        Renewal::Error("authorization_pending"),
        Renewal::Status(500),
        Renewal::Error("slow_down"),
        Renewal::Error("authorization_pending"),
    ];
    let bend = Bend { waits, code: |code| code["interval"] = json!(1), ..Bend::default() };
    let signed = by_code(bend, Someone::who(yes)).await;
    let session = signed.outcome.unwrap();
    assert_eq!((session.subject().subject.as_str(), session.nonce()), ("alice", Some("n")));
    assert!(signed.remembered);
    let shown = signed.person.codes();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].user_code.shown(), "WDJB-MJHT");
    assert_eq!(shown[0].verification_uri.as_str(), "https://idp.acme.test/device");
    assert_eq!(shown[0].purpose, SignInPurpose::Organisation { name: "Acme".to_owned() });
    assert!(!format!("{shown:?}").contains("WDJB"), "it is written nowhere: {shown:?}");
    assert_eq!(signed.person.asked(), 0, "no page");
    assert_eq!(signed.provider.log()[0], "device deskgate openid offline_access email");
    // One second; twice that after a fault of the server (section 3.5); five more after slow_down.
    let least = [1, 2, 7, 7].map(Duration::from_secs);
    let pauses = signed.provider.pauses();
    assert_eq!(pauses.len(), least.len(), "{pauses:?}");
    assert!(pauses.iter().zip(least).all(|(pause, least)| *pause >= least), "{pauses:?}");
}

#[tokio::test]
async fn a_code_that_brings_nobody_in_says_why() {
    let refused = FaultKind::Refused("access_denied".to_owned());
    let used = FaultKind::Unreadable("the code is used up".to_owned());
    for (error, kind) in
        [("access_denied", refused), ("expired_token", FaultKind::Deadline), ("invalid_grant", used)]
    {
        let signed =
            by_code(Bend { waits: vec![Renewal::Error(error)], ..Bend::default() }, Someone::who(yes)).await;
        assert_eq!(signed.outcome.map(|_| ()), Err(kind), "{error}");
        assert!(!signed.remembered, "{error}");
        assert!(signed.provider.pauses().is_empty(), "it is not asked again after {error}");
    }
}

#[tokio::test]
async fn an_answer_by_code_that_cannot_be_read_is_not_asked_for_again() {
    let signed = by_code(Bend { waits: vec![Renewal::Garbage], ..Bend::default() }, Someone::who(yes)).await;
    assert!(matches!(signed.outcome, Err(FaultKind::Unreadable(_))), "{:?}", signed.outcome.map(|_| ()));
    assert!(signed.provider.pauses().is_empty());
}

#[tokio::test]
async fn who_gives_a_code_up_is_not_signed_in_by_it() {
    let waits = vec![Renewal::Error("authorization_pending"); 100];
    let signed = by_code(Bend { waits, ..Bend::default() }, Someone::who(yes).who_gives_codes_up()).await;
    assert_eq!(signed.outcome.map(|_| ()), Err(FaultKind::Cancelled));
    let asked = signed.provider.log().len();
    assert!(asked <= 2, "nobody waits for it any more: {:?}", signed.provider.log());
}

#[tokio::test]
async fn a_code_is_waited_for_no_longer_than_it_is_good() {
    let waits = vec![Renewal::Error("authorization_pending"); 100];
    let bend = Bend { waits, code: |code| code["expires_in"] = json!(1), ..Bend::default() };
    let signed = by_code(bend, Someone::who(yes)).await;
    assert_eq!(signed.outcome.map(|_| ()), Err(FaultKind::Deadline));
}

#[tokio::test]
async fn an_id_token_by_code_is_checked_like_any_other() {
    for claims in [
        |claims: &mut serde_json::Value| claims["aud"] = json!("another"),
        |claims: &mut serde_json::Value| claims["nonce"] = json!("another"),
        |claims: &mut serde_json::Value| claims["iss"] = json!("https://idp.evil.test"),
    ] {
        let signed = by_code(Bend { claims, ..Bend::default() }, Someone::who(yes)).await;
        assert!(matches!(signed.outcome, Err(FaultKind::Mismatch(_))), "{:?}", signed.outcome.map(|_| ()));
    }
}

#[tokio::test]
async fn a_sign_in_by_code_that_is_not_bound_to_this_device_is_let_go_and_said() {
    let bend =
        Bend { claims: |claims| drop(claims.as_object_mut().unwrap().remove("nonce")), ..Bend::default() };
    let signed = by_code(bend, Someone::who(yes)).await;
    assert_eq!(signed.outcome.map(|_| ()), Err(FaultKind::CodesUnbound));
    assert!(!signed.remembered);
    assert!(
        signed.provider.log().contains(&"revoke deskgate refresh_token".to_owned()),
        "{:?}",
        signed.provider.log()
    );
}

#[tokio::test]
async fn what_cannot_be_shown_to_a_person_is_not_shown() {
    for code in [
        |code: &mut serde_json::Value| code["verification_uri"] = json!("file:///etc/passwd"),
        |code: &mut serde_json::Value| code["verification_uri"] = json!("http://idp.acme.test/device"),
        |code: &mut serde_json::Value| code["user_code"] = json!("type\u{1b}[2J"),
        |code: &mut serde_json::Value| code["user_code"] = json!(""),
        |code: &mut serde_json::Value| code["user_code"] = json!("x".repeat(65)),
    ] {
        let signed = by_code(Bend { code, ..Bend::default() }, Someone::who(yes)).await;
        let outcome = signed.outcome.map(|_| ());
        assert!(matches!(outcome, Err(FaultKind::NotAllowed(_) | FaultKind::Unreadable(_))), "{outcome:?}");
        assert!(signed.person.codes().is_empty());
    }
}

#[tokio::test]
async fn a_code_is_the_way_only_where_it_is_allowed_and_nothing_better_is_there() {
    let here = || Someone::who(yes);
    let elsewhere = || Someone::who(yes).without_pages();
    let ask = || wish("n");

    let page = signs_in(Bend::default(), here(), true, ask()).await;
    assert_eq!((page.person.asked(), page.person.codes().len()), (1, 0), "a page can be opened");
    let code = signs_in(Bend::default(), elsewhere(), true, ask()).await;
    assert_eq!((code.person.asked(), code.person.codes().len()), (0, 1), "none can");
    let forbidden = signs_in(Bend::default(), elsewhere(), false, ask()).await;
    assert_eq!((forbidden.person.asked(), forbidden.person.codes().len()), (1, 0), "IT has not allowed it");

    let wanted = signs_in(Bend::default(), here(), false, Wish { by_code: true, ..ask() }).await;
    assert_eq!(wanted.outcome.map(|_| ()), Err(FaultKind::CodesForbidden));
    let metadata = |metadata: &mut serde_json::Value| {
        drop(metadata.as_object_mut().unwrap().remove("device_authorization_endpoint"))
    };
    let none = by_code(Bend { metadata, ..Bend::default() }, here()).await;
    assert!(matches!(none.outcome, Err(FaultKind::NotOffered(_))));
    let instead = signs_in(Bend { metadata, ..Bend::default() }, elsewhere(), true, ask()).await;
    assert_eq!(instead.person.asked(), 1, "the provider has no codes");
}
