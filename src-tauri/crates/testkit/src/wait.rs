//! Waiting for conditions.

use std::time::Duration;

use tokio::time::Instant;

use crate::PeerFault;

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

/// A port of 127.0.0.1 that was free a moment ago, for programs that cannot choose one themselves.
///
/// # Errors
/// If none is free.
pub fn free_port() -> Result<u16, PeerFault> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// A free port of 127.0.0.1 below those that the system gives to outgoing connections: it stays free while the program
/// that keeps it is down.
///
/// # Errors
/// If none is found.
pub fn lasting_port() -> Result<u16, PeerFault> {
    for _ in 0..100 {
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes)
            .map_err(|fault| PeerFault::answer("random numbers", fault.to_string()))?;
        let port = 20_000 + u16::from_le_bytes(bytes) % 12_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(PeerFault::answer("ports", "none is free"))
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
}
