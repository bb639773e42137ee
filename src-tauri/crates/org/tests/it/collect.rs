//! Records that a device delivers to a collector itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit::{AuditEvent, AuditRecord, EventRecord, Fate, Fates, Journal, JournalConfig, Position};
use axum::Json;
use axum::http::StatusCode;
use model::DeviceId;
use org::{Collecting, collect};
use os::SystemClock;
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

const SOON: Duration = Duration::from_secs(30);

/// A collector that answers as it is told to, and what it took.
struct Collector {
    url: Url,
    took: Arc<Mutex<Vec<String>>>,
    asked: watch::Receiver<u64>,
}

/// `refuses` says of a request with these records whether all of it is refused, and how.
async fn collector(refuses: fn(&[String]) -> Option<(StatusCode, Value)>) -> Collector {
    let took: Arc<Mutex<Vec<String>>> = Arc::default();
    let (count, asked) = watch::channel(0);
    let taking = Arc::clone(&took);
    let take = move |Json(body): Json<Value>| {
        let taking = Arc::clone(&taking);
        let count = count.clone();
        async move {
            let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().expect("records");
            let records: Vec<String> = records.iter().map(Value::to_string).collect();
            count.send_modify(|count| *count += 1);
            match refuses(&records) {
                Some((status, answer)) => (status, Json(answer)),
                None => {
                    taking.lock().expect("nobody panics").extend(records);
                    (StatusCode::OK, Json(json!({})))
                }
            }
        }
    };
    let app = axum::Router::new().route("/v1/logs", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = Url::parse(&format!("http://{address}/v1/logs")).expect("a URL");
    Collector { url, took, asked }
}

fn journal(home: &tempfile::TempDir) -> Journal {
    let dir = home.path().join("journal");
    let config =
        JournalConfig { org: Some("acme".to_owned()), ..JournalConfig::new(dir, DeviceId::new(), [1; 32]) };
    Journal::open(config, Arc::new(SystemClock)).expect("opens").0
}

async fn record(journal: &Journal, path: &str) {
    let event = EventRecord::new(AuditEvent::RequestRefused).with("path", path);
    journal.event(event).await.expect("records");
}

fn collected(journal: &Journal, at: &Collector) -> tokio::task::JoinHandle<()> {
    let to = Collecting { url: at.url.clone(), org: "acme".to_owned() };
    let to = watch::Sender::new(Some(to));
    let journal = journal.clone();
    tokio::spawn(async move { collect(journal, to.subscribe(), os::Again::default()).await })
}

async fn until_nothing_waits(journal: &Journal) {
    let waits = async || {
        let nothing = journal.uncollected(10).ok()?.is_empty();
        nothing.then_some(())
    };
    testkit::until("nothing waits", SOON, waits).await.expect("collected");
}

#[tokio::test]
async fn one_record_that_a_collector_refuses_keeps_no_other_and_stays_here() {
    let is_poison = |records: &[String]| records.iter().any(|record| record.contains("poison"));
    let by_status: fn(&[String]) -> _ = |records| {
        records.iter().any(|record| record.contains("poison")).then(|| (StatusCode::BAD_REQUEST, json!({})))
    };
    let by_count: fn(&[String]) -> _ = |records| {
        let rejected = records.iter().filter(|record| record.contains("poison")).count();
        let partial =
            json!({"partialSuccess": {"rejectedLogRecords": rejected.to_string(), "errorMessage": "no"}});
        (rejected > 0).then_some((StatusCode::OK, partial))
    };
    for refuses in [by_status, by_count] {
        let home = tempfile::tempdir().expect("a folder");
        let journal = journal(&home);
        for path in ["one", "poison", "three"] {
            record(&journal, path).await;
        }
        let collector = collector(refuses).await;
        let task = collected(&journal, &collector);
        let noted = async || {
            let took = collector.took.lock().expect("nobody panics").clone();
            took.iter().any(|record| record.contains("delivery-failed")).then_some(took)
        };
        let took = testkit::until("it is on record", SOON, noted).await.expect("collected");
        until_nothing_waits(&journal).await;
        task.abort();
        assert!(took.iter().any(|record| record.contains("three")) && !is_poison(&took), "{took:#?}");
        let dir = home.path().join("journal");
        let fates = Fates::read(&dir).expect("reads");
        let records = audit::export(&dir, Position::default(), 100).expect("reads");
        let of = |record: &AuditRecord| (record.line().contains("\"poison\""), fates.of(record).1);
        let told: Vec<_> = records.iter().map(of).collect();
        assert!(
            told.iter().all(|(poison, fate)| *fate == if *poison { Fate::Refused } else { Fate::Collected }),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn whoever_takes_nothing_is_not_told_that_something_was_passed_over() {
    let home = tempfile::tempdir().expect("a folder");
    let journal = journal(&home);
    for path in ["one", "two", "three"] {
        record(&journal, path).await;
    }
    let mut collector = collector(|_| Some((StatusCode::BAD_REQUEST, json!({})))).await;
    let task = collected(&journal, &collector);
    // Twice all of them, each of them, and their halves.
    let asked = collector.asked.wait_for(|asked| *asked >= 14);
    tokio::time::timeout(SOON, asked).await.expect("in time").expect("asked");
    task.abort();
    let waiting = journal.uncollected(100).expect("reads");
    assert_eq!(waiting.len(), 4, "the beginning and the three, and nothing about them: {waiting:#?}");
}
