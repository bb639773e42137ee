//! Passing records on: the control plane's own into the common store, and everything from there to the organisation's
//! collector (OTLP/HTTP with JSON, <https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
//!
//! At least once, in order, from a place that is remembered. Records are never dropped because a collector is away.

use std::sync::Arc;
use std::time::Duration;

use ::audit::{AuditRecord, Head, Position};
use model::Timestamp;
use opentelemetry::trace::SpanKind;
use tokio::sync::watch;
use url::Url;

use crate::server::Plane;
use crate::store::{Appended, StoreFault, StoredLine};
use crate::trace::whose;

/// How many records go at once.
const BATCH: u32 = 200;
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long a collector may take.
const DEADLINE: Duration = Duration::from_secs(30);
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
    #[error("the collector is not reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("the collector answered with HTTP status {0}")]
    Status(u16),
}

/// Where records are passed on to.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    url: Url,
    http: reqwest::Client,
}

impl Collector {
    /// `url` is where logs are posted, such as `http://127.0.0.1:4318/v1/logs`.
    ///
    /// # Errors
    /// What the HTTP client reports.
    pub(crate) fn new(url: Url) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE)
            .build()?;
        Ok(Self { url, http })
    }

    /// Passes records on until the server ends.
    pub(crate) async fn follow(self, plane: Arc<Plane>) {
        let mut changes = plane.store.changes();
        let mut stopping = plane.stopping.clone();
        let mut pause = PAUSES.0;
        loop {
            changes.mark_unchanged();
            match self.pass_on(&plane).await {
                Ok(true) => {
                    pause = PAUSES.0;
                    continue;
                }
                Ok(false) => pause = PAUSES.0,
                Err(fault) => {
                    tracing::warn!(%fault, "audit records wait to be passed on");
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

    /// Passes the next batch on; `false` where there is none.
    async fn pass_on(&self, plane: &Plane) -> Result<bool, RelayFault> {
        let receiver = self.url.as_str();
        // Of several control planes one passes records on at a time.
        let Some(_alone) = plane.store.alone().await? else { return Ok(false) };
        let Some(live) = plane.publication.live() else { return Ok(false) };
        let lines = plane.store.lines_after(plane.store.relayed(receiver).await?, BATCH).await?;
        let Some(StoredLine { id, received_at, .. }) = lines.last() else { return Ok(false) };
        let records = readable(&lines);
        if !records.is_empty() {
            let span = plane.traces.begin("pass records on", SpanKind::Client, None);
            span.set("deskgate.records", i64::try_from(records.len()).unwrap_or(i64::MAX));
            whose(&span, &self.url);
            let posted = span.around(self.post(&records, &live.content().org.id, *received_at)).await;
            posted.inspect_err(|_| span.fail("not_taken"))?;
        }
        plane.store.set_relayed(receiver, *id).await?;
        Ok(true)
    }

    async fn post(&self, records: &[AuditRecord], org: &str, observed: Timestamp) -> Result<(), RelayFault> {
        let body = ::audit::siem::otlp_request(records, org, observed);
        let answer = self.http.post(self.url.clone()).json(&body).send().await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(RelayFault::Status(status.as_u16()));
        }
        let said: serde_json::Value = answer.json().await.unwrap_or_default();
        let rejected = &said["partialSuccess"]["rejectedLogRecords"];
        if rejected.as_i64().or_else(|| rejected.as_str()?.parse().ok()).is_some_and(|count| count > 0) {
            // Sending them again would not help (OTLP, "Partial Success").
            tracing::error!(%rejected, reason = %said["partialSuccess"]["errorMessage"], "the collector rejected records");
        }
        Ok(())
    }
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
