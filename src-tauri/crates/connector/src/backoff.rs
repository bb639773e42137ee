//! How long to leave a connector alone that cannot be started.

use std::time::Duration;

use model::Timestamp;

const FIRST: Duration = Duration::from_millis(500);
/// Below the half minute after which the application looks at connectors that failed, so that each look is one.
const LONGEST: Duration = Duration::from_secs(25);

/// Doubles from half a second to [`LONGEST`] with each failure in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Timestamp>,
    /// The round ([`os::Again`]) of the last failure: what was in the way then may be gone in the next.
    round: u64,
}

impl Backoff {
    pub(crate) fn failed(&mut self, now: Timestamp, round: u64) {
        if round != self.round {
            *self = Self { round, ..Self::default() };
        }
        let wait = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now.plus(wait));
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// How long it is still to be left alone; a clock that was set back does not prolong it beyond the longest wait.
    pub(crate) fn remaining(&self, now: Timestamp, round: u64) -> Option<Duration> {
        if round != self.round {
            return None;
        }
        let remaining = self.until?.since(now);
        (!remaining.is_zero() && remaining <= LONGEST).then_some(remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_end_with_success() {
        let now = Timestamp::from_seconds(1000);
        let mut backoff = Backoff::default();
        assert_eq!(backoff.remaining(now, 0), None);
        let waits: Vec<_> = (0..9)
            .map(|_| {
                backoff.failed(now, 0);
                backoff.remaining(now, 0).map(|wait| wait.as_millis())
            })
            .collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 4000, 8000, 16000, 25000, 25000, 25000].map(Some),
            "doubling, then the cap"
        );
        assert_eq!(backoff.remaining(now.plus(LONGEST), 0), None, "over");
        assert_eq!(backoff.remaining(Timestamp::from_seconds(0), 0), None, "the clock was set back");
        backoff.succeeded();
        assert_eq!(backoff.remaining(now, 0), None);
    }
}
