use model::{Digest, Timestamp};
use org_protocol::{PublicKey, RECEIPT_FORMAT, SigningKey};

use super::support::*;
use crate::*;

pub(super) fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

pub(super) fn keys() -> [PublicKey; 1] {
    [key().public()]
}

pub(super) fn receipt(home: &Home, org: &str, head: Head) -> Receipt {
    Receipt {
        format: RECEIPT_FORMAT,
        org: org.to_owned(),
        device: home.device,
        epoch: head.epoch,
        seq: head.seq,
        head: head.digest,
        stored_at: Timestamp::from_seconds(1_795_442_500),
    }
}

pub(super) fn signed(receipt: &Receipt) -> SignedReceipt {
    SignedReceipt::sign(receipt, &key()).unwrap()
}

/// What the control plane does: takes everything pending, in batches, and gives receipts.
fn upload(home: &Home, journal: &Journal, org: &str) -> Vec<AuditRecord> {
    let mut taken = Vec::new();
    loop {
        let batch = journal.pending(7).unwrap();
        let Some(last) = batch.last() else { return taken };
        journal.receipted(&signed(&receipt(home, org, last.link().head())), &keys()).unwrap();
        taken.extend(batch);
    }
}

#[tokio::test]
async fn what_is_receipted_is_no_longer_pending_even_after_a_restart() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("example"));
    for _ in 0..20 {
        call(&journal).await;
    }
    journal.event(EventRecord::new(AuditEvent::Stop)).await.unwrap();
    assert_eq!(upload(&home, &journal, "example"), all(&journal));
    assert_eq!(journal.acknowledged(), Some(journal.head()));

    call(&journal).await;
    drop(journal);
    let (journal, recovery) = home.open_with(home.org_config("example"));
    assert_eq!(recovery.began, None);
    assert_eq!(kinds(&journal.pending(100).unwrap()), ["intent", "outcome"]);
}

#[tokio::test]
async fn personal_records_and_those_of_other_organisations_are_never_pending() {
    let home = Home::new();
    filled(&home, 3).await;
    let (journal, recovery) = home.open_with(home.org_config("first"));
    assert_eq!(recovery.began, Some(EpochReason::OrgChanged));
    call(&journal).await;
    journal.close();
    drop(journal);
    let (journal, _) = home.open_with(home.org_config("second"));
    call(&journal).await;
    journal.event(EventRecord::new(AuditEvent::Stop)).await.unwrap();
    assert_eq!(kinds(&upload(&home, &journal, "second")), ["epoch", "intent", "outcome", "event"]);
    drop(journal);
    let (journal, _) = home.open();
    assert!(journal.pending(100).unwrap().is_empty(), "personal mode sends nothing");
    drop(journal);
    let (journal, _) = home.open_with(home.org_config("first"));
    let late = upload(&home, &journal, "first");
    assert_eq!(
        kinds(&late),
        ["epoch", "intent", "outcome", "epoch"],
        "what was owed to the first is not forgotten"
    );
    drop(journal);
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn what_is_sent_again_is_the_organisation_s_only() {
    let home = Home::new();
    filled(&home, 3).await;
    let (journal, _) = home.open_with(home.org_config("first"));
    call(&journal).await;
    drop(journal);
    let (journal, _) = home.open_with(home.org_config("second"));
    call(&journal).await;
    journal.event(EventRecord::new(AuditEvent::Stop)).await.unwrap();
    let owed = upload(&home, &journal, "second");
    assert!(journal.pending(100).unwrap().is_empty());

    let others: Vec<Position> = all(&journal).iter().map(|record| record.link().head().into()).collect();
    let epoch = journal.head().epoch;
    for position in others.into_iter().filter(|position| position.epoch != epoch).chain([Position::default()])
    {
        assert_eq!(journal.pending_from(position, 100).unwrap(), owed, "from {position:?}");
    }
    assert_eq!(journal.pending_from(Position { epoch, seq: 2 }, 1).unwrap(), owed[2..3]);
    assert!(journal.pending_from(journal.head().into(), 100).unwrap().is_empty());
    drop(journal);
    let (journal, _) = home.open();
    assert!(
        journal.pending_from(Position::default(), 100).unwrap().is_empty(),
        "personal mode sends nothing"
    );
}

#[tokio::test]
async fn an_upload_crosses_epochs_of_the_same_device() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("example"));
    call(&journal).await;
    drop(journal);
    std::fs::remove_file(head_file::path(&home.dir())).unwrap();
    let segment = home.segments()[0].clone();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replace("employee", "somebody")).unwrap();
    let (journal, recovery) = home.open_with(home.org_config("example"));
    assert_eq!(recovery.began, Some(EpochReason::HistoryDamaged));
    let batches = [journal.pending(100).unwrap(), upload(&home, &journal, "example")];
    assert_eq!(kinds(&batches[0]), ["epoch"], "up to the damage");
    assert_eq!(kinds(&batches[1])[..2], ["epoch", "epoch"], "and on with the next epoch");
}

#[tokio::test]
async fn a_receipt_for_another_history_is_refused() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("example"));
    call(&journal).await;
    let good = receipt(&home, "example", journal.head());
    let refused = |receipt: Receipt| match journal.receipted(&signed(&receipt), &keys()) {
        Err(JournalFault::ForeignReceipt(_)) => {}
        other => panic!("{other:?}"),
    };
    refused(Receipt { head: Digest::of(b"other"), ..good.clone() });
    refused(Receipt { seq: good.seq + 100, ..good.clone() });
    refused(Receipt { epoch: 3, ..good.clone() });
    refused(Receipt { org: "other".to_owned(), ..good.clone() });
    refused(Receipt { device: model::DeviceId::new(), ..good.clone() });
    let stranger = SignedReceipt::sign(&good, &SigningKey::from_seed(&[2; 32])).unwrap();
    assert!(matches!(journal.receipted(&stranger, &keys()), Err(JournalFault::Receipt(_))));
    assert_eq!(journal.acknowledged(), None);
    journal.receipted(&signed(&good), &keys()).unwrap();
    assert_eq!(journal.acknowledged(), Some(good.head()));
}

#[tokio::test]
async fn an_older_receipt_does_not_move_the_cursor_back() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("example"));
    let early = journal.head();
    call(&journal).await;
    let late = journal.head();
    journal.receipted(&signed(&receipt(&home, "example", late)), &keys()).unwrap();
    journal.receipted(&signed(&receipt(&home, "example", early)), &keys()).unwrap();
    assert_eq!(journal.acknowledged(), Some(late));
}

#[tokio::test]
async fn damaged_receipts_are_set_aside_and_everything_is_sent_again() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("example"));
    call(&journal).await;
    upload(&home, &journal, "example");
    drop(journal);
    std::fs::write(home.dir().join("receipts.json"), "{").unwrap();
    let (journal, _) = home.open_with(home.org_config("example"));
    assert!(home.dir().join("receipts.json.damaged-1").exists());
    assert_eq!(kinds(&journal.pending(100).unwrap()), ["epoch", "intent", "outcome", "event"]);
}

#[tokio::test]
async fn a_journal_cut_back_behind_its_receipt_is_found_offline() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("example"));
    for _ in 0..3 {
        call(&journal).await;
    }
    journal.event(EventRecord::new(AuditEvent::Stop)).await.unwrap();
    upload(&home, &journal, "example");
    drop(journal);
    std::fs::remove_file(head_file::path(&home.dir())).unwrap();
    let segment = &home.segments()[0];
    let text = std::fs::read_to_string(segment).unwrap();
    let kept: Vec<&str> = text.split_inclusive('\n').take(6).collect();
    std::fs::write(segment, kept.concat()).unwrap();
    assert_eq!(home.findings(), [(FindingKind::Truncated, 6, 8)]);
}
