//! Streams of change notices: `subscriptions/listen` (2026-07-28) and the GET stream of earlier revisions.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use issuer::AccessGrant;
use mcp::{assistant, sse};
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::gate::Gate;

/// Comments keep the connection open, and the token is checked again with each.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The stream that a `subscriptions/listen` request opens: acknowledged first, then every notice carries its id.
pub(crate) fn subscription(
    gate: &Arc<Gate>,
    grant: Arc<AccessGrant>,
    id: &RawValue,
    tools: bool,
) -> Response {
    let first = assistant::acknowledged(id, tools);
    let notice = tools.then(|| assistant::list_changed(Some(id)));
    events(gate, grant, Some(first), notice)
}

/// The stream that a GET opens in revisions with sessions.
pub(crate) fn notices(gate: &Arc<Gate>, grant: Arc<AccessGrant>) -> Response {
    events(gate, grant, None, Some(assistant::list_changed(None)))
}

struct Events {
    gate: Arc<Gate>,
    grant: Arc<AccessGrant>,
    first: Option<String>,
    notice: Option<String>,
    changes: watch::Receiver<u64>,
}

fn events(
    gate: &Arc<Gate>,
    grant: Arc<AccessGrant>,
    first: Option<String>,
    notice: Option<String>,
) -> Response {
    let changes = gate.snapshots.changes();
    let state = Events { gate: Arc::clone(gate), grant, first, notice, changes };
    let body = Body::from_stream(stream::unfold(state, |mut state| async {
        let text = state.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), state))
    }));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

impl Events {
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(sse::encode(&first));
        }
        let changed = tokio::time::timeout(KEEP_ALIVE, self.changes.changed()).await;
        if !self.is_still_welcome() {
            return None;
        }
        match (changed, &self.notice) {
            (Ok(Err(_)), _) => None,
            (Ok(Ok(())), Some(notice)) => Some(sse::encode(notice)),
            (Ok(Ok(())), None) | (Err(_), _) => Some(sse::KEEP_ALIVE.to_owned()),
        }
    }

    /// Whether the assistant may still use the virtual server. Access tokens outlive no stream: assistants come back
    /// with a fresh one.
    fn is_still_welcome(&self) -> bool {
        let now = self.gate.clock.now();
        now < self.grant.expires
            && self.gate.snapshots.current().servers.contains_key(&self.grant.server)
            && self.gate.issuer.assistants().iter().any(|assistant| {
                assistant.client_id == self.grant.client_id
                    && assistant.grants.iter().any(|grant| grant.server == self.grant.server)
            })
    }
}
