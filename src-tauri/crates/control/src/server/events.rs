//! `GET /v1/events`: what desktops are told, as server-sent events that can be resumed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::sse::{Event as Line, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use org_protocol::{Event, EventKind, HEARTBEAT};
use tokio::sync::watch;
use tokio::time::Instant;

use super::caller::Caller;
use super::observe::Counted;
use super::{Fault, Plane, Shared};
use crate::store::StoreFault;

/// How long whoever begins waits for what has just changed to be in force.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(2);
/// How many events are read at once.
const PAGE: u32 = 100;

pub(super) async fn stream(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let caller = plane.caller(&method, uri.path(), &headers).await?;
    let stream = Follow::begin(plane, caller, last_event_id(&headers)).await?;
    let lines = Sse::new(stream.lines()).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("alive"));
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))];
    Ok((unbuffered, lines).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// One device's stream.
struct Follow {
    plane: Arc<Plane>,
    caller: Caller,
    /// The last event that was sent.
    seq: u64,
    queue: VecDeque<Event>,
    told: watch::Receiver<u64>,
    /// The stream ends with its session.
    until: Instant,
    ended: bool,
    _counted: Counted,
}

impl Follow {
    /// Goes on after `last`. Whoever begins, or names an event that never was, is told to fetch everything.
    async fn begin(plane: Arc<Plane>, caller: Caller, last: Option<u64>) -> Result<Self, Fault> {
        let told = plane.told.subscribe();
        // Another control plane may have told more already.
        let newest = plane.store.last_event().await?;
        let now = plane.clock.now();
        let left = caller.expires.since(now);
        let counted = plane.metrics.stream();
        let mut follow = Self {
            _counted: counted,
            plane,
            caller,
            seq: 0,
            queue: VecDeque::new(),
            told,
            until: Instant::now() + left.min(Duration::from_secs(86_400)),
            ended: false,
        };
        match last {
            Some(last) if last <= newest => follow.seq = last,
            Some(_) | None => {
                // Everything is what is newest now, where it is taken up in time; what comes later is told afterwards.
                let taken_up = follow.told.wait_for(|told| *told >= newest);
                let _ = tokio::time::timeout(TAKEN_UP_WITHIN, taken_up).await;
                follow.seq = *follow.told.borrow_and_update();
                follow.queue.push_back(Event { seq: follow.seq, at: now, what: EventKind::Resync });
            }
        }
        Ok(follow)
    }

    fn lines(self) -> impl Stream<Item = Result<Line, Infallible>> {
        futures_util::stream::unfold(self, async |mut follow| {
            let event = follow.next().await?;
            let line = Line::default().id(event.seq.to_string()).data(serde_json::to_string(&event).ok()?);
            Some((Ok(line), follow))
        })
    }

    async fn events_until(&self, last: u64) -> Result<Vec<Event>, StoreFault> {
        let (device, session) = (self.caller.device, self.caller.session);
        self.plane.store.events_between(self.seq, last, device, session, PAGE).await
    }

    async fn next(&mut self) -> Option<Event> {
        let mut stopping = self.plane.stopping.clone();
        loop {
            if let Some(event) = self.queue.pop_front() {
                self.seq = self.seq.max(event.seq);
                self.ended |= matches!(
                    event.what,
                    EventKind::SessionRevoked | EventKind::DeviceSuspended | EventKind::SignInEnded
                );
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let told = *self.told.borrow_and_update();
            match self.events_until(told).await {
                Ok(events) if !events.is_empty() => {
                    self.queue.extend(events);
                    continue;
                }
                // None of the others is for this one.
                Ok(_) => self.seq = self.seq.max(told),
                Err(fault) => {
                    tracing::error!(%fault, "an event stream ends");
                    return None;
                }
            }
            tokio::select! {
                changed = self.told.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.until) => return None,
                _ = stopping.wait_for(|stopping| *stopping) => return None,
            }
        }
    }
}
