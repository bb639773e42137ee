//! Quota, pruning, and calls that go on without a record.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use model::{ForPerson as _, Timestamp};
use os::Clock as _;

use super::receipts::{keys, receipt, signed};
use super::support::*;
use crate::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn rules(quota: u64) -> JournalRules {
    JournalRules { quota, ..JournalRules::default() }
}

/// Waits for something that the journal's own threads do.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

async fn until_health(journal: &Journal, wanted: impl FnMut(&Health) -> bool) {
    let mut health = journal.health();
    tokio::time::timeout(Duration::from_secs(30), health.wait_for(wanted)).await.expect("so it is").unwrap();
}

/// Has the organisation sign for everything up to now, at this time by its clock.
fn sign_for_all(home: &Home, journal: &Journal, at: Timestamp) {
    let receipt = Receipt { stored_at: at, ..receipt(home, "example", journal.head()) };
    journal.receipted(&signed(&receipt), &keys()).unwrap();
}

fn events(journal: &Journal, wanted: &AuditEvent) -> Vec<EventRecord> {
    let records = journal.latest(usize::MAX).unwrap();
    let event = |record: &AuditRecord| {
        let RecordBody::Event(event) = record.body() else { return None };
        (event.event == *wanted).then(|| EventRecord::clone(event))
    };
    records.iter().filter_map(event).collect()
}

fn gaps(journal: &Journal) -> Vec<u64> {
    let records = journal.after(Position::default(), usize::MAX).unwrap();
    let missing = |record: &AuditRecord| {
        let RecordBody::Gap(gap) = record.body() else { return None };
        Some(gap.missing)
    };
    records.iter().filter_map(missing).collect()
}

#[tokio::test]
async fn each_step_is_recorded_and_at_the_last_calls_are_refused_until_there_is_room() {
    let home = Home::new();
    let (journal, _) = home.open_with(JournalConfig { rules: rules(600 * 1024), ..home.config() });
    let under_way = journal.intent(intent()).await.unwrap();
    let refused = loop {
        match journal.intent(intent()).await {
            Ok(intent) => journal.outcome(intent, ok()).unwrap(),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(refused, JournalFault::Quota { quota: 614_400 }), "{refused}");
    assert_eq!(refused.advice().code, "audit-quota");
    assert!(matches!(&*journal.health().borrow(), Health::Failed(JournalFault::Quota { .. })));
    assert!(journal.denial(denial()).await.is_err(), "whoever is refused does not fill the disk");
    journal.outcome(under_way, ok()).unwrap();

    journal.set_rules(rules(10 * 1024 * 1024));
    until_health(&journal, |health| matches!(health, Health::Writing)).await;
    call(&journal).await;
    journal.event(EventRecord::new(AuditEvent::Stop)).await.unwrap();
    let steps = events(&journal, &AuditEvent::JournalFilling);
    let percents: Vec<u64> = steps.iter().map(|event| event.facts["percent"].parse().unwrap()).collect();
    assert_eq!(percents.len(), 5, "{percents:?}");
    for (percent, step) in percents.iter().zip([50..80, 80..95, 95..100, 100..120, 0..50]) {
        assert!(step.contains(percent), "{percents:?}");
    }
    let records = all(&journal);
    assert_eq!(outcomes(&records).len(), kinds(&records).iter().filter(|kind| **kind == "intent").count());
    journal.close();
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn what_was_signed_for_days_ago_goes_and_the_rest_stays_whole() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("example"));
    for _ in 0..300 {
        call(&journal).await;
    }
    journal.event(EventRecord::new(AuditEvent::Paused)).await.unwrap();
    sign_for_all(&home, &journal, home.clock.now());
    let covered = journal.head();
    for _ in 0..200 {
        call(&journal).await;
    }
    journal.close();
    let before = home.segments().len();

    // Not a day too early.
    home.clock.advance(6 * DAY);
    let (journal, _) = home.open_with(home.org_config("example"));
    call(&journal).await;
    journal.close();
    assert_eq!(home.segments().len(), before);

    home.clock.advance(2 * DAY);
    let (journal, _) = home.open_with(home.org_config("example"));
    until("old segments go", || home.segments().len() < before).await;
    until("it is recorded", || !events_from(&journal).is_empty()).await;
    let first = all(&journal).first().unwrap().link().head();
    assert!(first.seq > 1 && first.seq <= covered.seq + 1, "{first:?} {covered:?}");
    let report = verify(&home.dir()).unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!(report.pruned.len(), 1);
    assert_eq!(report.pruned[0].end.seq + 1, first.seq);
    assert!(report.pruned[0].receipted.is_some());
    assert!(report.to_string().contains("removed: records 1 to"), "{report}");
    assert!(!journal.pending(10_000).unwrap().is_empty(), "what nobody signed for is all there");
    journal.close();

    let (journal, recovery) = home.open_with(home.org_config("example"));
    assert_eq!((recovery.began, recovery.detail.as_str()), (None, ""));
    journal.close();
    // Somebody helps themselves to one more.
    std::fs::remove_file(&home.segments()[0]).unwrap();
    let findings = home.findings();
    assert!(
        matches!(findings.as_slice(), [(FindingKind::Removed, from, _)] if *from == first.seq),
        "{findings:?}"
    );
}

fn events_from(journal: &Journal) -> Vec<EventRecord> {
    events(journal, &AuditEvent::JournalPruned)
}

#[tokio::test]
async fn without_a_receipt_that_covers_it_a_missing_beginning_is_found() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("example"));
    for _ in 0..300 {
        call(&journal).await;
    }
    sign_for_all(&home, &journal, home.clock.now());
    for _ in 0..300 {
        call(&journal).await;
    }
    journal.close();
    home.clock.advance(8 * DAY);
    let (journal, _) = home.open_with(home.org_config("example"));
    until("old segments go", || verify(&home.dir()).unwrap().pruned.len() == 1).await;
    until("it is recorded", || !events_from(&journal).is_empty()).await;
    journal.close();

    // Whoever removes more and writes into the file that it was pruned has no receipt for it.
    let segments = home.segments();
    let (gone, next) = (&segments[0], &segments[1]);
    let read = |path: &std::path::Path| {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.trim_end_matches('\0').lines().skip(1);
        lines.map(|line| AuditRecord::parse(line).unwrap().link().clone()).collect::<Vec<_>>()
    };
    let (last, first) = (read(gone).last().unwrap().head(), read(next)[0].clone());
    assert_eq!(first.prev, last.digest);
    let path = home.dir().join("pruned.json");
    let mut file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    file["epochs"][0]["end"] = serde_json::to_value(last).unwrap();
    std::fs::write(&path, file.to_string()).unwrap();
    std::fs::remove_file(gone).unwrap();
    let findings = home.findings();
    assert_eq!(findings[0], (FindingKind::Removed, 1, last.seq), "{findings:?}");

    let (journal, recovery) = home.open_with(home.org_config("example"));
    assert_eq!(recovery.began, None);
    let repaired = journal.latest(5).unwrap();
    assert!(repaired.iter().any(|record| record.line().contains("what was pruned")), "{repaired:?}");
}

#[tokio::test]
async fn a_segment_that_was_touched_is_never_removed() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("example"));
    for _ in 0..300 {
        call(&journal).await;
    }
    sign_for_all(&home, &journal, home.clock.now());
    journal.close();
    let first = home.segments()[0].clone();
    let text = std::fs::read_to_string(&first).unwrap();
    std::fs::write(&first, text.replacen("warehouse", "warehousf", 1)).unwrap();
    home.clock.advance(8 * DAY);
    let (journal, _) = home.open_with(home.org_config("example"));
    call(&journal).await;
    journal.close();
    assert!(first.exists(), "it is evidence");
    assert_eq!(home.findings().first().map(|finding| finding.0), Some(FindingKind::Edited));
}

#[tokio::test]
async fn a_cut_off_pruning_is_finished_by_the_next_start() {
    let home = Home::new();
    let storage = Arc::new(Faulty::default());
    let (journal, _) = home.open_with(home.org_config("example"));
    for _ in 0..300 {
        call(&journal).await;
    }
    sign_for_all(&home, &journal, home.clock.now());
    journal.close();
    let before = home.segments().len();
    home.clock.advance(8 * DAY);
    storage.fail(Operation::Remove, ErrorKind::Other, 1);
    let clock: Arc<os::ManualClock> = Arc::clone(&home.clock);
    let faulty: Arc<Faulty> = Arc::clone(&storage);
    let (journal, _) = Journal::open_on(home.org_config("example"), clock, faulty).unwrap();
    until("the cursor", || !verify(&home.dir()).unwrap().pruned.is_empty()).await;
    journal.close();
    assert_eq!(home.segments().len(), before, "nothing is gone yet");
    assert_eq!(home.findings(), [], "and nothing is wrong with that");
    let (journal, _) = home.open_with(home.org_config("example"));
    until("they go", || home.segments().len() < before).await;
    journal.close();
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn a_person_s_own_records_go_only_when_they_are_old_and_the_quota_is_near() {
    let home = Home::new();
    let small = || JournalConfig { rules: rules(800 * 1024), ..home.config() };
    let (journal, _) = home.open_with(small());
    while journal.usage().borrow().fill() < Fill::Near {
        call(&journal).await;
    }
    let before = home.segments().len();
    journal.close();
    home.clock.advance(80 * DAY);
    let (journal, _) = home.open_with(small());
    call(&journal).await;
    journal.close();
    assert_eq!(home.segments().len(), before, "less than 90 days old");
    home.clock.advance(11 * DAY);
    let (journal, _) = home.open_with(small());
    until("old ones go", || home.segments().len() < before).await;
    until("there is room", || journal.usage().borrow().fill() < Fill::Near).await;
    let report = verify(&home.dir()).unwrap();
    assert!(report.is_good(), "{report}");
    assert_eq!(report.pruned[0].receipted, None);
    assert!(home.segments().len() > 1, "and no more than is needed");
    assert!(!all(&journal).is_empty());
    journal.close();
}

#[tokio::test]
async fn where_calls_go_on_without_a_record_they_are_counted_and_the_count_is_recorded() {
    let best_effort = JournalRules { on_failure: OnAuditFailure::BestEffort, ..JournalRules::default() };
    for (operation, kind) in
        [(Operation::Append, ErrorKind::StorageFull), (Operation::Sync, ErrorKind::Other)]
    {
        let home = Home::new();
        let storage = Arc::new(Faulty::default());
        let journal = home.open_on(&storage);
        journal.set_rules(best_effort);
        let before = call(&journal).await;
        storage.fail(Operation::Prepare, kind, usize::MAX);
        storage.fail(operation, kind, 1);
        for _ in 0..3 {
            let unrecorded = journal.intent(intent()).await.expect("calls go on");
            journal.outcome(unrecorded, ok()).unwrap();
        }
        until_health(&journal, |health| matches!(health, Health::BestEffort { missing: 3, .. })).await;
        assert!(journal.denial(denial()).await.is_err(), "only calls are counted");
        storage.heal();
        until_health(&journal, |health| matches!(health, Health::Writing)).await;
        let after = call(&journal).await;
        journal.event(EventRecord::new(AuditEvent::Stop)).await.unwrap();
        assert_eq!(gaps(&journal), [3]);
        let known = [(before, OutcomeStatus::Ok, None), (after, OutcomeStatus::Ok, None)];
        assert_eq!(outcomes(&all(&journal)), known);
        journal.close();
        assert_eq!(home.findings(), []);
    }
}

#[tokio::test]
async fn at_the_quota_calls_go_on_counted_where_the_organisation_wants_it() {
    let home = Home::new();
    let best_effort = JournalRules { on_failure: OnAuditFailure::BestEffort, ..rules(300 * 1024) };
    let (journal, _) = home.open_with(JournalConfig { rules: best_effort, ..home.config() });
    let mut recorded = 0;
    while matches!(&*journal.health().borrow(), Health::Writing) {
        call(&journal).await;
        recorded += 1;
    }
    for _ in 0..5 {
        call(&journal).await;
    }
    until_health(&journal, |health| matches!(health, Health::BestEffort { missing: 5.., .. })).await;
    journal.set_rules(JournalRules { quota: 10 * 1024 * 1024, ..best_effort });
    until_health(&journal, |health| matches!(health, Health::Writing)).await;
    journal.event(EventRecord::new(AuditEvent::Stop)).await.unwrap();
    let unrecorded: u64 = gaps(&journal).iter().sum();
    assert_eq!(
        outcomes(&all(&journal)).len() as u64 + unrecorded,
        recorded + 5,
        "each call is there or counted"
    );
    journal.close();
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn a_count_is_not_lost_when_the_journal_is_closed_while_it_could_not_be_written() {
    let home = Home::new();
    let storage = Arc::new(Faulty::default());
    let clock: Arc<os::ManualClock> = Arc::clone(&home.clock);
    let faulty: Arc<Faulty> = Arc::clone(&storage);
    let rules = JournalRules { on_failure: OnAuditFailure::BestEffort, ..JournalRules::default() };
    let config = JournalConfig { rules, retry_every: Duration::from_secs(3600), ..home.config() };
    let (journal, _) = Journal::open_on(config, clock, faulty).unwrap();
    storage.fail(Operation::Sync, ErrorKind::Other, 1);
    for _ in 0..2 {
        drop(journal.intent(intent()).await.expect("calls go on"));
    }
    until_health(&journal, |health| matches!(health, Health::BestEffort { missing: 2, .. })).await;
    journal.close();
    let (journal, _) = home.open();
    assert_eq!(gaps(&journal), [2]);
}

#[tokio::test]
async fn where_nobody_signs_what_a_collector_took_days_ago_goes() {
    let home = Home::new();
    let (journal, _) = home.open_with(home.org_config("example"));
    let first = journal.uncollected(1000).unwrap();
    for _ in 0..300 {
        call(&journal).await;
    }
    journal.event(EventRecord::new(AuditEvent::Paused)).await.unwrap();
    let waiting = journal.uncollected(1000).unwrap();
    assert_eq!(waiting[0], first[0], "from the beginning");
    journal.collected(journal.head()).unwrap();
    assert_eq!(journal.uncollected(1000).unwrap(), []);
    call(&journal).await;
    journal.event(EventRecord::new(AuditEvent::Resumed)).await.unwrap();
    assert_eq!(kinds(&journal.uncollected(1000).unwrap()), ["intent", "outcome", "event"]);
    journal.close();
    home.clock.advance(6 * DAY);
    home.open_with(home.org_config("example")).0.close();
    assert_eq!(verify(&home.dir()).unwrap().pruned, [], "not a day too early");
    home.clock.advance(2 * DAY);
    let (journal, _) = home.open_with(home.org_config("example"));
    until("old segments go", || verify(&home.dir()).unwrap().pruned.len() == 1).await;
    journal.close();
    let report = verify(&home.dir()).unwrap();
    assert!(report.is_good() && report.pruned[0].collected.is_some(), "{report}");
}
