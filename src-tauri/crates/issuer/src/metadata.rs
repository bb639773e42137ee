//! The two metadata documents and the challenge: how an assistant finds its way here.

use model::ServerId;
use serde_json::{Value, json};

use crate::{Route, TokenFault};

/// The origin of the loopback server, and with it every URL that the issuer names.
#[derive(Debug, Clone)]
pub(crate) struct Origin(String);

impl Origin {
    pub(crate) fn loopback(port: u16) -> Self {
        Self(format!("http://127.0.0.1:{port}"))
    }

    /// The issuer identifier (RFC 8414, section 2): the origin without a slash.
    pub(crate) fn issuer(&self) -> &str {
        &self.0
    }

    /// The resource identifier of a virtual server (RFC 8707), which is the URL that the assistant connects to.
    pub(crate) fn resource(&self, server: &ServerId) -> String {
        format!("{}/s/{server}/mcp", self.0)
    }

    /// The virtual server of a resource identifier, compared exactly.
    pub(crate) fn server_of(&self, resource: &str) -> Option<ServerId> {
        resource.strip_prefix(&self.0)?.strip_prefix("/s/")?.strip_suffix("/mcp")?.parse().ok()
    }

    fn url(&self, route: &Route) -> String {
        format!("{}{}", self.0, route.path())
    }
}

/// The scope of a virtual server. A client that omits `resource` but asks for the challenged scope is still understood.
pub(crate) fn scope_of(server: &ServerId) -> String {
    format!("server:{server}")
}

/// The virtual server that a scope names, if it names one.
pub(crate) fn server_of_scope(scope: &str) -> Option<ServerId> {
    scope.strip_prefix("server:")?.parse().ok()
}

/// RFC 8414, section 2, with RFC 9207 and the client metadata documents of MCP 2026-07-28.
pub(crate) fn authorization_server(origin: &Origin) -> Value {
    json!({
        "issuer": origin.issuer(),
        "authorization_endpoint": origin.url(&Route::Authorize),
        "token_endpoint": origin.url(&Route::Token),
        "registration_endpoint": origin.url(&Route::Register),
        "revocation_endpoint": origin.url(&Route::Revoke),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
    })
}

/// RFC 9728, section 2.
pub(crate) fn protected_resource(origin: &Origin, server: &ServerId, title: &str) -> Value {
    json!({
        "resource": origin.resource(server),
        "resource_name": title,
        "authorization_servers": [origin.issuer()],
        "scopes_supported": [scope_of(server)],
        "bearer_methods_supported": ["header"],
    })
}

/// The `WWW-Authenticate` value of a 401 (RFC 6750, section 3; RFC 9728, section 5.1).
///
/// A request without a token gets no error code, as RFC 6750 asks.
pub(crate) fn challenge(origin: &Origin, server: &ServerId, fault: TokenFault) -> String {
    let document = origin.url(&Route::Resource(server.clone()));
    let scope = scope_of(server);
    let found = format!("Bearer resource_metadata=\"{document}\", scope=\"{scope}\"");
    if fault == TokenFault::Missing {
        return found;
    }
    format!("{found}, error=\"invalid_token\", error_description=\"{fault}\"")
}
