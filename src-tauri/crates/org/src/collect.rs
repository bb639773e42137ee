//! Delivering audit records to a collector from the device itself, for an organisation without a control plane (OTLP/HTTP with JSON,
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
//!
//! At least once, in order: how far it came is durable. Records are never dropped because the collector is away.

use std::time::Duration;

use audit::siem::{Halves, otlp_rejected, otlp_request};
use audit::{AuditEvent, AuditRecord, EventRecord, Journal, JournalFault, Position};
use model::Timestamp;
use os::Again;
use tokio::sync::watch;
use url::Url;

use crate::OrgFault;
use crate::backoff::Backoff;
use crate::wire::{ORDINARY, SMALL, client, read};

/// How many records go at once.
const BATCH: usize = 200;
/// Records gather for so long before they are sent.
const GATHER: Duration = Duration::from_millis(500);
/// After so many failures in a row it is recorded that the collector does not take records.
const REPORTED_AFTER: u32 = 4;
/// And again after so many more.
const REPORTED_EVERY: u32 = 100;

/// Who collects whose records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collecting {
    /// Where logs are posted.
    pub url: Url,
    /// The organisation's id.
    pub org: String,
}

/// Why records were not collected.
#[derive(Debug, thiserror::Error)]
enum CollectFault {
    #[error(transparent)]
    Journal(#[from] JournalFault),
    #[error("the collector is not reached: {0}")]
    Org(#[from] OrgFault),
    #[error("the collector answered with HTTP status {0}")]
    Status(u16),
    /// It took the request, and not all that is in it; which is not told.
    #[error("the collector rejected {count} records: {why}")]
    Rejected { count: i64, why: String },
    #[error("the program is ending")]
    Ending,
}

impl CollectFault {
    /// Whether what was sent is refused for what it is: Bad Request, Content Too Large, Unprocessable Content (RFC 9110, section 15.5).
    fn is_of_the_records(&self) -> bool {
        matches!(self, Self::Status(400 | 413 | 422) | Self::Rejected { .. })
    }
}

/// Delivers the journal's records to whoever collects them for now, until it is dropped; what waits is tried `again` when that
/// says so.
pub async fn collect(journal: Journal, mut collecting: watch::Receiver<Option<Collecting>>, again: Again) {
    let mut head = journal.watch();
    let mut backoff = Backoff::usual();
    let mut failures = 0;
    let (calls, mut again) = (again.clone(), again.hear());
    let mut round = calls.round();
    // What asks reads the system's authorities: once for each collector, not once for each batch.
    let mut http = None;
    loop {
        head.mark_unchanged();
        if collecting.has_changed().unwrap_or_default() {
            http = None;
        }
        let Some(at) = collecting.borrow_and_update().clone() else {
            if collecting.changed().await.is_err() {
                return;
            }
            continue;
        };
        let now = calls.round();
        if std::mem::replace(&mut round, now) != now {
            // Its connections may have died while the machine slept.
            http = None;
        }
        match collect_all(&journal, &at, &mut http).await {
            Ok(()) => {
                failures = 0;
                backoff.reset();
                tokio::select! {
                    changed = head.changed() => if changed.is_err() { return },
                    changed = collecting.changed() => if changed.is_err() { return },
                }
                tokio::time::sleep(GATHER).await;
            }
            Err(fault) => {
                tracing::warn!(%fault, "audit records wait to be collected");
                failures += 1;
                if failures % REPORTED_EVERY == REPORTED_AFTER {
                    note(&journal, &at, &fault.to_string(), None);
                }
                if again.pause(backoff.next()).await {
                    backoff.reset();
                }
            }
        }
    }
}

/// Records that the collector does not take records, or not this one: whoever reads them there would see nothing.
fn note(journal: &Journal, at: &Collecting, why: &str, record: Option<&AuditRecord>) {
    let why: String = why.chars().take(500).collect();
    let event =
        EventRecord::new(AuditEvent::DeliveryFailed).with("receiver", at.url.as_str()).with("why", why);
    let event = match record.map(AuditRecord::link) {
        Some(link) => event.with("record", format!("{}/{}/{}", link.device, link.epoch, link.seq)),
        None => event,
    };
    if let Err(fault) = journal.note(&event) {
        tracing::error!(%fault, "that records are not collected could not be recorded");
    }
}

/// Delivers what there is now.
async fn collect_all(
    journal: &Journal,
    at: &Collecting,
    http: &mut Option<reqwest::Client>,
) -> Result<(), CollectFault> {
    let http = match http {
        Some(http) => http,
        None => http.insert(client(&at.url)?),
    };
    loop {
        let reading = journal.clone();
        let records = blocking(move || reading.uncollected(BATCH)).await?;
        let Some(last) = records.last().map(|record| record.link().clone()) else { return Ok(()) };
        let mut refused = Vec::new();
        let mut halves = Halves::of(&records);
        while let Some(part) = halves.part() {
            match post(http, at, part, last.at).await {
                Ok(()) => {}
                Err(fault) if fault.is_of_the_records() => {
                    refused.extend(halves.refused(part).map(|record| (record, fault)));
                }
                Err(fault) => return Err(fault),
            }
        }
        // Whoever takes nothing at all is not asked to pass anything over.
        if refused.len() == records.len()
            && let Some((_, fault)) = refused.pop()
        {
            return Err(fault);
        }
        for (record, fault) in refused {
            let (keeping, place) = (journal.clone(), Position::from(record.link().head()));
            blocking(move || keeping.keep(place)).await?;
            note(journal, at, &fault.to_string(), Some(record));
        }
        let writing = journal.clone();
        blocking(move || writing.collected(last.head())).await?;
    }
}

async fn post(
    http: &reqwest::Client,
    at: &Collecting,
    records: &[AuditRecord],
    observed: Timestamp,
) -> Result<(), CollectFault> {
    let body = otlp_request(records, &at.org, observed);
    let asked = http.post(at.url.clone()).timeout(ORDINARY).json(&body).send();
    let answer = asked.await.map_err(OrgFault::from)?;
    if !answer.status().is_success() {
        return Err(CollectFault::Status(answer.status().as_u16()));
    }
    let said = read(answer, SMALL).await?;
    match otlp_rejected(&serde_json::from_slice(&said).unwrap_or_default()) {
        Some((count, why)) => Err(CollectFault::Rejected { count, why }),
        None => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalFault> + Send + 'static,
) -> Result<T, CollectFault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(CollectFault::Ending),
    }
}
