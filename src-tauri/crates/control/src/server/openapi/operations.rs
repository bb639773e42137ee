//! Every route of the server, with what it takes and what it gives.

use model::Advice;
use org_protocol::{
    DIAGNOSTICS_TYPE, DiagnosticsAsked, EnrolAnswer, EnrolRequest, Envelope, Halts, LeaseRequest,
    SessionAnswer, SessionRequest, UploadRefused,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::admin::Ask;
use crate::admin::wire::{OpenSession, SessionOpened, SignInWay};

/// How a request shows who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Not at all.
    None,
    /// By a proof of a key (RFC 9449), without a session.
    Key,
    /// By the token of a device's session that is bound to the key.
    Session,
    /// By the token of an administrator's session that is bound to the key.
    Administrator,
}

/// What a request or an answer carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    /// Its media type.
    pub(super) media: &'static str,
    /// What it holds, where that is told.
    pub(super) holds: Option<fn(&mut SchemaGenerator) -> Schema>,
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
/// Something that another specification defines.
const SOMETHING: Body = plain(JSON);

/// One of our own messages.
const fn json<T: JsonSchema>() -> Body {
    Body { media: JSON, holds: Some(SchemaGenerator::subschema_for::<T>) }
}

const fn plain(media: &'static str) -> Body {
    Body { media, holds: None }
}

const fn form(holds: fn(&mut SchemaGenerator) -> Schema) -> Body {
    Body { media: FORM, holds: Some(holds) }
}

/// One thing that can be asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) proof: Proof,
    pub(super) takes: Option<Body>,
    /// A good answer; none where it is empty.
    pub(super) gives: Option<Body>,
    /// What comes with 409, where that is more than a refusal.
    pub(super) conflict: Option<Body>,
    /// Headers of the request: whether they have to be there, and what they are.
    pub(super) headers: &'static [(bool, &'static str, &'static str)],
    /// Fields of the query.
    pub(super) query: &'static [&'static str],
}

const fn operation(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation {
        method,
        path,
        summary,
        proof: Proof::None,
        takes: None,
        gives: Some(SOMETHING),
        conflict: None,
        headers: &[],
        query: &[],
    }
}

const fn get(path: &'static str, summary: &'static str) -> Operation {
    operation("get", path, summary)
}

const fn post(path: &'static str, summary: &'static str) -> Operation {
    operation("post", path, summary)
}

const fn delete(path: &'static str, summary: &'static str) -> Operation {
    Operation { gives: None, ..operation("delete", path, summary) }
}

impl Operation {
    const fn by(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    const fn takes(self, body: Body) -> Self {
        Self { takes: Some(body), ..self }
    }

    const fn gives(self, body: Body) -> Self {
        Self { gives: Some(body), ..self }
    }
}

/// Every route of the server.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/healthz", "Whether database and journal work"),
    get("/readyz", "Whether requests should come here"),
    get("/openapi.json", "This description"),
    get("/.well-known/deskgate", "Where the organisation is found"),
    get("/deskgate/client.json", "Deskgate's client identifier metadata"),
    get("/v1/assertions/keys.json", "The keys of assertions to connectors"),
    get("/v1/manifest.json", "The signed manifest").gives(json::<Envelope>()),
    get("/v1/root/{name}", "A signed root document").gives(json::<Envelope>()),
    get("/v1/bundles/{name}", "A signed bundle, by its digest").gives(json::<Envelope>()),
    post("/v1/enrol", "Enrols a device")
        .by(Proof::Key)
        .takes(json::<EnrolRequest>())
        .gives(json::<EnrolAnswer>()),
    post("/v1/session", "Opens or renews a session")
        .by(Proof::Key)
        .takes(json::<SessionRequest>())
        .gives(json::<SessionAnswer>()),
    delete("/v1/session", "Signs out").by(Proof::Session),
    get("/v1/events", "What the device is told, as it happens")
        .by(Proof::Session)
        .gives(plain("text/event-stream")),
    get("/v1/halts", "What is stopped of what concerns the device").by(Proof::Session).gives(json::<Halts>()),
    get("/v1/diagnostics", "Whether diagnostics are wanted of the device")
        .by(Proof::Session)
        .gives(json::<DiagnosticsAsked>()),
    post("/v1/diagnostics/{id}", "Sends diagnostics that were asked for")
        .by(Proof::Session)
        .takes(plain(DIAGNOSTICS_TYPE)),
    delete("/v1/diagnostics/{id}", "Says that the person does not send them").by(Proof::Session),
    post("/v1/leases", "Borrows a shared credential")
        .by(Proof::Session)
        .takes(json::<LeaseRequest>())
        .gives(json::<Envelope>()),
    Operation {
        conflict: Some(json::<UploadRefused>()),
        headers: &[(false, "content-encoding", "How the batch is coded: zstd, or not at all")],
        ..post("/v1/audit", "Delivers audit records; a receipt comes back")
            .by(Proof::Session)
            .takes(Body { media: org_protocol::BATCH_TYPE, holds: Some(record) })
            .gives(json::<Envelope>())
    },
    Operation {
        headers: &[
            (true, "mcp-protocol-version", "The revision of MCP: one in which requests stand alone"),
            (true, "mcp-method", "The method of the request, once more"),
            (false, "mcp-name", "The tool of the request, once more, where it calls one"),
            (
                true,
                org_protocol::BROKER_CONTEXT_HEADER,
                "What the device says of the call: JSON in base64url",
            ),
        ],
        ..post("/v1/broker/{connector}/mcp", "Makes a call with a shared credential")
            .by(Proof::Session)
            .takes(Body { media: JSON, holds: Some(mcp_request) })
    },
    get("/.well-known/openid-configuration", "The OpenID provider's metadata"),
    get("/v1/oidc/keys.json", "The OpenID provider's keys"),
    Operation {
        query: &[
            "response_type",
            "client_id",
            "redirect_uri",
            "scope",
            "state",
            "nonce",
            "code_challenge",
            "code_challenge_method",
            "prompt",
        ],
        ..get("/v1/oidc/authorize", "Begins a sign-in by SAML").gives(plain("text/html"))
    },
    post("/v1/oidc/token", "Redeems a code or a refresh token").takes(form(token_form)),
    post("/v1/oidc/revoke", "Ends a sign-in").takes(form(revocation_form)),
    post("/v1/oidc/backchannel-logout", "The identity provider ends sign-ins").takes(form(logout_form)),
    get("/v1/saml/metadata", "The service provider's metadata").gives(plain("application/samlmetadata+xml")),
    post("/v1/saml/acs", "The identity provider's answer").takes(form(acs_form)).gives(plain("text/html")),
    get("/v1/admin/sign-in", "How administrators sign in").gives(json::<SignInWay>()),
    post("/v1/admin/session", "Opens an administrator's session")
        .by(Proof::Key)
        .takes(json::<OpenSession>())
        .gives(json::<SessionOpened>()),
    delete("/v1/admin/session", "Ends it").by(Proof::Administrator),
    post("/v1/admin/act", "Does what an administrator asks, or says why not")
        .by(Proof::Administrator)
        .takes(json::<Ask>())
        .gives(Body { media: JSON, holds: Some(reply) }),
];

/// An audit record: a line of the batch. Its digest chains it, so no schema tells what is stored (`org_protocol::AuditRecord`).
fn record(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "description": "One record a line, one below the other",
        "required": ["digest"],
    })
}

/// What was done, or why not.
fn reply(generator: &mut SchemaGenerator) -> Schema {
    let refused = generator.subschema_for::<Advice>();
    json_schema!({
        "oneOf": [
            {
                "type": "object",
                "required": ["done"],
                "properties": {"done": {"type": "object", "required": ["answer"], "properties": {"answer": {"type": "string"}}}},
            },
            {"type": "object", "required": ["refused"], "properties": {"refused": refused}},
        ],
    })
}

/// JSON-RPC, as MCP has it where requests stand alone.
fn mcp_request(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["jsonrpc", "method"],
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["integer", "string"]},
            "method": {"enum": ["tools/call", "tools/list", "server/discover"]},
            "params": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "arguments": {"type": "object"},
                    "_meta": {"type": "object"},
                },
            },
        },
    })
}

/// RFC 6749, sections 4.1.3 and 6; RFC 7636, section 4.5.
fn token_form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["grant_type", "client_id"],
        "properties": {
            "grant_type": {"enum": ["authorization_code", "refresh_token"]},
            "client_id": {"type": "string"},
            "code": {"type": "string"},
            "redirect_uri": {"type": "string"},
            "code_verifier": {"type": "string"},
            "refresh_token": {"type": "string"},
            "scope": {"type": "string"},
        },
    })
}

/// RFC 7009, section 2.1.
fn revocation_form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["token"],
        "properties": {
            "token": {"type": "string"},
            "token_type_hint": {"type": "string"},
            "client_id": {"type": "string"},
        },
    })
}

/// OpenID Connect Back-Channel Logout 1.0, section 2.5.
fn logout_form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["logout_token"],
        "properties": {"logout_token": {"type": "string"}},
    })
}

/// SAML 2.0 Bindings, section 3.5.4.
fn acs_form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["SAMLResponse", "RelayState"],
        "properties": {"SAMLResponse": {"type": "string"}, "RelayState": {"type": "string"}},
    })
}
