//! The control plane's database: SQLite in one file, in WAL mode, or PostgreSQL; [`database`] has what differs.
//!
//! What is answered with a receipt or a success is on disk first: the writer syncs at each commit. Nothing here knows
//! HTTP, keys or policy.

mod administrators;
mod clones;
mod credentials;
mod database;
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

use std::str::FromStr;

use model::DeviceId;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::watch;

pub(crate) use administrators::NewAdministrator;
pub(crate) use clones::Holder;
pub(crate) use credentials::SealedCredential;
pub use credentials::StoredCredential;
pub use database::{Database, DatabaseFault};
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

use database::{Pools, Turn};

/// The database.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Database,
    writer: AnyPool,
    quick: AnyPool,
    readers: AnyPool,
    /// Counts commits that somebody may be waiting for.
    changes: watch::Sender<u64>,
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
    /// Somebody else wrote the same meanwhile.
    #[error("somebody else changed the same meanwhile: look at it, and do it again")]
    Overtaken,
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
        Ok(Self { database: database.clone(), writer, quick, readers, changes: watch::Sender::new(0) })
    }

    /// Begins to write. Nobody else does until it ends.
    async fn write(&self) -> Result<Transaction<'static, Any>, StoreFault> {
        self.database.begin(&self.writer, Turn::Write).await
    }

    /// Writes by one statement. How many rows it was about.
    async fn run(&self, statement: Query<'_, Any, AnyArguments>) -> Result<u64, StoreFault> {
        let mut transaction = self.write().await?;
        let rows = statement.execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok(rows)
    }

    /// The control plane's own id among the devices; made once.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn own_device(&self) -> Result<DeviceId, StoreFault> {
        let new = DeviceId::new().to_string();
        self.run(
            sqlx::query("INSERT INTO identity (one, device) VALUES (1, $1) ON CONFLICT DO NOTHING").bind(new),
        )
        .await?;
        let text: String =
            sqlx::query_scalar("SELECT device FROM identity WHERE one = 1").fetch_one(&self.readers).await?;
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
