//! The virtual servers' endpoint: token, message, method.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use issuer::{AccessGrant, TokenFault};
use mcp::assistant::{self, Answer, Asked, Dialect, Headers, Incoming, Notification, Refusal, Request};
use mcp::{CallParams, Filter, Method, RpcError};
use model::ServerId;
use serde_json::value::RawValue;

use crate::call::{Reply, call};
use crate::end::End;
use crate::gate::Gate;
use crate::outlet::Outlet;
use crate::present::presented;
use crate::respond::respond;
use crate::search::{self, Turned};
use crate::voice::Voice;
use crate::wanted::unknown as unknown_target;
use crate::{lists, streams};

/// Who calls, or the answer that sends them to the authorization server. Comes before every other check, because
/// assistants find the authorization server by it.
pub(crate) fn caller(
    gate: &Gate,
    server: &ServerId,
    headers: &HeaderMap,
) -> Result<Arc<AccessGrant>, Box<Response>> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let outcome = match token {
        Some(token) => gate.issuer.introspect(token, &gate.issuer.resource(server), gate.clock.now()),
        None => Err(TokenFault::Missing),
    };
    outcome.map_err(|fault| {
        let challenge = gate.issuer.challenge(server, fault);
        let text = format!("{fault}\n");
        Box::new((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], text).into_response())
    })
}

/// Answers one POST of an assistant whose token is good.
pub(crate) async fn post(
    gate: &Arc<Gate>,
    grant: Arc<AccessGrant>,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let protocol = Headers::read(headers);
    let incoming = match assistant::read(&protocol, &body) {
        Ok(incoming) => incoming,
        Err(refusal) => return json(Answer::refusal(&refusal)),
    };
    let end = match session(gate, &grant, &incoming, protocol.session) {
        Ok(end) => end,
        Err(gone) => return json(gone),
    };
    match (incoming, end) {
        (Incoming::Request(asked), end) => request(gate, grant, headers, asked, end).await,
        (Incoming::Response(response), Some(end)) => {
            end.answer(&response);
            StatusCode::ACCEPTED.into_response()
        }
        (Incoming::Notification(Notification::Cancelled(id)), Some(end)) => {
            end.cancel(&id);
            StatusCode::ACCEPTED.into_response()
        }
        (Incoming::Notification(_) | Incoming::Response(_), _) => StatusCode::ACCEPTED.into_response(),
    }
}

/// Ends the session that the headers name.
pub(crate) fn end(gate: &Gate, grant: &AccessGrant, headers: &HeaderMap) -> Response {
    match Headers::read(headers).session {
        None => (StatusCode::BAD_REQUEST, "The request names no session.\n").into_response(),
        Some(id) if gate.sessions.end(grant, id, gate.clock.now()) => StatusCode::NO_CONTENT.into_response(),
        Some(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Opens the stream of notices that a GET asks for, in the session that the headers name.
pub(crate) fn notices(gate: &Arc<Gate>, grant: Arc<AccessGrant>, headers: &HeaderMap) -> Response {
    let end = match Headers::read(headers).session {
        None => None,
        Some(id) => match gate.sessions.find(&grant, id, gate.clock.now()) {
            Some(end) => Some(end),
            None => return StatusCode::NOT_FOUND.into_response(),
        },
    };
    streams::notices(gate, grant, end.as_ref())
}

/// The session that a message belongs to; the answer when it names one that is none. Requests that stand alone have no
/// session, whatever they say.
fn session(
    gate: &Gate,
    grant: &AccessGrant,
    incoming: &Incoming<'_>,
    id: Option<&str>,
) -> Result<Option<Arc<End>>, Answer> {
    let needs_none = match incoming {
        Incoming::Request(asked) => {
            asked.dialect.is_stateless() || matches!(asked.request, Request::Initialize { .. })
        }
        Incoming::Notification(_) | Incoming::Response(_) => false,
    };
    let Some(id) = id.filter(|_| !needs_none) else { return Ok(None) };
    match gate.sessions.find(grant, id, gate.clock.now()) {
        Some(end) => Ok(Some(end)),
        None => Err(no_session(incoming)),
    }
}

fn no_session(incoming: &Incoming<'_>) -> Answer {
    let id = match incoming {
        Incoming::Request(asked) => asked.id.get(),
        Incoming::Notification(_) | Incoming::Response(_) => "null",
    };
    Answer::refusal(&Refusal {
        status: StatusCode::NOT_FOUND,
        id: id.to_owned(),
        error: RpcError::new(RpcError::INVALID_REQUEST, "There is no such session. Begin a new one."),
    })
}

async fn request(
    gate: &Arc<Gate>,
    grant: Arc<AccessGrant>,
    headers: &HeaderMap,
    asked: Asked<'_>,
    end: Option<Arc<End>>,
) -> Response {
    let Asked { id, mut dialect, means, request } = asked;
    if let (Some(end), false) = (&end, headers.contains_key("mcp-protocol-version")) {
        dialect = end.dialect;
    }
    let opened = if let Request::Initialize { revision, capabilities } = &request {
        gate.sessions.open(&grant, *revision, capabilities, gate.clock.now())
    } else {
        None
    };
    let outlet = if takes_events(headers) { Outlet::frames() } else { Outlet::Closed };
    let voice = Voice::new(dialect, means, end, outlet.clone());
    // Within a session a request can be cancelled by its id.
    if let (Request::Effect(_), true) = (&request, voice.end.is_some() || voice.speaks()) {
        return speaking(gate, grant, headers, id, request.into_owned(), voice, outlet).await;
    }
    match answer(gate, &grant, Some(headers), id, request, &voice).await {
        Answered::Now(answer) => {
            let session = opened.and_then(|id| HeaderValue::from_str(&id).ok());
            let mut response = json(answer);
            if let Some(session) = session {
                response.headers_mut().insert("mcp-session-id", session);
            }
            response
        }
        Answered::Notices(filter) => streams::subscription(gate, grant, id, &filter, &voice).await,
    }
}

/// Answers a request that may have something to say before its end.
async fn speaking(
    gate: &Arc<Gate>,
    grant: Arc<AccessGrant>,
    headers: &HeaderMap,
    id: &RawValue,
    request: Request<'static>,
    voice: Voice,
    outlet: Outlet,
) -> Response {
    let (gate, id) = (Arc::clone(gate), id.to_owned());
    // In sessions they repeat nothing that would have to be compared.
    let headers = voice.dialect.is_stateless().then(|| headers.clone());
    let begun = voice.end.as_ref().map(|end| end.begins(&id));
    let work = async move {
        let answered = async {
            match answer(&gate, &grant, headers.as_ref(), &id, request, &voice).await {
                Answered::Now(answer) => Some(answer),
                Answered::Notices(_) => None,
            }
        };
        match &begun {
            None => answered.await,
            Some(begun) => tokio::select! {
                answer = answered => answer,
                () = begun.cancelled() => None,
            },
        }
    };
    respond(Box::pin(work), outlet).await
}

/// Whether a stream of events is accepted as an answer.
fn takes_events(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/event-stream") || value.contains("*/*"))
}

/// How a request is answered, whatever it came by.
pub(crate) enum Answered {
    /// With this.
    Now(Answer),
    /// With a stream of notices of what this names.
    Notices(Filter),
}

/// Answers one request of an assistant that was let in. `headers` are those that it came with, where it came by HTTP.
pub(crate) async fn answer(
    gate: &Arc<Gate>,
    grant: &Arc<AccessGrant>,
    headers: Option<&HeaderMap>,
    id: &RawValue,
    request: Request<'_>,
    voice: &Voice,
) -> Answered {
    let dialect = voice.dialect;
    let answer = match request {
        Request::Effect(params) if params.method() == Method::Unsubscribe => {
            if let Some(followed) = voice.followed() {
                followed.leave(params.name());
            }
            Answer::pong(id)
        }
        Request::Effect(params) => effect(gate, grant, headers, id, &params, voice).await,
        Request::List { list, cursor } => {
            lists::answer(gate, grant, dialect, id, list, cursor.as_deref()).await
        }
        Request::Initialize { revision, .. } => {
            let snapshot = gate.snapshots.current();
            presented(gate, &snapshot, grant, dialect, |face| Answer::initialized(id, revision, face))
        }
        Request::Discover => {
            let snapshot = gate.snapshots.current();
            presented(gate, &snapshot, grant, dialect, |face| Answer::discovered(id, face))
        }
        Request::Ping => Answer::pong(id),
        Request::SetLevel(level) => {
            if let Some(end) = &voice.end {
                end.set_level(level);
            }
            Answer::pong(id)
        }
        Request::Listen(filter) => return Answered::Notices(filter),
        Request::Unknown(method) => unknown(dialect, id, &method),
    };
    Answered::Now(answer)
}

async fn effect(
    gate: &Arc<Gate>,
    grant: &Arc<AccessGrant>,
    headers: Option<&HeaderMap>,
    id: &RawValue,
    params: &CallParams<'_>,
    voice: &Voice,
) -> Answer {
    let dialect = voice.dialect;
    let within;
    let params = match search::turned(gate, grant, dialect, id, params).await {
        Turned::Itself => params,
        Turned::Within(call) => {
            within = call;
            &within
        }
        Turned::Answered(answer) => return answer,
    };
    match call(gate, grant, params, voice, headers).await {
        Reply::Result(result) if params.method() == Method::ReadResource => {
            Answer::content(dialect, id, &result)
        }
        Reply::Result(result) => Answer::result(dialect, id, &result),
        Reply::ConnectorError(error) => Answer::passed_error(dialect, id, &error),
        Reply::Refused(error) => Answer::error(dialect, id, &error),
        Reply::Failed(why) if params.method() == Method::CallTool => {
            Answer::result(dialect, id, &mcp::tool_error(&why))
        }
        Reply::Failed(why) => Answer::error(dialect, id, &RpcError::new(RpcError::INTERNAL, why)),
        Reply::Unknown => Answer::error(dialect, id, &unknown_target(dialect, params)),
    }
}

fn unknown(dialect: Dialect, id: &RawValue, method: &str) -> Answer {
    let error = RpcError::new(RpcError::METHOD_NOT_FOUND, format!("Unknown method: {method}"));
    Answer::error(dialect, id, &error)
}

/// The answer to a message that is too large.
pub(crate) fn too_large() -> Answer {
    Answer::refusal(&Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        id: "null".to_owned(),
        error: RpcError::new(RpcError::INVALID_REQUEST, "The message is too large."),
    })
}

/// An answer over HTTP.
pub(crate) fn json(answer: Answer) -> Response {
    (answer.status, [(header::CONTENT_TYPE, "application/json")], answer.body).into_response()
}
