//! Delivering audit records: in order, until the organisation has signed for them.

use std::time::Duration;

use audit::{AuditRecord, Head, Journal, JournalFault, Position, SignedReceipt};
use model::{Advice, ForPerson as _, Timestamp};
use org_protocol::{AUDIT_PATH, BATCH_RECORDS, BATCH_TYPE, UploadRefused, write_batch};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::wire::{ORDINARY, SMALL, read, refused};
use crate::{Org, OrgFault};

/// Records gather for so long before they are sent: one request for many.
const GATHER: Duration = Duration::from_millis(200);

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
    #[error("the program is ending")]
    Ending,
}

impl DeliverFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Org(fault) => fault.advice(),
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
        loop {
            head.mark_unchanged();
            sessions.mark_unchanged();
            keys.mark_unchanged();
            match self.deliver_all(&journal).await {
                Ok(()) => {
                    backoff.reset();
                    tokio::select! {
                        changed = head.changed() => if changed.is_err() { return },
                        _ = sessions.changed() => {}
                        _ = keys.changed() => {}
                    }
                    tokio::time::sleep(GATHER).await;
                }
                Err(fault) => {
                    tracing::debug!(%fault, "audit records wait");
                    self.0.delivery.send_replace(Delivery::Waiting(fault.advice()));
                    if matches!(fault, DeliverFault::Org(OrgFault::NoSession)) {
                        if sessions.changed().await.is_err() {
                            return;
                        }
                    } else {
                        tokio::time::sleep(backoff.next()).await;
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
    async fn deliver_all(&self, journal: &Journal) -> Result<(), DeliverFault> {
        let mut from = None;
        loop {
            let records = next(journal, from).await?;
            if records.is_empty() {
                return Ok(());
            }
            match self.send(&records).await {
                Ok(receipt) => {
                    let keys = self.0.receipt_keys.borrow().clone();
                    let journal = journal.clone();
                    blocking(move || journal.receipted(&receipt, &keys)).await?;
                    self.0.delivery.send_replace(Delivery::Delivered(self.0.clock.now()));
                    from = None;
                }
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

    async fn send(&self, records: &[AuditRecord]) -> Result<SignedReceipt, DeliverFault> {
        let session = self.0.live_session()?;
        let key = self.0.vault.device_key().await.map_err(OrgFault::from)?;
        let now = self.0.clock.now();
        let request = self
            .0
            .wire
            .proved(Method::POST, AUDIT_PATH, &*key, Some(&session.token), now)?
            .header(CONTENT_TYPE, BATCH_TYPE)
            .timeout(ORDINARY)
            .body(write_batch(records));
        let answer = request.send().await.map_err(OrgFault::from)?;
        let status = answer.status();
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
        Err(fault.into())
    }
}

/// The next records to deliver: those that nobody has signed for, or those after a place that the server named.
async fn next(journal: &Journal, from: Option<Position>) -> Result<Vec<AuditRecord>, DeliverFault> {
    let journal = journal.clone();
    blocking(move || match from {
        None => journal.pending(BATCH_RECORDS),
        Some(position) => journal.pending_from(position, BATCH_RECORDS),
    })
    .await
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
