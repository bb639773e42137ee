//! Laws of counting: never more than are let through in any stretch of time, whatever the clocks do.

use std::collections::BTreeMap;

use model::{ConnectorId, Digest, Subject};
use org_protocol::{LimitRule, PayloadSettings};
use os::ManualClock;
use policy::{Policy, PolicyInput, PolicyVersion};
use proptest::prelude::*;

use super::*;

/// What is kept in memory, as a disk would.
#[derive(Default)]
struct Shelf {
    kept: Mutex<Option<Vec<u8>>>,
    is_broken: bool,
}

impl KeptCounts for Shelf {
    fn load(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, String>> {
        Box::pin(async move { Ok(self.kept.lock().unwrap().clone()) })
    }

    fn keep(&self, counts: Vec<u8>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if self.is_broken {
                return Err("the disk is full".to_owned());
            }
            *self.kept.lock().unwrap() = Some(counts);
            Ok(())
        })
    }
}

/// What a call of a person is counted as under these limits.
fn counts(limits: &str, person: &str) -> Vec<Count> {
    let limits: Vec<LimitRule> = serde_json::from_str(limits).unwrap();
    let connectors = serde_json::from_str(r#"{"echo": {"title": "E", "command": ["echo"]}}"#).unwrap();
    let none = PayloadSettings::default();
    let policy = Policy::compile(PolicyInput {
        version: PolicyVersion { label: "1".to_owned(), digest: Digest::of(b"1") },
        connectors: &connectors,
        servers: &BTreeMap::new(),
        tools: &BTreeMap::new(),
        claims: &BTreeMap::new(),
        policies: &BTreeMap::new(),
        payload: &none,
        limits: &limits,
    })
    .unwrap();
    let echo: ConnectorId = "echo".parse().unwrap();
    let aim = Aim::Tool("echo".parse().unwrap());
    let what = (&Subject::local(person), &echo, &aim);
    policy.counts(CountedBy::Desktop, what, &CredentialChoice::None)
}

fn per(allowance: &str, person: &str) -> Vec<Count> {
    counts(&format!(r#"[{{"id": "gentle", "calls": "{allowance}"}}]"#), person)
}

async fn opened(shelf: &Arc<Shelf>, clock: &Arc<ManualClock>) -> Limits {
    Limits::open(Arc::clone(shelf) as Arc<dyn KeptCounts>, Arc::clone(clock) as Arc<dyn Clock>).await
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_minute_has_more_calls_than_are_let_through_whatever_the_wall_clock_says(
        most in 1_u32..6,
        steps in prop::collection::vec((0_u64..40_000, any::<bool>(), -100_000_i64..100_000), 1..120),
    ) {
        let made = run(async {
            let clock = Arc::new(ManualClock::default());
            let limits = opened(&Arc::default(), &clock).await;
            let counts = per(&format!("{most} per minute"), "ann");
            let mut made = Vec::new();
            for (wait, is_set, by) in steps {
                clock.advance(Duration::from_millis(wait));
                if is_set {
                    clock.set(Timestamp::from_seconds(clock.now().seconds() + by));
                }
                let may = limits.look(&counts).is_none();
                let taken = limits.take(&counts).await;
                assert_eq!(may, taken.is_ok(), "looking says the same");
                match taken {
                    Ok(()) => made.push(clock.boot_time()),
                    Err(Untaken::Over(over)) => {
                        // Whoever waits as long as they are told may call again, and nobody waits for more than a minute.
                        assert!(over.words().contains("Try again in "), "{over}");
                    }
                    Err(Untaken::Unkept(fault)) => panic!("{fault}"),
                }
            }
            made
        });
        for (place, first) in made.iter().enumerate() {
            let within = made[place..].iter().filter(|made| **made - *first < Duration::from_secs(60));
            prop_assert!(within.count() <= most as usize);
        }
    }

    #[test]
    fn no_day_has_more_calls_than_are_let_through_however_often_clocks_are_set_and_programs_start(
        most in 1_u32..5,
        steps in prop::collection::vec((0_i64..6, any::<bool>()), 1..60),
    ) {
        let made = run(async {
            let (clock, shelf) = (Arc::new(ManualClock::default()), Arc::new(Shelf::default()));
            let mut limits = opened(&shelf, &clock).await;
            let counts = per(&format!("{most} per day"), "ann");
            let (mut made, mut latest) = (BTreeMap::<Timestamp, u32>::new(), 0);
            for (day, restarts) in steps {
                clock.set(Timestamp::from_seconds(1_795_442_400 + day * 86_400));
                if restarts {
                    limits = opened(&shelf, &clock).await;
                }
                let before = latest.max(day);
                match limits.take(&counts).await {
                    Ok(()) => {
                        latest = before;
                        *made.entry(Timestamp::from_seconds(before * 86_400)).or_default() += 1;
                    }
                    Err(_) => assert_eq!(made.get(&Timestamp::from_seconds(before * 86_400)), Some(&most)),
                }
            }
            made
        });
        prop_assert!(made.values().all(|calls| *calls <= most), "{made:?}");
    }
}

#[tokio::test]
async fn whoever_waits_as_told_may_call_again_and_others_need_not() {
    let clock = Arc::new(ManualClock::default());
    let limits = opened(&Arc::default(), &clock).await;
    let (ann, bob) = (per("2 per minute", "ann"), per("2 per minute", "bob"));
    for _ in 0..2 {
        limits.take(&ann).await.unwrap();
        clock.advance(Duration::from_secs(20));
    }
    let Err(Untaken::Over(over)) = limits.take(&ann).await else { panic!("one too many") };
    assert_eq!(
        over.words(),
        "Limit gentle is reached: 2 per minute for each person. Try again in 20 seconds."
    );
    limits.take(&bob).await.unwrap();
    clock.advance(Duration::from_micros(19_999_999));
    assert!(limits.take(&ann).await.is_err());
    clock.advance(Duration::from_micros(1));
    limits.take(&ann).await.unwrap();
}

#[tokio::test]
async fn a_call_that_one_limit_refuses_counts_for_none() {
    let clock = Arc::new(ManualClock::default());
    let limits = opened(&Arc::default(), &clock).await;
    let both = counts(
        r#"[{"id": "month", "calls": "3 per month"}, {"id": "second", "calls": "1 per second"}]"#,
        "ann",
    );
    for _ in 0..3 {
        limits.take(&both).await.unwrap();
        assert!(limits.take(&both).await.is_err());
        clock.advance(Duration::from_secs(1));
    }
    let Err(Untaken::Over(over)) = limits.take(&both).await else { panic!("one too many") };
    assert_eq!(
        over.words(),
        "Limit month is reached: 3 per month for each person. Try again on 2026-12-01 at 00:00 UTC."
    );
}

#[tokio::test]
async fn a_quota_is_kept_over_a_start_and_ends_with_its_day() {
    let (clock, shelf) = (Arc::new(ManualClock::new(at("2026-11-27T23:59:00Z"))), Arc::new(Shelf::default()));
    let counts = per("1 per day", "ann");
    opened(&shelf, &clock).await.take(&counts).await.unwrap();
    let limits = opened(&shelf, &clock).await;
    assert!(limits.take(&counts).await.is_err());
    clock.set(at("2026-11-26T00:00:00Z"));
    assert!(limits.take(&counts).await.is_err(), "the day before is over");
    clock.set(at("2026-11-28T00:00:00Z"));
    limits.take(&counts).await.unwrap();
    assert!(limits.take(&counts).await.is_err());
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_let_through() {
    let shelf = Arc::new(Shelf { is_broken: true, ..Shelf::default() });
    let limits = opened(&shelf, &Arc::default()).await;
    assert_eq!(
        limits.take(&per("1 per day", "ann")).await,
        Err(Untaken::Unkept("the disk is full".to_owned()))
    );
    limits.take(&per("1 per minute", "ann")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_race_for_the_last_one_gets_it() {
    for allowance in ["5 per hour", "5 per day"] {
        let (clock, shelf) = (Arc::new(ManualClock::default()), Arc::new(Shelf::default()));
        let limits = Arc::new(opened(&shelf, &clock).await);
        let racers = (0..32).map(|_| {
            let (limits, counts) = (Arc::clone(&limits), per(allowance, "ann"));
            tokio::spawn(async move { limits.take(&counts).await.is_ok() })
        });
        let mut taken = 0;
        for racer in racers.collect::<Vec<_>>() {
            taken += usize::from(racer.await.unwrap());
        }
        assert_eq!(taken, 5, "{allowance}");
        let again = opened(&shelf, &clock).await;
        assert_eq!(
            again.take(&per("5 per day", "ann")).await.is_ok(),
            allowance != "5 per day",
            "all are kept"
        );
    }
}

#[tokio::test]
async fn what_was_counted_before_the_keychain_was_unlocked_is_added_to_what_it_keeps() {
    let (shelf, clock) = (Arc::<Shelf>::default(), Arc::<ManualClock>::default());
    let before = opened(&shelf, &clock).await;
    let five = per("5 per day", "alice");
    for _ in 0..3 {
        before.take(&five).await.unwrap();
    }
    // Out of reach: another shelf, which is put in its place only if nothing lies there.
    let kept = shelf.kept.lock().unwrap().take();
    let locked = opened(&shelf, &clock).await;
    locked.take(&five).await.unwrap();
    *shelf.kept.lock().unwrap() = kept;
    locked.read_again().await;
    locked.take(&five).await.unwrap();
    assert!(matches!(locked.take(&five).await, Err(Untaken::Over(_))), "three, one and one are five");
    let again = opened(&shelf, &clock).await;
    assert!(matches!(again.take(&five).await, Err(Untaken::Over(_))), "and so it is kept");
}

#[tokio::test]
async fn where_it_cannot_be_read_what_was_counted_nothing_passes_that_counts_for_a_quota() {
    let (shelf, clock) = (Arc::<Shelf>::default(), Arc::<ManualClock>::default());
    *shelf.kept.lock().unwrap() = Some(b"{\"format\":2}".to_vec());
    let limits = opened(&shelf, &clock).await;
    let refused = limits.take(&per("5 per day", "alice")).await;
    assert!(matches!(refused, Err(Untaken::Unkept(_))), "{refused:?}");
    limits.take(&per("5 per minute", "alice")).await.unwrap();
}
