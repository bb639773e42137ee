//! What the gateway sends to connectors, in the dialect that each speaks.

use http::HeaderName;
use serde::Serialize;
use serde_json::json;

use crate::assistant::Dialect;
use crate::call::CallParams;
use crate::list::Filter;
use crate::raw::{RawObject, raw};
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

/// `initialize`, offering the newest revision with sessions. `version` is this program's.
pub fn initialize(id: u64, version: &str) -> Outgoing {
    let params = json!({
        "protocolVersion": Revision::LATEST_LEGACY.as_str(),
        "capabilities": {},
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
    write(Dialect::of(Revision::MODERN), id, "server/discover", RawObject::default(), None, version)
}

/// `tools/call` of the tool `name`. Everything else of the parameters passes as it came, but for what concerns only the
/// hop from the assistant.
pub fn call_tool(dialect: Dialect, id: u64, params: &CallParams<'_>, name: &str, version: &str) -> Outgoing {
    write(dialect, id, "tools/call", params.passed_on(name), Some(name), version)
}

/// [`call_tool`] in the stateless revision, under a number of its own, for an answer that is read with
/// [`read_alone`](super::read_alone).
pub fn call_tool_alone(params: &CallParams<'_>, name: &str, version: &str) -> Outgoing {
    call_tool(Dialect::of(Revision::MODERN), ALONE, params, name, version)
}

/// `subscriptions/listen` for what `filter` names (MCP 2026-07-28, basic/patterns/subscriptions).
pub fn listen(id: u64, filter: &Filter, version: &str) -> Outgoing {
    let mut params = RawObject::default();
    params.set("notifications", filter.to_raw());
    write(Dialect::of(Revision::MODERN), id, "subscriptions/listen", params, None, version)
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

/// A request with all that its dialect asks for. No client capability is declared: nothing that would need one is
/// relayed.
pub(super) fn write(
    dialect: Dialect,
    id: u64,
    method: &'static str,
    mut params: RawObject<'_>,
    name: Option<&str>,
    version: &str,
) -> Outgoing {
    let passed = params.member("_meta").map(ToOwned::to_owned);
    if dialect.is_stateless() {
        let mut meta = passed.as_deref().and_then(RawObject::parse).unwrap_or_default();
        meta.set("io.modelcontextprotocol/protocolVersion", raw(dialect.revision()));
        meta.set("io.modelcontextprotocol/clientCapabilities", raw(&json!({})));
        meta.set("io.modelcontextprotocol/clientInfo", raw(&client_info(version)));
        let meta = meta.to_raw();
        params.set("_meta", meta);
    }
    Outgoing {
        headers: headers(dialect, method, name),
        repeated: Vec::new(),
        body: request(id, method, &params),
    }
}

fn headers(dialect: Dialect, method: &str, name: Option<&str>) -> Vec<(&'static str, String)> {
    let mut headers = vec![("mcp-protocol-version", dialect.revision().to_owned())];
    if dialect.is_stateless() {
        headers.push(("mcp-method", method.to_owned()));
        headers.extend(name.map(|name| ("mcp-name", name.to_owned())));
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
    // A line is a message over standard streams, so a payload that came with line breaks must lose them; between values
    // they mean nothing, and within texts JSON does not allow them.
    let mut body = raw(&Request { jsonrpc: "2.0", id, method, params }).get().to_owned();
    if body.contains(['\n', '\r']) {
        body.retain(|c| !matches!(c, '\n' | '\r'));
    }
    body
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::super::{AnswerFault, read_alone};
    use super::*;
    use crate::assistant::{self, Headers, Incoming, Request};

    fn params(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn call(dialect: Dialect, text: &str) -> Outgoing {
        let text = params(text);
        let call = CallParams::read(RawObject::parse(&text).unwrap()).unwrap();
        call_tool(dialect, 7, &call, "query", "1.2.3")
    }

    #[test]
    fn what_is_written_is_read_by_the_other_side_to_the_digit() {
        let text = params(
            r#"{"name":"analyst_query","arguments":{"n":12345678901234567890123},"x":1.50,"_meta":{"progressToken":7,"traceparent":"00-a"}}"#,
        );
        let call = CallParams::read(RawObject::parse(&text).unwrap()).unwrap();
        let Outgoing { headers, body, .. } = call_tool_alone(&call, "query", "1.2.3");
        assert!(body.contains(r#""n":12345678901234567890123"#) && body.contains(r#""x":1.50"#), "{body}");
        assert!(body.contains("traceparent") && !body.contains("progressToken"), "{body}");

        let value =
            |name| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str());
        let headers = Headers {
            protocol_version: value("mcp-protocol-version"),
            method: value("mcp-method"),
            name: value("mcp-name"),
        };
        let Ok(Incoming::Request { dialect, request: Request::CallTool(read), .. }) =
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
