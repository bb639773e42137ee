//! Which database, and what of the two is not the same. Every statement is written once, for both.
//!
//! SQLite lets one transaction write at a time. So does this on PostgreSQL, by a lock of the database's own that each
//! transaction takes first: what is concluded from a read before a write holds on both, and numbers of events and records
//! become visible in their order. What needs no such order, proofs that are used above all, goes beside it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions as _, Connection as _, Transaction};

use model::{DeviceId, Digest};
use os::{InstanceLock, LockFault};

use super::StoreFault;

/// How long a statement waits for another's lock, and for a connection.
const BUSY: Duration = Duration::from_secs(10);
/// How many connections read at once, on SQLite and on PostgreSQL.
const READERS: (u32, u32) = (4, 8);

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Where the control plane keeps what it knows.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server: its address, which may hold a password.
    Postgres(SecretString),
}

/// Why an address names no database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseFault {
    /// Neither of the two.
    #[error("the database is sqlite:PATH or postgres://USER@HOST/NAME")]
    Scheme,
    /// It cannot be read. Its text may hold a password, so it is not shown.
    #[error(
        "the address of the PostgreSQL database cannot be read: it is postgres://USER@HOST/NAME?sslmode=verify-full"
    )]
    Address,
    /// Records and sealed secrets would cross a network that anybody may listen to.
    #[error(
        "the database is on another machine ({host}), and the connection to it is not verified: add sslmode=verify-full to its address, and sslrootcert=FILE where its certificate is your own authority's"
    )]
    Unverified {
        /// The machine.
        host: String,
    },
}

impl FromStr for Database {
    type Err = DatabaseFault;

    fn from_str(text: &str) -> Result<Self, DatabaseFault> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => {
                Ok(Self::Sqlite(path.strip_prefix("//").unwrap_or(path).into()))
            }
            Some(("postgres" | "postgresql", _)) => {
                let options = PgConnectOptions::from_str(text).map_err(|_| DatabaseFault::Address)?;
                let is_here = options.get_socket().is_some() || is_loopback(options.get_host());
                if is_here || matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
                    Ok(Self::Postgres(text.into()))
                } else {
                    Err(DatabaseFault::Unverified { host: options.get_host().to_owned() })
                }
            }
            Some(_) | None => Err(DatabaseFault::Scheme),
        }
    }
}

impl Database {
    /// Whether the text of an address shows a password to whoever lists processes.
    pub fn shows_password(text: &str) -> bool {
        let url = url::Url::parse(text);
        url.is_ok_and(|url| url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password"))
    }

    fn options(&self) -> Result<AnyConnectOptions, StoreFault> {
        sqlx::any::install_default_drivers();
        let url = match self {
            Self::Sqlite(path) => sqlite_url(path)?,
            Self::Postgres(address) => {
                address.expose_secret().parse().map_err(|_| StoreFault::Database(DatabaseFault::Address))?
            }
        };
        Ok(AnyConnectOptions::from_url(&url)?)
    }

    fn settings(&self, durable: bool) -> &'static str {
        match (self, durable) {
            (Self::Sqlite(_), true) => {
                "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA secure_delete = ON;"
            }
            (Self::Sqlite(_), false) => {
                "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
                 PRAGMA secure_delete = ON;"
            }
            // A server that was set up not to wait for its disk waits for what is answered with a receipt.
            (Self::Postgres(_), true) => {
                "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s';
                 SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
            }
            (Self::Postgres(_), false) => {
                "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s';
                 SET synchronous_commit = off;"
            }
        }
    }

    /// Has the file's log of changes give up what was overwritten; in the file itself it is zeros already (`secure_delete`). PostgreSQL
    /// gives it up by itself when it vacuums.
    ///
    /// # Errors
    /// [`StoreFault::StillRead`] where somebody reads for longer than a statement waits.
    pub(super) async fn forget_overwritten(&self, writer: &AnyPool) -> Result<(), StoreFault> {
        if let Self::Sqlite(_) = self {
            let done: Vec<(i64, i64, i64)> =
                sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(writer).await?;
            if done.iter().any(|(busy, ..)| *busy != 0) {
                return Err(StoreFault::StillRead);
            }
        }
        Ok(())
    }

    /// Its kind, as OpenTelemetry names it (`db.system.name`).
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }

    /// What brings it to this version.
    pub(super) fn migrations(&self) -> &'static Migrator {
        match self {
            Self::Sqlite(_) => &SQLITE,
            Self::Postgres(_) => &POSTGRES,
        }
    }

    /// Whether there is a table of this name.
    pub(super) async fn has_table(&self, pool: &AnyPool, name: &str) -> Result<bool, StoreFault> {
        let tables = match self {
            Self::Sqlite(_) => "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
            Self::Postgres(_) => {
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = $1"
            }
        };
        let tables: i64 = sqlx::query_scalar(tables).bind(name).fetch_one(pool).await?;
        Ok(tables > 0)
    }

    /// Whether nothing was ever kept in it.
    pub(super) async fn is_empty(&self, pool: &AnyPool) -> Result<bool, StoreFault> {
        let tables = match self {
            Self::Sqlite(_) => "SELECT count(*) FROM sqlite_master WHERE type = 'table'",
            Self::Postgres(_) => {
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()"
            }
        };
        let tables: i64 = sqlx::query_scalar(tables).fetch_one(pool).await?;
        Ok(tables == 0)
    }

    /// A transaction that sees the database as it is now, whatever is written meanwhile.
    pub(super) async fn snapshot(&self, pool: &AnyPool) -> Result<Transaction<'static, Any>, StoreFault> {
        match self {
            Self::Sqlite(_) => Ok(pool.begin().await?),
            Self::Postgres(_) => {
                Ok(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        }
    }

    /// Has a table go on to count where its rows end, which were put in with their numbers.
    pub(super) async fn count_on(
        &self,
        connection: &mut AnyConnection,
        table: &str,
        column: &str,
    ) -> Result<(), StoreFault> {
        match self {
            // It looks at the rows by itself.
            Self::Sqlite(_) => {}
            Self::Postgres(_) => {
                let statement = format!(
                    "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}"
                );
                sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
            }
        }
        Ok(())
    }

    /// Connections whose commits survive a crash of the machine where they are `durable`, and else one of the program only.
    pub(super) async fn pool(&self, durable: bool, most: u32) -> Result<AnyPool, StoreFault> {
        let settings = self.settings(durable);
        let pool = AnyPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(BUSY)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql(settings).execute(connection).await?;
                    Ok(())
                })
            })
            // SQLite ends a transaction by itself when the disk is full, say; what then still believes to be in one begins no other.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(self.options()?)
            .await?;
        Ok(pool)
    }

    /// Opens the database, making or migrating it: what writes, what writes beside the order, what reads.
    pub(super) async fn open(&self) -> Result<Pools, StoreFault> {
        let writer = self.pool(true, 1).await?;
        let (quick, readers) = match self {
            Self::Sqlite(_) => (1, READERS.0),
            Self::Postgres(_) => (READERS.0, READERS.1),
        };
        self.migrations().run(&writer).await?;
        Ok(Pools { writer, quick: self.pool(false, quick).await?, readers: self.pool(false, readers).await? })
    }

    /// Begins a transaction that nobody else's of the same `turn` overlaps.
    pub(super) async fn begin(
        &self,
        pool: &AnyPool,
        turn: Turn,
    ) -> Result<Transaction<'static, Any>, StoreFault> {
        match self {
            // Takes the write lock at once: a transaction that reads first could otherwise not go on to write.
            Self::Sqlite(_) => Ok(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(_) => {
                let mut transaction = pool.begin().await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(turn.lock())
                    .execute(&mut *transaction)
                    .await?;
                Ok(transaction)
            }
        }
    }

    /// A turn, where nobody has it. Held for as long as a collector may take to answer.
    pub(super) async fn alone(&self, pool: &AnyPool, turn: Turn) -> Result<Option<Alone>, StoreFault> {
        match self {
            Self::Sqlite(_) => Ok(Some(Alone(None))),
            Self::Postgres(_) => {
                let mut transaction = pool.begin().await?;
                sqlx::query("SET LOCAL idle_in_transaction_session_timeout = '90s'")
                    .execute(&mut *transaction)
                    .await?;
                let got: i64 =
                    sqlx::query_scalar("SELECT CASE WHEN pg_try_advisory_xact_lock($1) THEN 1 ELSE 0 END")
                        .bind(turn.lock())
                        .fetch_one(&mut *transaction)
                        .await?;
                Ok((got == 1).then_some(Alone(Some(transaction))))
            }
        }
    }

    /// Holds the database for the control plane of this id, on SQLite for the only one. `None` where it is held.
    ///
    /// # Errors
    /// A [`StoreFault`].
    pub(crate) async fn hold(&self, own: DeviceId) -> Result<Option<Held>, StoreFault> {
        match self {
            Self::Sqlite(path) => match os::lock_instance(&path.with_extension("lock")) {
                Ok(lock) => Ok(Some(Held::File { _lock: lock })),
                Err(LockFault::Held { .. }) => Ok(None),
                Err(LockFault::File(fault)) => Err(StoreFault::Sql(sqlx::Error::Io(fault))),
            },
            Self::Postgres(_) => {
                let mut connection = AnyConnection::connect_with(&self.options()?).await?;
                let digest = Digest::of(own.to_string().as_bytes());
                let number = digest.as_bytes().first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
                let got: i64 =
                    sqlx::query_scalar("SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1 ELSE 0 END")
                        .bind(number)
                        .fetch_one(&mut connection)
                        .await?;
                Ok((got == 1).then_some(Held::Connection(connection)))
            }
        }
    }
}

/// A turn that somebody has alone, until it is dropped.
#[derive(Debug)]
pub(crate) struct Alone(#[expect(dead_code, reason = "it is held")] Option<Transaction<'static, Any>>);

/// What shows that no second control plane has the same journal or the same file.
#[derive(Debug)]
pub(crate) enum Held {
    /// A lock beside the file.
    File { _lock: InstanceLock },
    /// A lock of the database's, as long as the connection lives.
    Connection(AnyConnection),
}

impl Held {
    /// Takes it again where the database has let go of it, as it does when it is started anew. `false` where another control plane has
    /// it by now.
    ///
    /// # Errors
    /// A [`StoreFault`] where the database does not answer in time.
    pub(crate) async fn keep(
        &mut self,
        database: &Database,
        own: DeviceId,
        within: Duration,
    ) -> Result<bool, StoreFault> {
        let Self::Connection(connection) = self else { return Ok(true) };
        let there = tokio::time::timeout(within, sqlx::query("SELECT 1").execute(connection));
        if matches!(there.await, Ok(Ok(_))) {
            return Ok(true);
        }
        let again = tokio::time::timeout(within, database.hold(own)).await;
        let Some(again) = again.map_err(|_| StoreFault::Sql(sqlx::Error::PoolTimedOut))?? else {
            return Ok(false);
        };
        *self = again;
        Ok(true)
    }

    /// Lets go of it.
    pub(crate) async fn release(self) {
        match self {
            Self::File { .. } => {}
            Self::Connection(connection) => {
                if let Err(fault) = connection.close().await {
                    tracing::debug!(%fault, "the database lets go of this control plane by itself");
                }
            }
        }
    }
}

/// Connections by what they do.
#[derive(Debug, Clone)]
pub(super) struct Pools {
    /// One connection: writes are one after the other, and each commit is synced.
    pub writer: AnyPool,
    /// Commits of these survive a crash of the program but not of the machine.
    pub quick: AnyPool,
    /// Reads.
    pub readers: AnyPool,
}

/// What is written one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Everything that is answered for.
    Write,
    /// Questions to the identity provider.
    Question,
    /// Records that are passed on to one receiver, by a number that comes from its name.
    Relay(u16),
}

impl Turn {
    /// PostgreSQL's lock: the same in every control plane, so it stays.
    fn lock(self) -> i64 {
        match self {
            Self::Write => 0x6465_736b_0001,
            Self::Question => 0x6465_736b_0002,
            Self::Relay(receiver) => (i64::from(receiver) << 48) ^ 0x6465_736b_0003,
        }
    }
}

fn sqlite_url(path: &Path) -> Result<url::Url, StoreFault> {
    let path = std::path::absolute(path).map_err(sqlx::Error::Io)?;
    Ok(SqliteConnectOptions::new().filename(path).create_if_missing(true).to_url_lossy())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_elsewhere_is_verified_and_no_fault_shows_its_password() {
        let read = |text: &str| Database::from_str(text).map(|_| ());
        for good in [
            "sqlite:/var/lib/deskgate/control.sqlite",
            "postgres://deskgate@localhost/deskgate",
            "postgresql://deskgate:pw@127.0.0.1:5433/deskgate",
            "postgres://deskgate@[::1]/deskgate",
            "postgres://deskgate@%2Frun%2Fpostgresql/deskgate",
            "postgres://deskgate@db.example/deskgate?sslmode=verify-full",
        ] {
            assert_eq!(read(good), Ok(()), "{good}");
        }
        let elsewhere = Err(DatabaseFault::Unverified { host: "db.example".to_owned() });
        for weak in ["", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-ca", "?sslmode=disable"] {
            assert_eq!(
                read(&format!("postgres://deskgate:pw@db.example/deskgate{weak}")),
                elsewhere,
                "{weak}"
            );
        }
        let by_query = read("postgres://deskgate:pw@localhost/deskgate?host=db.example");
        assert_eq!(by_query, elsewhere, "where it goes counts");
        assert_eq!(read("mysql://deskgate:pw@localhost/deskgate"), Err(DatabaseFault::Scheme));
        assert_eq!(read("postgres://deskgate:pw@localhost:port/x"), Err(DatabaseFault::Address));
        let database = Database::from_str("postgres://deskgate:hunter2@localhost/x").expect("an address");
        assert!(!format!("{database:?}").contains("hunter2"));
        assert!(Database::shows_password("postgres://deskgate:hunter2@localhost/x"));
        assert!(Database::shows_password("postgres://deskgate@localhost/x?password=hunter2"));
        assert!(!Database::shows_password("postgres://deskgate@localhost/x"));
    }
}
