//! When a person is asked, and for whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connector::{AccountFault, Accounts, Asking, ConnectorGrants, GrantHappening, GrantStatus};
use model::{BoxFuture, ForPerson as _, PersonFault, SignInPurpose, Subject};
use signin::{FaultKind, SecretStore};
use vault::Kind;

use crate::people::Someone;
use crate::server::{Bend, Server};
use crate::support::{Desk, bearer, mail, serve, spec, status};

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_come_together_share_one_question() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);

    let calls: Vec<_> = (0..20)
        .map(|_| {
            let grants = grants.clone();
            tokio::spawn(async move { bearer(&grants).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }

    assert_eq!(person.asked(), 1);
    let request = &person.requests()[0];
    assert_eq!(request.purpose, SignInPurpose::Connector { account: mail(), title: "Mail".to_owned() });
    assert_eq!(request.deadline, Duration::from_secs(60));
    assert_eq!(server.count("authorization_code"), 1);
}

#[tokio::test]
async fn after_a_refusal_calls_are_told_why_and_do_not_open_windows_until_later() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(|_| Err(PersonFault::Cancelled)));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);

    for _ in 0..5 {
        assert_eq!(bearer(&grants).await.map(|_| ()), Err(FaultKind::Cancelled));
    }

    assert_eq!(person.asked(), 1);
    let GrantStatus::NeedsAttention(advice) = status(&grants, |_| true).await else { panic!("no advice") };
    assert_eq!(advice.happened, "The sign-in to Mail was cancelled.");
    assert_eq!(desk.happened(), [GrantHappening::SignInFailed("sign-in-cancelled".to_owned())]);
    desk.clock.advance(Duration::from_secs(30));
    bearer(&grants).await.unwrap_err();
    assert_eq!(person.asked(), 2);
    grants.sign_in(&mail()).await.unwrap_err();
    assert_eq!(person.asked(), 3, "whoever asks for it is not held up");
}

#[tokio::test]
async fn a_question_that_nobody_can_answer_is_a_missing_sign_in() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let nobody = Arc::new(Someone::who(|_| Err(PersonFault::Nobody("no display".to_owned()))));
    let grants = desk.grants(&nobody).await;
    serve(&grants, &server.url);

    let accounts: &dyn Accounts = &grants;
    let fault =
        accounts.bearer(&Subject::local("employee"), &mail(), Asking::Allowed).await.map(|_| ()).unwrap_err();

    assert!(matches!(fault, AccountFault::SignInNeeded(advice) if advice.code == "sign-in-nobody"));
    let fault = grants.bearer(&"chat".parse().unwrap(), Asking::Allowed).await.map(|_| ()).unwrap_err();
    assert_eq!(fault.advice().code, "sign-in-not-offered");
}

#[tokio::test]
async fn a_token_never_follows_a_connector_to_another_address() {
    let here = Server::start(Bend::default()).await;
    let there = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let (at_here, at_there) = (here.authorize(), there.authorize());
    let issuer = here.url.origin().ascii_serialization();
    let person = Arc::new(Someone::who(move |request| {
        if request.authorize_url.as_str().starts_with(&issuer) { at_here(request) } else { at_there(request) }
    }));
    let grants = desk.grants(&person).await;
    serve(&grants, &here.url);
    let first = bearer(&grants).await.unwrap();

    serve(&grants, &there.url);
    let silent = grants.bearer(&mail(), Asking::Never).await.map(|_| ()).unwrap_err();

    assert_eq!(silent.kind, FaultKind::SignInNeeded);
    bearer(&grants).await.unwrap();
    assert_eq!(there.count("authorization_code"), 1, "the person signed in at the new address");
    serve(&grants, &here.url);
    let back = bearer(&grants).await.unwrap();
    assert_eq!(person.asked(), 3);
    drop((first, back));
}

#[tokio::test]
async fn another_subject_does_not_get_the_grant() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let alice = desk.grants_of("alice", &person, Arc::new(desk.vault().await));
    serve(&alice, &server.url);
    bearer(&alice).await.unwrap();
    alice.close().await;

    let bob = desk.grants_of("bob", &person, Arc::new(desk.vault().await));
    serve(&bob, &server.url);
    let fault = bob.bearer(&mail(), Asking::Never).await.map(|_| ()).unwrap_err();

    assert_eq!(fault.kind, FaultKind::SignInNeeded);
    let accounts: &dyn Accounts = &bob;
    let fault =
        accounts.bearer(&Subject::local("alice"), &mail(), Asking::Allowed).await.map(|_| ()).unwrap_err();
    assert!(matches!(fault, AccountFault::SignInNeeded(advice) if advice.code == "other-person"));
    assert_eq!(person.asked(), 1, "nobody is asked to sign in for somebody else");
    bob.close().await;
    let alice = desk.grants_of("alice", &person, Arc::new(desk.vault().await));
    serve(&alice, &server.url);
    assert!(alice.bearer(&mail(), Asking::Never).await.is_ok(), "hers is still there");
}

#[tokio::test]
async fn a_connector_that_is_gone_has_no_state_and_no_token() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let grants = desk.grants(&Arc::new(Someone::who(server.authorize()))).await;
    serve(&grants, &server.url);
    bearer(&grants).await.unwrap();

    grants.serve(&BTreeMap::new());

    assert!(grants.watch().borrow().is_empty());
    assert!(bearer(&grants).await.is_err());
    serve(&grants, &server.url);
    assert!(grants.bearer(&mail(), Asking::Never).await.is_ok(), "it comes back as it was");
}

#[tokio::test]
async fn nothing_secret_lies_on_disk_in_the_clear() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let grants = desk.grants(&Arc::new(Someone::who(server.authorize()))).await;
    serve(&grants, &server.url);
    bearer(&grants).await.unwrap();
    grants.close().await;

    let files = desk.files();

    assert!(!files.is_empty());
    for secret in ["access-1", "refresh-1"] {
        let found = files.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} can be read");
    }
}

#[tokio::test]
async fn signing_out_while_a_question_is_open_withdraws_it() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let shown = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&shown);
    let person = Arc::new(Someone::who_never_answers(move || seen.store(true, Ordering::SeqCst)));
    let grants = desk.grants(&person).await;
    serve(&grants, &server.url);
    let waiting = tokio::spawn({
        let grants = grants.clone();
        async move { bearer(&grants).await.map(|_| ()) }
    });
    shown_to_the_person(&shown).await;
    assert_eq!(status(&grants, |_| true).await, GrantStatus::SigningIn);

    grants.sign_out(&mail()).await.unwrap();

    assert_eq!(waiting.await.unwrap(), Err(FaultKind::Cancelled));
    assert_eq!(status(&grants, |_| true).await, GrantStatus::SignedOut);
    assert!(person.withdrawn(), "the person's side is told by the end of its future");
}

#[tokio::test]
async fn a_scope_list_of_it_that_grew_asks_again_and_one_that_shrank_does_not() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(server.authorize()));
    let grants = desk.grants(&person).await;
    grants.serve(&[(mail(), spec(&server.url, None, &["mail.read", "mail.send"]))].into());
    bearer(&grants).await.unwrap();
    grants.serve(&[(mail(), spec(&server.url, None, &["mail.read"]))].into());
    bearer(&grants).await.unwrap();
    assert_eq!(person.asked(), 1);
    assert_eq!(desk.stored(Kind::Grant).await.len(), 1);
}

/// Waits until the person sees the question.
async fn shown_to_the_person(shown: &AtomicBool) {
    let seen = async || shown.load(Ordering::SeqCst).then_some(());
    testkit::until("the question", Duration::from_secs(10), seen).await.unwrap();
}

/// A vault out of whose reach everything is until it is opened.
struct Locked(vault::Vault, AtomicBool);

impl SecretStore for Locked {
    fn put<'a>(
        &'a self,
        kind: Kind,
        key: &'a str,
        value: &'a vault::SecretBytes,
    ) -> BoxFuture<'a, Result<(), FaultKind>> {
        SecretStore::put(&self.0, kind, key, value)
    }

    fn fetch<'a>(
        &'a self,
        kind: Kind,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<vault::SecretBytes>, FaultKind>> {
        Box::pin(async move {
            if self.1.load(Ordering::SeqCst) {
                SecretStore::fetch(&self.0, kind, key).await
            } else {
                Ok(None)
            }
        })
    }

    fn remove<'a>(&'a self, kind: Kind, key: &'a str) -> BoxFuture<'a, Result<(), FaultKind>> {
        SecretStore::remove(&self.0, kind, key)
    }
}

/// A grant that lies in a locked vault, and what reads it.
async fn locked(desk: &Desk, server: &Server, person: &Arc<Someone>) -> (ConnectorGrants, Arc<Locked>) {
    let before = desk.grants(&Arc::new(Someone::who(server.authorize()))).await;
    serve(&before, &server.url);
    bearer(&before).await.unwrap();
    before.close().await;
    let store = Arc::new(Locked(desk.vault().await, AtomicBool::new(false)));
    let grants = desk.grants_of("employee", person, Arc::<Locked>::clone(&store));
    serve(&grants, &server.url);
    assert_eq!(status(&grants, |_| true).await, GrantStatus::SignedOut);
    (grants, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_opens_while_the_person_is_asked_has_the_grant_when_they_close_the_window() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let (close, closed) = std::sync::mpsc::channel::<()>();
    let closed = std::sync::Mutex::new(closed);
    let shown = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&shown);
    let person = Arc::new(Someone::who(move |_| {
        seen.store(true, Ordering::SeqCst);
        tokio::task::block_in_place(|| closed.lock().unwrap().recv().unwrap());
        Err(PersonFault::Cancelled)
    }));
    let (grants, store) = locked(&desk, &server, &person).await;
    let waiting = tokio::spawn({
        let grants = grants.clone();
        async move { bearer(&grants).await.map(|_| ()) }
    });
    shown_to_the_person(&shown).await;

    store.1.store(true, Ordering::SeqCst);
    grants.read_again().await;
    close.send(()).unwrap();

    assert_eq!(waiting.await.unwrap(), Err(FaultKind::Cancelled));
    status(&grants, |status| matches!(status, GrantStatus::SignedIn { .. })).await;
    grants.bearer(&mail(), Asking::Never).await.unwrap();
    grants.close().await;
}

#[tokio::test]
async fn whoever_signs_out_before_the_vault_opens_finds_nothing_when_it_does() {
    let server = Server::start(Bend::default()).await;
    let desk = Desk::new();
    let person = Arc::new(Someone::who(|_| Err(PersonFault::Cancelled)));
    let (grants, store) = locked(&desk, &server, &person).await;

    grants.sign_out(&mail()).await.unwrap();
    store.1.store(true, Ordering::SeqCst);
    grants.read_again().await;

    assert_eq!(status(&grants, |_| true).await, GrantStatus::SignedOut);
    grants.bearer(&mail(), Asking::Never).await.unwrap_err();
    assert!(desk.stored(Kind::Grant).await.is_empty());
    grants.close().await;
}
