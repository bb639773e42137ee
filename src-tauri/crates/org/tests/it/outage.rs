//! Delivery when things go wrong: a long outage, records that the server cannot read, a server that asks to wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal, JournalFault, JournalRules};
use control::testing::ServedOrg;
use model::{Advice, BoxFuture};
use org::{OrgFault, Transport};
use org_protocol::{AUDIT_PATH, ErrorBody, unpack_batch};
use os::{Clock as _, SystemClock};
use reqwest::{Request, Response};
use sqlx::Row as _;

use crate::delivery::{acknowledged, count, deliver, journal, note};
use crate::harness::{Desktop, until};

/// What the server answers to a batch, in a test's place; none where it answers itself.
type Answer = Box<dyn Fn(&str) -> Option<http::Response<String>> + Send + Sync>;

/// The network, with something before the server that looks at batches.
struct Gate {
    client: reqwest::Client,
    answer: Answer,
    /// The batches that it saw, and when.
    seen: Mutex<Vec<(String, Duration)>>,
    /// One answer in so many is lost on the way back; none where it is 0.
    loses: AtomicUsize,
}

impl Gate {
    fn new(answer: impl Fn(&str) -> Option<http::Response<String>> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            client: reqwest::Client::new(),
            answer: Box::new(answer),
            seen: Mutex::default(),
            loses: AtomicUsize::new(0),
        })
    }

    fn seen(&self) -> Vec<(String, Duration)> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

impl Transport for Gate {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, OrgFault>> {
        Box::pin(async move {
            if request.url().path().ends_with(AUDIT_PATH) {
                let body = request.body().and_then(reqwest::Body::as_bytes).expect("a batch");
                let batch = String::from_utf8(unpack_batch(body).expect("packed")).expect("text");
                let answer = (self.answer)(&batch);
                let number = {
                    let mut seen = self.seen.lock().expect("not poisoned");
                    // In a long outage they are only counted.
                    let batch = if self.loses.load(Ordering::SeqCst) > 0 { String::new() } else { batch };
                    seen.push((batch, SystemClock.boot_time()));
                    seen.len()
                };
                if let Some(answer) = answer {
                    return Ok(answer.into());
                }
                let loses = self.loses.load(Ordering::SeqCst);
                if loses > 0 && number % loses == 0 {
                    self.client.execute(request).await?;
                    return Err(OrgFault::Unreachable("the answer was lost".to_owned()));
                }
            }
            Ok(self.client.execute(request).await?)
        })
    }
}

fn refusal(status: u16) -> http::response::Builder {
    http::Response::builder().status(status)
}

fn words() -> String {
    let error = Advice::new("bad-request", "The request is not understood.", "", "");
    serde_json::to_string(&ErrorBody { error }).expect("JSON")
}

async fn signed_in(served: &ServedOrg, gate: &Arc<Gate>) -> Desktop {
    let transport: Arc<Gate> = Arc::clone(gate);
    let desktop = Desktop::over(served, transport).await;
    desktop.update().await.expect("fetches");
    desktop.sign_in(served, "alice", &["analysts"]).await;
    desktop
}

/// How many records of the device the server has, and their first and last number.
async fn stored(served: &ServedOrg, desktop: &Desktop) -> (i64, i64, i64) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(served.data("control.sqlite"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.expect("connects");
    let row = sqlx::query("SELECT count(*), min(seq), max(seq) FROM records WHERE device = ?")
        .bind(desktop.id.to_string())
        .fetch_one(&mut connection)
        .await
        .expect("counts");
    (row.get(0), row.get(1), row.get(2))
}

#[tokio::test]
async fn a_record_that_the_server_cannot_read_is_found_set_aside_and_keeps_no_other() {
    let served = ServedOrg::new().await;
    // It stands for a server that is older than the records.
    let gate = Gate::new(|batch| {
        batch.contains("signed-in-poisoned").then(|| refusal(400).body(words()).expect("an answer"))
    });
    let desktop = signed_in(&served, &gate).await;
    let journal = journal(&desktop);
    for at in 0..20 {
        note(&journal, &format!("before-{at}")).await;
    }
    note(&journal, "signed-in-poisoned").await;
    for at in 0..20 {
        note(&journal, &format!("after-{at}")).await;
    }
    let task = deliver(&desktop, &journal);
    acknowledged(&desktop, &journal).await;
    for at in 0..20 {
        let both =
            (count(&served, &format!("before-{at}")).await, count(&served, &format!("after-{at}")).await);
        assert_eq!(both, (1, 1));
    }
    assert_eq!(count(&served, "signed-in-poisoned").await, 0);
    // Its place is known here and there.
    until("the event", async || {
        let records = journal.latest(10).expect("reads");
        records.iter().any(|record| record.line().contains("record-set-aside"))
    })
    .await;
    acknowledged(&desktop, &journal).await;
    let (count, first, last) = stored(&served, &desktop).await;
    assert_eq!((count, first), (last, 1), "each number is there once");
    let asides: Vec<_> =
        gate.seen().into_iter().filter(|(batch, _)| batch.contains("\"set_aside\"")).collect();
    assert_eq!(asides.len(), 1);
    assert!(gate.seen().len() < 20, "it was found by halves: {}", gate.seen().len());
    task.abort();
}

#[tokio::test]
async fn whoever_refuses_everything_gets_no_record_set_aside() {
    let served = ServedOrg::new().await;
    let calm = Arc::new(AtomicBool::new(false));
    let is_calm = Arc::clone(&calm);
    let gate = Gate::new(move |_| {
        let refuses = !is_calm.load(Ordering::SeqCst);
        refuses.then(|| refusal(400).body(words()).expect("an answer"))
    });
    let desktop = signed_in(&served, &gate).await;
    let journal = journal(&desktop);
    note(&journal, "one").await;
    let task = deliver(&desktop, &journal);
    until("an attempt", async || gate.seen().len() >= 3).await;
    calm.store(true, Ordering::SeqCst);
    acknowledged(&desktop, &journal).await;
    assert_eq!(count(&served, "one").await, 1);
    let records = journal.latest(10).expect("reads");
    assert!(!records.iter().any(|record| record.line().contains("record-set-aside")));
    task.abort();
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_left_alone_for_as_long() {
    let served = ServedOrg::new().await;
    let first = AtomicBool::new(true);
    let gate = Gate::new(move |_| {
        let asks = first.swap(false, Ordering::SeqCst);
        asks.then(|| refusal(429).header("retry-after", "3").body(words()).expect("an answer"))
    });
    let desktop = signed_in(&served, &gate).await;
    let journal = journal(&desktop);
    note(&journal, "one").await;
    let task = deliver(&desktop, &journal);
    acknowledged(&desktop, &journal).await;
    let seen = gate.seen();
    let pause = seen[1].1.saturating_sub(seen[0].1);
    assert!(pause >= Duration::from_secs(3), "{pause:?}");
    task.abort();
}

/// Writes records as fast as the disk takes them.
async fn write(journal: &Journal, count: usize) {
    let mut head = journal.watch();
    for number in 0..count {
        let event = EventRecord::new(AuditEvent::RequestRefused).with("path", number.to_string());
        loop {
            match journal.note(&event) {
                Ok(()) => break,
                Err(JournalFault::Busy) => head.changed().await.expect("it is written"),
                Err(fault) => panic!("{fault}"),
            }
        }
    }
    journal.event(EventRecord::new(AuditEvent::Stop)).await.expect("records");
}

/// What this process has in memory, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// A day without the server: everything waits on disk, and then goes at once.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "it is for the one who looks at it")]
async fn after_a_day_without_the_server_everything_is_stored_exactly_once_in_bounded_memory() {
    let records = if testkit::full_size() { 1_000_000 } else { 50_000 };
    let served = ServedOrg::new().await;
    let away = Arc::new(AtomicBool::new(true));
    let is_away = Arc::clone(&away);
    let gate = Gate::new(move |_| {
        is_away.load(Ordering::SeqCst).then(|| refusal(503).body(words()).expect("an answer"))
    });
    // What is stored is then sent again.
    gate.loses.store(records / 5000, Ordering::SeqCst);
    let desktop = signed_in(&served, &gate).await;
    let journal = journal(&desktop);
    journal.set_rules(JournalRules { quota: 8 * 1024 * 1024 * 1024, ..JournalRules::default() });
    note(&journal, "before").await;
    let task = deliver(&desktop, &journal);
    write(&journal, records).await;
    let before = resident();
    away.store(false, Ordering::SeqCst);
    let mut most = before;
    let begun = SystemClock.boot_time();
    while journal.acknowledged().is_none_or(|head| head.seq < journal.head().seq) {
        most = most.max(resident());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = SystemClock.boot_time().saturating_sub(begun);
    let head = i64::try_from(journal.head().seq).expect("a number");
    assert_eq!(stored(&served, &desktop).await, (head, 1, head), "each is there once, and none is missing");
    let travelled = gate.seen().len();
    println!(
        "{head} records in {travelled} batches, {took:?}, memory {before} MiB before, {most} MiB at most"
    );
    assert!(most < before + 64, "{before} MiB before, {most} MiB at most");
    task.abort();
}

/// Copies a journal's folder and its head file from one place to another.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to.join("journal")).expect("made");
    let files = std::fs::read_dir(from.join("journal")).expect("a journal");
    for file in files.map(|entry| entry.expect("an entry")) {
        std::fs::copy(file.path(), to.join("journal").join(file.file_name())).expect("copied");
    }
    for beside in ["journal.head", "journal.checkpoint"] {
        std::fs::copy(from.join(beside), to.join(beside)).expect("copied");
    }
}

#[tokio::test]
async fn a_journal_that_goes_on_from_a_snapshot_contradicts_nothing_here_and_is_refused_by_the_server() {
    let served = ServedOrg::new().await;
    let gate = Gate::new(|_| None);
    let desktop = signed_in(&served, &gate).await;
    let home = desktop.home.path();
    let first = journal(&desktop);
    note(&first, "one").await;
    let task = deliver(&desktop, &first);
    acknowledged(&desktop, &first).await;
    task.abort();
    first.close();
    copy(home, &home.join("snapshot"));

    let second = journal(&desktop);
    note(&second, "hidden").await;
    let task = deliver(&desktop, &second);
    acknowledged(&desktop, &second).await;
    task.abort();
    second.close();
    std::fs::remove_dir_all(home.join("journal")).expect("removed");
    copy(&home.join("snapshot"), home);

    let third = journal(&desktop);
    note(&third, "instead").await;
    assert!(audit::verify(&home.join("journal")).expect("checked").is_good(), "nothing here says so");
    let task = deliver(&desktop, &third);
    until("the refusal", async || {
        matches!(&*desktop.org.delivery().borrow(), org::Delivery::Waiting(why) if why.code == "audit-fork")
    })
    .await;
    assert_eq!((count(&served, "hidden").await, count(&served, "instead").await), (1, 0));
    task.abort();
}
