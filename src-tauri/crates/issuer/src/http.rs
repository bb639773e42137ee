//! Requests and responses as values, and the one list of routes that need no token.

use model::{ListeningProcess, ServerId};

const METADATA: &str = "/.well-known/oauth-authorization-server";
const RESOURCE_PREFIX: &str = "/.well-known/oauth-protected-resource/s/";
const RESOURCE_SUFFIX: &str = "/mcp";

/// The routes of the issuer. Everything else on the loopback server needs a token.
///
/// `/.well-known/openid-configuration` is not among them on purpose: this is no OpenID provider, and clients ask for the
/// RFC 8414 document first (MCP 2026-07-28, basic/authorization, "Authorization Server Metadata Discovery").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /.well-known/oauth-authorization-server` (RFC 8414).
    Metadata,
    /// `GET /.well-known/oauth-protected-resource/s/<id>/mcp` (RFC 9728).
    Resource(ServerId),
    /// `POST /oauth/register` (RFC 7591).
    Register,
    /// `GET /oauth/authorize` (RFC 6749, section 3.1). Its answer waits for a person.
    Authorize,
    /// `POST /oauth/token` (RFC 6749, section 3.2).
    Token,
    /// `POST /oauth/revoke` (RFC 7009).
    Revoke,
}

impl Route {
    /// The route of a path (without its query), or `None` for paths that are not the issuer's.
    pub fn of(path: &str) -> Option<Self> {
        match path {
            METADATA => Some(Self::Metadata),
            "/oauth/register" => Some(Self::Register),
            "/oauth/authorize" => Some(Self::Authorize),
            "/oauth/token" => Some(Self::Token),
            "/oauth/revoke" => Some(Self::Revoke),
            other => {
                let id = other.strip_prefix(RESOURCE_PREFIX)?.strip_suffix(RESOURCE_SUFFIX)?;
                id.parse().ok().map(Self::Resource)
            }
        }
    }

    /// The path of the route.
    pub fn path(&self) -> String {
        match self {
            Self::Metadata => METADATA.to_owned(),
            Self::Resource(server) => format!("{RESOURCE_PREFIX}{server}{RESOURCE_SUFFIX}"),
            Self::Register => "/oauth/register".to_owned(),
            Self::Authorize => "/oauth/authorize".to_owned(),
            Self::Token => "/oauth/token".to_owned(),
            Self::Revoke => "/oauth/revoke".to_owned(),
        }
    }

    /// The only method that the route answers; `HEAD` is not answered anywhere, for it must not ask a person.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Metadata | Self::Resource(_) | Self::Authorize => "GET",
            Self::Register | Self::Token | Self::Revoke => "POST",
        }
    }

    /// The most bytes of body that the route reads.
    pub const BODY_LIMIT: usize = 16 * 1024;
}

/// A request that has passed the loopback guard (Host, Origin).
#[derive(Debug, Clone)]
pub struct IssuerRequest {
    /// The route.
    pub route: Route,
    /// The method as it came, such as `GET`.
    pub method: String,
    /// The raw query, without the question mark.
    pub query: Option<String>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `Authorization` header: clients here have no secret, so its presence is an error at the token endpoint.
    pub authorization: Option<String>,
    /// The body, at most [`Route::BODY_LIMIT`] bytes; more is refused.
    pub body: Vec<u8>,
    /// The program at the other end of the connection, where it can be told. Needed for [`Route::Token`] only.
    pub peer: Option<ListeningProcess>,
}

/// The answer. The body never holds HTML.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuerResponse {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, and values without line breaks.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for IssuerResponse {
    /// Without headers and body: they hold codes and tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

impl IssuerRequest {
    /// Whether the body is of a media type; parameters such as the character set do not matter.
    pub(crate) fn is_of_type(&self, essence: &str) -> bool {
        let found = self.content_type.as_deref().and_then(|value| value.split(';').next());
        found.is_some_and(|found| found.trim().eq_ignore_ascii_case(essence))
    }
}

impl IssuerResponse {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A JSON document that no cache may keep.
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// An error document (RFC 6749, section 5.2; RFC 7591, section 3.2.2).
    pub(crate) fn error(status: u16, code: &str, description: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": code, "error_description": description }))
    }

    /// A plain page for a person whose browser must not be sent on.
    pub(crate) fn page(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }

    /// Sends the browser on.
    pub(crate) fn redirect(location: String) -> Self {
        let mut response = Self::new(302, "text/plain; charset=utf-8", String::new());
        response.headers.push(("location", location));
        response
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn new(status: u16, content_type: &str, body: String) -> Self {
        let headers = vec![
            ("content-type", content_type.to_owned()),
            ("cache-control", "no-store".to_owned()),
            ("pragma", "no-cache".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
            ("x-frame-options", "DENY".to_owned()),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'".to_owned()),
            ("referrer-policy", "no-referrer".to_owned()),
        ];
        Self { status, headers, body: body.into_bytes() }
    }
}
