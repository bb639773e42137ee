//! Which refused answers of an identity provider are recorded. Anybody can send one, so there is an end to it: what is left out
//! is counted, and said with the next that is recorded.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Timestamp;

/// The time within which so many are recorded.
const SPAN: Duration = Duration::from_secs(3600);
/// How many are recorded within it. People who cannot sign in are fewer, or the same one again.
const MOST: u32 = 100;

/// How many there were.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    begun: Option<Timestamp>,
    recorded: u32,
    left_out: u64,
}

impl Refusals {
    /// Counts one. If it is to be recorded, the number of those before it that were not.
    pub(crate) fn take(&self, now: Timestamp) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins anew as well.
        if counted.begun.is_none_or(|begun| now < begun || now >= begun.plus(SPAN)) {
            counted.begun = Some(now);
            counted.recorded = 0;
        }
        if counted.recorded >= MOST {
            counted.left_out += 1;
            return None;
        }
        counted.recorded += 1;
        Some(std::mem::take(&mut counted.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_answers_without_end_fill_no_journal_and_are_counted() {
        let at = Timestamp::from_seconds;
        let refusals = Refusals::default();
        let recorded = (0..1_000).filter(|_| refusals.take(at(1)).is_some()).count();
        assert_eq!(recorded, 100);
        assert_eq!(refusals.take(at(3_600)), None, "the hour is not over");
        assert_eq!(refusals.take(at(3_601)), Some(901));
        assert_eq!(refusals.take(at(3_602)), Some(0), "they are told once");
        assert_eq!(refusals.take(at(0)), Some(0), "a clock that was set back");
    }
}
