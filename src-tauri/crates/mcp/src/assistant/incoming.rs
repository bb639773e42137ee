//! Reading one POST of an assistant (MCP 2026-07-28, basic/transports, "Streamable HTTP"; 2025-11-25 likewise).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::call::{CallParams, Method, Target};
use crate::capabilities::Capabilities;
use crate::error::RpcError;
use crate::level::LogLevel;
use crate::list::{Filter, List};
use crate::message::{Message, MessageFault};
use crate::raw::RawObject;
use crate::revision::{Era, Revision};

/// What stands around a header's value that is not plain ASCII.
const SENTINEL: &str = "=?base64?";
const SENTINEL_END: &str = "?=";
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// The headers that carry protocol. One that is there twice or is not ASCII counts as empty, and so agrees with nothing:
/// two readers could take it for different things.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<&'a str>,
    /// `Mcp-Method`.
    pub method: Option<&'a str>,
    /// `Mcp-Name`.
    pub name: Option<&'a str>,
    /// `Mcp-Session-Id`.
    pub session: Option<&'a str>,
}

impl<'a> Headers<'a> {
    /// Reads them from an HTTP request's headers.
    pub fn read(headers: &'a http::HeaderMap) -> Self {
        let text = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next()?.to_str().unwrap_or_default();
            Some(if values.next().is_none() { value } else { "" })
        };
        Self {
            protocol_version: text("mcp-protocol-version"),
            method: text("mcp-method"),
            name: text("mcp-name"),
            session: text("mcp-session-id"),
        }
    }
}

/// How the other side speaks, and so how it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect(Revision);

impl Default for Dialect {
    /// The newest with sessions: what is spoken before anything was agreed on.
    fn default() -> Self {
        Self(Revision::LATEST_LEGACY)
    }
}

impl Dialect {
    /// The dialect of a revision.
    pub fn of(revision: Revision) -> Self {
        Self(revision)
    }

    /// The dialect of the revision with this date; `None` for dates that are not known.
    pub fn known(date: &str) -> Option<Self> {
        Revision::known(date).map(Self)
    }

    /// Whether requests stand alone.
    pub fn is_stateless(self) -> bool {
        self.0.era() == Era::Modern
    }

    /// Whether it is older than this revision.
    pub fn is_before(self, revision: Revision) -> bool {
        self.0 < revision
    }

    /// The revision's date, for the record.
    pub fn revision(self) -> &'static str {
        self.0.as_str()
    }
}

/// What came in over HTTP.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// Wants an answer.
    Request(Asked<'a>),
    /// Wants none.
    Notification(Notification),
    /// An answer to a question of the gateway.
    Response(Response<'a>),
}

/// A request, with all that is needed to answer it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The id to answer to.
    pub id: &'a RawValue,
    /// How to answer.
    pub dialect: Dialect,
    /// What its sender takes beside the answer.
    pub means: Means,
    /// What is asked.
    pub request: Request<'a>,
}

/// What the sender of a request takes beside its answer.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// What it calls the request when it wants to hear of its progress; a number or a text, as it was written.
    pub progress: Option<Box<RawValue>>,
    /// Which log messages it wants to hear.
    pub log: Option<LogLevel>,
    /// What it can be asked.
    pub capabilities: Capabilities,
}

/// What an assistant tells without being asked.
#[derive(Debug)]
pub enum Notification {
    /// It is ready for notices (until 2025-11-25).
    Initialized,
    /// It waits no longer for the answer to the request with this id.
    Cancelled(Box<RawValue>),
    /// Nothing that changes what the gateway does.
    Other,
}

/// An answer to a question of the gateway.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// The question's id.
    pub id: &'a RawValue,
    /// The result, or the error object.
    pub outcome: Result<&'a RawValue, &'a RawValue>,
}

/// What an assistant asks, whatever the revision.
#[derive(Debug)]
pub enum Request<'a> {
    /// Opens a session (until 2025-11-25).
    Initialize {
        /// The revision that the session will speak.
        revision: Revision,
        /// What the assistant can be asked.
        capabilities: Capabilities,
    },
    /// Asks what the server is (2026-07-28).
    Discover,
    /// Asks for a sign of life (until 2025-11-25).
    Ping,
    /// Says which log messages are wanted in the session (until 2025-11-25).
    SetLevel(LogLevel),
    /// Asks for a list.
    List {
        /// Which.
        list: List,
        /// Where to go on, as JSON text; nothing where the list is asked for from its start.
        cursor: Option<String>,
    },
    /// Has an effect at a connector.
    Effect(CallParams<'a>),
    /// Opens a stream of change notices (2026-07-28).
    Listen(Filter),
    /// A method that is not served.
    Unknown(Cow<'a, str>),
}

impl Request<'_> {
    /// The same, with a text of its own.
    pub fn into_owned(self) -> Request<'static> {
        match self {
            Self::Initialize { revision, capabilities } => Request::Initialize { revision, capabilities },
            Self::Discover => Request::Discover,
            Self::Ping => Request::Ping,
            Self::SetLevel(level) => Request::SetLevel(level),
            Self::List { list, cursor } => Request::List { list, cursor },
            Self::Effect(params) => Request::Effect(params.into_owned()),
            Self::Listen(filter) => Request::Listen(filter),
            Self::Unknown(method) => Request::Unknown(Cow::Owned(method.into_owned())),
        }
    }
}

/// A message that is answered without being obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: http::StatusCode,
    /// The id as JSON text; `null` where it could not be read.
    pub id: String,
    /// The error.
    pub error: RpcError,
}

/// Reads a request's body in the light of its headers.
///
/// # Errors
/// A [`Refusal`] to be sent back; nothing has had an effect.
pub fn read<'a>(headers: &Headers<'_>, body: &'a [u8]) -> Result<Incoming<'a>, Refusal> {
    match Message::parse(body).map_err(|fault| unreadable(&fault))? {
        Message::Response { id, outcome } => Ok(Incoming::Response(Response { id, outcome })),
        Message::Notification { method, params } if method.starts_with("notifications/") => {
            Ok(Incoming::Notification(notification(&method, &params)))
        }
        // Who forgot the id, or wrote `null`, waits for an answer.
        Message::Notification { .. } => {
            Err(bad_request("null", RpcError::new(RpcError::INVALID_REQUEST, "a request has an id")))
        }
        Message::Request { id, method, params } => {
            let meta = params.borrowed("_meta").and_then(RawObject::parse);
            let read = dialect(headers, &method, meta.as_ref()).and_then(|dialect| {
                let request = request(dialect, method, params)?;
                agrees(dialect, headers, &request)?;
                let means = means(dialect, meta.as_ref());
                Ok(Incoming::Request(Asked { id, dialect, means, request }))
            });
            read.map_err(|error| bad_request(id.get(), error))
        }
    }
}

/// What a notification tells.
pub(super) fn notification(method: &str, params: &RawObject<'_>) -> Notification {
    match (method, params.member("requestId")) {
        ("notifications/initialized", _) => Notification::Initialized,
        ("notifications/cancelled", Some(id)) => Notification::Cancelled(id.to_owned()),
        _ => Notification::Other,
    }
}

/// What a request says that its sender takes beside the answer. In a session the rest was said at its beginning.
pub(super) fn means(dialect: Dialect, meta: Option<&RawObject<'_>>) -> Means {
    let Some(meta) = meta else { return Means::default() };
    let progress = meta.member("progressToken").map(ToOwned::to_owned);
    if !dialect.is_stateless() {
        return Means { progress, ..Means::default() };
    }
    Means {
        progress,
        log: meta.read(META_LOG_LEVEL),
        capabilities: Capabilities::read(meta.member(META_CAPABILITIES)),
    }
}

fn dialect(headers: &Headers<'_>, method: &str, meta: Option<&RawObject<'_>>) -> Result<Dialect, RpcError> {
    let in_body = stated(meta);
    let revision = match headers.protocol_version {
        Some("") => return Err(mismatch("MCP-Protocol-Version cannot be read")),
        Some(date) => Revision::known(date).ok_or_else(|| unsupported(date))?,
        None if in_body.is_some() => return Err(mismatch("MCP-Protocol-Version is missing")),
        None => return Ok(Dialect(Revision::V2025_03_26)),
    };
    if in_body.as_ref().is_some_and(|in_body| in_body != revision.as_str()) {
        return Err(mismatch("MCP-Protocol-Version differs from _meta"));
    }
    if revision.era() == Era::Modern {
        if in_body.is_none() {
            return Err(lacks(META_VERSION));
        }
        has_capabilities(meta)?;
        if headers.method != Some(method) {
            return Err(mismatch("Mcp-Method differs from method"));
        }
    }
    Ok(Dialect(revision))
}

/// The revision that a request itself names.
pub(super) fn stated(meta: Option<&RawObject<'_>>) -> Option<String> {
    meta.and_then(|meta| meta.read(META_VERSION))
}

/// A request that stands alone says what its sender can.
pub(super) fn has_capabilities(meta: Option<&RawObject<'_>>) -> Result<(), RpcError> {
    match meta.and_then(|meta| meta.member(META_CAPABILITIES)) {
        Some(_) => Ok(()),
        None => Err(lacks(META_CAPABILITIES)),
    }
}

/// A request that opens nothing and does not say how it is to be understood.
pub(super) fn unstated() -> RpcError {
    lacks(META_VERSION)
}

fn lacks(key: &str) -> RpcError {
    RpcError::new(RpcError::INVALID_PARAMS, format!("_meta lacks {key}"))
}

/// The header that repeats the name or the URI must agree with the body (2026-07-28).
fn agrees(dialect: Dialect, headers: &Headers<'_>, request: &Request<'_>) -> Result<(), RpcError> {
    let Request::Effect(params) = request else { return Ok(()) };
    if !params.method().is_repeated() || !dialect.is_stateless() {
        return Ok(());
    }
    if headers.name.and_then(decoded).as_deref() == Some(params.name()) {
        return Ok(());
    }
    Err(mismatch(match params.target() {
        Target::Tool(_) | Target::Prompt(_) => "Mcp-Name differs from params.name",
        Target::Resource(_) => "Mcp-Name differs from params.uri",
        Target::Task(_) => "Mcp-Name differs from params.taskId",
    }))
}

/// What a request asks, in its dialect.
pub(super) fn request<'a>(
    dialect: Dialect,
    method: Cow<'a, str>,
    params: RawObject<'a>,
) -> Result<Request<'a>, RpcError> {
    let modern = dialect.is_stateless();
    let invalid = |text: String| RpcError::new(RpcError::INVALID_PARAMS, text);
    if let Some(effect) = Method::known(&method, modern) {
        let params = CallParams::read(effect, params).map_err(|fault| invalid(fault.to_string()))?;
        return Ok(Request::Effect(params));
    }
    if let Some(list) = List::ALL.into_iter().find(|list| list.method() == method) {
        let cursor = params.member("cursor").map(RawValue::get).filter(|cursor| *cursor != "null");
        return Ok(Request::List { list, cursor: cursor.map(str::to_owned) });
    }
    Ok(match method.as_ref() {
        "initialize" if !modern => Request::Initialize {
            revision: negotiated(&params),
            capabilities: Capabilities::of_session(params.member("capabilities")),
        },
        "ping" if !modern => Request::Ping,
        "logging/setLevel" if !modern => {
            let level = params.read("level").ok_or_else(|| invalid("level is no log level".to_owned()))?;
            Request::SetLevel(level)
        }
        "server/discover" if modern => Request::Discover,
        "subscriptions/listen" if modern => Request::Listen(Filter::read(&params)),
        _ => Request::Unknown(method),
    })
}

/// The client's revision if it is a known one with sessions, else the newest of those.
fn negotiated(params: &RawObject<'_>) -> Revision {
    params
        .read::<String>("protocolVersion")
        .and_then(|date| Revision::known(&date))
        .filter(|revision| revision.era() == Era::Legacy)
        .unwrap_or(Revision::LATEST_LEGACY)
}

/// A text as a header's value: as it is where that is plain ASCII without spaces at its ends, else encoded.
pub(crate) fn encoded(text: String) -> String {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.trim() == text
        && !text.starts_with(SENTINEL);
    if is_plain { text } else { format!("{SENTINEL}{}{SENTINEL_END}", STANDARD.encode(text)) }
}

/// Undoes the header encoding `=?base64?…?=` of names that are not plain ASCII.
pub(super) fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix(SENTINEL).and_then(|rest| rest.strip_suffix(SENTINEL_END)) {
        Some(encoded) => STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
        None => Some(value.to_owned()),
    }
}

pub(super) fn unsupported(date: &str) -> RpcError {
    let supported: Vec<_> = Revision::ALL[1..].iter().map(|revision| revision.as_str()).collect();
    let data = serde_json::json!({"supported": supported, "requested": date});
    RpcError {
        code: RpcError::UNSUPPORTED_REVISION,
        message: "this protocol version is not served".to_owned(),
        data: Some(data.to_string()),
    }
}

fn mismatch(text: &str) -> RpcError {
    RpcError::new(RpcError::HEADER_MISMATCH, text)
}

pub(super) fn bad_request(id: &str, error: RpcError) -> Refusal {
    Refusal { status: http::StatusCode::BAD_REQUEST, id: id.to_owned(), error }
}

pub(super) fn unreadable(fault: &MessageFault) -> Refusal {
    let code = match fault {
        MessageFault::Scan(_) => RpcError::PARSE,
        MessageFault::NotAnObject
        | MessageFault::Version
        | MessageFault::Imitation(_)
        | MessageFault::Id
        | MessageFault::Params
        | MessageFault::Shape => RpcError::INVALID_REQUEST,
    };
    bad_request("null", RpcError::new(code, fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

    fn modern<'a>(method: &'a str, name: Option<&'a str>) -> Headers<'a> {
        Headers { protocol_version: Some("2026-07-28"), method: Some(method), name, session: None }
    }

    fn code(headers: &Headers<'_>, body: &str) -> i32 {
        read(headers, body.as_bytes()).expect_err(body).error.code
    }

    #[test]
    fn both_eras_are_read() {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a",{META}}}}}"#);
        let incoming = read(&modern("tools/call", Some("a")), body.as_bytes());
        assert!(
            matches!(incoming, Ok(Incoming::Request(Asked { dialect, request: Request::Effect(call), .. }))
            if dialect.is_stateless() && call.name() == "a" && call.arguments() == "{}")
        );

        let body =
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2099-01-01"}}"#;
        let incoming = read(&Headers::default(), body.as_bytes());
        assert!(
            matches!(incoming, Ok(Incoming::Request(Asked { request: Request::Initialize { revision, .. }, .. }))
            if revision == Revision::LATEST_LEGACY)
        );
    }

    #[test]
    fn encoded_names_are_decoded_before_comparing() {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"é",{META}}}}}"#);
        assert!(read(&modern("tools/call", Some("=?base64?w6k=?=")), body.as_bytes()).is_ok());
        assert_eq!(code(&modern("tools/call", Some("e")), &body), RpcError::HEADER_MISMATCH);
        assert_eq!(code(&modern("tools/call", None), &body), RpcError::HEADER_MISMATCH);
    }

    #[test]
    fn headers_and_body_must_agree() {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{META}}}}}"#);
        assert!(read(&modern("tools/list", None), body.as_bytes()).is_ok());
        assert_eq!(code(&modern("ping", None), &body), RpcError::HEADER_MISMATCH);
        assert_eq!(code(&Headers::default(), &body), RpcError::HEADER_MISMATCH);
        let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        assert_eq!(code(&modern("tools/list", None), bare), RpcError::INVALID_PARAMS);
        let unknown = Headers { protocol_version: Some("2030-01-01"), ..Headers::default() };
        assert_eq!(code(&unknown, bare), RpcError::UNSUPPORTED_REVISION);
    }

    #[test]
    fn methods_of_the_other_era_are_unknown() {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{{META}}}}}"#);
        assert!(matches!(
            read(&modern("ping", None), body.as_bytes()),
            Ok(Incoming::Request(Asked { request: Request::Unknown(_), .. }))
        ));
        let body = br#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#;
        assert!(matches!(
            read(&Headers::default(), body),
            Ok(Incoming::Request(Asked { request: Request::Unknown(_), .. }))
        ));
    }

    #[test]
    fn unreadable_bodies_answer_to_null() {
        let refusal = read(&Headers::default(), b"{\"a\":1,\"a\":2}").expect_err("duplicate");
        assert_eq!((refusal.id.as_str(), refusal.error.code), ("null", RpcError::PARSE));
    }
}
