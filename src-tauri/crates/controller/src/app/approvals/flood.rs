//! How much one assistant may have a person asked. Whoever asks for too much is not asked about for a while: a person who clicks
//! away question after question reads none of them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use model::Digest;

/// The most different questions of one assistant that wait at once.
const MOST_WAITING: usize = 5;
/// The most identical calls that wait for one answer.
const MOST_FOLDED: usize = 50;
/// The most questions of one assistant within [`WINDOW`].
const MOST_ASKED: usize = 20;
/// See [`MOST_ASKED`].
const WINDOW: Duration = Duration::from_secs(60);
/// How long nobody is asked on behalf of an assistant that asked for too much.
pub(super) const REST: Duration = Duration::from_secs(5 * 60);

/// What each assistant has asked, by its client id. Times are those of a clock that only moves forward.
#[derive(Debug, Default)]
pub(super) struct Flood(HashMap<String, Client>);

#[derive(Debug, Default)]
struct Client {
    waiting: HashMap<Digest, usize>,
    asked: VecDeque<Duration>,
    rests_until: Option<Duration>,
}

/// Whether a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admitted {
    /// They are.
    Asked,
    /// They are not, from now on and for a while.
    SuspendedNow,
    /// They are not, as before.
    Suspended,
}

impl Flood {
    /// A call wants a person to be asked; [`Self::ended`] when they have been.
    pub(super) fn ask(&mut self, client_id: &str, question: Digest, now: Duration) -> Admitted {
        self.0.retain(|_, client| !client.is_quiet(now));
        let client = self.0.entry(client_id.to_owned()).or_default();
        if client.rests(now) {
            return Admitted::Suspended;
        }
        client.asked.retain(|at| now.saturating_sub(*at) < WINDOW);
        let (waiting, folded) = (client.waiting.len(), client.waiting.get(&question).copied());
        let is_too_much = match folded {
            Some(count) => count >= MOST_FOLDED,
            None => waiting >= MOST_WAITING || client.asked.len() >= MOST_ASKED,
        };
        if is_too_much {
            client.rests_until = Some(now.saturating_add(REST));
            return Admitted::SuspendedNow;
        }
        if folded.is_none() {
            client.asked.push_back(now);
        }
        *client.waiting.entry(question).or_default() += 1;
        Admitted::Asked
    }

    /// A call waits no longer.
    pub(super) fn ended(&mut self, client_id: &str, question: Digest) {
        let Some(client) = self.0.get_mut(client_id) else { return };
        if let Some(count) = client.waiting.get_mut(&question) {
            *count -= 1;
            if *count == 0 {
                client.waiting.remove(&question);
            }
        }
    }
}

impl Client {
    fn rests(&self, now: Duration) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    fn is_quiet(&self, now: Duration) -> bool {
        let asks = self.asked.iter().any(|at| now.saturating_sub(*at) < WINDOW);
        self.waiting.is_empty() && !asks && !self.rests(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(number: usize) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn too_many_different_questions_suspend_their_assistant_alone_and_for_a_while() {
        let mut flood = Flood::default();
        for number in 0..MOST_WAITING {
            assert_eq!(flood.ask("a", question(number), at(0)), Admitted::Asked);
        }
        assert_eq!(flood.ask("a", question(0), at(0)), Admitted::Asked, "the same is one question");
        assert_eq!(flood.ask("a", question(99), at(1)), Admitted::SuspendedNow);
        assert_eq!(flood.ask("a", question(0), at(1)), Admitted::Suspended);
        assert_eq!(flood.ask("b", question(0), at(1)), Admitted::Asked);
        for number in 0..MOST_WAITING {
            flood.ended("a", question(number));
        }
        flood.ended("a", question(0));
        assert_eq!(flood.ask("a", question(1), at(1) + REST), Admitted::Asked);
    }

    #[test]
    fn questions_that_come_again_as_soon_as_they_are_answered_are_a_flood_too() {
        let mut flood = Flood::default();
        for _ in 0..MOST_ASKED {
            assert_eq!(flood.ask("a", question(0), at(0)), Admitted::Asked);
            flood.ended("a", question(0));
        }
        assert_eq!(flood.ask("a", question(0), at(59)), Admitted::SuspendedNow);
        let mut patient = Flood::default();
        for minute in 0..100 {
            assert_eq!(patient.ask("a", question(0), at(minute * 60)), Admitted::Asked);
            patient.ended("a", question(0));
        }
        assert_eq!(patient.ask("b", question(0), at(100_000)), Admitted::Asked);
        assert_eq!(patient.0.len(), 1, "what is long past is forgotten");
    }

    #[test]
    fn identical_calls_have_an_end_as_well() {
        let mut flood = Flood::default();
        for _ in 0..MOST_FOLDED {
            assert_eq!(flood.ask("a", question(0), at(0)), Admitted::Asked);
        }
        assert_eq!(flood.ask("a", question(0), at(0)), Admitted::SuspendedNow);
    }
}
