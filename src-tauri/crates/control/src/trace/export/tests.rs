//! What happens to spans while their collector is there, away, or does not want them.

use std::net::SocketAddr;

use opentelemetry::trace::SpanKind;

use super::*;
use crate::testing::{KeptLog, StandInCollector};

/// What is logged.
struct Log(KeptLog);

impl Log {
    /// Takes what this thread logs, as long as the guard lives.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = KeptLog::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
        (Self(log), tracing::subscriber::set_default(subscriber.finish()))
    }

    fn lines_with(&self, words: &str) -> usize {
        self.0.text().lines().filter(|line| line.contains(words)).count()
    }
}

fn begin(url: Url) -> (Traces, Export, Counts) {
    let counts = Counts::default();
    let config =
        TraceConfig { url, headers: HeaderMap::new(), service: None, share: crate::Share::default() };
    let (traces, export) = Export::begin(Some(config), DeviceId::new(), &counts).expect("begins");
    (traces, export.expect("somebody is told"), counts)
}

fn tell(traces: &Traces, name: &'static str) {
    drop(traces.begin(name, SpanKind::Internal, None));
}

fn named(name: &str) -> impl FnMut(&[crate::testing::ToldSpan]) -> Option<()> {
    move |spans| spans.iter().any(|span| span.name == name).then_some(())
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    listener.local_addr().expect("an address")
}

#[tokio::test]
async fn a_collector_that_is_away_keeps_nobody_waiting_and_is_said_once() {
    let (log, _guard) = Log::begin();
    let address = nobody().await;
    let (traces, export, counts) = begin(format!("http://{address}/v1/traces").parse().expect("a URL"));
    tell(&traces, "the first");
    // Nothing here waits for anything, so that nothing is taken out meanwhile: the queue is full at its end.
    for _ in 0..2 * QUEUE {
        tell(&traces, "one of many");
    }
    assert!(counts.dropped.get() >= QUEUE as u64, "what does not fit is counted: {}", counts.dropped.get());
    while log.lines_with("do not reach their collector") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let collector = StandInCollector::start_at(address).await.expect("comes back");
    collector.until(named("the first")).await;
    let told = |spans: &[crate::testing::ToldSpan]| (spans.len() == QUEUE).then_some(());
    collector.until(told).await;
    export.end().await;
    assert_eq!(counts.told.get(), QUEUE as u64, "what did fit came");
    assert_eq!(log.lines_with("do not reach their collector"), 1);
    assert_eq!(log.lines_with("reach their collector again"), 1);
}

#[tokio::test]
async fn spans_that_a_collector_does_not_want_are_not_sent_again() {
    let (log, _guard) = Log::begin();
    let collector = StandInCollector::start().await.expect("listens");
    let (traces, export, counts) = begin(collector.url());
    collector.answers(StatusCode::BAD_REQUEST);
    for name in ["unwanted", "unwanted too"] {
        tell(&traces, name);
        collector.until(named(name)).await;
    }
    collector.answers(StatusCode::OK);
    tell(&traces, "wanted");
    collector.until(named("wanted")).await;
    export.end().await;
    assert_eq!(collector.spans().len(), 3, "each came once");
    assert_eq!((counts.told.get(), counts.dropped.get()), (1, 2));
    assert_eq!(log.lines_with("400 Bad Request"), 1, "it is said once");
}

#[tokio::test]
async fn the_last_spans_go_out_when_the_server_ends_and_later_ones_are_dropped() {
    let collector = StandInCollector::start().await.expect("listens");
    let (traces, export, counts) = begin(collector.url());
    tell(&traces, "the last");
    export.end().await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].sender["service.name"], "deskgate-control");
    tell(&traces, "too late");
    assert_eq!((counts.told.get(), counts.dropped.get()), (1, 1));
}

#[tokio::test]
async fn a_collector_that_hangs_holds_the_end_up_for_no_longer_than_promised() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let (traces, export, _counts) = begin(format!("http://{address}/v1/traces").parse().expect("a URL"));
    tell(&traces, "the last");
    // Not for as long as a collector may take.
    tokio::time::timeout(DEADLINE, export.end()).await.expect("it ends");
}
