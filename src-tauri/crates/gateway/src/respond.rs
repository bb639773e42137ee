//! The answer to one POST: a JSON document, or a stream of events where there is something to say before it (MCP
//! 2025-11-25, basic/transports, "Sending Messages to the Server"; 2026-07-28 likewise).

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::Stream;
use mcp::assistant::Answer;
use mcp::sse;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::outlet::Outlet;
use crate::rpc::json;
use crate::streams::KEEP_ALIVE;

/// The rest of a request: ends with the answer, or without one when it was cancelled.
type Work = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;

/// Lets `work` go on, and answers with what it says and ends with. Nothing goes on when the assistant has gone.
pub(crate) async fn respond(mut work: Work, outlet: Outlet) -> Response {
    let mut first = None;
    let done = poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        first = outlet.take();
        match polled {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if first.is_some() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    let rest = match done.await {
        Some(Some(answer)) if first.is_none() => return json(answer),
        Some(answer) => Rest::Answer(answer),
        None => Rest::Work(work),
    };
    event_stream(Speaking { first, outlet, rest, alive: alive() })
}

/// What is still to come.
enum Rest {
    Work(Work),
    Answer(Option<Answer>),
    Nothing,
}

struct Speaking {
    first: Option<String>,
    outlet: Outlet,
    rest: Rest,
    alive: Interval,
}

/// A stream of events.
pub(crate) fn event_stream<S>(events: S) -> Response
where
    S: Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
{
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(events)).into_response()
}

/// Proxies and assistants give up connections on which nothing happens.
fn alive() -> Interval {
    let mut alive = interval_at(tokio::time::Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    alive
}

impl Speaking {
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<String>> {
        if let Some(first) = self.first.take().or_else(|| self.outlet.take()) {
            return Poll::Ready(Some(sse::encode(&first)));
        }
        if let Rest::Work(work) = &mut self.rest {
            if let Poll::Ready(answer) = work.as_mut().poll(cx) {
                self.rest = Rest::Answer(answer);
            }
            if let Some(said) = self.outlet.take() {
                return Poll::Ready(Some(sse::encode(&said)));
            }
        }
        match std::mem::replace(&mut self.rest, Rest::Nothing) {
            Rest::Nothing | Rest::Answer(None) => Poll::Ready(None),
            Rest::Answer(Some(answer)) => {
                let line = String::from_utf8(answer.into_line()).unwrap_or_default();
                Poll::Ready(Some(sse::encode(&line)))
            }
            working @ Rest::Work(_) => {
                self.rest = working;
                self.alive.poll_tick(cx).map(|_| Some(sse::KEEP_ALIVE.to_owned()))
            }
        }
    }
}

impl Stream for Speaking {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.next(cx).map(|said| said.map(|text| Ok(Bytes::from(text))))
    }
}
