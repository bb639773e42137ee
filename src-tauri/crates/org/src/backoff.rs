//! Pauses between attempts: longer each time, and never all devices at once.

use std::time::Duration;

/// Pauses that grow.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// From one second to one minute.
    pub(crate) fn usual() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(60))
    }

    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// It worked: the next pause is the first again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next pause: between half and all of what it could be at most.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = (self.next * 2).min(self.longest);
        let mut random = [0; 1];
        // Without random numbers all devices pause alike, which is no reason not to pause.
        let _ = getrandom::fill(&mut random);
        whole / 2 + whole.mul_f64(f64::from(random[0]) / 512.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_begin_anew() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 4 * second);
        for longest in [1, 2, 4, 4] {
            let pause = backoff.next();
            assert!(pause >= second * longest / 2 && pause <= second * longest, "{pause:?} of {longest}");
        }
        backoff.reset();
        assert!(backoff.next() <= second);
    }
}
