//! The records of calls as they were written, and who gets them: for whoever sits at this computer.

use std::path::PathBuf;

use audit::{Fates, JournalFault, of_call};
use model::CallId;

use crate::view::{self, RecordView};

/// The records of calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Records(PathBuf);

impl Records {
    pub(crate) fn of(journal: PathBuf) -> Self {
        Self(journal)
    }

    /// The records of one call, the oldest first; none where they were removed.
    ///
    /// # Errors
    /// A [`JournalFault`] where the journal cannot be read.
    pub async fn of_call(&self, call: CallId) -> Result<Vec<RecordView>, JournalFault> {
        let dir = self.0.clone();
        let read = move || {
            let records = of_call(&dir, call)?;
            let fates = Fates::read(&dir)?;
            Ok(records.iter().map(|record| view::record(record, fates.of(record))).collect())
        };
        tokio::task::spawn_blocking(read).await.unwrap_or(Err(JournalFault::Closed))
    }
}
