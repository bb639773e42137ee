//! The one owner of the application's state: takes events, hands out effects, publishes the state for those who look.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::announcer::Announcer;
use crate::effect::{Effect, Engine, Shell};
use crate::event::Event;
use crate::pending::Now;
use crate::state::AppState;

/// The state is published at most this often, so that a thousand calls a second do not cost a thousand copies.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

/// After news of a call the controller rests this long when there is no other: an assistant that makes thousands of calls a
/// second does not wake it for each, and a person does not notice.
const REST: Duration = Duration::from_millis(20);

/// How the application ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// For good.
    Quit,
    /// To begin anew: who decides here has changed.
    ToStartAnew,
}

/// Runs the controller until the person quits, who decides here has changed, or nobody can send events any more.
///
/// `published` always ends up with the last state; it may skip states in between.
pub async fn run(
    mut state: AppState,
    mut events: mpsc::UnboundedReceiver<Event>,
    published: watch::Sender<Arc<AppState>>,
    now: Now,
    shell: Arc<dyn Shell>,
    engine: Arc<dyn Engine>,
) -> Ended {
    // On a terminal everything is said, one line after the other.
    let mut announcer = state.desktop.then(Announcer::default);
    let mut last_published = Instant::now();
    published.send_replace(Arc::new(state.clone()));
    let mut stale = false;
    let mut called = false;
    let ended = loop {
        if called && events.is_empty() {
            tokio::time::sleep(REST).await;
        }
        let event = tokio::select! {
            event = events.recv() => event,
            () = tokio::time::sleep_until(last_published + PUBLISH_EVERY), if stale => {
                published.send_replace(Arc::new(state.clone()));
                last_published = Instant::now();
                stale = false;
                continue;
            }
            () = until_change(&state, &now) => Some(Event::Tick),
        };
        let Some(event) = event else { break Ended::Quit };
        called = matches!(event, Event::Call(_) | Event::CallEnded { .. });
        let effects = state.handle(event, now());
        stale = true;
        if last_published.elapsed() >= PUBLISH_EVERY {
            published.send_replace(Arc::new(state.clone()));
            last_published = Instant::now();
            stale = false;
        }
        let ended = ended_by(&effects);
        let passed = |effect| match &mut announcer {
            Some(announcer) => announcer.pass(effect, now()),
            None => vec![effect],
        };
        for effect in effects.into_iter().flat_map(passed) {
            if let Effect::Order(order) = effect {
                engine.order(order);
            } else {
                shell.perform(effect);
            }
        }
        if let Some(ended) = ended {
            break ended;
        }
    };
    published.send_replace(Arc::new(state));
    ended
}

fn ended_by(effects: &[Effect]) -> Option<Ended> {
    if effects.contains(&Effect::Quit) {
        return Some(Ended::Quit);
    }
    effects.contains(&Effect::StartAnew).then_some(Ended::ToStartAnew)
}

/// Waits for the time at which the state changes by itself; for ever if there is none. Wakes at least once a minute, so
/// that a clock that was set, or a sleep of the machine, is noticed.
async fn until_change(state: &AppState, now: &Now) {
    match state.next_change() {
        Some(at) => tokio::time::sleep(at.since(now()).min(Duration::from_secs(60))).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
