//! Waiting for conditions.

use std::fs::TryLockError;
use std::time::Duration;

use tokio::time::Instant;

use crate::PeerFault;
use crate::place::scratch;

/// Asks `condition` again and again until it gives a value.
///
/// # Errors
/// [`PeerFault::Deadline`] when `deadline` has passed.
pub async fn until<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> Result<T, PeerFault> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition().await {
            return Ok(value);
        }
        if Instant::now() >= end {
            return Err(PeerFault::Deadline {
                what: what.to_owned(),
                seconds: deadline.as_secs(),
                log: String::new(),
            });
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

/// A port of 127.0.0.1 that nobody listens at, kept for this process until it ends: for programs that cannot choose one
/// themselves, and for those that come back to theirs. The system gives none of these to a connection, and no other test
/// gets the same one meanwhile.
///
/// # Errors
/// If none is found.
pub fn free_port() -> Result<u16, PeerFault> {
    for _ in 0..100 {
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes)
            .map_err(|fault| PeerFault::answer("random numbers", fault.to_string()))?;
        let port = 20_000 + u16::from_le_bytes(bytes) % 12_000;
        if keep(port)? && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(PeerFault::answer("ports", "none is free"))
}

/// Takes the lock of a port until this process ends; false where another one has it.
fn keep(port: u16) -> Result<bool, PeerFault> {
    let lock = match std::fs::File::create(scratch()?.join(format!("port-{port}"))) {
        Ok(lock) => lock,
        // Another user's.
        Err(fault) if fault.kind() == std::io::ErrorKind::PermissionDenied => return Ok(false),
        Err(fault) => return Err(fault.into()),
    };
    match lock.try_lock() {
        Ok(()) => {
            std::mem::forget(lock);
            Ok(true)
        }
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(fault)) => Err(fault.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_ends_the_waiting() {
        let mut asked = 0;
        let value = until("the third time", Duration::from_secs(60), async || {
            asked += 1;
            (asked == 3).then_some("there")
        })
        .await;
        assert_eq!(value.expect("in time"), "there");
    }

    #[tokio::test]
    async fn a_condition_that_stays_false_names_itself() {
        let fault = until("nothing", Duration::ZERO, async || None::<()>).await.expect_err("never true");
        assert!(matches!(fault, PeerFault::Deadline { what, .. } if what == "nothing"));
    }

    #[test]
    fn a_port_is_given_once_and_lies_below_those_of_connections() {
        let port = free_port().expect("a port");
        assert!(port < 32_768, "{port}");
        assert!(!keep(port).expect("a lock that can be tried"));
        let other = free_port().expect("another port");
        assert_ne!(port, other);
    }
}
