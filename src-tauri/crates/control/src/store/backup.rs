//! Backups: every table as text, the same from either database and into either.
//!
//! A line for each row, between a head and an end that has the digest of all before it. Sealed secrets stay sealed; the master key is not in
//! it. Whoever restores begins another epoch, and nobody's session, lease or proof goes on in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use model::{Digest, Timestamp};
use org_protocol::EventKind;
use serde_json::{Map, Value, json};
use sqlx::any::{AnyArguments, AnyRow, AnyTypeInfoKind};
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyConnection, Arguments as _, AssertSqlSafe, Column as _, Row as _, ValueRef as _};

use super::database::Database;
use super::epochs::Epoch;
use super::revocations::{self, Revocation};
use super::{StoreFault, unsigned};

/// The format version of a backup.
const FORMAT: u32 = 1;
/// Every table that is in a backup, those first that others refer to.
const TABLES: &[&str] = &[
    "identity",
    "replicas",
    "epochs",
    "trust",
    "documents",
    "enrolment_tokens",
    "devices",
    "sessions",
    "sign_ins",
    "ended_sign_ins",
    "logout_tokens",
    "events",
    "credentials",
    "credential_versions",
    "leases",
    "halts",
    "diagnostics",
    "records",
    "heads",
    "relays",
    "call_quotas",
];
/// What is not: good once and for minutes, or ended by restoring.
#[cfg(test)]
const LEFT_OUT: &[&str] =
    &["administrators", "counted_calls", "grants", "proofs", "saml_believed", "saml_questions"];
/// Tables that number their rows.
const NUMBERED: &[(&str, &str)] = &[
    ("events", "seq"),
    ("records", "id"),
    ("enrolment_tokens", "id"),
    ("halts", "id"),
    ("diagnostics", "id"),
];
/// How far the number of events jumps: whoever heard of events that the backup does not know is told to fetch everything.
const JUMP: i64 = 1_000_000_000;

/// What a backup begins with.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    deskgate_backup: u32,
    made_at: Timestamp,
    /// The migrations that its tables are of.
    schema: Vec<i64>,
}

/// What it ends with.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    rows: u64,
    sha256: Digest,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    table: String,
    row: Map<String, Value>,
}

/// Why nothing was saved or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupFault {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no backup, or not all of one, or it was changed.
    #[error("{} is not a whole backup: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another version made it.
    #[error("the backup is of a newer version of deskgate-control: restore it with that version")]
    Newer,
    /// There is something already.
    #[error("the database is not empty: restore into a new one, so that nothing is mixed with what is there")]
    NotEmpty,
    /// Some of what was taken away since is said nowhere.
    #[error(
        "nothing says what was revoked after the backup was made through the control planes {0}: give the file of each with --revocations, or, where they are lost, --without-revocations; then revoke once more what you remember"
    )]
    NoLog(String),
}

/// What was saved.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Saved {
    /// How many rows.
    pub rows: u64,
    /// The digest at the end of the file.
    pub sha256: Digest,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// How many rows.
    pub rows: u64,
    /// When the backup was made.
    pub made_at: Timestamp,
    /// The number of the epoch that begins.
    pub epoch: u64,
    /// How many revocations were read and done once more.
    pub revocations: usize,
    /// Credentials whose secret in the backup was replaced or removed since: they have to be stored again.
    pub credentials_to_store: Vec<String>,
    /// Whether a newer policy was published since: it has to be published again.
    pub publish_again: bool,
}

/// Writes everything that is kept to a new file, as it is now.
///
/// # Errors
/// A [`BackupFault`]; there is no file then.
pub(crate) async fn save(database: &Database, path: &Path, now: Timestamp) -> Result<Saved, BackupFault> {
    let file = |source| BackupFault::File { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.exists() {
        return Err(file(std::io::ErrorKind::AlreadyExists.into()));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = folder.join(name);
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out =
        Writing { out: BufWriter::new(options.open(&part).map_err(file)?), digest: Digests::default() };
    let saved = match write_all(database, &mut out, now).await {
        Ok(saved) => saved,
        Err(fault) => {
            let _ = std::fs::remove_file(&part);
            return Err(fault.of(path));
        }
    };
    let done = out.out.into_inner().map_err(|fault| fault.into_error()).and_then(|out| out.sync_all());
    done.and_then(|()| std::fs::rename(&part, path)).map_err(file)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file)?;
    Ok(saved)
}

async fn write_all(database: &Database, out: &mut Writing, now: Timestamp) -> Result<Saved, Inner> {
    let pool = database.pool(false, 1).await?;
    let mut snapshot = database.snapshot(&pool).await?;
    let schema: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version")
        .fetch_all(&mut *snapshot)
        .await?;
    let known = database.migrations().iter().map(|migration| migration.version);
    if schema != known.collect::<Vec<_>>() {
        return Err(Inner::Schema);
    }
    out.line(&Head { deskgate_backup: FORMAT, made_at: now, schema })?;
    let mut rows = 0;
    for table in TABLES {
        let mut stream = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}"))).fetch(&mut *snapshot);
        while let Some(row) = stream.try_next().await? {
            out.line(&Line { table: (*table).to_owned(), row: as_json(&row)? })?;
            rows += 1;
        }
    }
    let sha256 = out.digest.end();
    out.line(&End { rows, sha256 })?;
    Ok(Saved { rows, sha256 })
}

/// Puts a backup into an empty database, as the beginning of another epoch.
///
/// # Errors
/// A [`BackupFault`]. A file that was begun is removed; a PostgreSQL database has to be emptied.
pub(crate) async fn restore(
    database: &Database,
    path: &Path,
    logs: Option<&[PathBuf]>,
    now: Timestamp,
) -> Result<Restored, BackupFault> {
    let mut acts = Vec::new();
    for log in logs.unwrap_or_default() {
        acts.extend(revocations::read(log)?);
    }
    acts.sort_by_key(|(at, _)| *at);
    let is_new = matches!(database, Database::Sqlite(file) if !file.exists());
    let restored = put_back(database, path, &acts, logs.is_some(), now).await.map_err(|fault| fault.of(path));
    if let (Err(_), true, Database::Sqlite(file)) = (&restored, is_new, database) {
        for end in ["", "-wal", "-shm"] {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            let _ = std::fs::remove_file(name);
        }
    }
    restored
}

async fn put_back(
    database: &Database,
    path: &Path,
    acts: &[(Timestamp, Revocation)],
    complete: bool,
    now: Timestamp,
) -> Result<Restored, Inner> {
    // Read twice: nothing is put anywhere before the whole file is known to be good.
    let (head, end, replicas) = Reading::open(path)?.check()?;
    let kept: BTreeSet<String> =
        acts.iter().filter_map(|(_, act)| act.kept_by()).map(|by| by.to_string()).collect();
    let missing: Vec<String> = replicas.difference(&kept).cloned().collect();
    if complete && !missing.is_empty() {
        return Err(Inner::NoLog(missing));
    }
    let pool = database.pool(true, 1).await?;
    if !database.is_empty(&pool).await? {
        return Err(Inner::NotEmpty);
    }
    let all = database.migrations();
    let then: Vec<_> =
        all.iter().filter(|migration| head.schema.contains(&migration.version)).cloned().collect();
    if then.len() != head.schema.len() {
        return Err(Inner::Newer);
    }
    Migrator { migrations: then.into(), ..Migrator::DEFAULT }
        .run(&pool)
        .await
        .map_err(StoreFault::Migrate)?;
    let mut transaction = pool.begin().await.map_err(StoreFault::Sql)?;
    let mut reading = Reading::open(path)?;
    reading.next::<Head>()?;
    for _ in 0..end.rows {
        let Line { table, row } = reading.next()?;
        if !TABLES.contains(&table.as_str()) {
            return Err(Inner::Damaged(format!("there is no table {table}")));
        }
        insert(&mut transaction, &table, &row).await?;
    }
    // Until the rest is done, nobody serves it.
    sqlx::query("CREATE TABLE half_restored (since BIGINT NOT NULL)")
        .execute(&mut *transaction)
        .await
        .map_err(StoreFault::Sql)?;
    transaction.commit().await?;
    all.run(&pool).await.map_err(StoreFault::Migrate)?;

    let mut transaction = pool.begin().await.map_err(StoreFault::Sql)?;
    let before = versions(&mut transaction).await?;
    end_everything(&mut transaction, now).await?;
    for (at, act) in acts {
        act.apply(&mut transaction, *at).await?;
    }
    let after = versions(&mut transaction).await?;
    let published = acts.iter().filter_map(|(_, act)| act.published()).max().unwrap_or_default();
    let epoch = Epoch::begin(&mut transaction, published, now).await?;
    for (table, column) in NUMBERED {
        database.count_on(&mut transaction, table, column).await?;
    }
    let applied = super::documents::published(&mut transaction).await?;
    sqlx::query("DROP TABLE half_restored").execute(&mut *transaction).await.map_err(StoreFault::Sql)?;
    transaction.commit().await?;
    pool.close().await;
    let credentials_to_store = before.into_keys().filter(|id| !after.contains_key(id)).collect();
    Ok(Restored {
        rows: end.rows,
        made_at: head.made_at,
        epoch,
        revocations: acts.len(),
        credentials_to_store,
        publish_again: published > applied,
    })
}

/// Nobody goes on where the backup left them.
async fn end_everything(connection: &mut AnyConnection, now: Timestamp) -> Result<(), StoreFault> {
    for end in [
        "UPDATE sessions SET revoked_at = coalesce(revoked_at, $1)",
        "UPDATE leases SET ended_at = coalesce(ended_at, $1), why = coalesce(why, 'restored')",
    ] {
        sqlx::query(end).bind(now.micros()).execute(&mut *connection).await?;
    }
    sqlx::query("UPDATE replicas SET seen_at = 0").execute(&mut *connection).await?;
    let last: Option<i64> =
        sqlx::query_scalar("SELECT max(seq) FROM events").fetch_one(&mut *connection).await?;
    sqlx::query("INSERT INTO events (seq, at, what) VALUES ($1, $2, $3)")
        .bind(last.unwrap_or(0).saturating_add(JUMP))
        .bind(now.micros())
        .bind(serde_json::to_string(&EventKind::Resync).unwrap_or_default())
        .execute(connection)
        .await?;
    Ok(())
}

async fn versions(connection: &mut AnyConnection) -> Result<BTreeMap<String, u64>, StoreFault> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT id, version FROM credentials").fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(id, version)| (id, unsigned(version))).collect())
}

fn as_json(row: &AnyRow) -> Result<Map<String, Value>, sqlx::Error> {
    let mut map = Map::new();
    for column in row.columns() {
        let at = column.ordinal();
        let value = row.try_get_raw(at)?;
        let value = match value.type_info().kind() {
            _ if value.is_null() => Value::Null,
            AnyTypeInfoKind::Text => Value::String(row.try_get(at)?),
            AnyTypeInfoKind::Blob => json!({"base64": STANDARD.encode(row.try_get::<Vec<u8>, _>(at)?)}),
            AnyTypeInfoKind::SmallInt | AnyTypeInfoKind::Integer | AnyTypeInfoKind::BigInt => {
                Value::from(row.try_get::<i64, _>(at)?)
            }
            AnyTypeInfoKind::Null
            | AnyTypeInfoKind::Bool
            | AnyTypeInfoKind::Real
            | AnyTypeInfoKind::Double => return Err(sqlx::Error::ColumnNotFound(column.name().to_owned())),
        };
        map.insert(column.name().to_owned(), value);
    }
    Ok(map)
}

async fn insert(connection: &mut AnyConnection, table: &str, row: &Map<String, Value>) -> Result<(), Inner> {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let mut values = AnyArguments::default();
    let mut places = Vec::new();
    for (name, value) in row {
        if !is_name(name) {
            return Err(Inner::Damaged(format!("{name:?} is no column")));
        }
        let strange = || Inner::Damaged(format!("{table}.{name} holds something else"));
        match value {
            // A value of no type is one of any.
            Value::Null => {
                places.push("NULL".to_owned());
                continue;
            }
            Value::String(text) => values.add(text.as_str()),
            Value::Number(number) => values.add(number.as_i64().ok_or_else(strange)?),
            Value::Object(bytes) => {
                let text = bytes.get("base64").and_then(Value::as_str).ok_or_else(strange)?;
                values.add(STANDARD.decode(text).map_err(|_| strange())?)
            }
            Value::Bool(_) | Value::Array(_) => return Err(strange()),
        }
        .map_err(sqlx::Error::Encode)?;
        places.push(format!("${}", values.len()));
    }
    let names: Vec<&str> = row.keys().map(String::as_str).collect();
    let statement = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), places.join(", "));
    sqlx::query_with::<Any, _>(AssertSqlSafe(statement), values).execute(connection).await?;
    Ok(())
}

/// A digest of lines: each line's digest goes into the next one's.
#[derive(Debug, Default)]
struct Digests(Option<Digest>);

impl Digests {
    fn add(&mut self, line: &[u8]) {
        let before = self.0.map(|digest| *digest.as_bytes()).unwrap_or_default();
        self.0 = Some(Digest::of_parts(&[&before, line]));
    }

    fn end(&self) -> Digest {
        self.0.unwrap_or(Digest::of(b""))
    }
}

struct Writing {
    out: BufWriter<File>,
    digest: Digests,
}

impl Writing {
    fn line(&mut self, line: &impl serde::Serialize) -> Result<(), Inner> {
        let text = serde_json::to_string(line).map_err(std::io::Error::other)?;
        self.digest.add(text.as_bytes());
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")?;
        Ok(())
    }
}

struct Reading {
    lines: std::io::Lines<BufReader<File>>,
    digest: Digests,
}

impl Reading {
    fn open(path: &Path) -> Result<Self, Inner> {
        Ok(Self { lines: BufReader::new(File::open(path)?).lines(), digest: Digests::default() })
    }

    fn text(&mut self) -> Result<String, Inner> {
        self.lines.next().ok_or_else(|| Inner::Damaged("it ends early".to_owned()))?.map_err(Inner::File)
    }

    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Inner> {
        let text = self.text()?;
        self.digest.add(text.as_bytes());
        serde_json::from_str(&text).map_err(|fault| Inner::Damaged(fault.to_string()))
    }

    /// The head and the end, when everything between is whole, and the control planes that served the database.
    fn check(mut self) -> Result<(Head, End, BTreeSet<String>), Inner> {
        let text = self.text()?;
        let head: Value = serde_json::from_str(&text).map_err(|fault| Inner::Damaged(fault.to_string()))?;
        match head.get("deskgate_backup").and_then(Value::as_u64) {
            None => return Err(Inner::Damaged("it does not begin as one".to_owned())),
            Some(format) if format != u64::from(FORMAT) => return Err(Inner::Newer),
            Some(_) => {}
        }
        let head: Head = serde_json::from_value(head).map_err(|fault| Inner::Damaged(fault.to_string()))?;
        self.digest.add(text.as_bytes());
        let (mut rows, mut replicas) = (0, BTreeSet::new());
        loop {
            let text = self.text()?;
            match serde_json::from_str::<End>(&text) {
                Ok(end) if end.rows != rows || end.sha256 != self.digest.end() => {
                    return Err(Inner::Damaged("its digest is another".to_owned()));
                }
                Ok(_) if self.lines.next().is_some() => {
                    return Err(Inner::Damaged("something follows its end".to_owned()));
                }
                Ok(end) => return Ok((head, end, replicas)),
                Err(_) => {
                    replicas.extend(replica(&text));
                    self.digest.add(text.as_bytes());
                    rows += 1;
                }
            }
        }
    }
}

/// The control plane that a line is about, if it is about one.
fn replica(line: &str) -> Option<String> {
    let Line { table, row } = serde_json::from_str(line).ok()?;
    (table == "replicas").then(|| row.get("device").and_then(Value::as_str).map(str::to_owned))?
}

/// A fault without the file's name.
#[derive(Debug)]
enum Inner {
    Store(StoreFault),
    File(std::io::Error),
    Damaged(String),
    Newer,
    NotEmpty,
    Schema,
    NoLog(Vec<String>),
}

impl Inner {
    fn of(self, path: &Path) -> BackupFault {
        let path = path.to_owned();
        match self {
            Self::Store(fault) => BackupFault::Store(fault),
            Self::File(source) => BackupFault::File { path, source },
            Self::Damaged(reason) => BackupFault::Damaged { path, reason },
            Self::Newer => BackupFault::Newer,
            Self::NotEmpty => BackupFault::NotEmpty,
            Self::NoLog(of) => BackupFault::NoLog(of.join(", ")),
            Self::Schema => BackupFault::Store(StoreFault::Unreadable {
                what: "database",
                reason: "it is of another version: use the deskgate-control that serves it".to_owned(),
            }),
        }
    }
}

impl From<StoreFault> for Inner {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

impl From<sqlx::Error> for Inner {
    fn from(fault: sqlx::Error) -> Self {
        Self::Store(fault.into())
    }
}

impl From<std::io::Error> for Inner {
    fn from(fault: std::io::Error) -> Self {
        Self::File(fault)
    }
}

#[cfg(test)]
mod tests;
