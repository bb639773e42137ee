//! Every route, in one place. Only the issuer's need no token (see [`issuer::Route`]), and those to a sign-in, which are one
//! themselves.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, get, post};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use issuer::{IssuerRequest, Route};
use model::ServerId;

use crate::gate::{Gate, Visit};
use crate::guard::{Post, guard};
use crate::peer::Peer;
use crate::rpc;

/// The longest message of an assistant, in bytes.
pub(crate) const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// A message must have arrived within this time: connections are few, and nobody may keep them with half a message.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// How long the message of an assistant that is refused is waited for.
const DISCARD_DEADLINE: Duration = Duration::from_secs(5);

/// Why a message was not read.
enum BodyFault {
    TooLarge,
    Late,
    Broken,
}

pub(crate) fn router(gate: Arc<Gate>, port: u16) -> Router {
    let post = Arc::new(Post::new(port, Arc::clone(&gate)));
    Router::new()
        .route("/s/{server}/mcp", virtual_server())
        .route(&format!("{VISIT}{{name}}"), get(visit).fallback(async || StatusCode::NOT_FOUND))
        .fallback(any(open))
        .layer(axum::middleware::from_fn_with_state(post, guard))
        .with_state(gate)
}

/// Where addresses begin at which a person goes on with a sign-in. What follows is the only token that is needed: nobody can
/// guess it, and it is good for being shown one sign-in.
pub(crate) const VISIT: &str = "/sign-in/";

async fn visit(State(gate): State<Arc<Gate>>, Path(name): Path<String>) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];
    match gate.visits.visit(&name) {
        Some(Visit::Shown) => (headers, "The sign-in is open on your desktop. You can close this page.\n").into_response(),
        Some(Visit::Page(url)) => {
            (StatusCode::FOUND, headers, [(header::LOCATION, url.to_string())]).into_response()
        }
        None => (
            StatusCode::NOT_FOUND,
            headers,
            "Nothing waits here any more: the sign-in is done, was cancelled or took too long. Ask the assistant to try again.\n",
        )
            .into_response(),
    }
}

fn virtual_server() -> MethodRouter<Arc<Gate>> {
    post(message).get(stream).delete(end).fallback(no_such_method)
}

async fn message(
    State(gate): State<Arc<Gate>>,
    Extension(peer): Extension<Arc<Peer>>,
    Path(server): Path<String>,
    request: Request,
) -> Response {
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
    if is_coded(request.headers()) {
        discard(request.into_body()).await;
        return coded();
    }
    let (parts, body) = request.into_parts();
    match bounded(&parts.headers, body, BODY_LIMIT).await {
        Ok(body) => rpc::post(&gate, peer.with(grant).await, &parts.headers, body).await,
        Err(BodyFault::TooLarge) => rpc::json(rpc::too_large()),
        Err(fault) => unread(&fault),
    }
}

async fn stream(
    State(gate): State<Arc<Gate>>,
    Extension(peer): Extension<Arc<Peer>>,
    Path(server): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Ok(server) = server.parse::<ServerId>() else { return StatusCode::NOT_FOUND.into_response() };
    match rpc::caller(&gate, &server, &headers) {
        Ok(grant) => rpc::notices(&gate, peer.with(grant).await, &headers),
        Err(challenge) => *challenge,
    }
}

/// Ends a session.
async fn end(State(gate): State<Arc<Gate>>, Path(server): Path<String>, headers: HeaderMap) -> Response {
    let Ok(server) = server.parse::<ServerId>() else { return StatusCode::NOT_FOUND.into_response() };
    match rpc::caller(&gate, &server, &headers) {
        Ok(grant) => rpc::end(&gate, &grant, &headers),
        Err(challenge) => *challenge,
    }
}

/// Who has no token learns only that.
async fn no_such_method(
    State(gate): State<Arc<Gate>>,
    Path(server): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Ok(server) = server.parse::<ServerId>() else { return StatusCode::NOT_FOUND.into_response() };
    match rpc::caller(&gate, &server, &headers) {
        Ok(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "DELETE, GET, HEAD, POST")]).into_response()
        }
        Err(challenge) => *challenge,
    }
}

/// The authorization server, which is open by its nature; everything else does not exist.
async fn open(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let Some(route) = Route::of(request.uri().path()) else { return StatusCode::NOT_FOUND.into_response() };
    if is_coded(request.headers()) {
        discard(request.into_body()).await;
        return coded();
    }
    let peer = match (&route, request.extensions().get::<Arc<Peer>>().map(Arc::clone)) {
        (Route::Token, Some(peer)) => peer.program().await,
        _ => None,
    };
    let (parts, body) = request.into_parts();
    let text = |name: HeaderName| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
    };
    let body = match bounded(&parts.headers, body, Route::BODY_LIMIT).await {
        Ok(body) => body,
        Err(fault) => return unread(&fault),
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

/// Whether the message is encoded in a way (RFC 9110, section 8.4) that is not undone here: a few bytes could become
/// any number of them.
fn is_coded(headers: &HeaderMap) -> bool {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    !headers.get_all(header::CONTENT_ENCODING).iter().all(plain)
}

fn coded() -> Response {
    let headers = [(header::ACCEPT_ENCODING, "identity")];
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, headers, "Messages are not compressed.\n").into_response()
}

fn unread(fault: &BodyFault) -> Response {
    match fault {
        BodyFault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        BodyFault::Late => {
            (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")], "The message did not arrive.\n")
                .into_response()
        }
        BodyFault::Broken => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Takes what an assistant that is refused has still to send, and keeps none of it: a connection with an unread rest is
/// closed, but the assistant was told nothing of that and asks on it for the way in; and who is still sending when the
/// connection is closed never reads the answer.
async fn discard(mut body: Body) {
    let taken = async { while let Some(Ok(_)) = body.frame().await {} };
    // Whoever does not send in time loses the connection.
    let _late = tokio::time::timeout(DISCARD_DEADLINE, taken).await;
}

async fn bounded(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, BodyFault> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > limit {
        // Who asks before sending need not send at all.
        if !headers.contains_key(header::EXPECT) {
            discard(body).await;
        }
        return Err(BodyFault::TooLarge);
    }
    let read = Limited::new(&mut body, limit).collect();
    match tokio::time::timeout(BODY_DEADLINE, read).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(body).await;
            Err(BodyFault::TooLarge)
        }
        Ok(Err(_)) => Err(BodyFault::Broken),
        Err(_) => Err(BodyFault::Late),
    }
}
