//! Records in the store: written as JSON with a format version, read back or reported.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Event, RecordKind, Seams, Store, StoreFault};

/// The format version that this program writes. Records of a later one are left alone, for the program that wrote them.
pub(crate) const FORMAT: u32 = 1;

/// The store, with its failures and finds reported.
#[derive(Clone)]
pub(crate) struct Ledger {
    store: Arc<dyn Store>,
    events: Arc<dyn Fn(Event) + Send + Sync>,
}

/// Why a stored record is not used.
#[derive(Debug, thiserror::Error)]
enum RecordFault {
    #[error("it has format {0}, which this version cannot read")]
    Format(u32),
    #[error("it is damaged: {0}")]
    Damaged(serde_json::Error),
}

#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

impl Ledger {
    pub(crate) fn new(seams: &Seams) -> Self {
        Self { store: Arc::clone(&seams.store), events: Arc::clone(&seams.events) }
    }

    /// All readable records of a kind. Damaged ones are deleted, later ones left; both are reported.
    pub(crate) async fn load<T: DeserializeOwned>(&self, kind: RecordKind) -> Vec<(String, T)> {
        let stored = self.store.load(kind).await.unwrap_or_else(|fault| {
            self.failed(&fault);
            Vec::new()
        });
        let mut records = Vec::new();
        for (key, bytes) in stored {
            match decode(&bytes) {
                Ok(record) => records.push((key, record)),
                Err(fault) => self.skip(kind, key, &fault).await,
            }
        }
        records
    }

    /// Writes a record; durable on return.
    pub(crate) async fn put<T: Serialize>(
        &self,
        kind: RecordKind,
        key: String,
        record: &T,
    ) -> Result<(), StoreFault> {
        let written = match serde_json::to_vec(record) {
            Ok(bytes) => self.store.put(kind, key, bytes).await,
            Err(fault) => Err(StoreFault(fault.to_string())),
        };
        written.inspect_err(|fault| self.failed(fault))
    }

    /// Deletes a record.
    pub(crate) async fn delete(&self, kind: RecordKind, key: String) -> Result<(), StoreFault> {
        self.store.delete(kind, key).await.inspect_err(|fault| self.failed(fault))
    }

    pub(crate) fn report(&self, event: Event) {
        (self.events)(event);
    }

    async fn skip(&self, kind: RecordKind, key: String, fault: &RecordFault) {
        tracing::error!(?kind, key, %fault, "a stored record of the issuer is not used");
        if matches!(fault, RecordFault::Damaged(_)) {
            // A failure is reported by `delete`; the record is then found damaged again at the next start.
            let _ = self.delete(kind, key).await;
        }
        self.report(Event::RecordSkipped { kind, why: fault.to_string() });
    }

    fn failed(&self, fault: &StoreFault) {
        tracing::error!(%fault, "the issuer's store failed");
        self.report(Event::StoreFailed { why: fault.0.clone() });
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordFault> {
    let version: Versioned = serde_json::from_slice(bytes).map_err(RecordFault::Damaged)?;
    if version.format != FORMAT {
        return Err(RecordFault::Format(version.format));
    }
    serde_json::from_slice(bytes).map_err(RecordFault::Damaged)
}
