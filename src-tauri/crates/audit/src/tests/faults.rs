use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use model::ForPerson as _;

use super::support::*;
use crate::*;

async fn healthy(journal: &Journal) {
    let mut health = journal.health();
    let wait = health.wait_for(|health| matches!(health, Health::Writing));
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it recovers").unwrap();
}

/// Fails `operation` once while a call is under way and every attempt to go on, then lets it go on.
async fn survives(operation: Operation, kind: ErrorKind) {
    let home = Home::new();
    let storage = Arc::new(Faulty::default());
    let journal = home.open_on(&storage);
    let before = journal.intent(intent()).await.unwrap();
    let under_way = before.call();

    storage.fail(Operation::Prepare, kind, usize::MAX);
    storage.fail(operation, kind, 1);
    let refused = journal.intent(intent()).await.map(|_| ());
    let full = kind == ErrorKind::StorageFull;
    assert_eq!(matches!(refused, Err(JournalFault::DiskFull)), full, "{refused:?}");
    assert_eq!(matches!(refused, Err(JournalFault::Storage { .. })), !full, "{refused:?}");
    let syncs = storage.synced();
    assert!(matches!(*journal.health().borrow(), Health::Failed(_)));
    assert!(journal.intent(intent()).await.is_err(), "still");
    assert_eq!(storage.synced(), syncs, "the failed file is not synced again");
    journal.outcome(before, ok()).unwrap();

    storage.heal();
    healthy(&journal).await;
    let after = call(&journal).await;
    journal.close();

    assert_eq!(home.findings(), []);
    let report = verify(&home.dir()).unwrap();
    assert_eq!(report.epochs.len(), 2);
    assert_eq!(report.epochs[1].reason, Some(EpochReason::StorageFailed));
    let (journal, recovery) = home.open();
    assert_eq!((recovery.began, recovery.unknown_outcomes), (None, Vec::new()));
    let known = [(under_way, OutcomeStatus::Ok, None), (after, OutcomeStatus::Ok, None)];
    assert_eq!(outcomes(&all(&journal)), known, "the outcome that could not be written was not lost");
}

#[tokio::test]
async fn a_full_disk_refuses_calls_until_there_is_room() {
    survives(Operation::Append, ErrorKind::StorageFull).await;
}

#[tokio::test]
async fn a_failed_sync_is_not_tried_again_on_the_same_file() {
    survives(Operation::Sync, ErrorKind::Other).await;
}

#[tokio::test]
async fn a_failed_write_is_not_tried_again_on_the_same_file() {
    survives(Operation::Append, ErrorKind::Other).await;
}

#[tokio::test]
async fn a_segment_that_cannot_be_named_is_a_failure() {
    let home = Home::new();
    let storage = Arc::new(Faulty::default());
    let journal = home.open_on(&storage);
    storage.fail(Operation::Adopt, ErrorKind::Other, 1);
    let mut refused = 0;
    for _ in 0..2000 {
        match journal.intent(intent()).await {
            Ok(intent) => drop(intent),
            Err(_) => {
                refused += 1;
                healthy(&journal).await;
            }
        }
    }
    assert_eq!(refused, 1, "when it turned to the next segment");
    journal.close();
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn without_a_spare_segment_the_current_one_grows() {
    let home = Home::new();
    let storage = Arc::new(Faulty::default());
    let journal = home.open_on(&storage);
    storage.fail(Operation::Prepare, ErrorKind::StorageFull, usize::MAX);
    for _ in 0..400 {
        call(&journal).await;
    }
    journal.close();
    assert_eq!(home.segments().len(), 1);
    assert!(std::fs::metadata(&home.segments()[0]).unwrap().len() > 256 * 1024);
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn what_cannot_be_opened_is_said() {
    let home = Home::new();
    let storage = Arc::new(Faulty::default());
    storage.fail(Operation::Prepare, ErrorKind::StorageFull, 1);
    let clock: Arc<os::ManualClock> = Arc::clone(&home.clock);
    let fault = Journal::open_on(home.config(), clock, storage).map(|_| ()).unwrap_err();
    assert!(matches!(fault, JournalFault::DiskFull));
    assert_eq!(fault.advice().code, "audit-disk-full");
    home.open();
}

#[tokio::test]
async fn closing_while_failed_ends() {
    let home = Home::new();
    let storage = Arc::new(Faulty::default());
    let journal = home.open_on(&storage);
    let call = journal.intent(intent()).await.unwrap();
    let id = call.call();
    storage.fail(Operation::Sync, ErrorKind::Other, usize::MAX);
    assert!(journal.intent(intent()).await.is_err());
    journal.outcome(call, ok()).unwrap();
    journal.close();
    drop(journal);
    let (_, recovery) = home.open();
    assert_eq!(recovery.unknown_outcomes, [id]);
}

/// An intent that fills pages, so that few of them fill a segment.
pub(super) fn large_intent() -> IntentRecord {
    let value = "x".repeat(4000);
    let values: Vec<String> = (0..8).map(|at| format!("\"v{at}\":\"{value}\"")).collect();
    let arguments = ArgumentSummary::of(&format!("{{{}}}", values.join(",")), &KEY, true);
    IntentRecord { arguments, ..intent() }
}

/// Calls until so many are recorded; what is refused is made again when it can be. Which were recorded.
async fn insist(journal: &Journal, count: usize) -> Vec<model::CallId> {
    let mut recorded = Vec::new();
    while recorded.len() < count {
        match journal.intent(large_intent()).await {
            Ok(intent) => {
                recorded.push(intent.call());
                journal.outcome(intent, ok()).unwrap();
            }
            Err(fault) => {
                assert!(fault.is_of_the_storage(), "{fault}");
                healthy(journal).await;
            }
        }
    }
    recorded
}

/// Calls through several segments while the operation of this number fails. How many operations there were.
async fn one_failure(number: usize, kind: ErrorKind) -> usize {
    let home = Home::new();
    let storage = Arc::new(Faulty::failing_at(number, kind));
    let open = |storage: &Arc<Faulty>| {
        let (clock, storage): (Arc<os::ManualClock>, Arc<Faulty>) =
            (Arc::clone(&home.clock), Arc::clone(storage));
        Journal::open_on(home.config(), clock, storage)
    };
    // A start that fails says so, and the next one is good.
    let (journal, _) = open(&storage).or_else(|_| open(&storage)).unwrap();
    let recorded = insist(&journal, 12).await;
    journal.close();
    assert_eq!(storage.misused(), 0, "operation {number}, {kind}: a file was used after it had failed");
    let report = verify(&home.dir()).unwrap();
    assert!(report.is_good(), "operation {number}, {kind}: {report}");
    let (journal, recovery) = home.open();
    assert_eq!((recovery.began, recovery.detail.as_str()), (None, ""), "operation {number}, {kind}");
    let ended: Vec<model::CallId> = outcomes(&all(&journal)).into_iter().map(|(call, ..)| call).collect();
    for call in &recorded {
        assert_eq!(ended.iter().filter(|ended| *ended == call).count(), 1, "operation {number}, {kind}");
    }
    journal.close();
    storage.operations()
}

#[tokio::test]
async fn whichever_operation_fails_nothing_that_was_acknowledged_is_lost_and_no_failed_file_is_used_again() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        let all = one_failure(usize::MAX, kind).await;
        assert!(all > 20, "{all}");
        for number in 0..all {
            one_failure(number, kind).await;
        }
    }
}
