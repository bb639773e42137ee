//! Sessions: bound to this device, kept while somebody is signed in.

use std::sync::{Arc, Mutex};

use control::admin::Ask;
use control::testing::ServedOrg;
use model::{Advice, BoxFuture, ForPerson as _, Subject};
use org::{IdToken, IdTokens, NoIdToken, Org, OrgFault};

use secrecy::SecretString;
use tokio::sync::Semaphore;

use crate::harness::{Desktop, SignedIn, StandIn, id_token, person, session_answer, until, whose};

#[tokio::test]
async fn a_device_is_enrolled_by_its_first_session_and_keeps_its_id() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let session = desktop.sign_in(&served, "alice", &["analysts"]).await;
    assert_eq!(session.device, desktop.id, "the records go on under the id that they have");
    assert_eq!(session.subject.groups, ["analysts".to_owned()].into());
    assert!(!format!("{session:?}").contains("dgs_"), "the token is not shown");
    let desktop = desktop.restart(&served).await;
    assert_eq!(desktop.sign_in(&served, "alice", &["analysts"]).await.device, session.device);
}

#[tokio::test]
async fn an_id_token_of_another_sign_in_opens_nothing() {
    let served = ServedOrg::new().await;
    let (desktop, other) = (Desktop::new(&served).await, Desktop::new(&served).await);
    let nonce = other.org.nonce().await.expect("a nonce");
    let stolen = id_token(&served, "alice", &[], Some(&nonce));
    let alice = person(&served, "alice");
    assert!(matches!(
        desktop.org.open_session(&whose(&alice, &stolen, Some(&nonce))).await,
        Err(OrgFault::NoSession)
    ));
    desktop.org.nonce().await.expect("a nonce");
    let refused = desktop.org.open_session(&whose(&alice, &stolen, None)).await.expect_err("refused");
    assert_eq!(refused.advice().code, "id-token-not-bound");
    assert!(refused.ends_sign_in(), "it will never open one: the person has to sign in again");
}

#[tokio::test]
async fn a_renewed_token_without_nonce_renews_and_an_old_nonce_still_fits_after_a_restart() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let nonce = desktop.org.nonce().await.expect("a nonce");
    let token = id_token(&served, "alice", &["analysts"], Some(&nonce));
    let alice = person(&served, "alice");
    desktop.org.open_session(&whose(&alice, &token, Some(&nonce))).await.expect("opens");
    let unbound = id_token(&served, "alice", &["analysts"], None);
    desktop.org.open_session(&whose(&alice, &unbound, None)).await.expect("renews");
    desktop.org.nonce().await.expect("a sign-in that nobody finishes");
    let desktop = desktop.restart(&served).await;
    desktop
        .org
        .open_session(&whose(&alice, &token, Some(&nonce)))
        .await
        .expect("the sign-in before is still good");
}

#[tokio::test]
async fn a_kept_session_is_opened_again_when_it_is_lost() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let nonce = desktop.org.nonce().await.expect("a nonce");
    let token = id_token(&served, "alice", &["analysts"], Some(&nonce));
    let tokens = Arc::new(SignedIn { token, nonce: Some(nonce), subject: person(&served, "alice") });
    let opened = Arc::new(Mutex::new(0));
    let count = Arc::clone(&opened);
    let org = desktop.org.clone();
    let keeping = tokio::spawn(async move {
        org.keep_session(tokens, move |outcome| {
            *count.lock().expect("not poisoned") += usize::from(outcome.is_ok());
        })
        .await;
    });
    until("a session", async || desktop.org.session().borrow().is_some()).await;
    desktop.org.end_session();
    until("another", async || *opened.lock().expect("not poisoned") == 2).await;
    assert!(desktop.org.session().borrow().is_some());
    keeping.abort();
}

/// Counts how often it is asked for a token, and has none.
#[derive(Default)]
struct Asked(Mutex<usize>);

impl IdTokens for Asked {
    fn id_token(&self) -> BoxFuture<'_, Result<IdToken, NoIdToken>> {
        *self.0.lock().expect("not poisoned") += 1;
        Box::pin(async { Err(NoIdToken(Advice::new("nobody", "Nobody is signed in.", "", ""))) })
    }
}

#[tokio::test]
async fn a_session_that_somebody_else_opened_is_kept() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    let asked = Arc::new(Asked::default());
    let (org, tokens) = (desktop.org.clone(), Arc::clone(&asked));
    let keeping = tokio::spawn(async move { org.keep_session(tokens, |_| ()).await });
    until("the first look", async || *asked.0.lock().expect("not poisoned") == 1).await;
    assert!(desktop.org.session().borrow().is_some(), "nobody else is known to be there");
    desktop.org.end_session();
    until("another session is wanted", async || *asked.0.lock().expect("not poisoned") == 2).await;
    keeping.abort();
}

#[tokio::test]
async fn a_revoked_device_hears_why() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    served.ask(&Ask::RevokeDevice { id: desktop.id }).await.expect("revokes");
    desktop.org.end_session();
    let nonce = desktop.org.nonce().await.expect("a nonce");
    let token = id_token(&served, "alice", &[], Some(&nonce));
    let tokens = SignedIn { token, nonce: Some(nonce), subject: person(&served, "alice") };
    let heard: Arc<Mutex<Vec<Advice>>> = Arc::default();
    let hears = Arc::clone(&heard);
    let org = desktop.org.clone();
    let keeping = tokio::spawn(async move {
        org.keep_session(Arc::new(tokens), move |outcome| {
            if let Err(fault) = outcome {
                assert!(fault.ends_sign_in());
                hears.lock().expect("not poisoned").push(fault.advice());
            }
        })
        .await;
    });
    until("the reason", async || !heard.lock().expect("not poisoned").is_empty()).await;
    assert_eq!(heard.lock().expect("not poisoned")[0].code, "device-revoked");
    keeping.abort();
}

#[tokio::test]
async fn a_provider_that_is_down_is_said() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let nonce = desktop.org.nonce().await.expect("a nonce");
    let token = id_token(&served, "alice", &[], Some(&nonce));
    let alice = person(&served, "alice");
    let ServedOrg { idp, running, dir, .. } = served;
    drop(idp);
    let fault = desktop.org.open_session(&whose(&alice, &token, Some(&nonce))).await.expect_err("refused");
    assert_eq!(fault.advice().code, "idp-unreachable");
    drop((running, dir));
}

/// The provider says that somebody's session there has ended.
async fn log_out(served: &ServedOrg, user: &str) {
    let now = os::Clock::now(&os::SystemClock).seconds();
    let token = served.idp.logout_token(&served.idp.logout_claims(Some(user), None, now));
    let sent = reqwest::Client::new().post(served.url("v1/oidc/backchannel-logout"));
    let answer = sent.form(&[("logout_token", token)]).send().await.expect("answers");
    assert!(answer.status().is_success());
}

#[tokio::test]
async fn a_sign_in_that_was_ended_is_not_kept_with_the_id_token_at_hand() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let nonce = desktop.org.nonce().await.expect("a nonce");
    let token = id_token(&served, "alice", &["analysts"], Some(&nonce));
    let tokens = SignedIn { token, nonce: Some(nonce), subject: person(&served, "alice") };
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let (hears, org) = (Arc::clone(&heard), desktop.org.clone());
    let keeping = tokio::spawn(async move {
        org.keep_session(Arc::new(tokens), move |outcome| {
            let told = outcome.map_or_else(|fault| fault.advice().code, |_| "opened".to_owned());
            hears.lock().expect("not poisoned").push(told);
        })
        .await;
    });
    until("a session", async || desktop.org.session().borrow().is_some()).await;
    log_out(&served, "alice").await;
    let org = desktop.org.clone();
    let following = tokio::spawn(async move { org.follow(|_| ()).await });
    until("the refusal", async || heard.lock().expect("not poisoned").len() >= 2).await;
    assert_eq!(heard.lock().expect("not poisoned")[..2], ["opened", "sign-in-revoked"]);
    assert!(desktop.org.session().borrow().is_none());
    keeping.abort();
    following.abort();
}

#[tokio::test]
async fn who_signs_out_is_out_at_the_server_too() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let nonce = desktop.org.nonce().await.expect("a nonce");
    let token = id_token(&served, "alice", &["analysts"], Some(&nonce));
    let alice = person(&served, "alice");
    desktop.org.open_session(&whose(&alice, &token, Some(&nonce))).await.expect("opens");
    let ended = desktop.org.end_session().expect("there was one");
    assert!(desktop.org.session().borrow().is_none());
    desktop.org.close_session(&ended).await.expect("tells the server");
    desktop.org.close_session(&ended).await.expect("once more is no fault");
    let fault = desktop.org.open_session(&whose(&alice, &token, Some(&nonce))).await.expect_err("refused");
    assert!(fault.ends_sign_in(), "{fault}");
}

/// A server that opens sessions for `subject`, each after `open` gave leave; and how often it was asked.
async fn hesitant(subject: Subject, open: &Arc<Semaphore>) -> (StandIn, Arc<Mutex<usize>>) {
    let (open, asked) = (Arc::clone(open), Arc::<Mutex<usize>>::default());
    let count = Arc::clone(&asked);
    let server = StandIn::new(move |request| {
        assert!(request.what == "POST /v1/session" && request.body.contains("id_token"));
        *count.lock().expect("not poisoned") += 1;
        let (open, subject) = (Arc::clone(&open), subject.clone());
        async move {
            open.acquire().await.expect("open").forget();
            session_answer(&subject)
        }
    })
    .await;
    (server, asked)
}

#[tokio::test]
async fn a_session_that_is_being_opened_during_a_sign_out_is_not_installed() {
    let (alice, open) = (Subject::local("alice"), Arc::new(Semaphore::new(0)));
    let (server, asked) = hesitant(alice.clone(), &open).await;
    let desktop = server.desktop().await;
    let org = desktop.org.clone();
    let opening =
        tokio::spawn(
            async move { org.open_session(&whose(&alice, &SecretString::from("token"), None)).await },
        );
    until("the request", async || *asked.lock().expect("not poisoned") == 1).await;
    desktop.org.end_session();
    open.add_permits(1);
    let outcome = opening.await.expect("runs");
    assert!(matches!(outcome, Err(OrgFault::NoSession)), "{outcome:?}");
    assert!(desktop.org.session().borrow().is_none(), "who has signed out stays signed out");
}

/// Whoever sits at the computer.
#[derive(Default)]
struct Seat(Mutex<Option<Subject>>);

impl Seat {
    fn take(&self, subject: Option<&Subject>) {
        *self.0.lock().expect("not poisoned") = subject.cloned();
    }
}

impl IdTokens for Seat {
    fn id_token(&self) -> BoxFuture<'_, Result<IdToken, NoIdToken>> {
        let subject = self.0.lock().expect("not poisoned").clone();
        Box::pin(async {
            let nobody = || NoIdToken(Advice::new("nobody", "Nobody is signed in.", "", ""));
            Ok(IdToken {
                token: "token".into(),
                nonce: None,
                subject: subject.ok_or_else(nobody)?,
                access: None,
            })
        })
    }
}

/// Keeps a session, and counts the openings and failures that are told.
fn keep(org: &Org, tokens: Arc<dyn IdTokens>) -> (Arc<Mutex<(usize, usize)>>, tokio::task::JoinHandle<()>) {
    let told = Arc::<Mutex<(usize, usize)>>::default();
    let (org, tells) = (org.clone(), Arc::clone(&told));
    let keeping = tokio::spawn(async move {
        org.keep_session(tokens, move |outcome| {
            let mut told = tells.lock().expect("not poisoned");
            *told = (told.0 + usize::from(outcome.is_ok()), told.1 + usize::from(outcome.is_err()));
        })
        .await;
    });
    (told, keeping)
}

#[tokio::test]
async fn a_keeper_s_late_answer_brings_nobody_back() {
    let (alice, open) = (Subject::local("alice"), Arc::new(Semaphore::new(1)));
    let (server, asked) = hesitant(alice.clone(), &open).await;
    let desktop = server.desktop().await;
    let seat = Arc::new(Seat::default());
    seat.take(Some(&alice));
    let (told, keeping) = keep(&desktop.org, Arc::clone(&seat) as Arc<dyn IdTokens>);
    until("a session", async || desktop.org.session().borrow().is_some()).await;

    // A sign-out ends the session first, and the token a moment later.
    desktop.org.end_session();
    until("another request", async || *asked.lock().expect("not poisoned") == 2).await;
    seat.take(None);
    desktop.org.end_session();
    let mut sessions = desktop.org.session();
    open.add_permits(1);
    let news = tokio::time::timeout(std::time::Duration::from_millis(500), sessions.changed()).await;
    assert!(news.is_err() && sessions.borrow().is_none(), "who has signed out stays signed out");
    assert_eq!(*told.lock().expect("not poisoned"), (1, 0), "and that is no failure");
    keeping.abort();
}

#[tokio::test]
async fn the_session_of_another_person_is_not_kept() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let bob = desktop.org.nonce().await.expect("a nonce");
    let token = id_token(&served, "bob", &["analysts"], Some(&bob));
    let tokens = SignedIn { token, nonce: Some(bob), subject: person(&served, "bob") };
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    let (_told, keeping) = keep(&desktop.org, Arc::new(tokens));
    until("bob's session", async || {
        let session = desktop.org.session().borrow().clone();
        session.is_some_and(|session| session.subject.is_same_person(&person(&served, "bob")))
    })
    .await;
    keeping.abort();
}

#[tokio::test]
async fn a_session_of_another_person_than_was_meant_is_not_installed() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    let nonce = desktop.org.nonce().await.expect("a nonce");
    let token = id_token(&served, "alice", &["analysts"], Some(&nonce));
    let refused = desktop.org.open_session(&whose(&person(&served, "bob"), &token, Some(&nonce))).await;
    assert!(matches!(refused, Err(OrgFault::Unusable(_))), "{refused:?}");
    assert!(desktop.org.session().borrow().is_none(), "alice's session is not for bob");
}

#[tokio::test]
async fn a_failure_is_taken_back_when_somebody_else_opens_the_session() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let unbound = id_token(&served, "alice", &["analysts"], None);
    let tokens = SignedIn { token: unbound, nonce: None, subject: person(&served, "alice") };
    let (told, keeping) = keep(&desktop.org, Arc::new(tokens));
    until("a failure", async || *told.lock().expect("not poisoned") == (0, 1)).await;
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    until("the word that it is over", async || *told.lock().expect("not poisoned") == (1, 1)).await;
    keeping.abort();
}
