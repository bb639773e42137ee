//! What anybody may read: the signed documents, where to find them, and whether the server is well.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Fault, Plane, Shared};
use crate::author::MANIFEST_PATH;

/// May change at any time: asked for again with `If-None-Match`.
const CHANGING: &str = "no-cache";
/// Named by version or content: never changes.
const FIXED: &str = "public, max-age=31536000, immutable";

/// `GET /v1/manifest.json`
pub(super) async fn manifest(State(plane): Shared, headers: HeaderMap) -> Result<Response, Fault> {
    document(&plane, &headers, MANIFEST_PATH, CHANGING).await
}

/// `GET /v1/root/{version}.json`
pub(super) async fn root(
    State(plane): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    document(&plane, &headers, &format!("v1/root/{name}"), FIXED).await
}

/// `GET /v1/bundles/{digest}.json`
pub(super) async fn bundle(
    State(plane): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    document(&plane, &headers, &format!("v1/bundles/{name}"), FIXED).await
}

/// `GET /.well-known/deskgate`: for a person who types the organisation's domain. Nothing in it is believed before the
/// fingerprint was compared.
pub(super) async fn discovery(State(plane): Shared) -> Result<Json<Value>, Fault> {
    let live = plane.publication.live().ok_or_else(Fault::unpublished)?;
    let org = &live.content().org;
    Ok(Json(json!({
        "format": 1,
        "org": org.id,
        "name": org.name,
        "config_url": plane.public_url,
        "issuer": org.identity_provider.issuer,
        "root_key_fingerprint": live.published().fingerprint,
    })))
}

/// `GET /deskgate/client.json`: who Deskgate is at connectors that take a document for it
/// (draft-ietf-oauth-client-id-metadata-document), for the organisation that names this address as its
/// `client_metadata_url`.
pub(super) async fn client(State(plane): Shared) -> Result<Json<Value>, Fault> {
    let live = plane.publication.live().ok_or_else(Fault::unpublished)?;
    let id = live.content().org.client_metadata_url.as_ref().ok_or_else(Fault::not_found)?;
    Ok(Json(json!({
        "client_id": id.as_str(),
        "client_name": "Deskgate",
        // A desktop listens at any port (RFC 8252, section 7.3).
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    })))
}

/// The keys of assertions about people.
pub(super) async fn assertion_keys(State(plane): Shared) -> Json<Value> {
    Json(plane.asserter.keys())
}

/// `GET /healthz`: whether database and journal work.
pub(super) async fn health(State(plane): Shared) -> Response {
    let journal = match &*plane.journal.health().borrow() {
        ::audit::Health::Writing => "ok",
        ::audit::Health::Failed(_) | ::audit::Health::BestEffort { .. } => "failed",
    };
    let database = if plane.store.ping().await.is_ok() { "ok" } else { "failed" };
    let published = plane.publication.live().is_some();
    let well = (journal, database) == ("ok", "ok");
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"database": database, "journal": journal, "published": published}))).into_response()
}

async fn document(
    plane: &Arc<Plane>,
    headers: &HeaderMap,
    path: &str,
    caching: &'static str,
) -> Result<Response, Fault> {
    let Some((digest, body)) = plane.store.document(path).await? else { return Err(Fault::not_found()) };
    let tag = format!("\"{digest}\"");
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let described = [(ETAG, tag.clone()), (CACHE_CONTROL, caching.to_owned())];
    Ok(if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        (StatusCode::NOT_MODIFIED, described).into_response()
    } else {
        (described, [(CONTENT_TYPE, "application/json")], body).into_response()
    })
}
