//! Who signed what the journal's end is, and what that finds.

use org_protocol::NoteKey;

use super::support::*;
use crate::*;

fn key_of(home: &Home) -> NoteKey {
    checkpoint::key(home.device, &KEY).unwrap()
}

fn note(home: &Home) -> std::path::PathBuf {
    checkpoint::path(&home.dir())
}

#[tokio::test]
async fn the_end_is_signed_for_whoever_has_the_key() {
    let home = Home::new();
    filled(&home, 20).await;
    let report = verify_signed(&home.dir(), &key_of(&home)).unwrap();
    assert!(report.is_good(), "{report}");
    let signed = report.checkpoint.unwrap();
    assert_eq!(Some(signed.head), report.epochs[0].head);
    assert!(signed.expected);
    let named = verify(&home.dir()).unwrap().checkpoint.unwrap();
    assert_eq!((named.key, named.expected), (signed.key, false), "the journal names its key");
}

#[tokio::test]
async fn a_history_that_somebody_else_wrote_contradicts_nothing_but_the_key() {
    let home = Home::new();
    filled(&home, 20).await;
    std::fs::remove_dir_all(home.dir()).unwrap();
    std::fs::remove_file(head_file::path(&home.dir())).unwrap();
    let (journal, _) = home.open_with(JournalConfig { mac_key: [8; 32], ..home.config() });
    journal.close();
    let report = verify(&home.dir()).unwrap();
    assert!(report.is_good(), "{report}");
    let report = verify_signed(&home.dir(), &key_of(&home)).unwrap();
    assert_eq!(report.faults.len(), 1, "{report}");
    assert!(report.faults[0].contains("not signed by deskgate-journal/"), "{report}");
}

#[tokio::test]
async fn a_checkpoint_that_is_gone_or_changed_proves_nothing() {
    let home = Home::new();
    filled(&home, 20).await;
    let text = std::fs::read_to_string(note(&home)).unwrap();
    let epoch = verify(&home.dir()).unwrap().epochs[0].epoch.to_string();
    for changed in [text.replace(&epoch, "7"), text.replace("\u{2014} ", "- "), String::new()] {
        std::fs::write(note(&home), changed).unwrap();
        assert!(!verify(&home.dir()).unwrap().is_good());
    }
    std::fs::remove_file(note(&home)).unwrap();
    assert!(verify(&home.dir()).unwrap().is_good(), "a crash may come before the first");
    assert!(!verify_signed(&home.dir(), &key_of(&home)).unwrap().is_good());
}

#[tokio::test]
async fn an_end_that_was_cut_off_is_found_without_the_head_file() {
    let home = Home::new();
    filled(&home, 20).await;
    std::fs::remove_file(head_file::path(&home.dir())).unwrap();
    let path = home.segments().pop().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.trim_end_matches('\0').lines().collect();
    lines.truncate(lines.len() - 2);
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    assert_eq!(home.findings(), [(FindingKind::Truncated, 40, 41)]);
}

#[tokio::test]
async fn another_key_begins_another_chain() {
    let home = Home::new();
    filled(&home, 3).await;
    let (journal, recovery) = home.open_with(JournalConfig { mac_key: [8; 32], ..home.config() });
    journal.close();
    assert_eq!(recovery.began, Some(EpochReason::KeyChanged));
    let report = verify(&home.dir()).unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!(report.epochs.len(), 2);
    let (journal, recovery) = home.open_with(JournalConfig { mac_key: [8; 32], ..home.config() });
    journal.close();
    assert_eq!(recovery.began, None);
}
