//! Streams of change notices: `subscriptions/listen` (2026-07-28) and the GET stream of earlier revisions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use issuer::AccessGrant;
use mcp::assistant::acknowledged;
use mcp::{CallParams, Filter, sse};
use serde_json::value::RawValue;

use crate::call::{Reply, call};
use crate::changes::Changes;
use crate::end::End;
use crate::followed::{Followed, MOST};
use crate::gate::Gate;
use crate::respond::event_stream;
use crate::voice::Voice;

/// Comments keep the connection open, and the token is checked again with each.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The most streams that one assistant has open: each holds a connection, and the others need some too.
const MOST_STREAMS: usize = 32;

/// How many streams each assistant has open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<String, usize>>>);

/// A stream that is open, until this is dropped.
#[derive(Debug)]
struct Seat {
    streams: Streams,
    client_id: String,
}

/// The stream that a `subscriptions/listen` request opens: acknowledged first, then every notice carries its id.
pub(crate) async fn subscription(
    gate: &Arc<Gate>,
    grant: Arc<AccessGrant>,
    id: &RawValue,
    asked: &Filter,
    voice: &Voice,
) -> Response {
    let Some(seat) = gate.streams.seat(&grant.client_id) else { return full() };
    let (changes, first) = listen(gate, &grant, id, asked, voice).await;
    events(gate, grant, Some(first), changes, seat)
}

/// What a `subscriptions/listen` request is told from now on, and its acknowledgement.
pub(crate) async fn listen(
    gate: &Arc<Gate>,
    grant: &Arc<AccessGrant>,
    id: &RawValue,
    asked: &Filter,
    voice: &Voice,
) -> (Changes, String) {
    let followed: Arc<Followed> = Arc::default();
    // Before anything is asked for: what happens from then on is heard.
    let updates = followed.updates();
    let mut granted = gate
        .snapshots
        .current()
        .servers
        .get(&grant.server)
        .map(|view| view.declared().accepted(asked))
        .unwrap_or_default();
    let voice = voice.of_stream(Arc::clone(&followed));
    let mut resources = Vec::new();
    for uri in std::mem::take(&mut granted.resources).into_iter().take(MOST) {
        let params = CallParams::subscription(&uri);
        if let Reply::Result(_) = call(gate, grant, &params, &voice, None).await {
            resources.push(uri);
        }
    }
    granted.resources = resources;
    let first = acknowledged(id, &granted);
    (Changes::filtered(&gate.snapshots, &grant.server, id, granted, updates), first)
}

/// The stream that a GET opens in revisions with sessions.
pub(crate) fn notices(gate: &Arc<Gate>, grant: Arc<AccessGrant>, end: Option<&Arc<End>>) -> Response {
    let Some(seat) = gate.streams.seat(&grant.client_id) else { return full() };
    let changes = Changes::all(&gate.snapshots, &grant.server, end);
    events(gate, grant, None, changes, seat)
}

struct Events {
    gate: Arc<Gate>,
    grant: Arc<AccessGrant>,
    first: Option<String>,
    changes: Changes,
    _seat: Seat,
}

fn full() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, "Close a stream before you open another.\n").into_response()
}

fn events(
    gate: &Arc<Gate>,
    grant: Arc<AccessGrant>,
    first: Option<String>,
    changes: Changes,
    seat: Seat,
) -> Response {
    let state = Events { gate: Arc::clone(gate), grant, first, changes, _seat: seat };
    event_stream(stream::unfold(state, |mut state| async {
        let text = state.next().await?;
        Some((Ok(Bytes::from(text)), state))
    }))
}

impl Streams {
    fn seat(&self, client_id: &str) -> Option<Seat> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client_id.to_owned()).or_default();
        if *count == MOST_STREAMS {
            return None;
        }
        *count += 1;
        Some(Seat { streams: self.clone(), client_id: client_id.to_owned() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.client_id) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client_id);
            }
        }
    }
}

impl Events {
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(sse::encode(&first));
        }
        let notices = tokio::time::timeout(KEEP_ALIVE, self.changes.next()).await;
        if !self.is_still_welcome() {
            return None;
        }
        match notices {
            Ok(None) => None,
            Ok(Some(notices)) if !notices.is_empty() => {
                Some(notices.iter().map(|notice| sse::encode(notice)).collect())
            }
            Ok(Some(_)) | Err(_) => Some(sse::KEEP_ALIVE.to_owned()),
        }
    }

    /// Whether the assistant may still use the virtual server. Access tokens outlive no stream: assistants come back
    /// with a fresh one.
    fn is_still_welcome(&self) -> bool {
        self.gate.clock.now() < self.grant.expires && self.gate.welcomes(&self.grant)
    }
}
