//! From either database into either, whole or not at all.

use std::collections::BTreeSet;

use model::DeviceId;
use org_protocol::{AuditRecord, Head as ChainHead, HeartbeatRecord, PreparedBody};

use super::super::tests::{on_each, opened};
use super::super::{SealedCredential, Store};
use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Something of several kinds.
async fn fill(store: &Store) -> DeviceId {
    let secret = SealedCredential { version: 3, sealed: vec![0, 1, 254, 255], source: None };
    store.put_credential(&"warehouse".parse().expect("an id"), &secret, NOW).await.expect("stores");
    record(store).await
}

/// Five records of a new device.
async fn record(store: &Store) -> DeviceId {
    let device = DeviceId::new();
    let (mut head, mut records) = (ChainHead::before(1), Vec::new());
    let body = PreparedBody::heartbeat(&HeartbeatRecord { open_calls: 0 }).expect("JSON");
    for _ in 0..5 {
        let mut line = String::new();
        head = AuditRecord::seal_into(&mut line, device, &head, NOW, 1, &body).expect("seals");
        records.push(AuditRecord::parse(line.trim_end()).expect("reads"));
    }
    store.append_records(device, &records, NOW).await.expect("stores");
    device
}

#[tokio::test]
async fn every_table_is_saved_or_named_as_one_that_is_not() {
    let (_dir, store) = super::super::tests::store().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '_sqlx%'",
    )
    .fetch_all(&store.readers)
    .await
    .expect("reads");
    let named: BTreeSet<&str> = TABLES.iter().chain(LEFT_OUT).copied().collect();
    assert_eq!(tables.iter().map(String::as_str).collect::<BTreeSet<_>>(), named);
}

#[tokio::test]
async fn a_backup_of_either_database_goes_into_either() {
    on_each(async |store: Store| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("backup");
        let device = fill(&store).await;
        save(&store.database, &file, NOW).await.expect("saves");
        let cluster = testkit::Database::start().await.expect("PostgreSQL starts");
        let sqlite = Database::Sqlite(dir.path().join("restored.sqlite"));
        for target in [sqlite, cluster.url().parse().expect("an address")] {
            let restored = restore(&target, &file, None, NOW).await.expect("restores");
            let again = opened(&target).await;
            assert_eq!(again.epoch().number, restored.epoch);
            assert_eq!(
                again.lines_after(0, 100).await.expect("reads"),
                store.lines_after(0, 100).await.expect("reads")
            );
            assert_eq!(again.head(device).await.expect("reads"), store.head(device).await.expect("reads"));
            let id = "warehouse".parse().expect("an id");
            assert_eq!(
                again.credential(&id).await.expect("reads"),
                store.credential(&id).await.expect("reads")
            );
            assert_eq!(again.next_credential_version(&id).await.expect("reads"), 4);
            record(&again).await;
            assert_eq!(again.lines_after(5, 100).await.expect("reads").len(), 5, "numbers go on");
            let second = restore(&target, &file, None, NOW).await;
            assert!(matches!(second, Err(BackupFault::NotEmpty)), "{second:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_backup_that_is_not_whole_leaves_nothing_behind() {
    let (dir, store) = super::super::tests::store().await;
    fill(&store).await;
    let file = dir.path().join("backup");
    save(&store.database, &file, NOW).await.expect("saves");
    let twice = save(&store.database, &file, NOW).await;
    assert!(matches!(twice, Err(BackupFault::File { .. })), "nothing is written over: {twice:?}");
    let text = std::fs::read_to_string(&file).expect("reads");
    let target = dir.path().join("restored.sqlite");
    let without = |line: usize| {
        text.lines().enumerate().filter(|(at, _)| *at != line).map(|(_, line)| format!("{line}\n")).collect()
    };
    let last = text.lines().count() - 1;
    let damaged: [String; 6] = [
        text.replacen("open_calls", "open_calIs", 1),
        without(1),
        without(last),
        text[..text.len() - 40].to_owned(),
        format!("{text}{{}}\n"),
        String::new(),
    ];
    for damaged in damaged {
        std::fs::write(&file, damaged).expect("writes");
        let refused = restore(&Database::Sqlite(target.clone()), &file, None, NOW).await;
        assert!(matches!(refused, Err(BackupFault::Damaged { .. })), "{refused:?}");
        assert!(!target.exists());
    }
    std::fs::write(&file, text.replacen("\"deskgate_backup\":1", "\"deskgate_backup\":2", 1))
        .expect("writes");
    let newer = restore(&Database::Sqlite(target.clone()), &file, None, NOW).await;
    assert!(matches!(newer, Err(BackupFault::Newer)), "{newer:?}");
}

#[tokio::test]
async fn a_restore_that_was_broken_off_is_never_served() {
    let (dir, store) = super::super::tests::store().await;
    fill(&store).await;
    let file = dir.path().join("backup");
    save(&store.database, &file, NOW).await.expect("saves");
    let target = Database::Sqlite(dir.path().join("restored.sqlite"));
    restore(&target, &file, None, NOW).await.expect("restores");
    let whole = opened(&target).await;
    whole.tamper("CREATE TABLE half_restored (since BIGINT NOT NULL)").await;
    whole.close().await;
    let opened = Store::open(&target).await;
    assert!(matches!(opened, Err(StoreFault::HalfRestored)), "{opened:?}");
}

#[tokio::test]
async fn a_restore_wants_what_each_control_plane_has_taken_away() {
    let (dir, store) = super::super::tests::store().await;
    let (one, other) = (DeviceId::new(), DeviceId::new());
    for own in [one, other] {
        assert!(store.join(own, Digest::of(b"alike"), NOW).await.expect("joins"));
    }
    let file = dir.path().join("backup");
    save(&store.database, &file, NOW).await.expect("saves");
    let target = Database::Sqlite(dir.path().join("restored.sqlite"));
    let logs = [one, other].map(|own| dir.path().join(own.to_string()));
    for (path, own) in logs.iter().zip([one, other]) {
        let log = super::super::RevocationLog::open(path).expect("opens");
        log.belongs_to(own, NOW).await.expect("says so");
    }
    let refused = restore(&target, &file, Some(&logs[..1]), NOW).await;
    assert!(matches!(&refused, Err(BackupFault::NoLog(of)) if *of == other.to_string()), "{refused:?}");
    restore(&target, &file, Some(&logs), NOW).await.expect("restores");
}
