//! Following events: pushed within moments, taken up where they ended.

use std::time::Duration;

use control::admin::Ask;
use control::testing::ServedOrg;
use org_protocol::EventKind;
use tokio::sync::mpsc;

use crate::harness::{Desktop, show, until};

fn follow(desktop: &Desktop) -> (mpsc::UnboundedReceiver<EventKind>, tokio::task::JoinHandle<()>) {
    let (tell, heard) = mpsc::unbounded_channel();
    let org = desktop.org.clone();
    let task = tokio::spawn(async move {
        org.follow(|event| {
            let _ = tell.send(event);
        })
        .await;
    });
    (heard, task)
}

/// From the publication to the policy that decides.
#[tokio::test]
async fn each_of_twenty_publications_is_in_force_within_two_seconds() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let (mut heard, task) = follow(&desktop);
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    assert_eq!(heard.recv().await, Some(EventKind::Resync));
    desktop.update().await.expect("fetches").expect("a policy");
    let mut times = Vec::new();
    for version in 2..22 {
        let documents = served.signed(|_| ());
        let began = tokio::time::Instant::now();
        served.publish_documents(&documents).await.expect("publishes");
        assert_eq!(heard.recv().await, Some(EventKind::BundleUpdated { epoch: 1, version }));
        desktop.update().await.expect("fetches").expect("another policy");
        times.push(began.elapsed());
    }
    let longest = times.iter().max().copied();
    show("publications in force", times);
    assert!(longest < Some(Duration::from_secs(2)), "{longest:?}");
    task.abort();
}

#[tokio::test]
async fn nothing_is_missed_while_the_server_restarts() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let (mut heard, task) = follow(&desktop);
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    assert_eq!(heard.recv().await, Some(EventKind::Resync));
    served = served.restart().await;
    served.publish(|_| ()).await.expect("publishes");
    assert_eq!(
        heard.recv().await,
        Some(EventKind::BundleUpdated { epoch: 1, version: 2 }),
        "and no second resync"
    );
    task.abort();
}

#[tokio::test]
async fn a_revoked_session_ends_at_once() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let (mut heard, task) = follow(&desktop);
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    assert_eq!(heard.recv().await, Some(EventKind::Resync));
    served.ask(&Ask::RevokeDevice { id: desktop.id }).await.expect("revokes");
    assert_eq!(heard.recv().await, Some(EventKind::SessionRevoked));
    until("the end of the session", async || desktop.org.session().borrow().is_none()).await;
    task.abort();
}

#[tokio::test]
async fn a_stream_ends_with_the_session_that_it_was_opened_with() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let (mut heard, task) = follow(&desktop);
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    assert_eq!(heard.recv().await, Some(EventKind::Resync));
    desktop.org.end_session();
    served.publish(|_| ()).await.expect("publishes");
    let news = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await;
    assert!(news.is_err(), "nobody is signed in: {news:?}");

    let began = tokio::time::Instant::now();
    desktop.sign_in(&served, "bob", &["analysts"]).await;
    assert_eq!(heard.recv().await, Some(EventKind::BundleUpdated { epoch: 1, version: 2 }));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    task.abort();
}
