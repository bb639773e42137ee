//! Passing records on to what security departments have: Splunk, syslog over TLS, files.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use control::{Filter, SinkConfig, SplunkConfig, SyslogConfig};
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{SyslogServer, until};

use crate::harness::{Org, signed_in};

const SOON: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-of-splunk";

/// Splunk as its documentation describes its answers: no Splunk was met.
#[derive(Clone, Default)]
struct Splunk(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// What was sent, by the number under which it is acknowledged.
    sent: Vec<Vec<Value>>,
    /// How many of those have been indexed.
    indexed: usize,
    asked: usize,
    channels: BTreeSet<String>,
    /// Whether the token acknowledges nothing.
    is_silent: bool,
}

impl Splunk {
    async fn start(&self) -> SplunkConfig {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let app = Router::new()
            .route("/services/collector/event", post(take))
            .route("/services/collector/ack", post(acknowledge))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        SplunkConfig { url: url.parse().expect("a URL"), token: SecretString::from(TOKEN) }
    }

    fn kept<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.lock().expect("whole"))
    }
}

fn channel(headers: &HeaderMap) -> Option<String> {
    let is_known = headers.get("authorization")?.to_str().ok()? == format!("Splunk {TOKEN}");
    is_known.then(|| headers.get("x-splunk-request-channel")?.to_str().ok().map(str::to_owned))?
}

async fn take(State(splunk): State<Splunk>, headers: HeaderMap, body: String) -> (StatusCode, Json<Value>) {
    let Some(channel) = channel(&headers) else {
        return (StatusCode::FORBIDDEN, Json(json!({"text": "Invalid token", "code": 4})));
    };
    let events: Vec<Value> =
        serde_json::Deserializer::from_str(&body).into_iter().map(|one| one.expect("JSON")).collect();
    splunk.kept(|kept| {
        kept.channels.insert(channel);
        kept.sent.push(events);
        let id = kept.sent.len() - 1;
        let said = if kept.is_silent {
            json!({"text": "Success", "code": 0})
        } else {
            json!({"text": "Success", "code": 0, "ackId": id})
        };
        (StatusCode::OK, Json(said))
    })
}

/// What was sent is indexed when it has been asked for twice.
async fn acknowledge(
    State(splunk): State<Splunk>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, Json<Value>) {
    if channel(&headers).is_none() {
        return (StatusCode::BAD_REQUEST, Json(json!({"text": "Data channel is missing", "code": 10})));
    }
    let asked: Value = serde_json::from_str(&body).expect("JSON");
    splunk.kept(|kept| {
        kept.asked += 1;
        if kept.asked.is_multiple_of(2) {
            kept.indexed = kept.sent.len();
        }
        let ids = asked["acks"].as_array().expect("a list").iter().filter_map(Value::as_u64);
        let acks: serde_json::Map<String, Value> =
            ids.map(|id| (id.to_string(), json!((id as usize) < kept.indexed))).collect();
        (StatusCode::OK, Json(json!({ "acks": acks })))
    })
}

/// The names of the records that came, in order.
fn names<'v>(events: impl IntoIterator<Item = &'v Value>) -> Vec<String> {
    events.into_iter().map(|event| event["metadata"]["uid"].as_str().expect("a name").to_owned()).collect()
}

/// The names of the records that the server keeps, in the order in which they came.
async fn kept(org: &Org) -> Vec<String> {
    let records = org.records(Filter::default()).await;
    let name = |record: &Value| {
        format!("{}/{}/{}", record["device"].as_str().expect("one"), record["epoch"], record["seq"])
    };
    records.iter().map(name).collect()
}

/// Waits until everything is there that was kept before.
async fn arrives(org: &Org, arrived: impl Fn() -> Vec<String>) {
    let wanted = kept(org).await;
    let all = until("that the records arrive", SOON, async || {
        let arrived: BTreeSet<String> = arrived().into_iter().collect();
        wanted.iter().all(|name| arrived.contains(name)).then_some(())
    });
    all.await.expect("they arrive");
}

#[tokio::test]
async fn splunk_has_confirmed_what_counts_as_passed_on() {
    let splunk = Splunk::default();
    let config = SinkConfig { splunk: Some(splunk.start().await), ..SinkConfig::default() };
    let org = Org::passing_on(config).await;
    signed_in(&org, "alice", &["analysts"]).await;
    let arrived =
        || splunk.kept(|kept| names(kept.sent[..kept.indexed].iter().flatten().map(|event| &event["event"])));
    arrives(&org, arrived).await;
    let came = arrived();
    assert_eq!(came.iter().collect::<BTreeSet<_>>().len(), came.len(), "nothing came twice");
    splunk.kept(|kept| {
        assert_eq!(kept.channels.len(), 1);
        for event in kept.sent.iter().flatten() {
            assert_eq!(event["fields"]["deskgate_record"], event["event"]["metadata"]["uid"]);
            assert!(event["time"].as_str().is_some_and(|time| time.contains('.')), "{event}");
        }
    });
}

#[tokio::test]
async fn a_token_that_acknowledges_nothing_passes_nothing_on_and_that_is_recorded() {
    let splunk = Splunk::default();
    splunk.kept(|kept| kept.is_silent = true);
    let config = SinkConfig { splunk: Some(splunk.start().await), ..SinkConfig::default() };
    let org = Org::passing_on(config).await;
    let told = until("that it is recorded", SOON, async || {
        let filter = Filter { event: Some("delivery-failed".to_owned()), ..Filter::default() };
        org.records(filter).await.into_iter().next()
    });
    let told = told.await.expect("it is recorded");
    assert!(told["body"]["facts"]["why"].as_str().is_some_and(|why| why.contains("acknowledge")), "{told}");
    assert!(!told.to_string().contains(TOKEN));
    splunk.kept(|kept| kept.is_silent = false);
    signed_in(&org, "alice", &["analysts"]).await;
    let arrived =
        || splunk.kept(|kept| names(kept.sent[..kept.indexed].iter().flatten().map(|event| &event["event"])));
    arrives(&org, arrived).await;
}

fn syslog(server: &SyslogServer, who: &str) -> SyslogConfig {
    SyslogConfig {
        host: "localhost".to_owned(),
        port: server.port(),
        authorities: Some(server.file("authority.pem")),
        identity: Some((server.file(&format!("{who}.pem")), server.file(&format!("{who}.key")))),
    }
}

/// The events that a syslog server has received.
fn events(received: &str) -> Vec<Value> {
    let event = |line: &str| serde_json::from_str(&line[line.find('{')?..]).ok();
    received.lines().filter_map(event).collect()
}

#[tokio::test]
async fn a_syslog_server_gets_every_record_also_after_it_was_away() {
    let mut server = SyslogServer::start().await.expect("rsyslog starts");
    let config = SinkConfig { syslog: Some(syslog(&server, "deskgate-control")), ..SinkConfig::default() };
    let org = Org::passing_on(config).await;
    signed_in(&org, "alice", &["analysts"]).await;
    arrives(&org, || names(&events(&server.received()))).await;
    let received = server.received();
    let line = received.lines().find(|line| line.contains("\"signed-in\"")).expect("alice signed in");
    assert!(line.starts_with("110 ") && line.contains(" deskgate event [deskgate@32473 record=\""), "{line}");

    server.end();
    signed_in(&org, "bob", &["analysts"]).await;
    server.resume().await.expect("it is back");
    arrives(&org, || names(&events(&server.received()))).await;
}

#[tokio::test]
async fn whom_the_syslog_server_does_not_know_passes_nothing_on_and_keeps_everything() {
    let server = SyslogServer::start().await.expect("rsyslog starts");
    let stranger = SinkConfig { syslog: Some(syslog(&server, "stranger")), ..SinkConfig::default() };
    let org = Org::passing_on(stranger).await;
    let told = until("that it is recorded", SOON, async || {
        let filter = Filter { event: Some("delivery-failed".to_owned()), ..Filter::default() };
        org.records(filter).await.into_iter().next()
    });
    told.await.expect("it is recorded");
    assert_eq!(events(&server.received()), Vec::<Value>::new());
}

#[tokio::test]
async fn files_have_every_record_once_a_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = SinkConfig { folder: Some(folder.path().join("records")), ..SinkConfig::default() };
    let org = Org::passing_on(config).await;
    signed_in(&org, "alice", &["analysts"]).await;
    let arrived = || {
        let files = std::fs::read_dir(folder.path().join("records"))
            .expect("reads")
            .map(|file| file.expect("reads").path());
        let texts = files.map(|file| std::fs::read_to_string(file).expect("reads"));
        texts.flat_map(|text| events(&text)).collect::<Vec<_>>()
    };
    arrives(&org, || names(&arrived())).await;
    let came = names(&arrived());
    assert_eq!(came.iter().collect::<BTreeSet<_>>().len(), came.len(), "nothing came twice");
}
