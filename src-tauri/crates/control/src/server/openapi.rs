//! `GET /openapi.json`: what the server answers to, for people and tools (OpenAPI 3.1).
//!
//! The bodies of desktops' requests are `org_protocol`'s to define; here stands where they go, how they are proved and what may come back.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::Shared;

/// How a request shows who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Not at all.
    None,
    /// By a proof of the device's key (RFC 9449), without a session.
    Key,
    /// By a session's token that is bound to the key.
    Session,
}

/// One thing that can be asked.
#[derive(Debug, Clone, Copy)]
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    proof: Proof,
    /// The media type of the request's body, where it has one.
    body: Option<&'static str>,
    /// The media type of a good answer.
    answer: &'static str,
}

const fn operation(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    proof: Proof,
    body: Option<&'static str>,
    answer: &'static str,
) -> Operation {
    Operation { method, path, summary, proof, body, answer }
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Every route of the server.
const OPERATIONS: &[Operation] = &[
    operation("get", "/healthz", "Whether database and journal work", Proof::None, None, JSON),
    operation("get", "/readyz", "Whether requests should come here", Proof::None, None, JSON),
    operation("get", "/openapi.json", "This description", Proof::None, None, JSON),
    operation("get", "/.well-known/deskgate", "Where the organisation is found", Proof::None, None, JSON),
    operation(
        "get",
        "/deskgate/client.json",
        "Deskgate's client identifier metadata",
        Proof::None,
        None,
        JSON,
    ),
    operation(
        "get",
        "/v1/assertions/keys.json",
        "The keys of assertions to connectors",
        Proof::None,
        None,
        JSON,
    ),
    operation("get", "/v1/manifest.json", "The signed manifest", Proof::None, None, JSON),
    operation("get", "/v1/root/{name}", "A signed root document", Proof::None, None, JSON),
    operation("get", "/v1/bundles/{name}", "A signed bundle, by its digest", Proof::None, None, JSON),
    operation("post", "/v1/enrol", "Enrols a device", Proof::Key, Some(JSON), JSON),
    operation("post", "/v1/session", "Opens or renews a session", Proof::Key, Some(JSON), JSON),
    operation("delete", "/v1/session", "Signs out", Proof::Session, None, JSON),
    operation(
        "get",
        "/v1/events",
        "What the device is told, as it happens",
        Proof::Session,
        None,
        "text/event-stream",
    ),
    operation("get", "/v1/halts", "What is stopped of what concerns the device", Proof::Session, None, JSON),
    operation("post", "/v1/leases", "Borrows a shared credential", Proof::Session, Some(JSON), JSON),
    operation(
        "post",
        "/v1/audit",
        "Delivers audit records",
        Proof::Session,
        Some("application/x-ndjson"),
        JSON,
    ),
    operation(
        "post",
        "/v1/broker/{connector}/mcp",
        "Makes a call with a shared credential",
        Proof::Session,
        Some(JSON),
        JSON,
    ),
    operation(
        "get",
        "/.well-known/openid-configuration",
        "The OpenID provider's metadata",
        Proof::None,
        None,
        JSON,
    ),
    operation("get", "/v1/oidc/keys.json", "The OpenID provider's keys", Proof::None, None, JSON),
    operation("get", "/v1/oidc/authorize", "Begins a sign-in by SAML", Proof::None, None, "text/html"),
    operation("post", "/v1/oidc/token", "Redeems a code or a refresh token", Proof::None, Some(FORM), JSON),
    operation("post", "/v1/oidc/revoke", "Ends a sign-in", Proof::None, Some(FORM), JSON),
    operation(
        "post",
        "/v1/oidc/backchannel-logout",
        "The identity provider ends sign-ins",
        Proof::None,
        Some(FORM),
        JSON,
    ),
    operation(
        "get",
        "/v1/saml/metadata",
        "The service provider's metadata",
        Proof::None,
        None,
        "application/samlmetadata+xml",
    ),
    operation("post", "/v1/saml/acs", "The identity provider's answer", Proof::None, Some(FORM), "text/html"),
    operation("get", "/v1/admin/sign-in", "How administrators sign in", Proof::None, None, JSON),
    operation("post", "/v1/admin/session", "Opens an administrator's session", Proof::Key, Some(JSON), JSON),
    operation("delete", "/v1/admin/session", "Ends it", Proof::Session, None, JSON),
    operation("post", "/v1/admin/act", "Does what an administrator asks", Proof::Session, Some(JSON), JSON),
];

/// The description of the server at its public URL.
pub(super) async fn openapi(State(plane): Shared) -> Json<Value> {
    Json(description(plane.public_url.as_str()))
}

fn description(url: &str) -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Deskgate control plane",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url.trim_end_matches('/')}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "DPoP", "description": "A proof of possession of the device's key (RFC 9449), good once."},
                "session": {"type": "http", "scheme": "DPoP", "description": "A session's token, together with such a proof."},
            },
            "schemas": {"Refusal": refusal()},
        },
    })
}

fn described(operation: &Operation) -> Value {
    let good = json!({"description": "Done", "content": {(operation.answer): {}}});
    let refused = json!({"description": "Refused, and why", "content": {(JSON): {"schema": {"$ref": "#/components/schemas/Refusal"}}}});
    let mut described = json!({
        "summary": operation.summary,
        "operationId": format!("{}{}", operation.method, operation.path.replace(['/', '{', '}', '.'], "_")),
        "responses": {"200": good, "4XX": refused, "503": refused},
        "security": security(operation.proof),
    });
    if let Some(kind) = operation.body {
        described["requestBody"] = json!({"required": true, "content": {kind: {}}});
    }
    let names: Vec<Value> = parameters(operation.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    if !names.is_empty() {
        described["parameters"] = names.into();
    }
    described
}

fn security(proof: Proof) -> Value {
    match proof {
        Proof::None => json!([]),
        Proof::Key => json!([{"key": []}]),
        Proof::Session => json!([{"key": [], "session": []}]),
    }
}

fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// What a refusal says (`model::Advice`).
fn refusal() -> Value {
    let text = |what: &str| json!({"type": "string", "description": what});
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["code", "happened"],
            "properties": {
                "code": text("Stable, for programs"),
                "happened": text("What happened"),
                "means": text("What it means"),
                "todo": text("What to do"),
            },
        }},
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described() {
        let described: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.path).collect();
        assert_eq!(include_str!("mod.rs").matches(".route(").count(), described.len());
        let description = description("https://control.example/");
        assert_eq!(description["servers"][0]["url"], "https://control.example");
        let ids: BTreeSet<String> = OPERATIONS
            .iter()
            .map(|it| description["paths"][it.path][it.method]["operationId"].to_string())
            .collect();
        assert_eq!(ids.len(), OPERATIONS.len(), "each has an id of its own");
    }
}
