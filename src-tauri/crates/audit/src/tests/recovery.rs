use proptest::prelude::*;

use super::support::*;
use crate::*;

fn only_segment(home: &Home) -> std::path::PathBuf {
    let segments = home.segments();
    assert_eq!(segments.len(), 1);
    segments[0].clone()
}

/// Where the zeros begin.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[tokio::test]
async fn a_restart_goes_on_with_the_same_chain() {
    let home = Home::new();
    filled(&home, 3).await;
    let (journal, recovery) = home.open();
    assert_eq!((recovery.began, recovery.set_aside), (None, None));
    call(&journal).await;
    journal.close();
    let report = verify(&home.dir()).unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!((report.records, report.epochs.len()), (9, 1));
}

#[tokio::test]
async fn a_torn_end_is_set_aside_and_recorded() {
    let home = Home::new();
    filled(&home, 3).await;
    let segment = only_segment(&home);
    let mut bytes = std::fs::read(&segment).unwrap();
    let end = used(&bytes);
    bytes[end..end + 10].copy_from_slice(b"{\"format\":");
    std::fs::write(&segment, &bytes).unwrap();
    assert_eq!(verify(&home.dir()).unwrap().torn_bytes, 10);

    let exported = export(&home.dir(), Position::default(), usize::MAX).unwrap();
    assert_eq!(exported.len(), 7, "a write under way is no damage");

    let (journal, recovery) = home.open();
    assert_eq!(recovery.began, None, "nothing that was acknowledged is gone");
    assert_eq!(std::fs::read(recovery.set_aside.unwrap()).unwrap(), b"{\"format\":");
    let last = journal.latest(1).unwrap();
    let RecordBody::Event(event) = last[0].body() else { panic!("{last:?}") };
    assert_eq!(event.event, AuditEvent::JournalRepaired);
    call(&journal).await;
    journal.close();
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn a_crash_leaves_unknown_outcomes_even_across_segments() {
    let home = Home::new();
    let (journal, _) = home.open();
    let hung = journal.intent(intent()).await.unwrap();
    let call_id = hung.call();
    for _ in 0..300 {
        call(&journal).await;
    }
    let segments = home.segments().len();
    assert!(segments > 2, "the intent lies in an earlier segment than the last");
    journal.close();
    // As if the process had ended without a word.
    std::mem::forget(hung);
    drop(journal);
    let (journal, recovery) = home.open();
    assert_eq!(recovery.unknown_outcomes, [call_id]);
    let last = journal.latest(1).unwrap();
    assert_eq!(outcomes(&last), [(call_id, OutcomeStatus::Unknown, Some("crash".to_owned()))]);
    drop(journal);
    let (_, recovery) = home.open();
    assert_eq!(recovery.unknown_outcomes, [], "once is enough");
}

#[tokio::test]
async fn a_deleted_directory_is_noticed_by_the_head_file() {
    let home = Home::new();
    filled(&home, 3).await;
    std::fs::remove_dir_all(home.dir()).unwrap();
    assert_eq!(home.findings(), [(FindingKind::Removed, 1, 7)]);
    let (journal, recovery) = home.open();
    assert_eq!(recovery.began, Some(EpochReason::HistoryMissing));
    let first = &all(&journal)[0];
    let RecordBody::Epoch(epoch) = first.body() else { panic!("{first:?}") };
    assert_eq!(epoch.previous.unwrap().seq, 7);
    journal.close();
    assert_eq!(home.findings(), [(FindingKind::Removed, 1, 7)], "and stays noticed");
}

#[tokio::test]
async fn a_rolled_back_directory_is_noticed_by_the_head_file() {
    let home = Home::new();
    filled(&home, 3).await;
    let backup = home.root.path().join("backup");
    copy(&home.dir(), &backup);
    filled(&home, 2).await;
    std::fs::remove_dir_all(home.dir()).unwrap();
    copy(&backup, &home.dir());
    assert_eq!(home.findings(), [(FindingKind::Truncated, 8, 11)]);
    let (journal, recovery) = home.open();
    assert_eq!(recovery.began, Some(EpochReason::HistoryDamaged));
    assert!(recovery.detail.contains("record 11"), "{}", recovery.detail);
    drop(journal);
    assert_eq!(home.findings(), [(FindingKind::Truncated, 8, 11)]);
}

#[tokio::test]
async fn a_directory_rolled_back_with_what_is_beside_it_and_used_again_is_noticed_by_a_receipt_only() {
    let home = Home::new();
    filled(&home, 3).await;
    let backup = home.root.path().join("backup");
    copy(&home.dir(), &backup);
    let beside = [head_file::path(&home.dir()), checkpoint::path(&home.dir())];
    let [head, signed] = beside.each_ref().map(|path| std::fs::read(path).unwrap());
    filled(&home, 2).await;
    std::fs::remove_dir_all(home.dir()).unwrap();
    copy(&backup, &home.dir());
    std::fs::write(&beside[0], head).unwrap();
    assert_eq!(home.findings(), [(FindingKind::Truncated, 8, 11)], "the checkpoint knows more");
    std::fs::write(&beside[1], signed).unwrap();
    assert_eq!(home.findings(), [], "nothing on this machine contradicts it: the control plane does");
}

#[tokio::test]
async fn a_forged_head_file_is_noticed() {
    let home = Home::new();
    filled(&home, 3).await;
    let path = head_file::path(&home.dir());
    let forged = std::fs::read_to_string(&path).unwrap().replace("\"seq\":7", "\"seq\":5");
    std::fs::write(&path, forged).unwrap();
    let (_, recovery) = home.open();
    assert_eq!(recovery.began, Some(EpochReason::HistoryDamaged));
    assert!(recovery.detail.contains("head file"), "{}", recovery.detail);
}

#[tokio::test]
async fn a_lost_head_file_is_recorded() {
    let home = Home::new();
    filled(&home, 3).await;
    std::fs::remove_file(head_file::path(&home.dir())).unwrap();
    let (journal, recovery) = home.open();
    assert_eq!(recovery.began, None);
    let last = journal.latest(1).unwrap();
    let RecordBody::Event(event) = last[0].body() else { panic!("{last:?}") };
    assert_eq!(event.facts["lost"], "head file");
}

#[tokio::test]
async fn another_key_is_no_damage() {
    let home = Home::new();
    filled(&home, 3).await;
    let (_, recovery) = home.open_with(JournalConfig { mac_key: [1; 32], ..home.config() });
    assert_eq!(recovery.began, Some(EpochReason::KeyChanged), "the vault may have been reset");
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn another_device_begins_an_epoch_that_names_the_last() {
    let home = Home::new();
    filled(&home, 3).await;
    let config = JournalConfig { device: model::DeviceId::new(), ..home.config() };
    let (journal, recovery) = home.open_with(config);
    assert_eq!(recovery.began, Some(EpochReason::DeviceChanged));
    drop(journal);
    assert_eq!(home.findings(), []);
    assert_eq!(verify(&home.dir()).unwrap().epochs.len(), 2);
}

#[tokio::test]
async fn a_deleted_epoch_is_named_by_the_next() {
    let home = Home::new();
    filled(&home, 3).await;
    drop(home.open_with(home.org_config("example")));
    std::fs::remove_file(&home.segments()[0]).unwrap();
    assert_eq!(home.findings(), [(FindingKind::Removed, 1, 7)]);
}

#[tokio::test]
async fn records_added_after_an_epoch_s_end_are_found() {
    let home = Home::new();
    filled(&home, 3).await;
    let old = only_segment(&home);
    let before = std::fs::read(&old).unwrap();
    filled(&home, 1).await;
    let longer = std::fs::read(&old).unwrap();
    std::fs::write(&old, &before).unwrap();
    std::fs::remove_file(head_file::path(&home.dir())).unwrap();
    drop(home.open_with(home.org_config("example")));
    std::fs::write(&old, longer).unwrap();
    assert_eq!(home.findings(), [(FindingKind::Inserted, 8, 9)]);
}

#[tokio::test]
async fn an_unreadable_last_segment_stays_as_evidence() {
    let home = Home::new();
    filled(&home, 3).await;
    let segment = only_segment(&home);
    std::fs::write(&segment, b"rubbish").unwrap();
    let (journal, recovery) = home.open();
    assert_eq!(recovery.began, Some(EpochReason::HistoryDamaged));
    call(&journal).await;
    drop(journal);
    assert_eq!(std::fs::read(&segment).unwrap(), b"rubbish");
    assert!(!home.findings().is_empty());
}

fn damage(bytes: &mut Vec<u8>, how: u8, at: usize, length: usize) {
    let end = (at + length).min(bytes.len());
    match how {
        0 => bytes.truncate(at),
        1 => bytes[at..end].fill(0),
        2 => bytes[at] ^= 1 << (length % 8),
        _ => drop(bytes.drain(at..end)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens to the end of the file, a start succeeds, and no acknowledged record vanishes in silence.
    #[test]
    fn no_damage_at_the_end_is_silent(how in 0u8..4, back in 1usize..4000, length in 1usize..4096) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let home = Home::new();
        runtime.block_on(filled(&home, 4));
        let segment = only_segment(&home);
        let before = std::fs::read(&segment).unwrap();
        let mut bytes = before.clone();
        let at = used(&bytes).saturating_sub(back);
        damage(&mut bytes, how, at, length);
        std::fs::write(&segment, &bytes).unwrap();
        let lost = bytes.get(..used(&before)) != before.get(..used(&before));

        prop_assert_eq!(!verify(&home.dir()).unwrap().is_good(), lost, "offline, before the start");
        let (journal, recovery) = home.open();
        prop_assert_eq!(recovery.began.is_some(), lost, "at the start: {}", recovery.detail);
        runtime.block_on(call(&journal));
        journal.close();
        prop_assert_eq!(!verify(&home.dir()).unwrap().is_good(), lost, "and ever after");
    }
}
