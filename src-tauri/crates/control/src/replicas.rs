//! What changed in the database is taken up here, and desktops are told of it after that: of what this control plane changed,
//! and of what others did that are on the same database, within a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Digest;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::server::Plane;
use crate::store::{Database, Held, Progress, StoreFault};

/// How often the database is looked at for what others changed.
const LOOK: Duration = Duration::from_millis(500);
/// How often this control plane says that it runs.
const SAY: Duration = Duration::from_secs(5);
/// How long the database may take for each step of it.
const KEPT_WITHIN: Duration = Duration::from_secs(5);

/// Follows what changes until the server ends. Where there may be others, keeps them away from what is this one's alone.
pub(crate) fn begin(
    plane: &Arc<Plane>,
    setup: Digest,
    database: &Database,
    held: &Arc<Mutex<Held>>,
) -> Vec<JoinHandle<()>> {
    if !matches!(database, Database::Postgres(_)) {
        return vec![tokio::spawn(follow(Arc::clone(plane), None))];
    }
    let away = keep_away(Arc::clone(plane), database.clone(), Arc::clone(held));
    vec![tokio::spawn(follow(Arc::clone(plane), Some(setup))), tokio::spawn(away)]
}

/// Keeps others away from what is this one's alone, until the server ends. What the others change does not wait for it.
async fn keep_away(plane: Arc<Plane>, database: Database, held: Arc<Mutex<Held>>) {
    let mut stopping = plane.stopping.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(SAY) => {}
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

/// Takes up each change until the server ends. `others` is how this control plane is set up, where there may be others.
async fn follow(plane: Arc<Plane>, others: Option<Digest>) {
    let mut stopping = plane.stopping.clone();
    let mut changes = plane.store.changes();
    let (mut known, mut seen) = (Progress::default(), Progress::default());
    let mut looks_at = Instant::now();
    let mut said = looks_at;
    loop {
        changes.mark_unchanged();
        let taken_up = take_up(&plane, known, others.is_some()).await;
        let is_looking = others.is_some() || taken_up.is_err();
        match taken_up {
            Ok(progress) => known = progress,
            Err(fault) => tracing::error!(%fault, "what changed in the database is not taken up"),
        }
        // Whoever waits here for what others make hears of it with the next look: of its own, this control plane has told already.
        if Instant::now() >= looks_at {
            looks_at = Instant::now() + LOOK;
            if others.is_some() && std::mem::replace(&mut seen, known) != known {
                plane.store.changed_elsewhere();
            }
        }
        if let Some(setup) = others
            && said.elapsed() >= SAY
        {
            said = Instant::now();
            say(&plane, setup).await;
        }
        tokio::select! {
            () = tokio::time::sleep_until(looks_at), if is_looking => {}
            changed = changes.changed() => if changed.is_err() { return },
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Tells the others that this control plane runs.
async fn say(plane: &Plane, setup: Digest) {
    match plane.store.join(plane.own, setup, plane.clock.now()).await {
        Ok(true) => {}
        Ok(false) => tracing::error!("another control plane on this database is set up differently"),
        Err(fault) => tracing::error!(%fault, "others do not know that this control plane runs"),
    }
}

/// Takes up what has changed. Where that fails it is tried again with the next look. Credentials that this control plane changes itself
/// need that only where there may be others: it has ended what holds the earlier ones.
async fn take_up(plane: &Plane, known: Progress, may_be_others: bool) -> Result<Progress, StoreFault> {
    let progress = plane.store.progress().await?;
    if progress.events != known.events {
        plane.stopped.refresh(&plane.store).await?;
        plane.publication.refresh().await?;
        plane.review.ask();
    }
    if may_be_others && progress.credentials != known.credentials {
        let stored = plane.store.credentials().await?;
        plane.broker.keep_only(&stored);
        plane.credentials.keep_only(&stored);
        plane.review.ask();
    }
    // Desktops hear of it last: what they ask for then is there.
    plane.told.send_if_modified(|told| std::mem::replace(told, progress.events) != progress.events);
    Ok(progress)
}
