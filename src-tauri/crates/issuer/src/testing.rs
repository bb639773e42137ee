//! For tests of this crate and of those that mount it. Nothing here answers for a person.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::BoxFuture;

use crate::{Record, RecordKind, Store, StoreFault};

type Records = BTreeMap<(RecordKind, String), Vec<u8>>;

/// A store in memory that can be told to fail.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: Mutex<Records>,
    failing: AtomicBool,
}

impl MemoryStore {
    /// From now on every operation fails, or works again.
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// A copy of everything that is stored.
    pub fn dump(&self) -> Records {
        self.records().clone()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets others run, as a store that waits for a disk does.
    async fn check(&self) -> Result<(), StoreFault> {
        tokio::task::yield_now().await;
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreFault("told to fail".to_owned()));
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    fn load(&self, kind: RecordKind) -> BoxFuture<'_, Result<Vec<Record>, StoreFault>> {
        Box::pin(async move {
            self.check().await?;
            let records = self.records();
            let of_kind = records.iter().filter(|((known, _), _)| *known == kind);
            Ok(of_kind.map(|((_, key), value)| (key.clone(), value.clone())).collect())
        })
    }

    fn put(&self, kind: RecordKind, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<(), StoreFault>> {
        Box::pin(async move {
            self.check().await?;
            self.records().insert((kind, key), value);
            Ok(())
        })
    }

    fn delete(&self, kind: RecordKind, key: String) -> BoxFuture<'_, Result<(), StoreFault>> {
        Box::pin(async move {
            self.check().await?;
            self.records().remove(&(kind, key));
            Ok(())
        })
    }
}
