//! `POST /v1/broker/{connector}/mcp`: a call with a shared credential, in MCP 2026-07-28.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use mcp::assistant::{
    Answer, Asked as Question, Declared, Headers, Incoming, Request, ServerFace, ToolEntry, read,
};
use mcp::{List, Method as Effect, RpcError};
use model::{ConnectorId, ForPerson as _};
use org_protocol::{BROKER_CONTEXT_HEADER, BrokerContext};

use super::{Fault, Shared};
use crate::broker::{Asked, BrokerFault};

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
    let Question { id, dialect, request, .. } = match read(&Headers::read(&headers), &body) {
        Ok(Incoming::Request(question)) if question.dialect.is_stateless() => question,
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
    let live = published.of(caller.device);
    let policy = live.policy().halted_by(plane.stopped.now());
    let asked = Asked {
        live,
        policy: &policy,
        connector: &connector,
        context: &context,
        subject: &caller.subject,
        device: caller.device,
    };
    let answer = match request {
        Request::Effect(params) if params.method() == Effect::CallTool => {
            match plane.broker.call(&plane, &asked, &params).await? {
                Ok(result) => Answer::result(dialect, id, &result),
                Err(error) => Answer::passed_error(dialect, id, &error),
            }
        }
        Request::List { list: List::Tools, .. } => {
            let entries: Vec<ToolEntry> = plane.broker.listed(&asked, plane.clock.now());
            let entries = entries.iter().map(|tool| &*tool.definition);
            Answer::list(dialect, id, List::Tools, entries, Duration::ZERO)
        }
        Request::Discover => {
            let title = live.content().connectors.get(&connector).map_or("", |spec| spec.title.as_str());
            let version = env!("CARGO_PKG_VERSION");
            let declared = Declared::default();
            let name = connector.as_str();
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
    };
    Ok(written(answer))
}

fn written(answer: Answer) -> Response {
    (answer.status, [(CONTENT_TYPE, "application/json")], answer.body).into_response()
}

impl From<BrokerFault> for Fault {
    fn from(fault: BrokerFault) -> Self {
        let status = match &fault {
            BrokerFault::NotBrokered(_) => StatusCode::NOT_FOUND,
            BrokerFault::Denied(_) | BrokerFault::Stopped(_) => StatusCode::FORBIDDEN,
            BrokerFault::PolicyExpired | BrokerFault::Journal(_) | BrokerFault::Busy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            BrokerFault::Credential { .. } | BrokerFault::Upstream { .. } => StatusCode::BAD_GATEWAY,
            BrokerFault::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        tracing::info!(%fault, "a brokered call has no answer");
        Self::new(status, fault.advice())
    }
}
