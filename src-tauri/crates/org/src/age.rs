//! How much time has passed for what ages, whatever the wall clock says. A clock that is set back while nobody answers makes no
//! policy younger: time is counted on from the latest that was shown, also over suspends and restarts.
//!
//! It is no proof of the time. A clock that was ahead for a while makes things age too fast until the organisation publishes something
//! that was never seen here, which takes the clock at its word: whoever answers for it with what is old cannot.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Timestamp;
use org_protocol::CLOCK_SKEW;
use os::Clock;
use serde::{Deserialize, Serialize};
use vault::{Kind, Vault};

/// The key in the vault.
const KEPT: &str = "latest";
const FORMAT: u32 = 1;
/// How old what is kept may be: so much is lost where the program is killed.
const KEEP_EVERY: Duration = Duration::from_secs(15 * 60);

/// The latest time that is known to have been, on both clocks.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Timestamp,
    boot: Duration,
}

#[derive(Default)]
pub(crate) struct Age {
    mark: Mutex<Option<Mark>>,
    kept: Mutex<Option<Timestamp>>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    at: Timestamp,
}

impl Age {
    /// Takes up what was known when the program ended.
    pub(crate) async fn resume(&self, vault: &Vault, clock: &dyn Clock) {
        let stored = match vault.get(Kind::Ratchet, KEPT).await {
            Ok(stored) => stored,
            Err(fault) => {
                tracing::warn!(%fault, "the latest time that was known cannot be read");
                return;
            }
        };
        let kept = stored.and_then(|stored| serde_json::from_slice::<Kept>(stored.expose_secret()).ok());
        if let Some(Kept { at, .. }) = kept.filter(|kept| kept.format == FORMAT) {
            self.set(at, clock);
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        }
    }

    /// The organisation has signed something new: the clock is taken at its word.
    pub(crate) fn contact(&self, clock: &dyn Clock) {
        self.set(clock.now(), clock);
    }

    /// The time by which things age: the wall clock's, or later.
    pub(crate) fn now(&self, clock: &dyn Clock) -> Timestamp {
        let (wall, boot) = (clock.now(), clock.boot_time());
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = mark.map_or(wall, |mark| mark.at.plus(boot.saturating_sub(mark.boot)));
        let at = counted.max(wall);
        *mark = Some(Mark { at, boot });
        at
    }

    /// By how much the wall clock is behind; nothing within what clocks may differ by.
    pub(crate) fn set_back(&self, clock: &dyn Clock) -> Option<Duration> {
        let behind = self.now(clock).since(clock.now());
        (behind > CLOCK_SKEW).then_some(behind)
    }

    /// Keeps what is known for the next start, where that is worth it.
    pub(crate) async fn keep(&self, vault: &Vault, clock: &dyn Clock) {
        let at = self.now(clock);
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let is_near = |kept: Timestamp| at.since(kept) < KEEP_EVERY && kept.since(at) < KEEP_EVERY;
            if kept.is_some_and(is_near) {
                return;
            }
            *kept = Some(at);
        }
        let json = serde_json::to_vec(&Kept { format: FORMAT, at }).unwrap_or_default();
        if let Err(fault) = vault.put(Kind::Ratchet, KEPT, &json).await {
            tracing::warn!(%fault, "the latest time that is known is not kept");
        }
    }

    fn set(&self, at: Timestamp, clock: &dyn Clock) {
        let mark = Mark { at, boot: clock.boot_time() };
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
    }
}

#[cfg(test)]
mod tests {
    use os::ManualClock;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_seconds(hours * 3600)
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_younger() {
        let clock = ManualClock::new(at(100));
        let age = Age::default();
        assert_eq!((age.now(&clock), age.set_back(&clock)), (at(100), None), "nothing is known yet");
        age.contact(&clock);
        clock.set(at(50));
        clock.advance(HOUR);
        assert_eq!(age.now(&clock), at(101));
        assert_eq!(age.set_back(&clock), Some(HOUR * 50));
        // Forward it is taken at its word.
        clock.set(at(120));
        assert_eq!((age.now(&clock), age.set_back(&clock)), (at(120), None));
        clock.set(at(110));
        assert_eq!((age.now(&clock), age.set_back(&clock)), (at(120), Some(HOUR * 10)), "and back again");
        // And something new of the organisation puts it right.
        clock.set(at(90));
        age.contact(&clock);
        assert_eq!((age.now(&clock), age.set_back(&clock)), (at(90), None));
    }

    #[test]
    fn small_corrections_are_not_remarked_upon() {
        let clock = ManualClock::new(at(100));
        let age = Age::default();
        age.contact(&clock);
        clock.set(Timestamp::from_seconds(100 * 3600 - 299));
        assert_eq!(age.set_back(&clock), None);
    }
}
