//! How old a token is, on a machine that sleeps and whose clock is set.

use std::time::Duration;

use model::Timestamp;
use os::Clock;

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, which may jump.
    pub wall: Timestamp,
    /// Time since the machine started, counting suspend; it only runs forwards.
    pub boot: Duration,
}

impl Moment {
    /// Reads `clock`.
    pub fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), boot: clock.boot_time() }
    }
}

/// The life of a token: when it came and how long it lasts.
///
/// Its age is counted by the boot clock while the process that received it lives, so that setting the wall clock changes
/// nothing. After a restart only the wall clock is left; if that shows a time before the token came, its age is
/// unknown and the token counts as used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    received: Timestamp,
    boot: Option<Duration>,
    lasts: Option<Duration>,
}

impl Life {
    /// Begins now. `lasts` is `None` where the server did not say (RFC 6749, section 5.1, `expires_in`).
    pub fn beginning(now: Moment, lasts: Option<Duration>) -> Self {
        Self { received: now.wall, boot: Some(now.boot), lasts }
    }

    /// As read back from disk.
    pub fn remembered(received: Timestamp, lasts: Option<Duration>) -> Self {
        Self { received, boot: None, lasts }
    }

    /// When the token came.
    pub fn received(&self) -> Timestamp {
        self.received
    }

    /// How long it lasts, as the server said.
    pub fn lasts(&self) -> Option<Duration> {
        self.lasts
    }

    /// When it ends by the wall clock.
    pub fn expires(&self) -> Option<Timestamp> {
        self.lasts.map(|lasts| self.received.plus(lasts))
    }

    /// Whether it can still be used: not within its last tenth, at most ten seconds, so that it does not end on its way.
    pub fn usable(&self, now: Moment) -> bool {
        self.lasts.is_none_or(|lasts| {
            let margin = (lasts / 10).min(Duration::from_secs(10));
            self.age(now).is_some_and(|age| age < lasts.saturating_sub(margin))
        })
    }

    /// How long until 80 % of the life is over, but at least five seconds after it began: zero when it is time to renew,
    /// `None` when it never is.
    pub fn until_due(&self, now: Moment) -> Option<Duration> {
        let lasts = self.lasts?;
        let due = (lasts * 4 / 5).max(Duration::from_secs(5));
        Some(self.age(now).map_or(Duration::ZERO, |age| due.saturating_sub(age)))
    }

    fn age(&self, now: Moment) -> Option<Duration> {
        match self.boot {
            Some(boot) => now.boot.checked_sub(boot),
            None if now.wall < self.received => None,
            None => Some(now.wall.since(self.received)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(wall: i64, boot: u64) -> Moment {
        Moment { wall: Timestamp::from_seconds(wall), boot: Duration::from_secs(boot) }
    }

    #[test]
    fn renewal_is_due_at_four_fifths_and_use_ends_shortly_before_the_end() {
        let life = Life::beginning(at(1000, 50), Some(HOUR));
        assert_eq!(life.until_due(at(1000, 50)), Some(Duration::from_secs(2880)));
        assert_eq!(life.until_due(at(3880, 2930)), Some(Duration::ZERO));
        assert!(life.usable(at(4589, 50 + 3589)));
        assert!(!life.usable(at(4590, 50 + 3590)));
        assert_eq!(life.expires(), Some(Timestamp::from_seconds(4600)));
    }

    #[test]
    fn setting_the_clock_changes_nothing_while_the_process_lives() {
        let life = Life::beginning(at(1000, 50), Some(HOUR));
        for wall in [-5_000_000, 0, 9_000_000] {
            assert!(life.usable(at(wall, 60)), "ten seconds have passed, whatever the wall clock shows");
            assert!(!life.usable(at(wall, 50 + 3600)), "an hour has passed, whatever the wall clock shows");
        }
    }

    #[test]
    fn after_a_restart_a_clock_that_was_set_back_means_unknown_age() {
        let life = Life::remembered(Timestamp::from_seconds(1000), Some(HOUR));
        assert!(life.usable(at(1010, 3)));
        assert!(!life.usable(at(990, 3)), "the token seems to come from the future");
        assert_eq!(life.until_due(at(990, 3)), Some(Duration::ZERO));
    }

    #[test]
    fn a_life_without_an_end_is_never_due() {
        let life = Life::beginning(at(0, 0), None);
        assert!(life.usable(at(1 << 40, 1 << 40)));
        assert_eq!(life.until_due(at(0, 0)), None);
    }
}
