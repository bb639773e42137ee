//! Delivering audit records until the organisation has signed for them.

use std::sync::{Arc, Mutex};

use audit::{AuditEvent, EventRecord, Journal, JournalConfig};
use control::testing::ServedOrg;
use model::{Advice, Subject};
use org::Delivery;
use org_protocol::UploadRefused;
use os::SystemClock;
use secrecy::SecretString;

use crate::harness::{Desktop, StandIn, session_answer, until, whose};

pub(crate) fn journal(desktop: &Desktop) -> Journal {
    journal_for(desktop, Some("acme"))
}

fn journal_for(desktop: &Desktop, org: Option<&str>) -> Journal {
    let config = JournalConfig {
        org: org.map(str::to_owned),
        ..JournalConfig::new(desktop.home.path().join("journal"), desktop.id, [7; 32])
    };
    Journal::open(config, Arc::new(SystemClock)).expect("opens").0
}

pub(crate) async fn note(journal: &Journal, user: &str) {
    journal.event(EventRecord::new(AuditEvent::SignedIn).of(Subject::local(user))).await.expect("records");
}

pub(crate) fn deliver(desktop: &Desktop, journal: &Journal) -> tokio::task::JoinHandle<()> {
    let (org, journal) = (desktop.org.clone(), journal.clone());
    tokio::spawn(async move { org.deliver(journal).await })
}

pub(crate) async fn acknowledged(desktop: &Desktop, journal: &Journal) {
    until("everything is acknowledged", async || {
        let journal = journal.clone();
        let pending = tokio::task::spawn_blocking(move || journal.pending(10)).await.expect("runs");
        pending.expect("reads").is_empty()
    })
    .await;
    let delivered = async || matches!(&*desktop.org.delivery().borrow(), Delivery::Delivered(_));
    until("the word that it is delivered", delivered).await;
}

/// Leaves a personal epoch behind, with a record that names `user`.
async fn personal(desktop: &Desktop, user: &str) {
    let journal = journal_for(desktop, None);
    note(&journal, user).await;
    journal.close();
}

/// Makes the server forget what it has stored.
async fn set_back(served: &ServedOrg, desktop: &Desktop) {
    let sql = ["DELETE FROM records WHERE device = ?", "DELETE FROM heads WHERE device = ?"];
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(served.data("control.sqlite"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.expect("connects");
    for sql in sql {
        sqlx::query(sql).bind(desktop.id.to_string()).execute(&mut connection).await.expect("sets back");
    }
}

pub(crate) async fn count(served: &ServedOrg, user: &str) -> usize {
    served.records(control::Filter { user: Some(user.to_owned()), ..Default::default() }).await.len()
}

#[tokio::test]
async fn records_wait_for_a_session_and_are_signed_for() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    let journal = journal(&desktop);
    note(&journal, "before").await;
    let task = deliver(&desktop, &journal);
    until("waiting", async || matches!(&*desktop.org.delivery().borrow(), Delivery::Waiting(_))).await;
    desktop.update().await.expect("fetches");
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    note(&journal, "after").await;
    acknowledged(&desktop, &journal).await;
    assert_eq!((count(&served, "before").await, count(&served, "after").await), (1, 1));
    task.abort();
}

#[tokio::test]
async fn nothing_is_lost_while_the_server_is_away() {
    let mut served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    desktop.update().await.expect("fetches");
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    let journal = journal(&desktop);
    let task = deliver(&desktop, &journal);
    note(&journal, "one").await;
    acknowledged(&desktop, &journal).await;
    served = served.restart().await;
    note(&journal, "two").await;
    acknowledged(&desktop, &journal).await;
    assert_eq!((count(&served, "one").await, count(&served, "two").await), (1, 1));
    task.abort();
}

#[tokio::test]
async fn a_server_that_was_set_back_gets_the_records_again() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    desktop.update().await.expect("fetches");
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    let journal = journal(&desktop);
    let task = deliver(&desktop, &journal);
    note(&journal, "one").await;
    acknowledged(&desktop, &journal).await;

    set_back(&served, &desktop).await;
    assert_eq!(count(&served, "one").await, 0);
    note(&journal, "two").await;
    acknowledged(&desktop, &journal).await;
    assert_eq!((count(&served, "one").await, count(&served, "two").await), (1, 1));
    task.abort();
}

#[tokio::test]
async fn receipts_of_a_stranger_are_not_believed() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    // Without the organisation's documents no key is known, so no receipt is good.
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    let journal = journal(&desktop);
    let task = deliver(&desktop, &journal);
    note(&journal, "one").await;
    until("the refusal", async || matches!(&*desktop.org.delivery().borrow(), Delivery::Waiting(_))).await;
    let unsigned = {
        let journal = journal.clone();
        tokio::task::spawn_blocking(move || journal.pending(10))
    };
    assert!(!unsigned.await.expect("runs").expect("reads").is_empty());
    desktop.update().await.expect("fetches");
    acknowledged(&desktop, &journal).await;
    task.abort();
}

#[tokio::test]
async fn a_server_that_was_set_back_recovers_without_what_was_recorded_in_personal_mode() {
    let served = ServedOrg::new().await;
    let desktop = Desktop::new(&served).await;
    personal(&desktop, "at-home").await;
    desktop.update().await.expect("fetches");
    desktop.sign_in(&served, "alice", &["analysts"]).await;
    let journal = journal(&desktop);
    let task = deliver(&desktop, &journal);
    note(&journal, "one").await;
    acknowledged(&desktop, &journal).await;

    set_back(&served, &desktop).await;
    note(&journal, "two").await;
    acknowledged(&desktop, &journal).await;
    assert_eq!((count(&served, "one").await, count(&served, "two").await), (1, 1));
    assert_eq!(count(&served, "at-home").await, 0);
    task.abort();
}

#[tokio::test]
async fn no_answer_gets_what_was_recorded_in_personal_mode_onto_the_wire() {
    let batches = Arc::<Mutex<Vec<String>>>::default();
    let received = Arc::clone(&batches);
    let server = StandIn::new(move |asked| {
        let answer = if asked.what == "POST /v1/audit" {
            received.lock().expect("not poisoned").push(asked.body);
            let error = Advice::new("audit-gap", "There is a gap.", "", "");
            let refused = UploadRefused { error, stored: None };
            (409, serde_json::to_string(&refused).expect("JSON"))
        } else {
            session_answer(&Subject::local("alice"))
        };
        async { answer }
    })
    .await;
    let desktop = server.desktop().await;
    personal(&desktop, "at-home").await;
    let journal = journal(&desktop);
    note(&journal, "at-work").await;
    let token = SecretString::from("token");
    desktop.org.open_session(&whose(&Subject::local("alice"), &token, None)).await.expect("opens");
    let task = deliver(&desktop, &journal);
    until("a second batch", async || batches.lock().expect("not poisoned").len() >= 2).await;
    for batch in batches.lock().expect("not poisoned").iter() {
        assert!(batch.contains("at-work") && !batch.contains("at-home"), "{batch}");
    }
    task.abort();
}
