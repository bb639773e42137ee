//! Several control planes on one database: what one of them changed, the others take up within a second, and pass on to the
//! desktops that are connected to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Digest;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::server::Plane;
use crate::store::{Database, Held, Progress, StoreFault};

/// How often the database is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// After how many looks this control plane says again that it runs.
const SAY: u32 = 10;
/// How long the database may take for each step of it.
const KEPT_WITHIN: Duration = Duration::from_secs(5);

/// Follows the others, and keeps them away from what is this one's alone, until the server ends.
pub(crate) fn begin(
    plane: &Arc<Plane>,
    setup: Digest,
    database: Database,
    held: Arc<Mutex<Held>>,
) -> [JoinHandle<()>; 2] {
    let following = tokio::spawn(follow(Arc::clone(plane), setup));
    [following, tokio::spawn(keep_away(Arc::clone(plane), database, held))]
}

/// Keeps others away from what is this one's alone, until the server ends. What the others change does not wait for it.
async fn keep_away(plane: Arc<Plane>, database: Database, held: Arc<Mutex<Held>>) {
    let mut stopping = plane.stopping.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK * SAY) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        match held.lock().await.keep(&database, plane.own, KEPT_WITHIN).await {
            Ok(is_kept) => {
                // Whoever has the same id writes the same records: nobody is to come here any more.
                plane.is_twice.store(!is_kept, Ordering::Relaxed);
                if !is_kept {
                    tracing::error!(
                        "another control plane uses this one's id: its data directory was copied"
                    );
                }
            }
            Err(fault) => tracing::error!(%fault, "others are not kept away"),
        }
    }
}

/// Follows the others until the server ends.
async fn follow(plane: Arc<Plane>, setup: Digest) {
    let mut stopping = plane.stopping.clone();
    let mut known = Progress::default();
    let mut silent = 0;
    loop {
        match take_up(&plane, known).await {
            Ok(progress) => known = progress,
            Err(fault) => tracing::error!(%fault, "what other control planes changed is not known"),
        }
        silent += 1;
        if silent >= SAY {
            silent = 0;
            match plane.store.join(plane.own, setup, plane.clock.now()).await {
                Ok(true) => {}
                Ok(false) => tracing::error!("another control plane on this database is set up differently"),
                Err(fault) => tracing::error!(%fault, "others do not know that this control plane runs"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Takes up what has changed. Where that fails it is tried again with the next look.
async fn take_up(plane: &Plane, known: Progress) -> Result<Progress, StoreFault> {
    let progress = plane.store.progress().await?;
    if progress.events != known.events {
        plane.stopped.refresh(&plane.store).await?;
        plane.publication.refresh().await?;
        plane.review.ask();
    }
    if progress.credentials != known.credentials {
        let stored = plane.store.credentials().await?;
        plane.broker.keep_only(&stored);
        plane.credentials.keep_only(&stored);
        plane.review.ask();
    }
    // Desktops hear of it last: what they ask for then is there.
    if progress != known {
        plane.store.changed_elsewhere();
    }
    Ok(progress)
}
