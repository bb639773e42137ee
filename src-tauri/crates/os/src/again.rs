//! Ends the pauses between attempts where there is a reason to try at once: the computer has woken, or is in the network
//! again.

use std::time::Duration;

use tokio::sync::watch;

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
        Hearing(self.0.subscribe())
    }
}

/// Hears when to try again.
#[derive(Debug)]
pub struct Hearing(watch::Receiver<u64>);

impl Hearing {
    /// Waits for a call since the last one that was heard, so also for one that came during an attempt.
    pub async fn called(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could call.
            std::future::pending().await
        }
    }

    /// Pauses for so long, or until there is a call; whether there was one.
    pub async fn pause(&mut self, longest: Duration) -> bool {
        tokio::time::timeout(longest, self.called()).await.is_ok()
    }
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
    }
}
