//! The vault on a keychain in memory and real files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::vault::testing::{Behaviour, MemoryKeychain};
use ::vault::{Finding, KeychainState, Kind, Vault, VaultFault};
use model::ForPerson as _;
use os::ManualClock;

struct Bench {
    dir: tempfile::TempDir,
    keychain: MemoryKeychain,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), keychain: MemoryKeychain::new() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    async fn open(&self) -> Vault {
        Vault::open(&self.path(), Arc::new(self.keychain.clone()), Arc::new(ManualClock::default())).await
    }

    /// The one file of a kind.
    fn file(&self, kind: Kind) -> PathBuf {
        let files = files(&self.path().join(kind.name()));
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn all_files(dir: &Path) -> Vec<PathBuf> {
    files(dir)
        .into_iter()
        .flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] })
        .collect()
}

async fn read(vault: &Vault, kind: Kind, key: &str) -> Option<String> {
    vault.get(kind, key).await.unwrap().map(|secret| secret.expose_text().unwrap().to_owned())
}

fn findings(vault: &Vault) -> Vec<Finding> {
    vault.found().into_iter().map(|found| found.finding).collect()
}

#[tokio::test]
async fn records_are_kept_by_kind_and_key() {
    let bench = Bench::new();
    let vault = bench.open().await;
    vault.put(Kind::Grant, "mail", b"one").await.unwrap();
    vault.put(Kind::Grant, "chat", b"two").await.unwrap();
    vault.put(Kind::Consent, "mail", b"three").await.unwrap();
    vault.put(Kind::Grant, "mail", b"four").await.unwrap();
    for vault in [vault, bench.open().await] {
        assert_eq!(read(&vault, Kind::Grant, "mail").await.as_deref(), Some("four"));
        assert_eq!(read(&vault, Kind::Consent, "mail").await.as_deref(), Some("three"));
        assert_eq!(read(&vault, Kind::Consent, "chat").await, None);
        assert_eq!(vault.list(Kind::Grant).await.unwrap(), ["chat", "mail"]);
        assert_eq!(vault.found(), []);
    }
    let vault = bench.open().await;
    vault.delete(Kind::Grant, "mail").await.unwrap();
    vault.delete(Kind::Grant, "never there").await.unwrap();
    for vault in [vault, bench.open().await] {
        assert_eq!(read(&vault, Kind::Grant, "mail").await, None);
        assert_eq!(vault.list(Kind::Grant).await.unwrap(), ["chat"]);
        assert_eq!(vault.found(), []);
    }
}

#[tokio::test]
async fn nothing_on_disk_shows_a_secret_or_its_key() {
    let bench = Bench::new();
    let vault = bench.open().await;
    vault.put(Kind::Grant, "canary-name", b"canary-secret").await.unwrap();
    vault.device_key().await.unwrap();
    for path in all_files(bench.dir.path()) {
        let bytes = std::fs::read(&path).unwrap();
        let name = path.to_string_lossy().into_owned().into_bytes();
        for text in [bytes, name] {
            assert!(!text.windows(6).any(|window| window == b"canary"), "{path:?}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        }
    }
    assert_eq!(format!("{vault:?}").matches("canary").count(), 0);
}

#[tokio::test]
async fn the_keychain_is_written_once() {
    let bench = Bench::new();
    bench.open().await;
    let writes = bench.keychain.writes();
    bench.open().await.put(Kind::Grant, "mail", b"x").await.unwrap();
    bench.open().await;
    assert_eq!(bench.keychain.writes(), writes, "later runs only read");
    assert_eq!(bench.keychain.accounts().len(), 1, "and no probe stays: {:?}", bench.keychain.accounts());
}

#[tokio::test]
async fn each_state_of_the_keychain_is_told_and_keeps_secrets_in_memory() {
    for (behaviour, state, code) in [
        (Behaviour::Locked, KeychainState::Locked, "keychain-locked"),
        (Behaviour::Denied, KeychainState::Denied, "keychain-denied"),
        (Behaviour::Absent, KeychainState::Absent, "keychain-absent"),
    ] {
        let bench = Bench::new();
        bench.keychain.set(behaviour);
        let vault = bench.open().await;
        assert_eq!((vault.state(), vault.is_durable()), (state, false));
        assert_eq!(vault.state().advice().code, code);
        vault.put(Kind::Grant, "mail", b"secret").await.unwrap();
        assert_eq!(read(&vault, Kind::Grant, "mail").await.as_deref(), Some("secret"));
        assert_eq!(vault.list(Kind::Grant).await.unwrap(), ["mail"]);
        let names: Vec<_> =
            all_files(&bench.path()).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["id"], "{behaviour:?}: nothing but the vault's id is on disk");
    }
}

#[tokio::test]
async fn a_keychain_that_opens_late_takes_up_both_sides() {
    let bench = Bench::new();
    let vault = bench.open().await;
    vault.put(Kind::Grant, "mail", b"old grant").await.unwrap();
    vault.put(Kind::Grant, "chat", b"signed out later").await.unwrap();
    vault.put(Kind::Grant, "files", b"untouched").await.unwrap();
    vault.put(Kind::Ratchet, "bundle", b"7").await.unwrap();
    let device = vault.device_key().await.unwrap().thumbprint();
    let mac = vault.mac_key("audit");

    bench.keychain.set(Behaviour::Locked);
    let vault = bench.open().await;
    vault.put(Kind::Grant, "mail", b"new grant").await.unwrap();
    vault.delete(Kind::Grant, "chat").await.unwrap();
    vault.put(Kind::Ratchet, "bundle", b"1").await.unwrap();
    assert_ne!(vault.device_key().await.unwrap().thumbprint(), device);
    assert_ne!(vault.mac_key("audit"), mac);

    bench.keychain.set(Behaviour::Available);
    assert_eq!(vault.retry().await, KeychainState::Available);
    for vault in [vault, bench.open().await] {
        assert_eq!(read(&vault, Kind::Grant, "mail").await.as_deref(), Some("new grant"));
        assert_eq!(read(&vault, Kind::Grant, "chat").await, None);
        assert_eq!(read(&vault, Kind::Grant, "files").await.as_deref(), Some("untouched"));
        assert_eq!(
            read(&vault, Kind::Ratchet, "bundle").await.as_deref(),
            Some("7"),
            "a ratchet never goes back"
        );
        assert_eq!(vault.device_key().await.unwrap().thumbprint(), device);
        assert_eq!(vault.mac_key("audit"), mac);
        assert_eq!(vault.found(), []);
    }
}

#[tokio::test]
async fn a_hanging_keychain_delays_the_start_once_and_is_taken_up_when_it_answers() {
    let bench = Bench::new();
    let bench = Bench { keychain: bench.keychain.with_deadline(Duration::from_millis(200)), ..bench };
    bench.keychain.set(Behaviour::Hanging);
    let vault = bench.open().await;
    assert_eq!((vault.state(), vault.is_durable()), (KeychainState::Locked, false));
    assert_eq!(
        vault.retry().await,
        KeychainState::Locked,
        "and a second call does not wait behind the first"
    );
    vault.put(Kind::Grant, "mail", b"meanwhile").await.unwrap();

    let mut state = vault.watch();
    bench.keychain.set(Behaviour::Available);
    let available = state.wait_for(|state| *state == KeychainState::Available);
    tokio::time::timeout(Duration::from_secs(60), available).await.unwrap().unwrap();
    assert_eq!(read(&bench.open().await, Kind::Grant, "mail").await.as_deref(), Some("meanwhile"));
}

#[test]
fn a_hanging_keychain_does_not_hold_the_programs_end() {
    let bench = Bench::new();
    let bench = Bench { keychain: bench.keychain.with_deadline(Duration::from_millis(200)), ..bench };
    bench.keychain.set(Behaviour::Hanging);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let vault = runtime.block_on(bench.open());
    drop(runtime); // Would wait for ever for a blocking task that hangs.
    assert_eq!(vault.state(), KeychainState::Locked);
}

#[tokio::test]
async fn a_lost_key_never_costs_the_sealed_files() {
    let bench = Bench::new();
    let vault = bench.open().await;
    vault.put(Kind::Grant, "mail", b"sealed").await.unwrap();
    let sealed = std::fs::read(bench.file(Kind::Grant)).unwrap();
    bench.keychain.clear();

    let vault = bench.open().await;
    let aside = bench.dir.path().join("vault.damaged-1");
    assert_eq!(findings(&vault), [Finding::KeyLost { aside: aside.clone() }]);
    assert_eq!(findings(&vault)[0].advice().code, "vault-key-lost");
    assert_eq!((vault.state(), vault.is_durable()), (KeychainState::Available, true));
    assert_eq!(std::fs::read(&files(&aside.join("grant"))[0]).unwrap(), sealed);
    vault.put(Kind::Grant, "mail", b"new").await.unwrap();
    let vault = bench.open().await;
    assert_eq!(read(&vault, Kind::Grant, "mail").await.as_deref(), Some("new"));
    assert_eq!(vault.found(), []);
}

#[tokio::test]
async fn sealed_files_without_their_id_are_set_aside() {
    let bench = Bench::new();
    bench.open().await.put(Kind::Grant, "mail", b"sealed").await.unwrap();
    std::fs::write(bench.path().join("id"), b"\xff damaged").unwrap();
    let vault = bench.open().await;
    assert_eq!(findings(&vault), [Finding::KeyLost { aside: bench.dir.path().join("vault.damaged-1") }]);
    assert!(vault.is_durable());
}

#[tokio::test]
async fn a_damaged_record_is_set_aside_and_the_others_live() {
    let damage: [fn(&mut Vec<u8>); 4] =
        [|bytes| bytes[40] ^= 1, |bytes| bytes.truncate(20), Vec::clear, |bytes| bytes.push(0)];
    for damage in damage {
        let bench = Bench::new();
        let vault = bench.open().await;
        vault.put(Kind::Grant, "mail", b"damaged").await.unwrap();
        vault.put(Kind::Consent, "mail", b"lives").await.unwrap();
        let path = bench.file(Kind::Grant);
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let aside = path.with_extension("damaged-1");
        let expected =
            Finding::Damaged { kind: Kind::Grant, key: Some("mail".to_owned()), aside: aside.clone() };

        // Noticed by a running vault at the next use, and by the next one at once.
        let running = vault;
        assert!(matches!(
            running.get(Kind::Grant, "mail").await,
            Err(VaultFault::Damaged { kind: Kind::Grant })
        ));
        assert_eq!(findings(&running), [expected]);
        assert_eq!(std::fs::read(&aside).unwrap(), bytes, "the file is kept for whoever looks into it");
        assert_eq!(read(&running, Kind::Grant, "mail").await, None);

        std::fs::rename(&aside, &path).unwrap();
        let bench_again = bench.open().await;
        assert_eq!(read(&bench_again, Kind::Consent, "mail").await.as_deref(), Some("lives"));
        assert_eq!(read(&bench_again, Kind::Grant, "mail").await, None);
        bench_again.put(Kind::Grant, "mail", b"again").await.unwrap();
        assert_eq!(read(&bench.open().await, Kind::Grant, "mail").await.as_deref(), Some("again"));
    }
}

#[tokio::test]
async fn damage_is_found_when_the_vault_opens() {
    let bench = Bench::new();
    bench.open().await.put(Kind::Pin, "mail", b"tools").await.unwrap();
    let path = bench.file(Kind::Pin);
    std::fs::write(&path, b"not sealed").unwrap();
    let vault = bench.open().await;
    let aside = path.with_extension("damaged-1");
    assert_eq!(findings(&vault), [Finding::Damaged { kind: Kind::Pin, key: Some("mail".to_owned()), aside }]);
    assert_eq!(findings(&bench.open().await), [], "it is told once");
}

#[tokio::test]
async fn an_earlier_record_put_back_is_noticed() {
    let bench = Bench::new();
    let vault = bench.open().await;
    vault.put(Kind::Ratchet, "bundle", b"7").await.unwrap();
    let path = bench.file(Kind::Ratchet);
    let earlier = std::fs::read(&path).unwrap();
    vault.put(Kind::Ratchet, "bundle", b"8").await.unwrap();
    std::fs::write(&path, earlier).unwrap();

    let vault = bench.open().await;
    let aside = path.with_extension("damaged-1");
    assert_eq!(
        findings(&vault),
        [Finding::RolledBack { kind: Kind::Ratchet, key: "bundle".to_owned(), aside }]
    );
    assert_eq!(read(&vault, Kind::Ratchet, "bundle").await, None);
}

#[tokio::test]
async fn a_record_of_another_name_or_kind_is_no_stand_in() {
    let bench = Bench::new();
    let vault = bench.open().await;
    vault.put(Kind::Grant, "mail", b"mine").await.unwrap();
    let mine = bench.file(Kind::Grant);
    vault.put(Kind::Session, "mail", b"other kind").await.unwrap();
    std::fs::copy(bench.file(Kind::Session), &mine).unwrap();
    assert!(matches!(vault.get(Kind::Grant, "mail").await, Err(VaultFault::Damaged { .. })));

    vault.put(Kind::Grant, "mail", b"mine").await.unwrap();
    vault.put(Kind::Grant, "chat", b"other name").await.unwrap();
    let other = files(&bench.path().join("grant"))
        .into_iter()
        .find(|path| *path != mine && path.extension().is_none());
    std::fs::copy(other.unwrap(), &mine).unwrap();
    assert!(matches!(vault.get(Kind::Grant, "mail").await, Err(VaultFault::Damaged { .. })));
}

#[tokio::test]
async fn a_record_that_was_removed_from_outside_is_missed() {
    let bench = Bench::new();
    let vault = bench.open().await;
    vault.put(Kind::Consent, "claude", b"allow").await.unwrap();
    std::fs::remove_file(bench.file(Kind::Consent)).unwrap();
    let missing = Finding::Missing { kind: Kind::Consent, key: "claude".to_owned() };
    let next = bench.open().await;
    assert_eq!(findings(&next), std::slice::from_ref(&missing));
    assert!(matches!(vault.get(Kind::Consent, "claude").await, Err(VaultFault::Damaged { .. })));
    assert_eq!(findings(&vault), [missing]);
}

#[tokio::test]
async fn a_deleted_record_put_back_stays_deleted() {
    let bench = Bench::new();
    let vault = bench.open().await;
    vault.put(Kind::Grant, "mail", b"revoked").await.unwrap();
    let path = bench.file(Kind::Grant);
    let bytes = std::fs::read(&path).unwrap();
    vault.delete(Kind::Grant, "mail").await.unwrap();
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(read(&vault, Kind::Grant, "mail").await, None);
    assert_eq!(read(&bench.open().await, Kind::Grant, "mail").await, None);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_lost_index_is_rebuilt_and_told() {
    let losses: [fn(&Path); 2] =
        [|index| std::fs::remove_file(index).unwrap(), |index| std::fs::write(index, b"damaged").unwrap()];
    for lose in losses {
        let bench = Bench::new();
        bench.open().await.put(Kind::Grant, "mail", b"kept").await.unwrap();
        lose(&bench.path().join("index"));
        let vault = bench.open().await;
        assert_eq!(findings(&vault), [Finding::IndexLost]);
        assert_eq!(read(&vault, Kind::Grant, "mail").await.as_deref(), Some("kept"));
        assert_eq!(findings(&bench.open().await), []);
    }
}

#[tokio::test]
async fn a_crash_between_record_and_index_loses_nothing() {
    let bench = Bench::new();
    let vault = bench.open().await;
    vault.put(Kind::Grant, "mail", b"first").await.unwrap();
    let index = std::fs::read(bench.path().join("index")).unwrap();
    vault.put(Kind::Grant, "mail", b"second").await.unwrap();
    vault.put(Kind::Consent, "claude", b"allow").await.unwrap();
    // As if the power had failed before the index was written, in the middle of writing it.
    std::fs::write(bench.path().join("index"), index).unwrap();
    std::fs::write(bench.path().join(".deskgate-tmp-1-1"), b"half an ind").unwrap();
    let vault = bench.open().await;
    assert_eq!(findings(&vault), []);
    assert_eq!(read(&vault, Kind::Grant, "mail").await.as_deref(), Some("second"));
    assert_eq!(read(&vault, Kind::Consent, "claude").await.as_deref(), Some("allow"));
    assert!(!bench.path().join(".deskgate-tmp-1-1").exists());
}

#[tokio::test]
async fn an_unusable_directory_is_told_and_never_stops_the_start() {
    let bench = Bench::new();
    std::fs::write(bench.path(), b"a file where the directory should be").unwrap();
    let vault = bench.open().await;
    assert_eq!((vault.state(), vault.is_durable()), (KeychainState::Available, false));
    assert!(matches!(findings(&vault)[..], [Finding::Unusable { .. }]));
    vault.put(Kind::Grant, "mail", b"in memory").await.unwrap();
    assert_eq!(read(&vault, Kind::Grant, "mail").await.as_deref(), Some("in memory"));
    std::fs::remove_file(bench.path()).unwrap();
    assert_eq!(vault.retry().await, KeychainState::Available);
    assert!(vault.is_durable());
    assert_eq!(read(&bench.open().await, Kind::Grant, "mail").await.as_deref(), Some("in memory"));
}

#[tokio::test]
async fn a_failed_write_keeps_the_old_value() {
    let bench = Bench::new();
    let vault = bench.open().await;
    vault.put(Kind::Grant, "mail", b"old").await.unwrap();
    let dir = bench.path().join("session");
    std::fs::write(&dir, b"no directory can be made here").unwrap();
    let fault = vault.put(Kind::Session, "org", b"new").await.unwrap_err();
    assert_eq!(fault.advice().code, "vault-disk");
    assert_eq!(vault.list(Kind::Session).await.unwrap(), Vec::<String>::new());
    assert_eq!(read(&vault, Kind::Grant, "mail").await.as_deref(), Some("old"));
    std::fs::remove_file(&dir).unwrap();
    vault.put(Kind::Session, "org", b"new").await.unwrap();
    assert_eq!(read(&bench.open().await, Kind::Session, "org").await.as_deref(), Some("new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_lose_nothing() {
    let bench = Bench::new();
    let vault = bench.open().await;
    let writers: Vec<_> = (0..16)
        .map(|n| {
            let vault = vault.clone();
            tokio::spawn(async move { vault.put(Kind::Grant, &format!("{n:02}"), &[n]).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    let vault = bench.open().await;
    assert_eq!(vault.list(Kind::Grant).await.unwrap().len(), 16);
    assert_eq!(vault.found(), []);
    let (one, two) = tokio::join!(vault.device_key(), vault.device_key());
    assert_eq!(one.unwrap().thumbprint(), two.unwrap().thumbprint(), "one key, whoever asks first");
}

#[tokio::test]
async fn keys_for_others_differ_by_purpose_and_stay_the_same() {
    let bench = Bench::new();
    let vault = bench.open().await;
    assert_ne!(vault.mac_key("audit"), vault.mac_key("other"));
    assert_eq!(vault.mac_key("audit"), bench.open().await.mac_key("audit"));
}
