//! `GET /openapi.json`: what the server answers to, for people and tools (OpenAPI 3.1).
//!
//! What messages hold is told by the types that read and write them: ours in `org_protocol` and `admin`.

mod operations;

use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use model::Advice;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use self::operations::{Body, OPERATIONS, Operation, Proof};
use super::Shared;
use crate::author::plain_descriptions;

/// What a refusal says.
#[derive(JsonSchema)]
#[schemars(rename = "Refusal")]
struct Refusal {
    /// Why, with a stable code.
    #[expect(dead_code, reason = "what is written is Fault's; this tells its form")]
    error: Advice,
}

/// The description of the server at its public URL.
pub(super) async fn openapi(State(plane): Shared) -> Json<Value> {
    Json(description(plane.public_url.as_str()))
}

/// Where the server is, is all that differs.
fn description(url: &str) -> Value {
    static ANYWHERE: LazyLock<Value> = LazyLock::new(anywhere);
    let mut description = ANYWHERE.clone();
    description["servers"] = json!([{"url": url.trim_end_matches('/')}]);
    description
}

fn anywhere() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described(operation, &mut generator);
    }
    let mut schemas = Value::Object(generator.take_definitions(true));
    plain_descriptions(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Deskgate control plane",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "DPoP", "description": "A proof of possession of a key (RFC 9449), good once."},
                "session": {"type": "http", "scheme": "DPoP", "description": "The token of a device's session, together with such a proof."},
                "administration": {"type": "http", "scheme": "DPoP", "description": "The token of an administrator's session, together with such a proof."},
            },
            "schemas": schemas,
        },
    })
}

fn described(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let refusal = Body { media: "application/json", holds: Some(SchemaGenerator::subschema_for::<Refusal>) };
    let refused = json!({"description": "Refused, and why", "content": content(refusal, generator)});
    let mut good = json!({"description": "Done"});
    if let Some(body) = operation.gives {
        good["content"] = content(body, generator);
    }
    let mut described = json!({
        "summary": operation.summary,
        "operationId": format!("{}{}", operation.method, operation.path.replace(['/', '{', '}', '.'], "_")),
        "responses": {"2XX": good, "3XX": {"description": "Goes on elsewhere, or is known already"}, "4XX": refused, "503": refused},
        "security": security(operation.proof),
    });
    if let Some(body) = operation.conflict {
        described["responses"]["409"] =
            json!({"description": "Refused, and why", "content": content(body, generator)});
    }
    if let Some(body) = operation.takes {
        described["requestBody"] = json!({"required": true, "content": content(body, generator)});
    }
    let parameters: Vec<Value> = parameters(operation).collect();
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    described
}

fn content(body: Body, generator: &mut SchemaGenerator) -> Value {
    let schema = body.holds.map(|holds| holds(generator).to_value());
    json!({(body.media): schema.map_or_else(|| json!({}), |schema| json!({"schema": schema}))})
}

fn security(proof: Proof) -> Value {
    match proof {
        Proof::None => json!([]),
        Proof::Key => json!([{"key": []}]),
        Proof::Session => json!([{"key": [], "session": []}]),
        Proof::Administrator => json!([{"key": [], "administration": []}]),
    }
}

fn parameters(operation: &Operation) -> impl Iterator<Item = Value> {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let text = json!({"type": "string"});
    let path = in_path
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let headers = operation.headers.iter().map(
        |(required, name, what)| json!({"name": name, "in": "header", "required": required, "description": what, "schema": {"type": "string"}}),
    );
    let query = operation.query.iter().map(move |name| json!({"name": name, "in": "query", "schema": text}));
    path.chain(headers).chain(query)
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

    #[test]
    fn what_is_referred_to_is_there() {
        let description = description("https://control.example/");
        let text = description.to_string();
        let mut named = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next());
        let first = named.next().expect("something is referred to");
        for pointer in named.chain([first]) {
            assert!(description.pointer(pointer).is_some(), "{pointer}");
        }
        assert!(description["components"]["schemas"]["Ask"].to_string().contains("put_credential"));
    }
}
