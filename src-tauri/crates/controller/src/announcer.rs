//! What of the notifications is really raised: questions that wait together are announced together, and nobody is told the same
//! thing again and again. What is left out is in the tray and in the window all the same.
//!
//! When to be silent is the desktop's to know ("do not disturb"): every notification is of ordinary urgency, which it holds back.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use model::Timestamp;

use crate::effect::{Effect, Notice, Place};
use crate::pending::PendingId;

/// At most so many in [`WHILE`].
const MOST: usize = 6;
const WHILE: Duration = Duration::from_secs(60);
/// What was said is not said again for so long.
const SAME: Duration = Duration::from_secs(10 * 60);
/// Under which id several questions are announced. No question's id has a blank.
const SEVERAL: &str = "several questions";

/// Lets notifications pass, puts them together, or leaves them out.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    /// The questions that are announced and wait still.
    waiting: BTreeSet<PendingId>,
    /// Whether they are announced together.
    together: bool,
    /// What was raised lately.
    raised: VecDeque<(Timestamp, Notice)>,
}

impl Announcer {
    /// What becomes of an effect. Other effects pass.
    pub(crate) fn pass(&mut self, effect: Effect, now: Timestamp) -> Vec<Effect> {
        if let Effect::Notify(notice) = effect {
            match notice.about.clone().filter(|_| notice.stays()) {
                Some(id) => self.asked(id, notice, now),
                None => self.raise(notice, now).into_iter().collect(),
            }
        } else if let Effect::Withdraw(id) = effect {
            self.withdrawn(id)
        } else {
            vec![effect]
        }
    }

    fn asked(&mut self, id: PendingId, notice: Notice, now: Timestamp) -> Vec<Effect> {
        let is_known = self.waiting.contains(&id);
        self.waiting.insert(id.clone());
        if self.together {
            return Vec::new();
        }
        if self.waiting.len() == 1 || is_known {
            return self.raise(notice, now).into_iter().collect();
        }
        let Some(together) = self.raise(several(), now) else { return Vec::new() };
        self.together = true;
        let alone = self.waiting.iter().filter(|other| **other != id).cloned().map(Effect::Withdraw);
        alone.chain([together]).collect()
    }

    fn withdrawn(&mut self, id: PendingId) -> Vec<Effect> {
        self.waiting.remove(&id);
        let mut effects = vec![Effect::Withdraw(id)];
        if self.together && self.waiting.is_empty() {
            self.together = false;
            effects.push(Effect::Withdraw(PendingId::typed(SEVERAL)));
        }
        effects
    }

    fn raise(&mut self, notice: Notice, now: Timestamp) -> Option<Effect> {
        let is_within = |at: Timestamp, span: Duration| now < at.plus(span) && at <= now;
        self.raised.retain(|(at, _)| is_within(*at, SAME));
        // A question that waits is another one each time, though it reads the same.
        let is_repeated = notice.about.is_none() && self.raised.iter().any(|(_, before)| *before == notice);
        let lately = self.raised.iter().filter(|(at, _)| is_within(*at, WHILE)).count();
        if is_repeated || lately >= MOST {
            tracing::info!(is_repeated, "a notification was left out");
            return None;
        }
        self.raised.push_back((now, notice.clone()));
        Some(Effect::Notify(notice))
    }
}

fn several() -> Notice {
    let about = Some(PendingId::typed(SEVERAL));
    Notice { about, ..Notice::new(say::notice_several(), say::notice_several_what(), Place::Pending) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn question(id: &str) -> Effect {
        let about = Some(PendingId::typed(id));
        let title = format!("Question {id}");
        Effect::Notify(Notice { about, ..Notice::new(title, String::new(), Place::Pending) })
    }

    fn fault(title: &str) -> Effect {
        Effect::Notify(Notice::new(title.to_owned(), String::new(), Place::Overview))
    }

    fn withdraw(id: &str) -> Effect {
        Effect::Withdraw(PendingId::typed(id))
    }

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn questions_that_wait_together_are_announced_together_until_the_last_is_answered() {
        let mut announcer = Announcer::default();
        assert_eq!(announcer.pass(question("a"), NOW), [question("a")]);
        assert_eq!(announcer.pass(question("b"), NOW), [withdraw("a"), Effect::Notify(several())]);
        for id in ["c", "d", "a"] {
            assert_eq!(announcer.pass(question(id), NOW), [], "it says already that there are several");
        }
        for id in ["a", "b", "d"] {
            assert_eq!(announcer.pass(withdraw(id), NOW), [withdraw(id)]);
        }
        assert_eq!(announcer.pass(withdraw("c"), NOW), [withdraw("c"), withdraw(SEVERAL)]);
        assert_eq!(announcer.pass(question("e"), NOW), [question("e")], "alone again");
    }

    #[test]
    fn whoever_asks_and_gives_up_without_end_is_heard_a_few_times_a_minute() {
        let mut announcer = Announcer::default();
        let mut heard = 0;
        for number in 0..100 {
            let id = number.to_string();
            heard += announcer.pass(question(&id), NOW).len();
            announcer.pass(withdraw(&id), NOW);
        }
        assert_eq!(heard, MOST);
        assert_eq!(announcer.pass(question("later"), after(61)), [question("later")]);
    }

    #[test]
    fn the_first_of_several_questions_stays_where_no_more_may_be_said() {
        let mut announcer = Announcer::default();
        for number in 1..MOST {
            announcer.pass(fault(&number.to_string()), NOW);
        }
        assert_eq!(announcer.pass(question("a"), NOW), [question("a")]);
        assert_eq!(announcer.pass(question("b"), NOW), [], "and the first is not taken away for nothing");
        assert_eq!(
            announcer.pass(question("c"), after(61)),
            [withdraw("a"), withdraw("b"), Effect::Notify(several())]
        );
    }

    #[test]
    fn a_fault_that_comes_and_goes_is_told_once_in_a_while() {
        let mut announcer = Announcer::default();
        assert_eq!(announcer.pass(fault("Your keychain is locked."), NOW).len(), 1);
        assert_eq!(announcer.pass(fault("Your keychain is locked."), after(300)), []);
        assert_eq!(announcer.pass(fault("Your disk is full."), after(300)).len(), 1);
        assert_eq!(announcer.pass(fault("Your keychain is locked."), after(601)).len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_silences_nobody() {
        let mut announcer = Announcer::default();
        assert_eq!(announcer.pass(fault("Your keychain is locked."), after(100_000)).len(), 1);
        assert_eq!(announcer.pass(fault("Your keychain is locked."), NOW).len(), 1);
    }

    #[test]
    fn everything_else_passes() {
        let mut announcer = Announcer::default();
        assert_eq!(announcer.pass(Effect::Quit, NOW), [Effect::Quit]);
        assert_eq!(announcer.pass(withdraw("unknown"), NOW), [withdraw("unknown")]);
    }
}
