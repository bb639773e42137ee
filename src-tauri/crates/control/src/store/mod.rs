//! The control plane's database: SQLite in one file, in WAL mode.
//!
//! What is answered with a receipt or a success is on disk first: the writer syncs at each commit. Nothing here knows
//! HTTP, keys or policy.

mod administrators;
mod clones;
mod credentials;
mod devices;
mod documents;
mod enrolment;
mod events;
mod grants;
mod halts;
mod leases;
mod people;
mod proofs;
mod records;
mod rotation;
mod sessions;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use model::DeviceId;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::watch;

pub(crate) use administrators::NewAdministrator;
pub(crate) use clones::Holder;
pub(crate) use credentials::SealedCredential;
pub use credentials::StoredCredential;
pub use devices::Device;
pub(crate) use devices::{Enrolment, NewDevice};
pub use enrolment::EnrolmentToken;
pub(crate) use enrolment::NewEnrolmentToken;
pub(crate) use grants::NewGrant;
pub use halts::{KnownPerson, StandingHalt};
pub use leases::LiveLease;
pub use records::Filter;
pub(crate) use records::{Appended, ChainEnd, StoredLine};
pub(crate) use sessions::{Ending, NewSession};

/// How many readers may work at once.
const READERS: u32 = 4;
/// How long a statement waits for another's lock.
const BUSY: Duration = Duration::from_secs(10);
/// Takes the write lock at once: a transaction that reads first could otherwise not go on to write.
const IMMEDIATE: &str = "BEGIN IMMEDIATE";

/// The database.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// One connection: writes are one after the other, and each commit is synced.
    writer: SqlitePool,
    /// One connection whose commits survive a crash of the program but not of the machine.
    quick: SqlitePool,
    readers: SqlitePool,
    /// Counts commits that somebody may be waiting for.
    changes: watch::Sender<u64>,
}

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// What SQLite said.
    #[error("the database failed: {0}")]
    Sql(#[from] sqlx::Error),
    /// The database could not be brought to this version.
    #[error("the database cannot be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
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
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreFault> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let durable = options.clone().synchronous(SqliteSynchronous::Full);
        let quick = options.synchronous(SqliteSynchronous::Normal);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(durable).await?;
        sqlx::migrate!("./migrations").run(&writer).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_with(quick.clone()).await?;
        let quick = SqlitePoolOptions::new().max_connections(1).connect_with(quick).await?;
        Ok(Self { writer, quick, readers, changes: watch::Sender::new(0) })
    }

    /// The control plane's own id among the devices; made once.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn own_device(&self) -> Result<DeviceId, StoreFault> {
        sqlx::query("INSERT OR IGNORE INTO identity (one, device) VALUES (1, ?)")
            .bind(DeviceId::new().to_string())
            .execute(&self.writer)
            .await?;
        let text: String =
            sqlx::query_scalar("SELECT device FROM identity WHERE one = 1").fetch_one(&self.writer).await?;
        parsed("device id", &text)
    }

    /// Is told whenever there are new events or records.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// A [`StoreFault`] where it does not.
    pub(crate) async fn ping(&self) -> Result<(), StoreFault> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    /// Writes what is left of the log and closes the file.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.quick.close().await;
        self.writer.close().await;
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

/// SQLite has signed integers only.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) async fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("control.sqlite")).await.expect("opens");
        (dir, store)
    }

    #[tokio::test]
    async fn the_own_id_stays() {
        let (dir, store) = store().await;
        let id = store.own_device().await.expect("an id");
        store.close().await;
        let again = Store::open(&dir.path().join("control.sqlite")).await.expect("opens again");
        assert_eq!(again.own_device().await.expect("the id"), id);
    }
}
