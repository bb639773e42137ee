//! What tables promise on a healthy store.

use std::collections::BTreeMap;

use cache::{Cache, Recovery};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ToolList {
    tools: Vec<String>,
    pages: u32,
}

fn list(size: usize) -> ToolList {
    ToolList { tools: (0..size).map(|n| format!("tool number {n}")).collect(), pages: 3 }
}

#[test]
fn values_are_kept_by_table_and_key_and_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let (cache, recovery) = Cache::open(&path);
    assert_eq!(recovery, Recovery::Opened, "the first time is no loss");
    cache.table("tools").put("mail", &list(2));
    cache.table("tools").put("chat", &list(1));
    cache.table("other").put("mail", &7_u32);
    cache.table("tools").put("mail", &list(5));
    drop(cache);

    let (cache, recovery) = Cache::open(&path);
    assert_eq!(recovery, Recovery::Opened);
    let tools = cache.table::<ToolList>("tools");
    assert_eq!(tools.get("mail"), Some(list(5)));
    assert_eq!(cache.table::<u32>("other").get("mail"), Some(7));
    assert_eq!(cache.table::<ToolList>("other").get("mail"), None, "another type is a miss");
    assert_eq!(tools.keys(), ["chat", "mail"]);
    assert_eq!(
        tools.iter().collect::<Vec<_>>(),
        [("chat".to_owned(), list(1)), ("mail".to_owned(), list(5))]
    );
    tools.remove("mail");
    tools.remove("never there");
    assert_eq!(tools.get("mail"), None);
    tools.clear();
    assert_eq!(tools.keys(), Vec::<String>::new());
    assert_eq!(cache.table::<u32>("other").get("mail"), Some(7), "one table at a time");
}

#[test]
fn long_values_lie_in_pieces_and_leave_none_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let (cache, _) = Cache::open(&path);
    let tools = cache.table::<ToolList>("tools");
    let long = list(40_000);
    tools.put("long", &long);
    tools.put("short", &list(1));
    assert_eq!(tools.get("long"), Some(long.clone()));
    assert_eq!(tools.keys(), ["long", "short"], "pieces are no keys");
    drop((cache, tools));

    let (cache, _) = Cache::open(&path);
    let tools = cache.table::<ToolList>("tools");
    assert_eq!(tools.get("long"), Some(long));
    let blobs = std::fs::read_dir(path.join("blobs")).unwrap().count();
    assert_eq!(blobs, 0, "no page is so large that sled puts it into a file that it never syncs");
    tools.put("long", &list(1));
    assert_eq!(tools.get("long"), Some(list(1)));
    tools.remove("long");
    drop((cache, tools));

    // Nothing of ours is left but the short value.
    let store = released(&path);
    assert_eq!(store.open_tree("tools").unwrap().len(), 1);
}

/// The store behind a cache that was dropped: sled gives its lock back in a thread of its own.
fn released(path: &std::path::Path) -> sled::Db {
    const ATTEMPTS: usize = 2_000;
    for _ in 0..ATTEMPTS {
        match sled::open(path) {
            Ok(store) => return store,
            Err(fault) if fault.to_string().contains("could not acquire lock") => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(fault) => panic!("{fault}"),
        }
    }
    panic!("the lock is never given back");
}

#[test]
fn two_stores_never_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let (first, _) = Cache::open(&path);
    first.table("t").put("key", &1_u32);
    let (second, recovery) = Cache::open(&path);
    assert!(matches!(recovery, Recovery::Disabled { .. }), "{recovery:?}");
    second.table("t").put("key", &2_u32);
    assert_eq!(second.table::<u32>("t").get("key"), None, "it keeps nothing");
    assert_eq!(first.table::<u32>("t").get("key"), Some(1), "and damages nothing");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was set aside");
}

#[test]
fn concurrent_writers_leave_whole_values() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, _) = Cache::open(&dir.path().join("cache"));
    let tools = cache.table::<ToolList>("tools");
    std::thread::scope(|scope| {
        for size in [1, 3_000, 1_500, 2_200] {
            let tools = tools.clone();
            scope.spawn(move || {
                for _ in 0..20 {
                    tools.put("key", &list(size));
                }
            });
        }
    });
    let last = tools.get("key").unwrap();
    assert_eq!(last, list(last.tools.len()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_a_map(steps in prop::collection::vec(any::<(u8, String, Option<Vec<u16>>)>(), 0..30)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let (mut cache, _) = Cache::open(&path);
        let mut model = BTreeMap::new();
        for (choice, key, value) in steps {
            let table = cache.table::<Vec<u16>>("t");
            match value {
                Some(value) => {
                    // Sizes around the length of a piece.
                    let value = value.repeat(usize::from(choice));
                    table.put(&key, &value);
                    model.insert(key, value);
                }
                None => {
                    table.remove(&key);
                    model.remove(&key);
                }
            }
            if choice < 24 {
                drop((cache, table));
                cache = Cache::open(&path).0;
            }
        }
        prop_assert_eq!(cache.table::<Vec<u16>>("t").iter().collect::<BTreeMap<_, _>>(), model);
    }
}
