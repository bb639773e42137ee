//! Sessions: bound to this device, kept while somebody is signed in.

use std::sync::{Arc, Mutex};

use control::admin::Ask;
use control::testing::ServedOrg;
use model::{Advice, BoxFuture, ForPerson as _};
use org::{IdToken, IdTokens, NoIdToken, OrgFault};

use crate::harness::{Desktop, SignedIn, id_token, until};

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
    assert!(matches!(desktop.org.open_session(&stolen, Some(&nonce)).await, Err(OrgFault::NoSession)));
    desktop.org.nonce().await.expect("a nonce");
    let refused = desktop.org.open_session(&stolen, None).await.expect_err("refused");
    assert_eq!(refused.advice().code, "id-token-not-bound");
}

#[tokio::test]
async fn a_renewed_token_without_nonce_renews_and_an_old_nonce_still_fits_after_a_restart() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let nonce = desktop.org.nonce().await.expect("a nonce");
    let token = id_token(&served, "alice", &["analysts"], Some(&nonce));
    desktop.org.open_session(&token, Some(&nonce)).await.expect("opens");
    let unbound = id_token(&served, "alice", &["analysts"], None);
    desktop.org.open_session(&unbound, None).await.expect("renews");
    desktop.org.nonce().await.expect("a sign-in that nobody finishes");
    let desktop = desktop.restart(&served).await;
    desktop.org.open_session(&token, Some(&nonce)).await.expect("the sign-in before is still good");
}

#[tokio::test]
async fn a_kept_session_is_opened_again_when_it_is_lost() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let nonce = desktop.org.nonce().await.expect("a nonce");
    let token = id_token(&served, "alice", &["analysts"], Some(&nonce));
    let tokens = Arc::new(SignedIn { token, nonce: Some(nonce) });
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
    // One thread: the keeper has come to its first pause.
    tokio::task::yield_now().await;
    assert_eq!(*asked.0.lock().expect("not poisoned"), 0);
    desktop.org.end_session();
    until("another session is wanted", async || *asked.0.lock().expect("not poisoned") == 1).await;
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
    let tokens = SignedIn { token: id_token(&served, "alice", &[], Some(&nonce)), nonce: Some(nonce) };
    let heard: Arc<Mutex<Vec<Advice>>> = Arc::default();
    let hears = Arc::clone(&heard);
    let org = desktop.org.clone();
    let keeping = tokio::spawn(async move {
        org.keep_session(Arc::new(tokens), move |outcome| {
            if let Err(advice) = outcome {
                hears.lock().expect("not poisoned").push(advice.clone());
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
    let ServedOrg { idp, running, dir, .. } = served;
    drop(idp);
    let fault = desktop.org.open_session(&token, Some(&nonce)).await.expect_err("refused");
    assert_eq!(fault.advice().code, "idp-unreachable");
    drop((running, dir));
}
