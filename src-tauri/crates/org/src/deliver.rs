//! Delivering audit records: in order, until the organisation has signed for them.

use std::time::Duration;

use audit::{AuditEvent, AuditRecord, EventRecord, Head, Journal, JournalFault, Position, SignedReceipt};
use model::{Advice, ForPerson as _, Timestamp};
use org_protocol::{
    AUDIT_PATH, BATCH_CODING, BATCH_RECORDS, BATCH_TYPE, Resumed, SetAside, UploadRefused, pack_batch,
    write_batch,
};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::wire::{ORDINARY, SMALL, read, refused};
use crate::{Org, OrgFault};

/// Records gather for so long before they are sent: one request for many.
const GATHER: Duration = Duration::from_millis(200);
/// The longest pause that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// How delivery stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Nothing was delivered yet in this run.
    #[default]
    Idle,
    /// The organisation has signed for everything, last at this time.
    Delivered(Timestamp),
    /// Records wait, and why.
    Waiting(Advice),
}

/// Why records were not delivered.
#[derive(Debug, thiserror::Error)]
enum DeliverFault {
    #[error(transparent)]
    Org(#[from] OrgFault),
    #[error(transparent)]
    Journal(#[from] JournalFault),
    #[error("the server has another history: {}", .0.error.happened)]
    History(Box<UploadRefused>),
    /// The server will never take these very bytes.
    #[error("the server cannot read the records: {0}")]
    Indigestible(OrgFault),
    /// It says when to come again.
    #[error("{fault}; it asks to wait for {} seconds", wait.as_secs())]
    Later { fault: OrgFault, wait: Duration },
    #[error("the program is ending")]
    Ending,
}

impl DeliverFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Org(fault) | Self::Indigestible(fault) | Self::Later { fault, .. } => fault.advice(),
            Self::Journal(fault) => fault.advice(),
            Self::History(refused) => refused.error.clone(),
            Self::Ending => Advice::new("ending", "Deskgate is ending.", "", ""),
        }
    }
}

impl Org {
    /// Delivers the journal's records for as long as it runs, which is until it is dropped. Records wait on disk while
    /// there is no session or no server.
    pub async fn deliver(&self, journal: Journal) {
        let mut head = journal.watch();
        let mut sessions = self.session();
        let mut keys = self.receipt_keys();
        let mut backoff = Backoff::usual();
        let mut refused = None;
        let mut again = self.again().hear();
        loop {
            head.mark_unchanged();
            sessions.mark_unchanged();
            keys.mark_unchanged();
            match self.deliver_all(&journal, &mut backoff).await {
                Ok(()) => {
                    refused = None;
                    tokio::select! {
                        changed = head.changed() => if changed.is_err() { return },
                        _ = sessions.changed() => {}
                        _ = keys.changed() => {}
                    }
                    tokio::time::sleep(GATHER).await;
                }
                Err(fault) => {
                    tracing::debug!(%fault, "audit records wait");
                    note_refused_receipt(&journal, &fault, &mut refused);
                    self.0.delivery.send_replace(Delivery::Waiting(fault.advice()));
                    if matches!(fault, DeliverFault::Org(OrgFault::NoSession)) {
                        if sessions.changed().await.is_err() {
                            return;
                        }
                    } else {
                        let wait = match fault {
                            DeliverFault::Later { wait, .. } => wait.min(LONGEST_PAUSE),
                            DeliverFault::Org(_)
                            | DeliverFault::Journal(_)
                            | DeliverFault::History(_)
                            | DeliverFault::Indigestible(_)
                            | DeliverFault::Ending => Duration::ZERO,
                        };
                        // The server has said so itself: nothing shortens it.
                        tokio::time::sleep(wait).await;
                        if again.pause(backoff.next().saturating_sub(wait)).await {
                            backoff.reset();
                        }
                    }
                }
            }
        }
    }

    /// How delivery stands, as it changes.
    pub fn delivery(&self) -> watch::Receiver<Delivery> {
        self.0.delivery.subscribe()
    }

    /// Delivers what there is now.
    async fn deliver_all(&self, journal: &Journal, backoff: &mut Backoff) -> Result<(), DeliverFault> {
        let mut from = None;
        let mut most = BATCH_RECORDS;
        loop {
            let records = next(journal, from, most).await?;
            let Some(first) = records.first() else { return Ok(()) };
            let batch = beginning(journal, from, first)? + &write_batch(&records);
            match self.send(&batch).await {
                Ok(receipt) => {
                    self.delivered(journal, receipt).await?;
                    backoff.reset();
                    from = None;
                    most = (most * 2).min(BATCH_RECORDS);
                }
                // One of them is what the server cannot read: which, halves tell.
                Err(DeliverFault::Indigestible(fault)) => match records.as_slice() {
                    [alone] => {
                        self.set_aside(journal, alone, &fault).await?;
                        from = None;
                    }
                    several => most = several.len() / 2,
                },
                // The server knows less than it has signed for, or more: it says from where to go on.
                Err(DeliverFault::History(refused))
                    if refused.error.code == "audit-gap" && from.is_none() =>
                {
                    let stored = refused.stored.map_or_else(Position::default, position);
                    tracing::warn!(?stored, "the server asks for earlier audit records");
                    from = Some(stored);
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn delivered(&self, journal: &Journal, receipt: SignedReceipt) -> Result<(), DeliverFault> {
        let keys = self.0.receipt_keys.borrow().clone();
        let journal = journal.clone();
        blocking(move || journal.receipted(&receipt, &keys)).await?;
        self.0.delivery.send_replace(Delivery::Delivered(self.0.clock.now()));
        Ok(())
    }

    /// Says where a record would be that the server refuses for ever. Where it refuses even that, it is not the record.
    async fn set_aside(
        &self,
        journal: &Journal,
        record: &AuditRecord,
        fault: &OrgFault,
    ) -> Result<(), DeliverFault> {
        let Head { epoch, seq, .. } = record.link().head();
        tracing::error!(epoch, seq, %fault, "the organisation refuses an audit record");
        let aside = SetAside::of(record, fault.to_string()).line().map_err(encoding)?;
        let keeper = journal.clone();
        // Before a receipt covers its place.
        blocking(move || keeper.keep(Position { epoch, seq })).await?;
        let receipt = self.send(&aside).await?;
        self.delivered(journal, receipt).await?;
        let event = EventRecord::new(AuditEvent::RecordSetAside)
            .with("epoch", epoch.to_string())
            .with("seq", seq.to_string())
            .with("reason", fault.to_string());
        Ok(journal.note(&event)?)
    }

    async fn send(&self, batch: &str) -> Result<SignedReceipt, DeliverFault> {
        let session = self.0.live_session()?;
        let key = self.0.vault.device_key().await.map_err(OrgFault::from)?;
        let now = self.0.clock.now();
        let request = self
            .0
            .wire
            .proved(Method::POST, AUDIT_PATH, &*key, Some(&session.token), now)?
            .header(CONTENT_TYPE, BATCH_TYPE)
            .header(CONTENT_ENCODING, BATCH_CODING)
            .timeout(ORDINARY)
            .body(pack_batch(batch));
        let answer = self.0.wire.send(request).await?;
        let status = answer.status();
        let wait = asked_to_wait(answer.headers());
        let body = read(answer, SMALL).await?;
        if status.is_success() {
            return SignedReceipt::parse(&body)
                .map_err(|fault| OrgFault::Unusable(format!("a receipt: {fault}")).into());
        }
        if status == StatusCode::CONFLICT
            && let Ok(history) = serde_json::from_slice::<UploadRefused>(&body)
        {
            return Err(DeliverFault::History(Box::new(history)));
        }
        let fault = refused(status, &body);
        if fault.ends_session() {
            self.0.lost(&session);
            return Err(OrgFault::NoSession.into());
        }
        Err(match (status, wait) {
            (
                StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY,
                _,
            ) => DeliverFault::Indigestible(fault),
            (_, Some(wait)) => DeliverFault::Later { fault, wait },
            (_, None) => fault.into(),
        })
    }
}

/// Records that a receipt was refused, and once for as long as it goes on.
fn note_refused_receipt(journal: &Journal, fault: &DeliverFault, refused: &mut Option<String>) {
    let DeliverFault::Journal(JournalFault::Receipt(_) | JournalFault::ForeignReceipt(_)) = fault else {
        return;
    };
    let why = fault.to_string();
    if refused.as_ref() == Some(&why) {
        return;
    }
    let event = EventRecord::new(AuditEvent::ReceiptRefused).with("why", &why);
    if let Err(fault) = journal.note(&event) {
        tracing::error!(%fault, "it was not recorded that a receipt was refused");
    }
    *refused = Some(why);
}

/// How long the server asks to wait, in seconds (RFC 9110, section 10.2.3); a date is not read.
fn asked_to_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// At most so many of the next records to deliver: those that nobody has signed for, or those after a place that the server named.
async fn next(
    journal: &Journal,
    from: Option<Position>,
    most: usize,
) -> Result<Vec<AuditRecord>, DeliverFault> {
    let journal = journal.clone();
    blocking(move || match from {
        None => journal.pending(most),
        Some(position) => journal.pending_from(position, most),
    })
    .await
}

/// What stands before `first` where the server asks for earlier records that are here no more: its own receipt for them.
fn beginning(journal: &Journal, from: Option<Position>, first: &AuditRecord) -> Result<String, DeliverFault> {
    let link = first.link();
    let resumed = from.and_then(|_| journal.pruned(link.epoch)).filter(|(end, _)| end.seq + 1 == link.seq);
    let Some((end, receipt)) = resumed else { return Ok(String::new()) };
    Ok(Resumed::new(end, receipt).line().map_err(encoding)? + "\n")
}

fn encoding(fault: serde_json::Error) -> DeliverFault {
    JournalFault::Encoding(fault.to_string()).into()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalFault> + Send + 'static,
) -> Result<T, DeliverFault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(DeliverFault::Ending),
    }
}

fn position(head: Head) -> Position {
    Position { epoch: head.epoch, seq: head.seq }
}
