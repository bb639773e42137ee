//! Requests of the stateless revision (MCP 2026-07-28, basic/transports, "Streamable HTTP"): each stands alone.

use serde_json::json;
use serde_json::value::RawValue;

use super::{AnswerFault, request};
use crate::call::CallParams;
use crate::message::Message;
use crate::raw::{RawObject, raw};
use crate::revision::Revision;

/// A request by itself is answered under this number.
const ID: u64 = 1;

/// A request with all that says how it is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatelessRequest {
    /// The headers that repeat what the body says, for whoever routes without reading it.
    pub headers: [(&'static str, String); 3],
    /// The JSON-RPC request.
    pub body: String,
}

/// `tools/call` of the tool `name`. Everything else of the parameters passes as it came, but for what concerns only the
/// hop from the assistant. No client capability is declared: nothing that would need one is relayed.
pub fn call_tool_alone(params: &CallParams<'_>, name: &str, version: &str) -> StatelessRequest {
    let mut object = params.passed_on(name);
    let passed = object.member("_meta").map(ToOwned::to_owned);
    let mut meta = passed.as_deref().and_then(RawObject::parse).unwrap_or_default();
    meta.set("io.modelcontextprotocol/protocolVersion", raw(Revision::MODERN.as_str()));
    meta.set("io.modelcontextprotocol/clientCapabilities", raw(&json!({})));
    meta.set(
        "io.modelcontextprotocol/clientInfo",
        raw(&json!({"name": "deskgate", "title": "Deskgate", "version": version})),
    );
    let meta = meta.to_raw();
    object.set("_meta", meta);
    let headers = [
        ("mcp-protocol-version", Revision::MODERN.as_str().to_owned()),
        ("mcp-method", "tools/call".to_owned()),
        ("mcp-name", name.to_owned()),
    ];
    StatelessRequest { headers, body: request(ID, "tools/call", &object.to_raw()) }
}

/// Reads the answer to a request that stood alone: its result or its error object.
///
/// # Errors
/// [`AnswerFault::Shape`] when it is no JSON-RPC response to it.
pub fn read_alone(body: &[u8]) -> Result<Result<Box<RawValue>, Box<RawValue>>, AnswerFault> {
    match Message::parse(body) {
        Ok(Message::Response { id, outcome }) if id.get().parse() == Ok(ID) => {
            Ok(outcome.map(ToOwned::to_owned).map_err(ToOwned::to_owned))
        }
        Ok(Message::Response { .. } | Message::Request { .. } | Message::Notification { .. }) | Err(_) => {
            Err(AnswerFault::Shape("tools/call"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assistant::{self, Headers, Incoming, Request};

    fn params(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_written_is_read_by_the_other_side_to_the_digit() {
        let text = params(
            r#"{"name":"analyst_query","arguments":{"n":12345678901234567890123},"x":1.50,"_meta":{"progressToken":7,"traceparent":"00-a"}}"#,
        );
        let call = CallParams::read(RawObject::parse(&text).unwrap()).unwrap();
        let StatelessRequest { headers, body } = call_tool_alone(&call, "query", "1.2.3");
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
