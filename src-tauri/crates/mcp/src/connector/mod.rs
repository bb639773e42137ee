//! The side towards connectors: requests of the gateway and what connectors answer.
//!
//! Connectors are told what the assistant that they are used by can be asked, and nothing more.

mod about;
mod discovery;
mod heard;
mod jobs;
mod lists;
mod request;

use serde_json::value::RawValue;

pub use about::About;
pub use discovery::{Discovery, discovery};
pub(crate) use heard::progress_of;
pub use heard::{FromConnector, Notice, Question};
pub use jobs::{cancel_task, takes_tasks, task_of, task_result, without_task};
pub use lists::{Page, identity, interface_of, list, read_page};
pub use request::{
    Hop, Outgoing, call_tool_alone, cancelled, discover, effect, initialize, initialized, listen, reply,
    set_level, stream_headers,
};

use crate::assistant::Dialect;
use crate::error::{RpcError, code_of};
use crate::list::List;
use crate::message::Message;
use crate::raw::RawObject;
use crate::revision::{Era, Revision};
use crate::scan::scan;

/// A connector's answer to `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialized {
    /// How the session is spoken.
    pub dialect: Dialect,
    /// What it says of itself.
    pub about: About,
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

/// Reads the result of `initialize`.
///
/// # Errors
/// An [`AnswerFault`].
pub fn read_initialized(result: &RawValue) -> Result<Initialized, AnswerFault> {
    let object = RawObject::parse(result).ok_or(AnswerFault::Shape("initialize"))?;
    let date: String = object.read("protocolVersion").ok_or(AnswerFault::Shape("initialize"))?;
    match Revision::known(&date).filter(|revision| revision.era() == Era::Legacy) {
        Some(revision) => Ok(Initialized { dialect: Dialect::of(revision), about: About::of(&object) }),
        None => Err(AnswerFault::Revision(date.chars().take(64).collect())),
    }
}

/// The name in a tool's definition; `None` for a malformed one.
pub fn tool_name(definition: &RawValue) -> Option<String> {
    identity(List::Tools, definition)
}

/// The error object of a body that came with an HTTP status of failure; such a body need not name the request
/// (MCP 2026-07-28, basic/transports, "Streamable HTTP").
pub fn error_of(body: &[u8]) -> Option<Box<RawValue>> {
    let object: RawObject<'_> = serde_json::from_str(scan(body).ok()?).ok()?;
    let error = object.member("error")?;
    RawObject::parse(error)?.read::<i64>("code")?;
    Some(error.to_owned())
}

/// Reads the answer to a request that travelled alone: its result or its error object.
///
/// # Errors
/// [`AnswerFault::Shape`] when it is no JSON-RPC response to it.
pub fn read_alone(body: &[u8]) -> Result<Result<Box<RawValue>, Box<RawValue>>, AnswerFault> {
    match Message::parse(body) {
        Ok(Message::Response { id, outcome }) if id.get().parse() == Ok(request::ALONE) => {
            Ok(outcome.map(ToOwned::to_owned).map_err(ToOwned::to_owned))
        }
        Ok(Message::Response { .. } | Message::Request { .. } | Message::Notification { .. }) | Err(_) => {
            Err(AnswerFault::Shape("tools/call"))
        }
    }
}

/// Whether a result is of a kind that is relayed: all there is, a question for more (MCP 2026-07-28, basic/patterns/mrtr),
/// or a task for an assistant that knows tasks. What a later revision or another extension knows was not declared.
pub fn is_relayed(result: &RawValue, tasks: bool) -> bool {
    let kind = RawObject::parse(result).and_then(|object| object.read::<String>("resultType"));
    kind.is_none_or(|kind| kind == "complete" || kind == "input_required" || (tasks && kind == "task"))
}

/// The error object for a method that a connector does not have.
pub fn no_method(method: &str) -> Box<RawValue> {
    RpcError::new(RpcError::METHOD_NOT_FOUND, format!("the connector has no {method}")).to_raw()
}

/// Whether an error object says that there is no such method.
pub fn is_no_method(error: &RawValue) -> bool {
    code_of(error) == Some(RpcError::METHOD_NOT_FOUND)
}

/// Whether an error object says that headers and body contradict each other; then nothing has been done.
pub fn is_header_mismatch(error: &RawValue) -> bool {
    code_of(error) == Some(RpcError::HEADER_MISMATCH)
}

/// Whether an error object says that the server does not speak as it was spoken to.
pub fn is_misunderstood(dialect: Dialect, error: &RawValue) -> bool {
    match code_of(error) {
        Some(RpcError::UNSUPPORTED_REVISION) => true,
        // `tools/call` exists in every revision that can be spoken to this server.
        Some(RpcError::METHOD_NOT_FOUND | RpcError::INVALID_REQUEST) => dialect.is_stateless(),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_without_an_id() {
        assert!(error_of(br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"m"}}"#).is_some());
        for other in ["", "Not found", r#"{"error":"oauth"}"#, r#"{"id":1,"result":{}}"#] {
            assert!(error_of(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn only_results_of_known_kinds_are_relayed() {
        let relayed =
            |text: &str, tasks| is_relayed(&serde_json::from_str::<Box<RawValue>>(text).unwrap(), tasks);
        let is_relayed = |text: &str| relayed(text, false);
        assert!(is_relayed(r#"{"content":[]}"#) && is_relayed(r#"{"resultType":"complete"}"#));
        assert!(is_relayed(r#"{"resultType":"input_required","inputRequests":{}}"#));
        assert!(!is_relayed(r#"{"resultType":"task","taskId":"t"}"#));
        assert!(relayed(r#"{"resultType":"task","taskId":"t"}"#, true));
        assert!(!relayed(r#"{"resultType":"later"}"#, true));
    }

    #[test]
    fn an_unknown_revision_is_refused() {
        let result: Box<RawValue> = serde_json::from_str(r#"{"protocolVersion":"2019-01-01"}"#).unwrap();
        assert_eq!(read_initialized(&result), Err(AnswerFault::Revision("2019-01-01".to_owned())));
    }
}
