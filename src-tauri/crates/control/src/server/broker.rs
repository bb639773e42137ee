//! `POST /v1/broker/{connector}/mcp`: a call with a shared credential, in MCP 2026-07-28.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use mcp::assistant::{
    Answer, Asked as Question, Declared, Headers, Incoming, Request, ServerFace, ToolEntry, read,
};
use mcp::{List, Method as Effect, RpcError};
use model::{ConnectorId, ForPerson as _};
use org_protocol::{BROKER_ANSWER_EVENT, BROKER_CONTEXT_HEADER, BROKER_FAULT_EVENT, BrokerContext};
use tokio::sync::mpsc;

use super::fault::store_status;
use super::limits::peer;
use super::{Fault, Plane, Shared};
use crate::broker::{Asked, BrokerFault, Told};
use crate::trace;

pub(super) async fn call(
    State(plane): Shared,
    Path(connector): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Fault> {
    let connector: ConnectorId = connector.parse().map_err(|_| Fault::not_found())?;
    let caller = plane.caller(&method, uri.path(), &headers).await?;
    let means = match read(&Headers::read(&headers), &body) {
        Ok(Incoming::Request(question)) if question.dialect.is_stateless() => question.means,
        Ok(Incoming::Request(_)) => return Err(Fault::bad_request("MCP 2026-07-28 is spoken here")),
        Ok(Incoming::Notification(_)) => return Ok(StatusCode::ACCEPTED.into_response()),
        Ok(Incoming::Response(_)) => return Err(Fault::bad_request("nothing was asked of this device")),
        Err(refusal) => return Ok(written(Answer::refusal(&refusal))),
    };
    let context = headers
        .get(BROKER_CONTEXT_HEADER)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| Fault::bad_request("the call's context is missing"))?;
    let context =
        BrokerContext::from_header(context).map_err(|fault| Fault::bad_request(&fault.to_string()))?;
    let published = plane.publication.live().ok_or_else(Fault::unpublished)?;
    let told = Told::of(means.progress, means.log);
    let (told, messages) = told.map_or((None, None), |(told, messages)| (Some(told), Some(messages)));
    let waits = plane.limits.call(&caller.device.to_string())?;
    let work = async move {
        let _waits = waits;
        let (live, thumbprint) = (published.of(caller.device), caller.key.thumbprint());
        let policy = live.policy().halted_by(plane.stopped.now());
        let asked = Asked {
            live,
            policy: &policy,
            connector: &connector,
            context: &context,
            subject: &caller.subject,
            device: caller.device,
            session: caller.session,
            thumbprint: &thumbprint,
            address: peer(&headers),
        };
        answered(&plane, &asked, &Headers::read(&headers), &body, told.as_ref()).await
    };
    match messages {
        None => work.await.map(written),
        Some(messages) => streamed(Work::begin(work), messages).await,
    }
}

/// Answers a request of MCP that was read before.
async fn answered(
    plane: &Plane,
    asked: &Asked<'_>,
    headers: &Headers<'_>,
    body: &[u8],
    told: Option<&Told>,
) -> Result<Answer, Fault> {
    let (id, dialect, request) = match read(headers, body) {
        Ok(Incoming::Request(Question { id, dialect, request, .. })) => (id, dialect, request),
        Ok(Incoming::Notification(_) | Incoming::Response(_)) => {
            return Err(Fault::bad_request("it is no request"));
        }
        Err(refusal) => return Ok(Answer::refusal(&refusal)),
    };
    Ok(match request {
        Request::Effect(params) if params.method() == Effect::CallTool => {
            match plane.broker.call(plane, asked, &params, told).await? {
                Ok(result) => Answer::result(dialect, id, &result),
                Err(error) => Answer::passed_error(dialect, id, &error),
            }
        }
        Request::List { list: List::Tools, .. } => {
            let entries: Vec<ToolEntry> = plane.broker.listed(asked, plane.clock.now());
            let entries = entries.iter().map(|tool| &*tool.definition);
            Answer::list(dialect, id, List::Tools, entries, Duration::ZERO)
        }
        Request::Discover => {
            let spec = asked.live.content().connectors.get(asked.connector);
            let title = spec.map_or("", |spec| spec.title.as_str());
            let version = env!("CARGO_PKG_VERSION");
            let declared = Declared::default();
            let name = asked.connector.as_str();
            Answer::discovered(
                id,
                ServerFace { name, title, version, declared: &declared, instructions: None },
            )
        }
        Request::List { list: List::Resources | List::Templates | List::Prompts, .. }
        | Request::Initialize { .. }
        | Request::Ping
        | Request::SetLevel(_)
        | Request::Effect(_)
        | Request::Listen(_)
        | Request::Unknown(_) => {
            let error = RpcError::new(RpcError::METHOD_NOT_FOUND, "this method is not served here");
            Answer::error(dialect, id, &error)
        }
    })
}

/// A call that is under way whether or not its device reads what it is told; it ends with whoever waits for it.
struct Work(tokio::task::JoinHandle<Result<Answer, Fault>>);

impl Work {
    fn begin(work: impl Future<Output = Result<Answer, Fault>> + Send + 'static) -> Self {
        Self(tokio::spawn(trace::carried(work)))
    }
}

impl Future for Work {
    type Output = Result<Answer, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|ended| ended.unwrap_or_else(|_| Err(Fault::internal())))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// As one answer where nothing is told before it, else as a stream that ends with it. Whoever hangs up ends the call.
async fn streamed(mut work: Work, mut messages: mpsc::Receiver<String>) -> Result<Response, Fault> {
    let first = tokio::select! {
        biased;
        Some(first) = messages.recv() => first,
        done = &mut work => {
            let Ok(first) = messages.try_recv() else { return done.map(written) };
            return Ok(events(futures_util::stream::iter(rest(first, &mut messages, done))));
        }
    };
    let state = Some((work, messages));
    let stream = futures_util::stream::unfold(state, async |state| {
        let (mut work, mut messages) = state?;
        let (next, state) = tokio::select! {
            biased;
            Some(message) = messages.recv() => (vec![Event::default().data(message)], Some((work, messages))),
            done = &mut work => {
                let mut last: Vec<Event> = std::iter::from_fn(|| messages.try_recv().ok()).map(|one| Event::default().data(one)).collect();
                last.push(ending(done));
                (last, None)
            }
        };
        Some((futures_util::stream::iter(next), state))
    });
    let first = futures_util::stream::iter([Event::default().data(first)]);
    Ok(events(first.chain(stream.flatten())))
}

fn rest(first: String, messages: &mut mpsc::Receiver<String>, done: Result<Answer, Fault>) -> Vec<Event> {
    let others = std::iter::from_fn(|| messages.try_recv().ok());
    let mut all: Vec<Event> =
        std::iter::once(first).chain(others).map(|one| Event::default().data(one)).collect();
    all.push(ending(done));
    all
}

/// The last event.
fn ending(done: Result<Answer, Fault>) -> Event {
    match done {
        Ok(answer) => Event::default().event(BROKER_ANSWER_EVENT).data(String::from_utf8_lossy(&answer.body)),
        Err(fault) => Event::default().event(BROKER_FAULT_EVENT).data(fault.told()),
    }
}

fn events(stream: impl Stream<Item = Event> + Send + 'static) -> Response {
    Sse::new(stream.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default()).into_response()
}

fn written(answer: Answer) -> Response {
    (answer.status, [(CONTENT_TYPE, "application/json")], answer.body).into_response()
}

impl From<BrokerFault> for Fault {
    fn from(fault: BrokerFault) -> Self {
        let status = match &fault {
            BrokerFault::NotBrokered(_) => StatusCode::NOT_FOUND,
            BrokerFault::Denied(_) | BrokerFault::Approval(_) => StatusCode::FORBIDDEN,
            BrokerFault::PolicyExpired | BrokerFault::Journal(_) | BrokerFault::Busy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            // What is withheld was done all the same, and what is broken off may have been.
            BrokerFault::Credential { .. }
            | BrokerFault::SignedOut
            | BrokerFault::Stopped(_)
            | BrokerFault::Upstream { .. }
            | BrokerFault::Withheld { .. }
            | BrokerFault::TooLarge { .. } => StatusCode::BAD_GATEWAY,
            BrokerFault::Store(fault) => store_status(fault),
        };
        tracing::info!(%fault, "a brokered call has no answer");
        Self::new(status, fault.advice())
    }
}
