//! Every route, in one place. Only the issuer's need no token (see [`issuer::Route`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, post};
use http_body_util::{BodyExt as _, Limited};
use issuer::{IssuerRequest, Route};
use model::ServerId;

use crate::gate::Gate;
use crate::guard::{Post, guard};
use crate::{rpc, streams};

/// The longest message of an assistant, in bytes.
pub(crate) const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// How long the message of an assistant that is refused is waited for.
const DISCARD_DEADLINE: Duration = Duration::from_secs(5);

/// The other end of the connection, put into each request by the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

pub(crate) fn router(gate: Arc<Gate>, port: u16) -> Router {
    let post = Arc::new(Post::new(port, Arc::clone(&gate)));
    Router::new()
        .route("/s/{server}/mcp", virtual_server())
        .fallback(any(open))
        .layer(axum::middleware::from_fn_with_state(post, guard))
        .with_state(gate)
}

fn virtual_server() -> MethodRouter<Arc<Gate>> {
    post(message).get(stream).fallback(no_such_method)
}

async fn message(State(gate): State<Arc<Gate>>, Path(server): Path<String>, request: Request) -> Response {
    let Ok(server) = server.parse::<ServerId>() else { return StatusCode::NOT_FOUND.into_response() };
    let grant = match rpc::caller(&gate, &server, request.headers()) {
        Ok(grant) => grant,
        Err(challenge) => {
            discard(request.into_body()).await;
            return *challenge;
        }
    };
    if !is_json(request.headers()) {
        discard(request.into_body()).await;
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Messages are application/json.\n").into_response();
    }
    let (parts, body) = request.into_parts();
    match bounded(body, BODY_LIMIT).await {
        Some(body) => rpc::post(&gate, grant, &parts.headers, body).await,
        None => rpc::json(rpc::too_large()),
    }
}

async fn stream(State(gate): State<Arc<Gate>>, Path(server): Path<String>, headers: HeaderMap) -> Response {
    let Ok(server) = server.parse::<ServerId>() else { return StatusCode::NOT_FOUND.into_response() };
    match rpc::caller(&gate, &server, &headers) {
        Ok(grant) => streams::notices(&gate, grant),
        Err(challenge) => *challenge,
    }
}

/// There are no sessions to delete; but who has no token learns only that.
async fn no_such_method(
    State(gate): State<Arc<Gate>>,
    Path(server): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Ok(server) = server.parse::<ServerId>() else { return StatusCode::NOT_FOUND.into_response() };
    match rpc::caller(&gate, &server, &headers) {
        Ok(_) => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, POST")]).into_response(),
        Err(challenge) => *challenge,
    }
}

/// The authorization server, which is open by its nature; everything else does not exist.
async fn open(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let Some(route) = Route::of(request.uri().path()) else { return StatusCode::NOT_FOUND.into_response() };
    let peer = match (&route, request.extensions().get::<Ends>().copied()) {
        (Route::Token, Some(ends)) => {
            let looked_up =
                tokio::task::spawn_blocking(move || os::owner_of_connection(ends.peer, ends.local));
            looked_up.await.ok().flatten()
        }
        _ => None,
    };
    let (parts, body) = request.into_parts();
    let text = |name: HeaderName| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
    };
    let Some(body) = bounded(body, Route::BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request = IssuerRequest {
        route,
        method: parts.method.to_string(),
        query: parts.uri.query().map(ToOwned::to_owned),
        content_type: text(header::CONTENT_TYPE),
        authorization: text(header::AUTHORIZATION),
        body: body.to_vec(),
        peer,
    };
    let answer = gate.issuer.handle(request).await;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Takes what an assistant that is refused has still to send: a connection with an unread rest is closed, but the
/// assistant was told nothing of that and asks on it for the way in.
async fn discard(body: Body) {
    let mut body = Limited::new(body, BODY_LIMIT);
    let taken = async { while let Some(Ok(_)) = body.frame().await {} };
    // Whoever does not send in time loses the connection.
    let _late = tokio::time::timeout(DISCARD_DEADLINE, taken).await;
}

async fn bounded(body: Body, limit: usize) -> Option<Bytes> {
    Limited::new(body, limit).collect().await.ok().map(|collected| collected.to_bytes())
}
