use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::Timestamp;

use super::support::*;
use crate::*;

#[tokio::test]
async fn a_call_is_an_intent_and_an_outcome_in_one_chain() {
    let home = Home::new();
    let (journal, recovery) = home.open();
    assert_eq!(recovery.began, Some(EpochReason::First));

    let called = call(&journal).await;
    journal.denial(denial()).await.unwrap();
    journal.event(EventRecord::new(AuditEvent::SignedIn)).await.unwrap();

    let records = all(&journal);
    assert_eq!(kinds(&records), ["epoch", "intent", "outcome", "denial", "event"]);
    assert_eq!(outcomes(&records), [(called, OutcomeStatus::Ok, None)]);
    assert_eq!(journal.head(), records[4].link().head());
    journal.close();
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn a_resource_is_recorded_without_the_secret_in_its_uri() {
    let home = Home::new();
    let (journal, _) = home.open();
    let uri = "https://u:canary@files.example/a?token=canary";
    let effect = |capture| Effect::resource(EffectMethod::ReadResource, journal.uri(uri, capture));
    let read = IntentRecord { effect: effect(false), ..intent() };
    let refused = DenialRecord { effect: effect(true), ..denial() };
    let begun = journal.intent(read.clone()).await.unwrap();
    assert_eq!(begun.context().effect, read.effect);
    journal.outcome(begun, Outcome::new(OutcomeStatus::InputRequired)).unwrap();
    journal.denial(refused.clone()).await.unwrap();

    let records = all(&journal);
    let [_, intent, outcome, denial] = &records[..] else { panic!("{records:?}") };
    assert_eq!(intent.body(), &RecordBody::Intent(Box::new(read)));
    assert_eq!(denial.body(), &RecordBody::Denial(Box::new(refused)));
    assert!(denial.line().contains(uri), "captured: {denial:?}");
    for record in [intent, outcome] {
        assert!(!record.line().contains("canary"), "{record:?}");
        assert!(record.line().contains(r#""method":"resources/read","resource":{"bytes":"#), "{record:?}");
        assert!(
            record.line().contains(r#"/resource/uri","salt":"#)
                && record.line().contains(r#""value":"https://files.example/a""#),
            "what is kept of it can be erased: {record:?}"
        );
    }
    let RecordBody::Outcome(outcome) = outcome.body() else { panic!("{outcome:?}") };
    assert_eq!(outcome.outcome.status, OutcomeStatus::InputRequired);
    journal.close();
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn an_intent_is_on_disk_when_it_is_returned() {
    let home = Home::new();
    let (journal, _) = home.open();
    for _ in 0..20 {
        let intent = journal.intent(intent()).await.unwrap();
        let stored = std::fs::read(&home.segments()[0]).unwrap();
        let call = intent.call().to_string();
        assert!(stored.windows(call.len()).any(|window| window == call.as_bytes()));
    }
}

#[tokio::test]
async fn an_outcome_is_on_disk_soon_without_anything_following() {
    let home = Home::new();
    let (journal, _) = home.open();
    let first = journal.intent(intent()).await.unwrap();
    reached(&journal, 2).await;
    journal.outcome(first, ok()).unwrap();
    reached(&journal, 3).await;
    // Long after the last batch the writer rests, and must be woken.
    tokio::time::sleep(Duration::from_millis(200)).await;
    journal.note(&EventRecord::new(AuditEvent::Paused)).unwrap();
    reached(&journal, 4).await;
}

#[tokio::test]
async fn a_dropped_intent_has_an_unknown_outcome() {
    let home = Home::new();
    let (journal, _) = home.open();
    let dropped = journal.intent(intent()).await.unwrap();
    let call = dropped.call();
    drop(dropped);
    journal.event(EventRecord::new(AuditEvent::Stop)).await.unwrap();
    let expected = (call, OutcomeStatus::Unknown, Some("dropped".to_owned()));
    assert_eq!(outcomes(&all(&journal)), [expected]);
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_an_unknown_outcome() {
    let home = Home::new();
    let storage = Arc::new(Faulty::default());
    let journal = home.open_on(&storage);
    storage.hold();
    let record = intent();
    let call = record.call;
    let refused = tokio::time::timeout(Duration::from_millis(20), journal.intent(record)).await;
    assert!(refused.is_err(), "the disk does not answer");
    storage.let_go();
    reached(&journal, 3).await;
    let expected = (call, OutcomeStatus::Unknown, Some("dropped".to_owned()));
    assert_eq!(outcomes(&all(&journal)), [expected]);
}

#[tokio::test]
async fn waiting_for_the_disk_has_a_deadline() {
    let home = Home::new();
    let storage = Arc::new(Faulty::default());
    let config = JournalConfig { deadline: Duration::from_millis(20), ..home.config() };
    let clock: Arc<os::ManualClock> = Arc::clone(&home.clock);
    let (journal, _) = Journal::open_on(config, clock, Arc::clone(&storage) as _).unwrap();
    storage.hold();
    assert!(matches!(journal.intent(intent()).await, Err(JournalFault::Deadline)));
    storage.let_go();
}

#[tokio::test]
async fn intents_that_come_together_share_a_sync() {
    let home = Home::new();
    let storage = Arc::new(Faulty::default());
    let journal = home.open_on(&storage);
    let before = storage.synced();
    storage.hold();
    let asked = Arc::new(AtomicUsize::new(0));
    let spawn = || {
        let (journal, asked) = (journal.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            asked.fetch_add(1, Ordering::SeqCst);
            journal.intent(intent()).await.unwrap()
        })
    };
    let first = spawn();
    while storage.synced() == before {
        tokio::task::yield_now().await;
    }
    // While the first waits for the disk, the others queue up. On this one thread, who has asked has also queued.
    let others: Vec<_> = (0..100).map(|_| spawn()).collect();
    while asked.load(Ordering::SeqCst) < 101 {
        tokio::task::yield_now().await;
    }
    storage.let_go();
    let mut intents = vec![first.await.unwrap()];
    for other in others {
        intents.push(other.await.unwrap());
    }
    assert_eq!(storage.synced() - before, 2, "one for the first, one for the hundred others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_make_one_chain_over_many_segments() {
    let home = Home::new();
    let (journal, _) = home.open();
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    call(&journal).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    journal.close();
    let (journal, recovery) = home.open();
    assert_eq!((recovery.began, recovery.unknown_outcomes.len()), (None, 0));
    let records = all(&journal);
    assert_eq!(records.len(), 1 + 16 * 50 * 2);
    assert_eq!(outcomes(&records).len(), 16 * 50);
    assert!(home.segments().len() > 3, "{:?}", home.segments());
    assert_eq!(home.findings(), [], "while it is open");
}

#[tokio::test]
async fn records_are_read_from_any_place_on() {
    let home = Home::new();
    let (journal, _) = home.open();
    for _ in 0..200 {
        call(&journal).await;
    }
    journal.event(EventRecord::new(AuditEvent::Stop)).await.unwrap();
    let records = all(&journal);
    assert!(home.segments().len() > 1);
    let Head { epoch, seq: last, .. } = journal.head();
    for seq in [0, 1, 57, 200, 201, 399, 400, last - 1, last, last + 5] {
        let found = journal.after(Position { epoch, seq }, 3).unwrap();
        let expected: Vec<_> = records.iter().skip(seq as usize).take(3).cloned().collect();
        assert_eq!(found, expected, "after {seq}");
    }
    assert_eq!(journal.latest(2).unwrap(), records[records.len() - 2..]);
}

#[tokio::test]
async fn a_second_writer_is_refused() {
    let home = Home::new();
    let (journal, _) = home.open();
    let clock: Arc<os::ManualClock> = Arc::clone(&home.clock);
    assert!(matches!(Journal::open(home.config(), clock), Err(JournalFault::InUse)));
    drop(journal);
    home.open();
}

#[tokio::test]
async fn a_closed_journal_refuses() {
    let home = Home::new();
    let (journal, _) = home.open();
    let open = journal.intent(intent()).await.unwrap();
    let call = open.call();
    journal.close();
    assert!(matches!(journal.intent(intent()).await, Err(JournalFault::Closed)));
    assert!(matches!(journal.outcome(open, ok()), Err(JournalFault::Closed)));
    drop(journal);
    let (_, recovery) = home.open();
    assert_eq!(recovery.unknown_outcomes, [call], "the next start says what is not known");
}

#[tokio::test]
async fn a_record_that_is_too_long_is_refused_alone() {
    let home = Home::new();
    let (journal, _) = home.open();
    let huge = EventRecord::new(AuditEvent::Start).with("version", "y".repeat(300 * 1024));
    let (refused, accepted) = tokio::join!(journal.event(huge), journal.intent(intent()));
    assert!(matches!(refused, Err(JournalFault::Record(_))));
    accepted.unwrap();
    journal.close();
    assert_eq!(home.findings(), []);
}

#[tokio::test]
async fn silence_is_broken_by_a_heartbeat() {
    let home = Home::new();
    let (journal, _) =
        home.open_with(JournalConfig { heartbeat: Duration::from_millis(10), ..home.config() });
    reached(&journal, 3).await;
    assert_eq!(kinds(&all(&journal)[..3]), ["epoch", "heartbeat", "heartbeat"]);
}

#[tokio::test]
async fn a_moved_wall_clock_is_recorded() {
    let home = Home::new();
    let (journal, _) = home.open();
    call(&journal).await;
    home.clock.advance(Duration::from_secs(3600));
    call(&journal).await;
    assert!(!kinds(&all(&journal)).contains(&"event"), "time that passed is no move");
    home.clock.set(Timestamp::from_seconds(1_700_000_000));
    call(&journal).await;
    let records = all(&journal);
    let moved = |record: &&AuditRecord| matches!(record.body(), RecordBody::Event(event) if event.event == AuditEvent::ClockMoved);
    assert_eq!(records.iter().filter(moved).count(), 1);
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    filled(&home, 100).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.dir()), 0o700);
    for path in home.segments() {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
