//! The control plane's database: SQLite in one file, in WAL mode, or PostgreSQL; [`database`] has what differs.
//!
//! What is answered with a receipt or a success is on disk first: the writer syncs at each commit. Nothing here knows
//! HTTP, keys or policy.

mod administrators;
mod backup;
mod clones;
mod counts;
mod credentials;
mod database;
mod devices;
mod diagnostics;
mod documents;
mod enrolment;
mod epochs;
mod events;
mod grants;
mod halts;
mod leases;
mod limits;
mod outage;
mod people;
mod proofs;
mod records;
mod replicas;
mod revocations;
mod rotation;
mod sessions;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Digest, Timestamp};
use opentelemetry::trace::SpanKind;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use tokio::sync::watch;

pub(crate) use administrators::NewAdministrator;
pub use backup::{BackupFault, Restored, Saved};
pub(crate) use backup::{restore, save};
pub(crate) use clones::{Holder, Shown};
pub(crate) use credentials::SealedCredential;
pub use credentials::StoredCredential;
pub(crate) use database::Held;
pub use database::{Database, DatabaseFault};
pub use devices::Device;
pub(crate) use devices::{Enrolment, NewDevice};
pub use diagnostics::{AskedDiagnostics, DiagnosticsState};
pub(crate) use diagnostics::{Asking, NewDiagnostics, SealedDiagnostics};
pub use enrolment::EnrolmentToken;
pub(crate) use enrolment::NewEnrolmentToken;
pub(crate) use epochs::Epoch;
pub(crate) use grants::NewGrant;
pub use halts::{KnownPerson, StandingHalt};
pub use leases::LiveLease;
pub use records::Sieve;
pub(crate) use records::{Appended, ChainEnd, StoredLine};
pub use records::{DeniedBy, Filter};
pub(crate) use replicas::Progress;
pub(crate) use revocations::{Revocation, RevocationLog};
pub(crate) use sessions::{Ending, NewSession};

use crate::trace::Span;
use database::{Alone, Pools, Turn};

/// The database.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
    writer: AnyPool,
    quick: AnyPool,
    readers: AnyPool,
    epoch: Epoch,
    /// Where everything that is taken away from somebody is written down as well.
    log: Option<RevocationLog>,
    /// Counts commits that somebody may be waiting for.
    changes: watch::Sender<u64>,
    /// Whether the latest proof could be written down.
    writes: Arc<AtomicBool>,
}

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// It cannot be found.
    #[error(transparent)]
    Database(#[from] DatabaseFault),
    /// What the database said.
    #[error("the database failed: {0}")]
    Sql(#[from] sqlx::Error),
    /// The database could not be brought to this version.
    #[error("the database cannot be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A restore did not come to its end: what was taken away since the backup is not taken away in it.
    #[error(
        "this database was being restored when that was broken off: nothing in it can be relied on. Remove it, and restore again into an empty one"
    )]
    HalfRestored,
    /// Somebody else wrote the same meanwhile.
    #[error("somebody else changed the same meanwhile: look at it, and do it again")]
    Overtaken,
    /// What was erased is still in the database's log of changes.
    #[error(
        "it is erased, but the database's log of changes has it until nobody reads what was before: erase the same once more in a while"
    )]
    StillRead,
    /// What was taken away cannot be written down.
    #[error("the file of revocations failed: {0}")]
    Log(std::io::Error),
    /// Something stored cannot be read.
    #[error("a stored {what} cannot be read: {reason}")]
    Unreadable {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl Store {
    /// Opens the database, making or migrating it.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn open(database: &Database) -> Result<Self, StoreFault> {
        let Pools { writer, quick, readers } = database.open().await?;
        if database.has_table(&readers, "half_restored").await? {
            return Err(StoreFault::HalfRestored);
        }
        let epoch = Epoch::read(&readers).await?;
        let (database, changes) = (database.clone(), watch::Sender::new(0));
        let writes = Arc::new(AtomicBool::new(true));
        let store = Self { database, writer, quick, readers, epoch, log: None, changes, writes };
        store.read_unread_records().await?;
        Ok(store)
    }

    /// Has what is taken away from somebody written down apart.
    #[must_use]
    pub(crate) fn with_log(self, log: RevocationLog) -> Self {
        Self { log: Some(log), ..self }
    }

    /// The life that the database is in.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Writes down what is about to be taken away: before the transaction that does it ends, and so before anybody is answered.
    async fn note(&self, at: Timestamp, acts: Vec<Revocation>) -> Result<(), StoreFault> {
        match &self.log {
            Some(log) => log.append(at, acts).await,
            None => Ok(()),
        }
    }

    /// Begins to write. Nobody else does until it ends.
    async fn write(&self) -> Result<Writing, StoreFault> {
        let span = Span::part("write", SpanKind::Client);
        span.set("db.system.name", self.database.kind());
        let transaction = self.database.begin(&self.writer, Turn::Write).await?;
        span.event("has its turn");
        Ok(Writing { transaction, _span: span })
    }

    /// Writes by one statement. How many rows it was about.
    async fn run(&self, statement: Query<'_, Any, AnyArguments>) -> Result<u64, StoreFault> {
        let mut transaction = self.write().await?;
        let rows = statement.execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok(rows)
    }

    /// Passes records on to a receiver, which one control plane does for all of them, unless another is at it: `None` then.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn alone(&self, receiver: &str) -> Result<Option<Alone>, StoreFault> {
        let digest = Digest::of(receiver.as_bytes());
        let number = digest.as_bytes().first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
        self.database.alone(&self.quick, Turn::Relay(number)).await
    }

    /// Is told whenever there are new events or records.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Whether the database answers, and can be written if it could not be before.
    ///
    /// # Errors
    /// A [`StoreFault`] where it does not.
    pub(crate) async fn ping(&self) -> Result<(), StoreFault> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        if self.writes.load(Ordering::Relaxed) { Ok(()) } else { self.try_to_write().await }
    }

    /// Changes what is kept behind everybody's back.
    #[cfg(any(test, feature = "testing"))]
    #[expect(clippy::expect_used, reason = "for tests only, which end at once")]
    pub(crate) async fn tamper(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.writer).await.expect("tampers");
    }

    /// Closes the database.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.quick.close().await;
        self.writer.close().await;
    }
}

/// A transaction that writes, and what it took its time for since it wanted to.
struct Writing {
    transaction: Transaction<'static, Any>,
    _span: Span,
}

impl Writing {
    /// Makes it durable.
    async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}

impl std::ops::Deref for Writing {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl std::ops::DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

fn parsed<T: FromStr>(what: &'static str, text: &str) -> Result<T, StoreFault>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|fault: T::Err| StoreFault::Unreadable { what, reason: fault.to_string() })
}

fn from_json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreFault> {
    serde_json::from_str(text).map_err(|fault| StoreFault::Unreadable { what, reason: fault.to_string() })
}

/// The databases have signed integers only.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
