//! What happens where the disk fails in between, and where two are at it at once.

use std::path::{Path, PathBuf};
use std::sync::Barrier;

use assistants::{Fault, Ledger};

use crate::{Desk, below};

/// How long a path may be.
const LONGEST: usize = if cfg!(target_os = "macos") { 1023 } else { 4095 };

/// A folder so deep that `longest` still has a path in it, and the file that a file is written by has none: nothing can be written
/// there, whoever runs this.
fn unwritable(below: &Path, longest: &str) -> PathBuf {
    let length = LONGEST - longest.len() - 1;
    let mut folder = below.to_owned();
    loop {
        let left = length - folder.as_os_str().len();
        if left == 0 {
            return folder;
        }
        // A name takes at least the slash before it and one letter.
        let name = if left <= 200 { left - 1 } else { 200.min(left - 3) };
        folder.push("x".repeat(name));
    }
}

fn desk_that_cannot_write() -> Desk {
    let mut desk = Desk::new();
    let folder = unwritable(desk.folder.path(), "config.toml");
    desk.machine.variables.insert("CODEX_HOME".to_owned(), folder);
    desk
}

#[test]
fn what_cannot_be_written_leaves_neither_record_nor_folder() {
    let desk = desk_that_cannot_write();
    let before = below(desk.folder.path());
    let fault = desk.connect("codex", "desk").expect_err("too long");
    assert!(matches!(&fault, Fault::Unwritable { file, .. } if *file == desk.file("codex")), "{fault}");
    assert!(desk.ledger().records().is_empty());
    let after: Vec<PathBuf> =
        below(desk.folder.path()).into_iter().filter(|it| !it.starts_with(desk.ledger_folder())).collect();
    assert_eq!(after, before, "folders that were made for it are gone");
    desk.write("codex", "a = 1\n");
    let fault = desk.connect("codex", "desk").expect_err("too long");
    assert!(matches!(&fault, Fault::Unwritable { .. }), "{fault}");
    assert_eq!(desk.read("codex"), "a = 1\n");
    assert!(desk.ledger().records().is_empty());
}

#[test]
fn what_was_taken_out_and_cannot_be_forgotten_is_said_to_be_out() {
    let desk = Desk::new();
    desk.write("codex", "a = 1\n");
    desk.connect("codex", "desk").expect("connected");
    let change = desk.disconnecting("codex", "desk");
    let home = unwritable(desk.folder.path(), "assistants.json");
    std::fs::create_dir_all(&home).expect("made");
    std::fs::copy(desk.ledger_folder().join("assistants.json"), home.join("assistants.json"))
        .expect("copied");
    let mut ledger = Ledger::open(&home).expect("a ledger");
    let fault = change.apply(&mut ledger).expect_err("too long");
    assert!(matches!(&fault, Fault::NotRemembered { file, .. } if *file == change.file), "{fault}");
    assert_eq!(desk.read("codex"), "a = 1\n", "it was changed, and that is what is said");
    assert_eq!(Ledger::open(&home).expect("a ledger").records().len(), 1, "never less than was done");
}

#[test]
fn of_two_changes_of_one_state_the_second_is_refused() {
    let desk = Desk::new();
    let file = desk.write("cursor", "{}");
    desk.connect("cursor", "desk").expect("connected");
    // The entry went by hand: what is left to do is in the ledger only, and the file keeps its bytes.
    std::fs::write(&file, "{ }").expect("written");
    let (first, second) = (desk.disconnecting("cursor", "desk"), desk.connecting("cursor", "desk"));
    first.apply(&mut desk.ledger()).expect("forgotten");
    let fault = second.apply(&mut desk.ledger()).expect_err("refused");
    assert!(matches!(fault, Fault::Meanwhile { .. }), "{fault}");
    assert_eq!((desk.read("cursor").as_str(), desk.ledger().records().len()), ("{ }", 0));
}

#[test]
fn of_many_changes_at_once_one_is_made() {
    for _ in 0..10 {
        let desk = Desk::new();
        desk.write("cursor", "{}");
        let servers = ["a", "b", "c", "d", "e", "f"];
        let changes = servers.map(|server| desk.connecting("cursor", server));
        let barrier = Barrier::new(changes.len());
        let made = std::thread::scope(|scope| {
            let threads = changes.each_ref().map(|change| {
                let (barrier, mut ledger) = (&barrier, desk.ledger());
                scope.spawn(move || {
                    barrier.wait();
                    change.apply(&mut ledger)
                })
            });
            threads.map(|thread| thread.join().expect("no panic"))
        });
        let count = made.iter().filter(|it| it.is_ok()).count();
        assert!(made.iter().all(|it| matches!(it, Ok(()) | Err(Fault::Meanwhile { .. }))), "{made:?}");
        assert_eq!((count, desk.ledger().records().len(), desk.connected("cursor").len()), (1, 1, 1));
    }
}
