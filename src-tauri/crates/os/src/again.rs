//! Ends the pauses between attempts where there is a reason to try at once: the computer has woken, or is in the network
//! again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Calls upon everything that waits to try once more. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Again(watch::Sender<u64>);

impl Again {
    /// Whoever pauses tries at once.
    pub fn now(&self) {
        self.0.send_modify(|round| *round = round.wrapping_add(1));
    }

    /// A number that is another after each call: what was made in an earlier round may be of no use any more.
    pub fn round(&self) -> u64 {
        *self.0.borrow()
    }

    /// Hears of each call from now on.
    pub fn hear(&self) -> Hearing {
        Hearing { calls: self.0.subscribe(), due: None }
    }
}

/// Calls come in twos and threes: the computer wakes, the network is there, then the internet. They are heard as one, so long after
/// the first at least, and so much later at most that a thousand computers behind one switch do not all try at the same moment.
const GATHER: Duration = Duration::from_millis(500);
const SPREAD: Duration = Duration::from_millis(1500);

/// Hears when to try again.
#[derive(Debug)]
pub struct Hearing {
    calls: watch::Receiver<u64>,
    /// When the calls that came are heard.
    due: Option<Instant>,
}

impl Hearing {
    /// Waits for a call since the last one that was heard, so also for one that came during an attempt, and for those that follow
    /// it. Dropped before that, it loses none.
    pub async fn called(&mut self) {
        if self.due.is_none() && self.calls.changed().await.is_err() {
            // Nobody is left who could call.
            std::future::pending().await
        }
        let due = *self.due.get_or_insert_with(|| Instant::now() + GATHER + spread());
        tokio::time::sleep_until(due).await;
        self.due = None;
        self.calls.mark_unchanged();
    }

    /// Pauses for so long, or until there is a call; whether there was one.
    pub async fn pause(&mut self, longest: Duration) -> bool {
        tokio::time::timeout(longest, self.called()).await.is_ok()
    }
}

/// Somewhere within [`SPREAD`].
fn spread() -> Duration {
    let mut random = [0; 1];
    // Without random numbers all computers try alike, which is no reason not to try.
    let _ = getrandom::fill(&mut random);
    SPREAD.mul_f64(f64::from(random[0]) / 256.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60 * 60);

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_the_pause_that_there_is_or_the_next_one_and_no_other() {
        let again = Again::default();
        let mut hearing = again.hear();
        let before = again.round();
        assert!(!hearing.pause(Duration::from_secs(1)).await, "nobody called");
        again.clone().now();
        assert_ne!(again.round(), before);
        assert!(hearing.pause(LONG).await, "a call during the attempt is heard after it");
        let (called, ()) = tokio::join!(hearing.pause(LONG), async { again.now() });
        assert!(called);
        assert!(!hearing.pause(LONG).await, "it was heard already");
        again.now();
        assert!(!hearing.pause(GATHER / 2).await, "more may follow");
        again.now();
        assert!(hearing.pause(LONG).await, "which are heard as one");
        assert!(!hearing.pause(LONG).await);
    }
}
