//! The side towards connectors: requests of the gateway and what connectors answer.
//!
//! The gateway declares no client capability, so that no connector asks the assistant for something that is not
//! relayed.

mod stateless;

use serde_json::json;
use serde_json::value::RawValue;

pub use stateless::{StatelessRequest, call_tool_alone, read_alone};

use crate::message::{Message, MessageFault};
use crate::raw::{RawObject, raw};
use crate::revision::{Era, Revision};

/// A connector's answer to `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialized {
    /// The revision that the session speaks.
    pub revision: Revision,
}

/// One page of a connector's tool list.
#[derive(Debug, Clone)]
pub struct ToolsPage {
    /// Each definition as it was sent, whether well-formed or not.
    pub tools: Vec<Box<RawValue>>,
    /// Where to go on.
    pub next_cursor: Option<String>,
}

/// An answer that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// The connector chose a revision that is not known.
    #[error("the connector speaks the unknown protocol version {0:?}")]
    Revision(String),
    /// The result has not the shape that the method asks for.
    #[error("the connector's answer to {0} has the wrong shape")]
    Shape(&'static str),
}

/// What a connector sent.
#[derive(Debug)]
pub enum FromConnector {
    /// The answer to the request with this number.
    Answer {
        /// The request's number.
        id: u64,
        /// Result or error object.
        outcome: Result<Box<RawValue>, Box<RawValue>>,
    },
    /// A request, and the reply to send: `ping` is answered, all else is refused, for nothing was declared.
    Request {
        /// The reply's text.
        reply: String,
    },
    /// The tool list changed.
    ToolsChanged,
    /// Anything else.
    Other,
}

impl FromConnector {
    /// Reads one message.
    ///
    /// # Errors
    /// A [`MessageFault`] when it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageFault> {
        Ok(match Message::parse(bytes)? {
            Message::Response { id, outcome } => match id.get().parse() {
                Ok(id) => {
                    Self::Answer { id, outcome: outcome.map(ToOwned::to_owned).map_err(ToOwned::to_owned) }
                }
                Err(_) => Self::Other,
            },
            Message::Request { id, method, .. } => Self::Request { reply: refused(id, &method) },
            Message::Notification { method, .. } if method == "notifications/tools/list_changed" => {
                Self::ToolsChanged
            }
            Message::Notification { .. } => Self::Other,
        })
    }
}

/// `initialize`, offering the newest revision with sessions.
pub fn initialize(id: u64, version: &str) -> String {
    request(
        id,
        "initialize",
        &json!({
            "protocolVersion": Revision::LATEST_LEGACY.as_str(),
            "capabilities": {},
            "clientInfo": {"name": "deskgate", "title": "Deskgate", "version": version},
        }),
    )
}

/// `notifications/initialized`.
pub fn initialized() -> String {
    json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string()
}

/// `tools/list`, from the start or from a cursor.
pub fn list_tools(id: u64, cursor: Option<&str>) -> String {
    match cursor {
        Some(cursor) => request(id, "tools/list", &json!({"cursor": cursor})),
        None => request(id, "tools/list", &json!({})),
    }
}

/// `tools/call` with parameters made by [`crate::CallParams::for_connector`].
pub fn call_tool(id: u64, params: &RawValue) -> String {
    request(id, "tools/call", params)
}

/// `notifications/cancelled` for a request that nobody waits for any more.
pub fn cancelled(id: u64) -> String {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}).to_string()
}

/// Reads the result of `initialize`.
///
/// # Errors
/// An [`AnswerFault`].
pub fn read_initialized(result: &RawValue) -> Result<Initialized, AnswerFault> {
    let object = RawObject::parse(result).ok_or(AnswerFault::Shape("initialize"))?;
    let date: String = object.read("protocolVersion").ok_or(AnswerFault::Shape("initialize"))?;
    match Revision::known(&date).filter(|revision| revision.era() == Era::Legacy) {
        Some(revision) => Ok(Initialized { revision }),
        None => Err(AnswerFault::Revision(date)),
    }
}

/// Reads one page of `tools/list`.
///
/// # Errors
/// An [`AnswerFault`] when there is no list; a malformed tool in it is not an error here.
pub fn read_tools(result: &RawValue) -> Result<ToolsPage, AnswerFault> {
    let object = RawObject::parse(result).ok_or(AnswerFault::Shape("tools/list"))?;
    let tools = object.read("tools").ok_or(AnswerFault::Shape("tools/list"))?;
    Ok(ToolsPage { tools, next_cursor: object.read("nextCursor") })
}

/// The name in a tool's definition; `None` for a malformed one.
pub fn tool_name(definition: &RawValue) -> Option<String> {
    RawObject::parse(definition)?.read("name")
}

fn request<T: serde::Serialize + ?Sized>(id: u64, method: &str, params: &T) -> String {
    #[derive(serde::Serialize)]
    struct Outgoing<'a, T: ?Sized> {
        jsonrpc: &'static str,
        id: u64,
        method: &'a str,
        params: &'a T,
    }
    raw(&Outgoing { jsonrpc: "2.0", id, method, params }).get().to_owned()
}

fn refused(id: &RawValue, method: &str) -> String {
    if method == "ping" {
        return json!({"jsonrpc": "2.0", "id": id, "result": {}}).to_string();
    }
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "not declared"}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_connectors_are_refused_but_pings_answered() {
        let reply = |text: &str| match FromConnector::parse(text.as_bytes()) {
            Ok(FromConnector::Request { reply }) => reply,
            other => panic!("{other:?}"),
        };
        assert!(reply(r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#).contains(r#""result":{}"#));
        assert!(reply(r#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#).contains("-32601"));
    }

    #[test]
    fn a_malformed_tool_does_not_spoil_its_list() {
        let result: Box<RawValue> =
            serde_json::from_str(r#"{"tools":[{"name":"a"},{"nope":1},7],"nextCursor":"c"}"#).unwrap();
        let page = read_tools(&result).unwrap();
        let names: Vec<_> = page.tools.iter().map(|tool| tool_name(tool)).collect();
        assert_eq!(names, [Some("a".to_owned()), None, None]);
        assert_eq!(page.next_cursor.as_deref(), Some("c"));
    }

    #[test]
    fn an_unknown_revision_is_refused() {
        let result: Box<RawValue> = serde_json::from_str(r#"{"protocolVersion":"2019-01-01"}"#).unwrap();
        assert_eq!(read_initialized(&result), Err(AnswerFault::Revision("2019-01-01".to_owned())));
    }
}
