//! What waits between two attempts, when the machine wakes or is in the network again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use model::{BoxFuture, Subject};
use org::{OrgFault, Transport};
use reqwest::{Request, Response};

use crate::harness::{Desktop, SignedIn};

/// A server that is away, and how often it was asked.
#[derive(Default)]
struct Away(AtomicUsize);

impl Away {
    fn asked(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Transport for Away {
    fn carry(&self, _: Request) -> BoxFuture<'_, Result<Response, OrgFault>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Err(OrgFault::NotReached("there is no network".to_owned())) })
    }
}

/// Lets time pass, by steps, until the server is asked once more; how much passed. What is not a matter of time, such as a
/// disk, has a moment at each step.
async fn until_asked(away: &Away, step: Duration) -> Duration {
    let (before, mut passed) = (away.asked(), Duration::ZERO);
    while away.asked() == before {
        assert!(passed < Duration::from_secs(60 * 60), "it is never asked again");
        tokio::time::advance(step).await;
        std::thread::sleep(Duration::from_millis(5));
        tokio::task::yield_now().await;
        passed += step;
    }
    passed
}

// The vault works beside the runtime, so time does not pass by itself.
#[tokio::test(start_paused = true)]
async fn a_session_that_was_tried_for_long_is_tried_at_once_and_its_pauses_begin_anew() {
    let away = Arc::new(Away::default());
    let desktop = Desktop::astray(Arc::clone(&away) as _).await;
    let signed_in = SignedIn {
        subject: Subject::local("alice"),
        token: "an ID token".to_owned().into(),
        nonce: Some(desktop.org.nonce().await.expect("a nonce")),
    };
    let org = desktop.org.clone();
    let keeping = tokio::spawn(async move { org.keep_session(Arc::new(signed_in), |_| ()).await });
    for _ in 0..10 {
        until_asked(&away, Duration::from_secs(1)).await;
    }
    let waited = until_asked(&away, Duration::from_secs(1)).await;
    assert!(waited > Duration::from_secs(25), "by now a pause lasts half a minute at least: {waited:?}");

    desktop.org.again().now();
    let waited = until_asked(&away, Duration::from_millis(1)).await;
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    let waited = until_asked(&away, Duration::from_millis(100)).await;
    assert!(waited < Duration::from_secs(20), "the pauses begin anew: {waited:?}");
    keeping.abort();
}
