//! The virtual servers' endpoint: token, message, method.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use issuer::{AccessGrant, TokenFault};
use mcp::assistant::{self, Answer, Dialect, Headers, Incoming, Refusal, Request};
use mcp::{Filter, RpcError};
use model::ServerId;
use serde_json::value::RawValue;

use crate::call::{Reply, call_tool};
use crate::gate::Gate;
use crate::present::presented;
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
    match assistant::read(&Headers::read(headers), &body) {
        Err(refusal) => json(Answer::refusal(&refusal)),
        Ok(Incoming::Notification | Incoming::Response) => StatusCode::ACCEPTED.into_response(),
        Ok(Incoming::Request { id, dialect, request }) => {
            match answer(gate, &grant, Some(headers), id, dialect, request).await {
                Answered::Now(answer) => json(answer),
                Answered::Notices(filter) => streams::subscription(gate, grant, id, &filter),
            }
        }
    }
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
    gate: &Gate,
    grant: &AccessGrant,
    headers: Option<&HeaderMap>,
    id: &RawValue,
    dialect: Dialect,
    request: Request<'_>,
) -> Answered {
    let answer = match request {
        Request::CallTool(params) => match call_tool(gate, grant, &params, dialect, headers).await {
            Reply::Result(result) => Answer::result(dialect, id, &result),
            Reply::ConnectorError(error) => Answer::passed_error(id, &error),
            Reply::Refused(error) => Answer::error(dialect, id, &error),
            Reply::UnknownTool => {
                let text = format!("Unknown tool: {}", params.name());
                Answer::error(dialect, id, &RpcError::new(RpcError::INVALID_PARAMS, text))
            }
        },
        Request::List { list, cursor } => {
            lists::answer(gate, grant, dialect, id, list, cursor.as_deref()).await
        }
        Request::Initialize { revision } => {
            let snapshot = gate.snapshots.current();
            presented(gate, &snapshot, grant, dialect, |face| Answer::initialized(id, revision, face))
        }
        Request::Discover => {
            let snapshot = gate.snapshots.current();
            presented(gate, &snapshot, grant, dialect, |face| Answer::discovered(id, face))
        }
        Request::Ping => Answer::pong(id),
        Request::Listen(filter) => return Answered::Notices(filter),
        Request::Unknown(method) => {
            let error = RpcError::new(RpcError::METHOD_NOT_FOUND, format!("Unknown method: {method}"));
            Answer::error(dialect, id, &error)
        }
    };
    Answered::Now(answer)
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
