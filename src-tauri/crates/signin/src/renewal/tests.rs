//! The machine's laws, by cases and by random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{Digest, Timestamp};
use proptest::prelude::*;

use super::{Effect, Input, Kept, Machine, Rules, State, Status, Who};
use crate::{FaultKind, Life, Moment, RenewFault};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    id: u32,
    life: Life,
    renewable: bool,
    uses: u8,
}

impl Kept for Token {
    fn life(&self) -> Life {
        self.life
    }
    fn renewable(&self) -> bool {
        self.renewable
    }
    fn uses(&self) -> u8 {
        self.uses
    }
    fn fingerprint(&self) -> Digest {
        Digest::of(&self.id.to_be_bytes())
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> Moment {
    Moment {
        wall: Timestamp::from_seconds(i64::try_from(seconds).unwrap()),
        boot: Duration::from_secs(seconds),
    }
}

fn token(id: u32, born: u64) -> Token {
    Token { id, life: Life::beginning(at(born), Some(HOUR)), renewable: true, uses: 0 }
}

/// Drives a machine by hand.
struct Bench {
    machine: Machine<Token, &'static str>,
    now: u64,
}

type Done = Vec<Effect<Token, &'static str>>;

impl Bench {
    fn new() -> Self {
        Self { machine: Machine::new(Rules::default()), now: 0 }
    }

    fn holding(kept: &Token) -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.feed(Input::Look), vec![Effect::Read]);
        assert_eq!(bench.feed(Input::Read(Ok(Some(kept.clone())))), vec![]);
        bench
    }

    fn feed(&mut self, input: Input<Token, &'static str>) -> Done {
        let (machine, effects) = self.machine.clone().handle(input, at(self.now));
        self.machine = machine;
        effects
    }

    fn at(&mut self, now: u64) -> &mut Self {
        self.now = now;
        self
    }
}

fn settled(who: Who, answer: Result<&Token, FaultKind>) -> Effect<Token, &'static str> {
    Effect::Settle(who, answer.cloned())
}

fn down() -> FaultKind {
    FaultKind::Unreachable("down".to_owned())
}

#[test]
fn a_first_need_reads_asks_saves_and_then_answers() {
    let mut bench = Bench::new();
    let new = token(1, 0);
    assert_eq!(bench.feed(Input::Need(Some("ask"))), vec![Effect::Read]);
    assert_eq!(
        bench.feed(Input::Read(Ok(None))),
        vec![settled(Who::Silent, Err(FaultKind::SignInNeeded)), Effect::SignIn("ask")]
    );
    assert_eq!(bench.feed(Input::Need(Some("again"))), vec![], "the second call shares the question");
    assert_eq!(bench.feed(Input::SignedIn(Ok(new.clone()))), vec![Effect::Save(new.clone())]);
    assert_eq!(bench.machine.live(at(0)), None, "not before it is durable");
    assert_eq!(bench.feed(Input::Saved(Ok(()))), vec![settled(Who::Everyone, Ok(&new))]);
    assert_eq!(bench.machine.live(at(0)), Some(&new));
}

#[test]
fn a_need_that_may_not_ask_is_told_so() {
    let mut bench = Bench::new();
    bench.feed(Input::Look);
    bench.feed(Input::Read(Ok(None)));
    assert_eq!(bench.feed(Input::Need(None)), vec![settled(Who::Waiting, Err(FaultKind::SignInNeeded))]);
}

#[test]
fn at_four_fifths_it_renews_in_the_background_and_the_old_token_serves_on() {
    let old = token(1, 0);
    let new = token(2, 2880);
    let mut bench = Bench::holding(&old);
    assert_eq!(bench.machine.until_look(at(0)), Some(Duration::from_secs(2880)));
    assert_eq!(bench.at(2879).feed(Input::Look), vec![]);
    assert_eq!(bench.at(2880).feed(Input::Look), vec![Effect::Renew(old.clone(), 1)]);
    assert_eq!(bench.feed(Input::Look), vec![], "one renewal at a time");
    assert_eq!(bench.feed(Input::Need(None)), vec![settled(Who::Waiting, Ok(&old))]);
    assert_eq!(bench.feed(Input::Renewed(Ok(new.clone()))), vec![Effect::Save(new.clone())]);
    assert_eq!(bench.feed(Input::Need(None)), vec![], "waits until the new one is durable");
    assert_eq!(bench.feed(Input::Saved(Ok(()))), vec![settled(Who::Waiting, Ok(&new))]);
}

#[test]
fn a_renewal_that_was_not_done_is_tried_again_with_growing_pauses() {
    let old = token(1, 0);
    let mut bench = Bench::holding(&old);
    let mut pauses = vec![];
    bench.at(2880);
    for _ in 0..9 {
        assert_eq!(bench.feed(Input::Look), vec![Effect::Renew(old.clone(), 1)]);
        bench.feed(Input::Renewed(Err(RenewFault::NotDone(down()))));
        let pause = bench.machine.until_look(at(bench.now)).unwrap().as_secs();
        assert_eq!(bench.feed(Input::Look), vec![], "not before the pause is over");
        pauses.push(pause);
        bench.now += pause;
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    assert_eq!(
        bench.machine.status(at(2881)),
        Status::SignedIn { kept: old, usable: true, trouble: Some(down()) },
        "the state is kept while the server is away"
    );
}

#[test]
fn once_what_was_in_the_way_may_be_gone_it_is_tried_at_once_and_the_pauses_are_short_again() {
    let old = token(1, 0);
    let mut bench = Bench::holding(&old);
    let fails = |bench: &mut Bench| {
        bench.feed(Input::Renewed(Err(RenewFault::NotDone(down()))));
        bench.machine.until_look(at(bench.now)).unwrap().as_secs()
    };
    bench.at(2880);
    for _ in 0..4 {
        assert_eq!(bench.feed(Input::Look), vec![Effect::Renew(old.clone(), 1)]);
        bench.now += fails(&mut bench);
    }
    bench.feed(Input::Look);
    assert_eq!(fails(&mut bench), 80);
    bench.machine = bench.machine.clone().undaunted();
    assert_eq!(bench.feed(Input::Look), vec![Effect::Renew(old.clone(), 1)], "while it rests");
    bench.now += fails(&mut bench);
    bench.feed(Input::Look);
    bench.machine = bench.machine.clone().undaunted();
    assert_eq!(fails(&mut bench), 5, "while it was under way");
}

#[test]
fn a_lost_answer_is_tried_once_more_at_the_end_of_life_and_then_a_person_is_asked() {
    let old = token(1, 0);
    let mut bench = Bench::holding(&old);
    bench.at(2880).feed(Input::Look);
    bench.feed(Input::Renewed(Err(RenewFault::Unknown(down()))));
    assert_eq!(bench.at(3300).feed(Input::Look), vec![], "not again in the background");
    assert_eq!(bench.feed(Input::Need(Some("a"))), vec![settled(Who::Waiting, Ok(&old))]);
    assert_eq!(bench.at(3600).feed(Input::Need(Some("a"))), vec![Effect::Renew(old, 2)]);
    assert_eq!(
        bench.feed(Input::Renewed(Err(RenewFault::Unknown(down())))),
        vec![settled(Who::Silent, Err(FaultKind::SignInNeeded)), Effect::SignIn("a")]
    );
}

#[test]
fn a_crash_during_renewal_leaves_one_more_use() {
    let mut old = token(1, 0);
    old.uses = 1;
    let mut bench = Bench::holding(&old);
    assert_eq!(bench.at(2900).feed(Input::Look), vec![], "not in the background");
    assert_eq!(bench.at(3600).feed(Input::Need(None)), vec![Effect::Renew(old, 2)]);
    bench.feed(Input::Renewed(Err(RenewFault::Unknown(down()))));
    assert_eq!(
        bench.at(3700).feed(Input::Need(None)),
        vec![settled(Who::Waiting, Err(FaultKind::SignInNeeded))]
    );
}

#[test]
fn a_refused_renewal_forgets_the_grant_and_asks_in_the_same_call() {
    let old = token(1, 0);
    let mut bench = Bench::holding(&old);
    assert_eq!(bench.at(3600).feed(Input::Need(Some("a"))), vec![Effect::Renew(old.clone(), 1)]);
    assert_eq!(
        bench.feed(Input::Renewed(Err(RenewFault::Ended("invalid_grant".to_owned())))),
        vec![Effect::Erase { kept: old, revoke: false }]
    );
    assert_eq!(
        bench.feed(Input::Erased(Ok(()))),
        vec![settled(Who::Silent, Err(FaultKind::SignInNeeded)), Effect::SignIn("a")]
    );
}

#[test]
fn a_refusal_in_the_background_asks_nobody_until_somebody_needs_it() {
    let old = token(1, 0);
    let mut bench = Bench::holding(&old);
    bench.at(2880).feed(Input::Look);
    bench.feed(Input::Renewed(Err(RenewFault::Ended("invalid_grant".to_owned()))));
    assert_eq!(bench.feed(Input::Erased(Ok(()))), vec![]);
    let why = FaultKind::Ended("invalid_grant".to_owned());
    assert_eq!(bench.machine.status(at(2880)), Status::SignedOut { after: Some(why) });
}

#[test]
fn after_a_cancelled_sign_in_calls_do_not_ask_again_at_once_but_a_person_may() {
    let mut bench = Bench::new();
    bench.feed(Input::Need(Some("a")));
    bench.feed(Input::Read(Ok(None)));
    let cancelled = FaultKind::Cancelled;
    assert_eq!(
        bench.feed(Input::SignedIn(Err(cancelled.clone()))),
        vec![settled(Who::Everyone, Err(cancelled.clone()))]
    );
    let quiet = bench.at(29).feed(Input::Need(Some("a")));
    assert_eq!(quiet, vec![settled(Who::Waiting, Err(cancelled))], "no flood of windows");
    let mut by_hand = Bench { machine: bench.machine.clone(), now: 29 };
    assert!(by_hand.feed(Input::Ask("b")).contains(&Effect::SignIn("b")));
    assert!(bench.at(30).feed(Input::Need(Some("a"))).contains(&Effect::SignIn("a")));
}

#[test]
fn a_token_that_cannot_be_saved_is_not_used_and_not_lost() {
    let mut bench = Bench::new();
    let new = token(1, 0);
    let full = FaultKind::Internal("full".to_owned());
    bench.feed(Input::Need(Some("a")));
    bench.feed(Input::Read(Ok(None)));
    bench.feed(Input::SignedIn(Ok(new.clone())));
    assert_eq!(bench.feed(Input::Saved(Err(full.clone()))), vec![settled(Who::Everyone, Err(full.clone()))]);
    assert_eq!(bench.machine.live(at(0)), None);
    assert_eq!(bench.at(5).feed(Input::Look), vec![Effect::Save(new.clone())], "tried again by itself");
    bench.feed(Input::Saved(Err(full)));
    assert_eq!(bench.feed(Input::Need(None)), vec![Effect::Save(new.clone())], "and when it is needed");
    assert_eq!(bench.feed(Input::Saved(Ok(()))), vec![settled(Who::Waiting, Ok(&new))]);
}

#[test]
fn a_rejected_token_is_renewed_once_and_a_second_rejection_ends_it() {
    let old = token(1, 0);
    let new = token(2, 10);
    let mut bench = Bench::holding(&old);
    bench.at(10).feed(Input::Rejected(old.fingerprint()));
    assert_eq!(bench.machine.live(at(10)), None);
    assert_eq!(bench.feed(Input::Need(Some("a"))), vec![Effect::Renew(old.clone(), 1)]);
    bench.feed(Input::Renewed(Ok(new.clone())));
    assert_eq!(bench.feed(Input::Saved(Ok(()))), vec![settled(Who::Waiting, Ok(&new))]);
    assert_eq!(bench.feed(Input::Rejected(old.fingerprint())), vec![], "the old one is of no interest");
    assert_eq!(
        bench.at(12).feed(Input::Rejected(new.fingerprint())),
        vec![Effect::Erase { kept: new, revoke: false }]
    );
}

#[test]
fn a_rejection_while_renewing_takes_the_old_token_away() {
    let old = token(1, 0);
    let mut bench = Bench::holding(&old);
    bench.at(2880).feed(Input::Look);
    bench.feed(Input::Rejected(old.fingerprint()));
    assert_eq!(bench.feed(Input::Need(None)), vec![], "waits for the new one");
}

#[test]
fn signing_out_while_renewing_waits_for_the_answer_and_revokes_what_came() {
    let old = token(1, 0);
    let new = token(2, 2880);
    let mut bench = Bench::holding(&old);
    bench.at(2880).feed(Input::Look);
    assert_eq!(bench.feed(Input::SignOut), vec![]);
    assert_eq!(bench.feed(Input::Renewed(Ok(new.clone()))), vec![Effect::Save(new.clone())]);
    assert_eq!(bench.feed(Input::Saved(Ok(()))), vec![Effect::Erase { kept: new, revoke: true }]);
    assert_eq!(
        bench.feed(Input::Erased(Ok(()))),
        vec![settled(Who::Everyone, Err(FaultKind::Cancelled)), Effect::SignedOut(Ok(()))]
    );
    assert_eq!(bench.machine.status(at(2880)), Status::SignedOut { after: None });
}

#[test]
fn a_sign_out_that_could_not_erase_is_seen() {
    let old = token(1, 0);
    let full = FaultKind::Internal("full".to_owned());
    let mut bench = Bench::holding(&old);
    assert_eq!(bench.feed(Input::SignOut), vec![Effect::Erase { kept: old.clone(), revoke: true }]);
    assert_eq!(bench.feed(Input::Erased(Err(full.clone()))), vec![Effect::SignedOut(Err(full))]);
    assert_eq!(bench.machine.live(at(0)), Some(&old));
}

#[test]
fn a_sign_in_by_hand_keeps_what_was_held_if_it_fails() {
    let old = token(1, 0);
    let mut bench = Bench::holding(&old);
    assert_eq!(bench.feed(Input::Ask("b")), vec![settled(Who::Silent, Ok(&old)), Effect::SignIn("b")]);
    assert_eq!(bench.machine.live(at(0)), Some(&old));
    bench.feed(Input::SignedIn(Err(FaultKind::Cancelled)));
    assert_eq!(bench.machine.live(at(0)), Some(&old));
}

#[test]
fn a_locked_vault_is_told_and_read_again_at_the_next_need() {
    let mut bench = Bench::new();
    let locked = FaultKind::Internal("locked".to_owned());
    bench.feed(Input::Need(None));
    assert_eq!(
        bench.feed(Input::Read(Err(locked.clone()))),
        vec![settled(Who::Everyone, Err(locked.clone()))]
    );
    assert_eq!(bench.machine.status(at(0)), Status::SignedOut { after: Some(locked) });
    assert_eq!(bench.feed(Input::Need(None)), vec![Effect::Read]);
}

#[test]
fn what_is_held_is_read_again_when_its_place_changes() {
    let old = token(1, 0);
    let mut bench = Bench::holding(&old);
    assert_eq!(bench.feed(Input::Reload), vec![Effect::Read]);
    assert_eq!(bench.machine.live(at(0)), None);
    bench.feed(Input::Read(Ok(None)));
    assert!(matches!(bench.machine.state(), State::SignedOut(_)));
}

/// What the world does next in a random history.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Need { ask: bool },
    Ask,
    RejectCurrent,
    SignOut,
    Reload,
    Pass { seconds: u64 },
    Finish { how: u8 },
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => any::<bool>().prop_map(|ask| Turn::Need { ask }),
        1 => Just(Turn::Ask),
        1 => Just(Turn::RejectCurrent),
        1 => Just(Turn::SignOut),
        1 => Just(Turn::Reload),
        3 => (0_u64..4000).prop_map(|seconds| Turn::Pass { seconds }),
        6 => any::<u8>().prop_map(|how| Turn::Finish { how }),
    ]
}

/// Plays the keeper, the vault, the server and the person, and checks the laws at each step.
struct World {
    bench: Bench,
    operation: Option<Effect<Token, &'static str>>,
    /// Waiting calls: may ask, by hand.
    waiting: Vec<Who>,
    signing_out: usize,
    disk: Option<Token>,
    durable: BTreeSet<u32>,
    unknown: BTreeMap<u32, u32>,
    ended: BTreeSet<u32>,
    next: u32,
}

impl World {
    fn new() -> Self {
        let disk = Some(Token { id: 1, ..token(1, 0) });
        Self {
            bench: Bench::new(),
            operation: None,
            waiting: vec![],
            signing_out: 0,
            disk,
            durable: BTreeSet::from([1]),
            unknown: BTreeMap::new(),
            ended: BTreeSet::new(),
            next: 2,
        }
    }

    fn feed(&mut self, input: Input<Token, &'static str>) {
        let effects = self.bench.feed(input);
        for effect in effects {
            self.effect(effect);
        }
        let now = at(self.bench.now);
        if let Some(live) = self.bench.machine.live(now) {
            assert!(self.durable.contains(&live.id), "a token is live before it is durable");
        }
    }

    fn effect(&mut self, effect: Effect<Token, &'static str>) {
        match effect {
            Effect::Settle(who, answer) => {
                if let Ok(token) = &answer {
                    assert!(self.durable.contains(&token.id), "a token is given out before it is durable");
                }
                self.waiting.retain(|how| match who {
                    Who::Silent => *how != Who::Silent,
                    Who::Waiting => *how == Who::Everyone,
                    Who::Everyone => false,
                });
            }
            Effect::SignedOut(_) => self.signing_out = 0,
            Effect::Withdraw => {
                assert!(matches!(self.operation, Some(Effect::SignIn(_))));
                self.operation = None;
            }
            work @ (Effect::Read
            | Effect::SignIn(_)
            | Effect::Renew(..)
            | Effect::Save(_)
            | Effect::Erase { .. }) => {
                assert!(
                    self.operation.is_none(),
                    "two operations at a time: {:?} and {work:?}",
                    self.operation
                );
                if let Effect::Renew(token, use_number) = &work {
                    assert!(!self.ended.contains(&token.id), "a refused refresh token is sent again");
                    assert!(
                        self.unknown.get(&token.id).is_none_or(|n| *n < 2),
                        "sent after two lost answers"
                    );
                    // What the place does first: the use is noted on disk.
                    let noted = self.disk.as_mut().filter(|disk| disk.id == token.id);
                    noted.into_iter().for_each(|disk| disk.uses = *use_number);
                }
                self.operation = Some(work);
            }
        }
    }

    fn fresh(&mut self) -> Token {
        let id = self.next;
        self.next += 1;
        Token { id, ..token(id, self.bench.now) }
    }

    fn finish(&mut self, how: u8) {
        let Some(operation) = self.operation.take() else { return };
        let bad = how.is_multiple_of(4);
        let full = || FaultKind::Internal("full".to_owned());
        let input = match operation {
            Effect::Read if bad => Input::Read(Err(full())),
            Effect::Read => Input::Read(Ok(self.disk.clone())),
            Effect::SignIn(_) if bad => Input::SignedIn(Err(FaultKind::Cancelled)),
            Effect::SignIn(_) => Input::SignedIn(Ok(self.fresh())),
            Effect::Renew(kept, _) => match how % 5 {
                0 => {
                    *self.unknown.entry(kept.id).or_default() += 1;
                    Input::Renewed(Err(RenewFault::Unknown(down())))
                }
                1 => {
                    self.ended.insert(kept.id);
                    Input::Renewed(Err(RenewFault::Ended("invalid_grant".to_owned())))
                }
                2 => Input::Renewed(Err(RenewFault::NotDone(down()))),
                _ => {
                    self.ended.insert(kept.id);
                    Input::Renewed(Ok(self.fresh()))
                }
            },
            Effect::Save(_) if bad => Input::Saved(Err(full())),
            Effect::Save(kept) => {
                self.durable.insert(kept.id);
                self.disk = Some(kept);
                Input::Saved(Ok(()))
            }
            Effect::Erase { .. } if bad => Input::Erased(Err(full())),
            Effect::Erase { .. } => {
                self.disk = None;
                Input::Erased(Ok(()))
            }
            Effect::Withdraw | Effect::Settle(..) | Effect::SignedOut(_) => unreachable!("no operation"),
        };
        self.feed(input);
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Need { ask } => {
                self.waiting.push(if ask { Who::Waiting } else { Who::Silent });
                self.feed(Input::Need(ask.then_some("call")));
            }
            Turn::Ask => {
                self.waiting.push(Who::Everyone);
                self.feed(Input::Ask("person"));
            }
            Turn::RejectCurrent => {
                if let Some(live) = self.bench.machine.live(at(self.bench.now)).cloned() {
                    self.feed(Input::Rejected(live.fingerprint()));
                }
            }
            Turn::SignOut => {
                self.signing_out += 1;
                self.feed(Input::SignOut);
            }
            Turn::Reload => self.feed(Input::Reload),
            Turn::Pass { seconds } => {
                self.bench.now += seconds;
                self.feed(Input::Look);
            }
            Turn::Finish { how } => self.finish(how),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_laws_hold_in_every_history(turns in proptest::collection::vec(turn(), 0..60)) {
        let mut world = World::new();
        for turn in turns {
            world.turn(turn);
        }
        // Everything under way ends well; then nobody is left waiting.
        for _ in 0..20 {
            world.finish(3);
        }
        prop_assert!(world.operation.is_none());
        prop_assert_eq!(world.waiting, vec![]);
        prop_assert_eq!(world.signing_out, 0);
    }
}
