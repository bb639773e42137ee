//! What the gateway sends to connectors, in the dialect that each speaks.

use http::HeaderName;
use serde::Serialize;
use serde_json::json;

use crate::assistant::{Dialect, encoded};
use crate::call::CallParams;
use crate::capabilities::Capabilities;
use crate::level::LogLevel;
use crate::list::Filter;
use crate::raw::{RawObject, one_line, raw};
use crate::revision::Revision;

/// The number of a request that travels alone.
pub(super) const ALONE: u64 = 1;

/// A message to a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The headers that repeat what the body says, for whoever routes without reading it. They exist over HTTP only.
    pub headers: Vec<(&'static str, String)>,
    /// The headers that repeat arguments, as the tool's definition asks for.
    pub repeated: Vec<(HeaderName, String)>,
    /// The JSON-RPC message, on one line.
    pub body: String,
}

/// `initialize`, offering the newest revision with sessions, for assistants that can be asked what `capabilities` says.
/// `version` is this program's.
pub fn initialize(id: u64, capabilities: &Capabilities, version: &str) -> Outgoing {
    let params = json!({
        "protocolVersion": Revision::LATEST_LEGACY.as_str(),
        "capabilities": capabilities.to_raw(),
        "clientInfo": client_info(version),
    });
    Outgoing { headers: Vec::new(), repeated: Vec::new(), body: request(id, "initialize", &params) }
}

/// `notifications/initialized`.
pub fn initialized(dialect: Dialect) -> Outgoing {
    let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    Outgoing { headers: headers(dialect, "notifications/initialized", None), repeated: Vec::new(), body }
}

/// `server/discover`: a server of the stateless revision answers it, an older one does not.
pub fn discover(id: u64, version: &str) -> Outgoing {
    own(Dialect::of(Revision::MODERN), id, "server/discover", RawObject::default(), version)
}

/// What a request tells its connector of the assistant that it is made for.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// How the connector speaks.
    pub dialect: Dialect,
    /// This program's version.
    pub version: &'a str,
    /// What the assistant can be asked, if anything. A session was told at its beginning.
    pub capabilities: Option<&'a Capabilities>,
    /// Which log messages the assistant wants to hear. A session was told by itself.
    pub log: Option<LogLevel>,
    /// Whether it wants to hear of the request's progress.
    pub progress: bool,
}

impl<'a> Hop<'a> {
    /// For nobody who could be asked or told anything.
    pub fn plain(dialect: Dialect, version: &'a str) -> Self {
        Self { dialect, version, capabilities: None, log: None, progress: false }
    }
}

/// A request that has an effect, on what the connector knows as `name`. Everything else of the parameters passes as it
/// came, but for what concerns only the hop from the assistant.
pub fn effect(hop: Hop<'_>, id: u64, params: &CallParams<'_>, name: &str) -> Outgoing {
    let repeated = params.method().is_repeated().then_some(name);
    let object = params.passed_on(name, hop.dialect.is_stateless());
    write(hop, id, params.method().as_str(), object, repeated)
}

/// `tools/call` of the tool `name` in the stateless revision, under a number of its own and for nobody who could be asked
/// anything, for an answer that is read with [`read_alone`](super::read_alone). Whoever makes the call may be told of its progress,
/// and of log messages from a level on.
pub fn call_tool_alone(
    params: &CallParams<'_>,
    name: &str,
    version: &str,
    progress: bool,
    log: Option<LogLevel>,
) -> Outgoing {
    let hop = Hop { progress, log, ..Hop::plain(Dialect::of(Revision::MODERN), version) };
    effect(hop, ALONE, params, name)
}

/// `logging/setLevel` in a session.
pub fn set_level(dialect: Dialect, id: u64, level: LogLevel) -> Outgoing {
    in_session(dialect, id, "logging/setLevel", &json!({"level": level}))
}

/// A request of the gateway's own that only revisions with sessions have.
pub(super) fn in_session(dialect: Dialect, id: u64, method: &str, params: &serde_json::Value) -> Outgoing {
    let body = request(id, method, params);
    Outgoing { headers: headers(dialect, method, None), repeated: Vec::new(), body }
}

/// `subscriptions/listen` for what `filter` names (MCP 2026-07-28, basic/patterns/subscriptions).
pub fn listen(id: u64, filter: &Filter, version: &str) -> Outgoing {
    let mut params = RawObject::default();
    params.set("notifications", filter.to_raw());
    own(Dialect::of(Revision::MODERN), id, "subscriptions/listen", params, version)
}

/// The reply to a request of the connector, as [`FromConnector::Request`](super::FromConnector) has it.
pub fn reply(dialect: Dialect, body: String) -> Outgoing {
    Outgoing { headers: headers(dialect, "", None), repeated: Vec::new(), body }
}

/// The headers of the GET that opens a stream of notices in a session (MCP 2025-11-25, basic/transports, "Listening for
/// Messages from the Server").
pub fn stream_headers(dialect: Dialect) -> Vec<(&'static str, String)> {
    headers(dialect, "", None)
}

/// `notifications/cancelled` for a request that nobody waits for any more.
pub fn cancelled(id: u64) -> String {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}).to_string()
}

/// A request of the gateway's own, with all that its dialect asks for.
pub(super) fn own(
    dialect: Dialect,
    id: u64,
    method: &'static str,
    params: RawObject<'_>,
    version: &str,
) -> Outgoing {
    write(Hop::plain(dialect, version), id, method, params, None)
}

fn write(
    hop: Hop<'_>,
    id: u64,
    method: &'static str,
    mut params: RawObject<'_>,
    name: Option<&str>,
) -> Outgoing {
    let passed = params.member("_meta").map(ToOwned::to_owned);
    let stateless = hop.dialect.is_stateless();
    if stateless || hop.progress {
        let mut meta = passed.as_deref().and_then(RawObject::parse).unwrap_or_default();
        if hop.progress {
            // The request's own number: an assistant's token could be another's too.
            meta.set("progressToken", raw(&id));
        }
        if stateless {
            meta.set("io.modelcontextprotocol/protocolVersion", raw(hop.dialect.revision()));
            let declared = hop.capabilities.map_or_else(|| raw(&json!({})), Capabilities::to_raw);
            meta.set("io.modelcontextprotocol/clientCapabilities", declared);
            meta.set("io.modelcontextprotocol/clientInfo", raw(&client_info(hop.version)));
            if let Some(level) = hop.log {
                meta.set("io.modelcontextprotocol/logLevel", raw(&level));
            }
        }
        let meta = meta.to_raw();
        params.set("_meta", meta);
    }
    Outgoing {
        headers: headers(hop.dialect, method, name),
        repeated: Vec::new(),
        body: request(id, method, &params),
    }
}

fn headers(dialect: Dialect, method: &str, name: Option<&str>) -> Vec<(&'static str, String)> {
    let mut headers = vec![("mcp-protocol-version", dialect.revision().to_owned())];
    if dialect.is_stateless() {
        headers.push(("mcp-method", method.to_owned()));
        headers.extend(name.map(|name| ("mcp-name", encoded(name.to_owned()))));
    }
    headers
}

fn client_info(version: &str) -> serde_json::Value {
    json!({"name": "deskgate", "title": "Deskgate", "version": version})
}

fn request<T: Serialize + ?Sized>(id: u64, method: &str, params: &T) -> String {
    #[derive(Serialize)]
    struct Request<'a, T: ?Sized> {
        jsonrpc: &'static str,
        id: u64,
        method: &'a str,
        params: &'a T,
    }
    one_line(raw(&Request { jsonrpc: "2.0", id, method, params }).get().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::super::{AnswerFault, read_alone};
    use super::*;
    use crate::assistant::{self, Asked, Headers, Incoming, Request};
    use crate::call::Method;

    fn params(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn call(dialect: Dialect, text: &str) -> Outgoing {
        let text = params(text);
        let call = CallParams::read(Method::CallTool, RawObject::parse(&text).unwrap()).unwrap();
        effect(Hop::plain(dialect, "1.2.3"), 7, &call, "query")
    }

    #[test]
    fn what_is_written_is_read_by_the_other_side_to_the_digit() {
        let text = params(
            r#"{"name":"analyst_query","arguments":{"n":12345678901234567890123},"x":1.50,"_meta":{"progressToken":7,"traceparent":"00-a"}}"#,
        );
        let call = CallParams::read(Method::CallTool, RawObject::parse(&text).unwrap()).unwrap();
        let Outgoing { headers, body, .. } = call_tool_alone(&call, "query", "1.2.3", false, None);
        assert!(body.contains(r#""n":12345678901234567890123"#) && body.contains(r#""x":1.50"#), "{body}");
        assert!(body.contains("traceparent") && !body.contains("progressToken"), "{body}");

        let value =
            |name| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str());
        let headers = Headers {
            protocol_version: value("mcp-protocol-version"),
            method: value("mcp-method"),
            name: value("mcp-name"),
            session: None,
        };
        let Ok(Incoming::Request(Asked { dialect, request: Request::Effect(read), .. })) =
            assistant::read(&headers, body.as_bytes())
        else {
            panic!("{body}")
        };
        assert!(dialect.is_stateless());
        assert_eq!((read.name(), read.arguments()), ("query", r#"{"n":12345678901234567890123}"#));
    }

    #[test]
    fn a_session_is_told_nothing_of_the_stateless_revision() {
        let outgoing = call(
            Dialect::of(Revision::V2025_06_18),
            r#"{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","traceparent":"00-a"}}"#,
        );
        assert_eq!(outgoing.headers, [("mcp-protocol-version", "2025-06-18".to_owned())]);
        assert!(outgoing.body.contains(r#""_meta":{"traceparent":"00-a"}"#), "{}", outgoing.body);
    }

    #[test]
    fn a_connector_is_told_of_the_assistant_what_it_declared() {
        let text = params(r#"{"name":"a","_meta":{"progressToken":"mine","traceparent":"00-a"}}"#);
        let call = CallParams::read(Method::CallTool, RawObject::parse(&text).unwrap()).unwrap();
        let capabilities = Capabilities::read(Some(&params(r#"{"sampling":{}}"#)));
        let hop = |revision| Hop {
            dialect: Dialect::of(revision),
            version: "1.2.3",
            capabilities: Some(&capabilities),
            log: Some(LogLevel::Warning),
            progress: true,
        };
        let legacy = effect(hop(Revision::V2025_06_18), 7, &call, "a").body;
        assert!(legacy.contains(r#""_meta":{"traceparent":"00-a","progressToken":7}"#), "{legacy}");
        let stateless = effect(hop(Revision::MODERN), 7, &call, "a").body;
        for part in [
            r#""progressToken":7"#,
            r#""io.modelcontextprotocol/clientCapabilities":{"sampling":{}}"#,
            r#""io.modelcontextprotocol/logLevel":"warning""#,
        ] {
            assert!(stateless.contains(part), "{stateless}");
        }
    }

    #[test]
    fn names_that_are_no_header_are_encoded() {
        let text = params(r#"{"uri":"test://caf\u00e9"}"#);
        let call = CallParams::read(Method::ReadResource, RawObject::parse(&text).unwrap()).unwrap();
        let hop = Hop::plain(Dialect::of(Revision::MODERN), "1");
        let Outgoing { headers, .. } = effect(hop, 7, &call, call.name());
        assert!(headers.contains(&("mcp-name", "=?base64?dGVzdDovL2NhZsOp?=".to_owned())), "{headers:?}");
    }

    #[test]
    fn a_message_is_one_line() {
        let text = "{\"name\":\"a\",\"arguments\":{\r\n  \"q\": \"a\\nb\",\n  \"n\": 1.50\n}}";
        for dialect in [Dialect::of(Revision::LATEST_LEGACY), Dialect::of(Revision::MODERN)] {
            let body = call(dialect, text).body;
            assert!(!body.contains(['\n', '\r']), "{body}");
            assert!(body.contains(r#"{  "q": "a\nb",  "n": 1.50}"#), "{body}");
        }
    }

    #[test]
    fn answers_are_results_errors_or_refused() {
        let read = |text: &str| read_alone(text.as_bytes());
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":1,"result":{"x":1.50}}"#).unwrap().unwrap().get(),
            r#"{"x":1.50}"#
        );
        assert!(read(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m"}}"#).unwrap().is_err());
        for other in
            [r#"{"jsonrpc":"2.0","id":2,"result":{}}"#, r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#, "x"]
        {
            assert_eq!(read(other).unwrap_err(), AnswerFault::Shape("tools/call"), "{other}");
        }
    }
}
