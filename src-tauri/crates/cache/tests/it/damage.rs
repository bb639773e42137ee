//! Whatever happens to the files, the cache opens, never gives a wrong value, and works on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cache::{Cache, Recovery};
use proptest::prelude::*;

const RECORDS: u32 = 200;

fn key(n: u32) -> String {
    format!("key-{n:04}")
}

fn value(n: u32) -> String {
    format!("{n} ").repeat(if n.is_multiple_of(50) { 20_000 } else { 20 + n as usize })
}

/// A store with content, closed cleanly.
fn filled(path: &Path) {
    let (cache, recovery) = Cache::open(path);
    assert_eq!(recovery, Recovery::Opened);
    let table = cache.table("t");
    for n in 0..RECORDS {
        table.put(&key(n), &value(n));
    }
}

/// Opens what is left at `path`, and gives the recovery and how many values are left.
fn check(path: &Path) -> (Recovery, u32) {
    let (cache, recovery) = Cache::open(path);
    let table = cache.table::<String>("t");
    let mut left = 0;
    for n in 0..RECORDS {
        if let Some(found) = table.get(&key(n)) {
            assert!(found == value(n), "{n}: a wrong value");
            left += 1;
        }
    }
    // A damaged page may have shown only now; from here on the store must work, in this run and in the next.
    let _ = table.keys();
    table.put("new", &"works".to_owned());
    let works_now = table.get("new").is_some() || {
        table.put("new", &"works".to_owned());
        table.get("new").is_some()
    };
    assert!(works_now, "{:?}", cache.recovery());
    let recovery = if recovery == Recovery::Opened { cache.recovery() } else { recovery };
    drop((cache, table));
    let (cache, after) = Cache::open(path);
    assert_eq!(after, Recovery::Opened);
    assert_eq!(cache.table::<String>("t").get("new").as_deref(), Some("works"));
    (recovery, left)
}

/// Everything in the store's directory that is a file, in a stable order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect();
    files.sort();
    files
}

fn store() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    filled(&path);
    (dir, path)
}

#[test]
fn an_undamaged_store_is_whole() {
    let (_dir, path) = store();
    assert_eq!(check(&path), (Recovery::Opened, RECORDS));
}

#[test]
fn a_deleted_store_is_a_new_one() {
    let (_dir, path) = store();
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(check(&path), (Recovery::Opened, 0));
}

#[test]
fn a_store_of_rubbish_is_set_aside_once() {
    let (dir, path) = store();
    for round in 0..2 {
        for file in files(&path) {
            fs::write(file, [0xA5; 5_000]).unwrap();
        }
        let (recovery, left) = check(&path);
        assert_eq!(left, 0);
        let Recovery::Rebuilt { aside: Some(aside), .. } = recovery else { panic!("{round}: {recovery:?}") };
        assert_eq!(aside, dir.path().join("cache.damaged-1"));
        assert!(files(&aside).iter().any(|file| fs::read(file).unwrap() == [0xA5; 5_000]));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "only the latest damage is kept");
}

#[test]
fn a_store_that_opens_silently_empty_is_told() {
    let (_dir, path) = store();
    fs::write(path.join("db"), []).unwrap();
    for file in files(&path) {
        if file.file_name().unwrap().to_string_lossy().starts_with("snap") {
            fs::remove_file(file).unwrap();
        }
    }
    let (recovery, left) = check(&path);
    assert!(matches!(recovery, Recovery::Rebuilt { .. }), "{recovery:?}");
    assert_eq!(left, 0);
}

#[test]
fn a_file_in_the_directorys_place_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    fs::write(&path, "not a directory").unwrap();
    let (recovery, _) = check(&path);
    assert!(matches!(recovery, Recovery::Rebuilt { .. }), "{recovery:?}");
}

#[test]
fn a_place_that_cannot_be_used_gives_a_cache_that_keeps_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let (cache, recovery) = Cache::open(&dir.path().join("file/cache"));
    assert!(matches!(recovery, Recovery::Disabled { .. }), "{recovery:?}");
    let table = cache.table("t");
    table.put("key", &1_u32);
    table.remove("key");
    table.clear();
    cache.flush();
    assert_eq!((table.get("key"), table.keys()), (None::<u32>, Vec::new()));
}

#[test]
fn damage_that_shows_while_running_begins_the_store_anew() {
    let (_dir, path) = store();
    let (cache, recovery) = Cache::open(&path);
    assert_eq!(recovery, Recovery::Opened);
    // The pages are not in memory yet; now they cannot be read either.
    let length = fs::metadata(path.join("db")).unwrap().len();
    fs::write(path.join("db"), vec![0x5A; usize::try_from(length).unwrap()]).unwrap();
    let table = cache.table::<String>("t");
    for n in 0..RECORDS {
        if let Some(found) = table.get(&key(n)) {
            assert!(found == value(n), "{n}: a wrong value");
        }
    }
    assert!(matches!(cache.recovery(), Recovery::Rebuilt { .. }), "{:?}", cache.recovery());
    table.put("new", &"works".to_owned());
    assert_eq!(table.get("new").as_deref(), Some("works"));
}

#[test]
fn a_killed_writer_leaves_a_usable_store() {
    const ROLE: &str = "CACHE_TEST_WRITER";
    const NAME: &str = "damage::a_killed_writer_leaves_a_usable_store";
    if let Some(path) = std::env::var_os(ROLE) {
        let (cache, _) = Cache::open(path.as_ref());
        let table = cache.table("t");
        for round in 0_u64.. {
            for n in 0..RECORDS {
                table.put(&key(n), &value(n));
            }
            fs::write(Path::new(&path).with_extension("round"), round.to_string()).unwrap();
        }
    }
    let (dir, path) = store();
    for _ in 0..3 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env(ROLE, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mark = path.with_extension("round");
        while fs::read_to_string(&mark).map_or(true, |round| round.is_empty() || round == "0") {
            assert!(writer.try_wait().unwrap().is_none(), "the writer ended by itself");
            std::thread::sleep(Duration::from_millis(5));
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        fs::remove_file(mark).unwrap();
        check(&path);
    }
    drop(dir);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_flipped_bit_or_cut_costs_at_most_the_content(
        file: prop::sample::Index,
        at: prop::sample::Index,
        bit in 0..8_u32,
        cut: bool,
    ) {
        let (_dir, path) = store();
        let files = files(&path);
        let file = &files[file.index(files.len())];
        let mut bytes = fs::read(file).unwrap();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << bit;
            }
            fs::write(file, bytes).unwrap();
        }
        check(&path);
    }
}
