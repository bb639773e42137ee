//! A database of each kind for the tests of what is kept in it, and that the two are the same.

use std::time::Duration;

use model::{DeviceId, Subject};
use org_protocol::DeviceDescription;

use super::*;

/// Runs a test on an empty database of each kind.
pub(crate) async fn on_each(test: impl AsyncFn(Store)) {
    let dir = tempfile::tempdir().expect("a directory");
    test(opened(&Database::Sqlite(dir.path().join("control.sqlite"))).await).await;
    let postgres = testkit::Database::start().await.expect("PostgreSQL starts");
    test(opened(&postgres.url().parse().expect("an address")).await).await;
}

/// An empty SQLite database, for what is asked of both elsewhere.
pub(crate) async fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = opened(&Database::Sqlite(dir.path().join("control.sqlite"))).await;
    (dir, store)
}

/// A laptop that somebody has enrolled.
pub(super) async fn enrolled(store: &Store, thumbprint: &str, subject: &Subject, now: Timestamp) -> DeviceId {
    let description = DeviceDescription {
        name: "laptop".to_owned(),
        platform: "linux".to_owned(),
        app_version: "0.1.0".to_owned(),
        content_formats: org_protocol::readable_formats(),
    };
    let device = NewDevice {
        thumbprint,
        id: DeviceId::new(),
        description: &description,
        subject,
        key_protection: None,
        token: (false, None),
    };
    store.enrol(&device, now).await.expect("enrols").known().id
}

pub(super) async fn opened(database: &Database) -> Store {
    Store::open(database).await.expect("opens")
}

/// Name of the table, name of the column, whether it has a value always, and what it holds.
type Columns = Vec<(String, String, bool, String)>;

/// What each migration makes in the one database, its namesake makes in the other.
#[tokio::test]
async fn both_databases_end_in_the_same_tables_and_columns() {
    let dir = tempfile::tempdir().expect("a directory");
    let sqlite = opened(&Database::Sqlite(dir.path().join("control.sqlite"))).await;
    let rows: Vec<(String, String, i64, i64, String)> = sqlx::query_as(
        "SELECT t.name, c.name, c.\"notnull\", c.pk, c.type FROM sqlite_master t JOIN pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE '_sqlx%' ORDER BY t.name, c.name",
    )
    .fetch_all(&sqlite.readers)
    .await
    .expect("reads");
    let of_sqlite: Columns = rows
        .into_iter()
        .map(|(table, column, not_null, key, kind)| (table, column, not_null != 0 || key != 0, kind))
        .collect();

    let cluster = testkit::Database::start().await.expect("PostgreSQL starts");
    let postgres = opened(&cluster.url().parse().expect("an address")).await;
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, is_nullable::text, data_type::text FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%'
         ORDER BY table_name::text COLLATE \"C\", column_name::text COLLATE \"C\"",
    )
    .fetch_all(&postgres.readers)
    .await
    .expect("reads");
    let same_kind = |kind: String| match kind.as_str() {
        "bigint" => "INTEGER".to_owned(),
        "text" => "TEXT".to_owned(),
        "bytea" => "BLOB".to_owned(),
        _ => kind,
    };
    let of_postgres: Columns = rows
        .into_iter()
        .map(|(table, column, nullable, kind)| (table, column, nullable == "NO", same_kind(kind)))
        .collect();
    assert!(of_sqlite.len() > 100, "{of_sqlite:?}");
    assert_eq!(of_sqlite, of_postgres);

    let applied = "SELECT version FROM _sqlx_migrations ORDER BY version";
    let versions = async |store: &Store| -> Vec<i64> {
        sqlx::query_scalar(applied).fetch_all(&store.readers).await.expect("reads")
    };
    assert_eq!(versions(&sqlite).await, versions(&postgres).await);
}

/// A transaction that read before another wrote does not write over it.
#[tokio::test]
async fn who_writes_waits_for_whoever_writes() {
    on_each(async |store: Store| {
        let other = opened(&store.database).await;
        let count = async |store: &Store| {
            for _ in 0..20 {
                let mut transaction = store.write().await.expect("begins");
                let known: Option<i64> =
                    sqlx::query_scalar("SELECT last_id FROM relays WHERE receiver = 'count'")
                        .fetch_optional(&mut *transaction)
                        .await
                        .expect("reads");
                let statement = match known {
                    None => "INSERT INTO relays (receiver, last_id) VALUES ('count', $1)",
                    Some(_) => "UPDATE relays SET last_id = $1 WHERE receiver = 'count'",
                };
                sqlx::query(statement)
                    .bind(known.unwrap_or(0) + 1)
                    .execute(&mut *transaction)
                    .await
                    .expect("writes");
                transaction.commit().await.expect("commits");
            }
        };
        tokio::join!(count(&store), count(&other));
        assert_eq!(store.relayed("count").await.expect("reads"), 40);
    })
    .await;
}

#[tokio::test]
async fn what_keeps_others_away_is_taken_again_unless_another_has_it_by_then() {
    let postgres = testkit::Database::start().await.expect("PostgreSQL starts");
    let database: Database = postgres.url().parse().expect("an address");
    let (own, within) = (DeviceId::new(), Duration::from_secs(10));
    let mut held = database.hold(own).await.expect("asks").expect("it is free");
    assert!(database.hold(own).await.expect("asks").is_none(), "nobody else's");
    let cut =
        || postgres.ask("select pg_terminate_backend(pid, 5000) from pg_locks where locktype = 'advisory'");
    cut().expect("the connection is cut");
    assert!(held.keep(&database, own, within).await.expect("answers"));
    assert!(database.hold(own).await.expect("asks").is_none(), "as before");
    cut().expect("the connection is cut");
    let other = database.hold(own).await.expect("asks").expect("it is free");
    assert!(!held.keep(&database, own, within).await.expect("answers"), "another was faster");
    other.release().await;
}

#[tokio::test]
async fn a_transaction_that_the_database_ended_by_itself_keeps_no_other_from_beginning() {
    let (_dir, store) = store().await;
    let mut writing = store.write().await.expect("begins");
    sqlx::query("ROLLBACK").execute(&mut *writing).await.expect("as SQLite does where there is no room");
    drop(writing);
    let writing = store.write().await.expect("begins on a connection that is whole");
    writing.commit().await.expect("and ends");
}
