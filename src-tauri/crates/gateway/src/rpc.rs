//! The virtual servers' endpoint: token, message, method.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use issuer::{AccessGrant, TokenFault};
use mcp::RpcError;
use mcp::assistant::{self, Answer, Dialect, Headers, Incoming, Refusal, Request, ServerFace};
use model::ServerId;
use serde_json::value::RawValue;

use crate::call::{Reply, call_tool, listed};
use crate::gate::Gate;
use crate::streams;

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
                Answered::Notices { tools } => streams::subscription(gate, grant, id, tools),
            }
        }
    }
}

/// How a request is answered, whatever it came by.
pub(crate) enum Answered {
    /// With this.
    Now(Answer),
    /// With a stream of change notices.
    Notices {
        /// Whether changes of the tool list are wanted.
        tools: bool,
    },
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
    let snapshot = gate.snapshots.current();
    let title = snapshot.servers.get(&grant.server).map_or("", |view| view.title.as_str());
    let face = ServerFace { name: grant.server.as_str(), title, version: env!("CARGO_PKG_VERSION") };
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
        Request::ListTools => {
            gate.discovery.listed(&grant.server).await;
            let snapshot = gate.snapshots.current();
            let tools = listed(gate, &snapshot, grant, dialect);
            let entries = tools.iter().map(|tool| &tool.entry);
            Answer::tools(dialect, id, entries, gate.config.list_fresh_for)
        }
        Request::Initialize { revision } => Answer::initialized(id, revision, face),
        Request::Discover => Answer::discovered(id, face),
        Request::Ping => Answer::pong(id),
        Request::Listen { tools } => return Answered::Notices { tools },
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
