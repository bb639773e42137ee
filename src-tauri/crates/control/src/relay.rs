//! Passing records on: the control plane's own into the common store, and everything from there to where the organisation keeps its
//! security records ([`Sink`]).
//!
//! At least once, in order, each receiver from a place of its own that is remembered. Records are never dropped because a
//! receiver is away.

mod file;
mod hec;
mod otlp;
mod sink;
mod syslog;

use std::sync::Arc;
use std::time::Duration;

use ::audit::siem::Halves;
use ::audit::{AuditEvent, AuditRecord, EventRecord, Head, JournalFault, Position};
use opentelemetry::trace::SpanKind;
use tokio::sync::watch;

use crate::server::Plane;
use crate::store::{Appended, StoreFault, StoredLine};
use crate::trace::whose;
use sink::Batch;
pub(crate) use sink::Sink;
pub use sink::{SinkConfig, SinkFault, SplunkConfig, SyslogConfig};

/// How many records go at once.
const BATCH: u32 = 200;
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// After so many failures in a row it is recorded that a receiver does not take records.
const REPORTED_AFTER: u32 = 4;
/// And again after so many more.
const REPORTED_EVERY: u32 = 100;
/// Looks for records this often even when nobody says that there are any.
const LOOK: Duration = Duration::from_secs(30);

/// Copies the control plane's own records to where the devices' are, until the server ends.
pub(crate) async fn mirror(plane: Arc<Plane>) {
    let mut head = plane.journal.watch();
    let mut stopping = plane.stopping.clone();
    let mut pause = PAUSES.0;
    loop {
        match copy_all(&plane).await {
            Ok(()) => pause = PAUSES.0,
            Err(fault) => {
                tracing::error!(%fault, "the server's own audit records are not stored yet");
                if !rest(&mut stopping, &mut pause).await {
                    return;
                }
                continue;
            }
        }
        tokio::select! {
            changed = head.changed() => if changed.is_err() { return },
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Copies what is there now.
pub(crate) async fn copy_all(plane: &Plane) -> Result<(), RelayFault> {
    let own = plane.own;
    loop {
        let stored = plane.store.head(own).await?;
        let position =
            stored.map_or_else(Position::default, |Head { epoch, seq, .. }| Position { epoch, seq });
        let journal = plane.journal.clone();
        let records = tokio::task::spawn_blocking(move || journal.after(position, BATCH as usize))
            .await
            .map_err(|fault| RelayFault::Journal(fault.to_string()))?
            .map_err(|fault| RelayFault::Journal(fault.to_string()))?;
        if records.is_empty() {
            return Ok(());
        }
        match plane.store.append_records(own, &records, plane.clock.now()).await? {
            Appended::Stored(_) => {}
            Appended::Refused { fault, .. } => return Err(RelayFault::Journal(fault.to_string())),
        }
    }
}

/// Why records were not passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayFault {
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error("the journal: {0}")]
    Journal(String),
    #[error("it cannot be recorded: {0}")]
    Record(#[from] JournalFault),
    #[error(transparent)]
    Sink(#[from] SinkFault),
}

/// Passes records on to one receiver until the server ends.
pub(crate) async fn follow(sink: Sink, plane: Arc<Plane>) {
    let mut changes = plane.store.changes();
    let mut stopping = plane.stopping.clone();
    let mut pause = PAUSES.0;
    let mut failures = 0;
    loop {
        changes.mark_unchanged();
        match pass_on(&sink, &plane).await {
            Ok(went_on) => {
                if failures >= REPORTED_AFTER {
                    tracing::info!(receiver = sink.name(), "audit records are passed on again");
                }
                (pause, failures) = (PAUSES.0, 0);
                if went_on {
                    continue;
                }
            }
            Err(fault) => {
                tracing::warn!(%fault, receiver = sink.name(), "audit records wait to be passed on");
                failures += 1;
                if failures % REPORTED_EVERY == REPORTED_AFTER
                    && let Err(fault) = report(&sink, &plane, &fault).await
                {
                    tracing::error!(%fault, "that records are not passed on could not be recorded");
                }
                if !rest(&mut stopping, &mut pause).await {
                    return;
                }
                continue;
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Records that a receiver does not take records: whoever reads them elsewhere would see nothing.
async fn report(sink: &Sink, plane: &Plane, fault: &RelayFault) -> Result<(), JournalFault> {
    let why: String = fault.to_string().chars().take(500).collect();
    let event = EventRecord::new(AuditEvent::DeliveryFailed).with("receiver", sink.name()).with("why", why);
    plane.journal.event(event).await
}

/// Passes the next batch on; `false` where there is none.
async fn pass_on(sink: &Sink, plane: &Plane) -> Result<bool, RelayFault> {
    let receiver = sink.name();
    // Of several control planes one passes records on at a time.
    let Some(_alone) = plane.store.alone(&receiver).await? else { return Ok(false) };
    let Some(live) = plane.publication.live() else { return Ok(false) };
    let lines = plane.store.lines_after(plane.store.relayed(&receiver).await?, BATCH).await?;
    let Some(StoredLine { id, received_at, .. }) = lines.last() else { return Ok(false) };
    let records = readable(&lines);
    if !records.is_empty() {
        let span = plane.traces.begin("pass records on", SpanKind::Client, None);
        span.set("deskgate.records", i64::try_from(records.len()).unwrap_or(i64::MAX));
        if let Some(url) = sink.url() {
            whose(&span, url);
        }
        let batch = Batch { records: &records, org: &live.content().org.id, observed: *received_at };
        let taken = span.around(taken(sink, plane, batch)).await;
        taken.inspect_err(|_| span.fail("not_taken"))?;
    }
    plane.store.set_relayed(&receiver, *id).await?;
    Ok(true)
}

/// Has a receiver take records. One that it refuses for what it is is passed over, and that is recorded.
async fn taken(sink: &Sink, plane: &Plane, batch: Batch<'_>) -> Result<(), RelayFault> {
    let mut halves = Halves::of(batch.records);
    while let Some(records) = halves.part() {
        match sink.take(Batch { records, ..batch }).await {
            Ok(()) => {}
            Err(fault) if fault.is_of_the_records() => {
                let Some(refused) = halves.refused(records) else { continue };
                let link = refused.link();
                let event = EventRecord::new(AuditEvent::DeliveryFailed)
                    .with("receiver", sink.name())
                    .with("why", fault.to_string())
                    .with("record", format!("{}/{}/{}", link.device, link.epoch, link.seq));
                plane.journal.event(event).await?;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}

fn readable(lines: &[StoredLine]) -> Vec<AuditRecord> {
    let parsed = lines.iter().map(|stored| AuditRecord::parse(&stored.line));
    parsed
        .filter_map(|record| {
            record.map_err(|fault| tracing::error!(%fault, "a stored record cannot be passed on")).ok()
        })
        .collect()
}

/// Waits before another attempt; `false` when the server ends meanwhile.
async fn rest(stopping: &mut watch::Receiver<bool>, pause: &mut Duration) -> bool {
    let wait = *pause;
    *pause = (*pause * 2).min(PAUSES.1);
    tokio::select! {
        () = tokio::time::sleep(wait) => true,
        _ = stopping.wait_for(|stopping| *stopping) => false,
    }
}
