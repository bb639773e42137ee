//! Who signed what the journal's end is, and what that finds.

use org_protocol::{NoteKey, PreparedBody};
use os::Clock as _;

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

/// What somebody can write who has no key: a chain of their own, from an epoch, a record and a digest on.
fn forged(home: &Home, before: Head) {
    let name = segment::SegmentName { epoch: before.epoch, first_seq: before.seq + 1 };
    let key = checkpoint::key(home.device, &KEY).unwrap().to_string();
    let header = segment::SegmentHeader::new(home.device, None, key, name, Vec::new());
    let mut line = String::new();
    let body = PreparedBody::event(&EventRecord::new(AuditEvent::Paused)).unwrap();
    AuditRecord::seal_into(&mut line, home.device, &before, home.clock.now(), 0, &body).unwrap();
    std::fs::write(name.path(&home.dir()), format!("{}{}\n", header.line().unwrap(), line.trim_end()))
        .unwrap();
}

#[tokio::test]
async fn what_is_said_to_be_pruned_hides_nothing_that_is_signed() {
    let home = Home::new();
    filled(&home, 20).await;
    let signed = verify(&home.dir()).unwrap().checkpoint.unwrap().head;
    home.segments().iter().for_each(|path| std::fs::remove_file(path).unwrap());
    std::fs::remove_file(head_file::path(&home.dir())).unwrap();
    let end = Head { seq: signed.seq + 1, digest: model::Digest::of(b"mine"), ..signed };
    let pruned = pruned::Pruned { end, at: home.clock.now(), receipt: None, collected: None };
    pruned::write(&home.dir(), home.device, vec![pruned], &[7; 32]).unwrap();
    forged(&home, end);
    let report = verify_signed(&home.dir(), &key_of(&home)).unwrap();
    assert!(!report.is_good(), "{report}");
}

#[tokio::test]
async fn a_chain_that_no_signed_one_names_is_not_covered() {
    let home = Home::new();
    filled(&home, 20).await;
    assert!(verify_signed(&home.dir(), &key_of(&home)).unwrap().is_good());
    let epoch = verify(&home.dir()).unwrap().epochs[0].epoch;
    forged(&home, Head::before(epoch - 1));
    let report = verify_signed(&home.dir(), &key_of(&home)).unwrap();
    assert!(report.faults.iter().any(|fault| fault.contains("not covered by the signature")), "{report}");
}

#[tokio::test]
async fn chains_that_begin_anew_are_covered_by_the_last_one_s_signature() {
    let home = Home::new();
    filled(&home, 3).await;
    let (journal, _) = home.open_with(home.org_config("acme"));
    call(&journal).await;
    journal.close();
    let report = verify_signed(&home.dir(), &key_of(&home)).unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!((report.epochs.len(), report.checkpoint.unwrap().after), (2, 0));
}
