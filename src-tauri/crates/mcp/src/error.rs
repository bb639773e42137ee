//! Error objects and their codes (JSON-RPC 2.0, section 5.1; MCP 2026-07-28, basic, "Error Codes").

use serde_json::value::RawValue;

use crate::ask::AskKind;
use crate::assistant::Dialect;
use crate::raw::{RawObject, raw};

/// A JSON-RPC error that the gateway itself answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    /// The code.
    pub code: i32,
    /// The text for whoever reads it; holds no secret.
    pub message: String,
    /// Further data, as JSON text.
    pub data: Option<String>,
}

/// The code of an error object that somebody sent.
pub(crate) fn code_of(error: &RawValue) -> Option<i32> {
    RawObject::parse(error)?.read("code")
}

impl RpcError {
    /// The text is not JSON.
    pub const PARSE: i32 = -32700;
    /// Not a message, or not one that fits here.
    pub const INVALID_REQUEST: i32 = -32600;
    /// The method does not exist here.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The parameters are wrong; also an unknown tool.
    pub const INVALID_PARAMS: i32 = -32602;
    /// The gateway or a connector failed.
    pub const INTERNAL: i32 = -32603;
    /// There is no such resource (until 2025-11-25).
    pub const RESOURCE_NOT_FOUND: i32 = -32002;
    /// A header contradicts the body (2026-07-28).
    pub const HEADER_MISMATCH: i32 = -32020;
    /// The request needs a capability that was not declared (2026-07-28).
    pub const MISSING_CAPABILITY: i32 = -32021;
    /// The revision is not served (2026-07-28).
    pub const UNSUPPORTED_REVISION: i32 = -32022;

    /// The person or policy lets nobody in here, or not any more. A code of our own, as are all positive ones.
    pub const NOT_ADMITTED: i32 = 4_010;
    /// More is under way than is taken at a time.
    pub const BUSY: i32 = 4_290;

    /// An error without data.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// There is no such tool, or not for this person (MCP 2026-07-28, server/tools, "Error Handling").
    pub fn unknown_tool(name: &str) -> Self {
        Self::new(Self::INVALID_PARAMS, format!("Unknown tool: {name}"))
    }

    /// There is no such resource, or not for this person (MCP 2026-07-28, server/resources, "Error Handling").
    pub fn no_resource(dialect: Dialect, uri: &str) -> Self {
        Self {
            code: if dialect.is_stateless() { Self::INVALID_PARAMS } else { Self::RESOURCE_NOT_FOUND },
            message: "Resource not found".to_owned(),
            data: Some(raw(&serde_json::json!({"uri": uri})).get().to_owned()),
        }
    }

    /// The connector needs to ask something that the assistant did not declare (MCP 2026-07-28, basic, "Error Codes").
    pub fn missing_capability(kind: AskKind) -> Self {
        let (capability, text) = match kind {
            AskKind::Sampling => (r#"{"sampling":{}}"#, "sampling"),
            AskKind::Roots => (r#"{"roots":{}}"#, "roots"),
            AskKind::Form => (r#"{"elicitation":{"form":{}}}"#, "elicitation"),
            AskKind::Url => (r#"{"elicitation":{"url":{}}}"#, "elicitation at URLs"),
        };
        Self {
            code: Self::MISSING_CAPABILITY,
            message: format!("The connector needs an assistant that declares {text}."),
            data: Some(format!(r#"{{"requiredCapabilities":{capability}}}"#)),
        }
    }

    /// The request is about a task, and its sender did not declare that it knows tasks.
    pub fn missing_tasks() -> Self {
        Self {
            code: Self::MISSING_CAPABILITY,
            message: "This is for assistants that declare the tasks extension.".to_owned(),
            data: Some(
                r#"{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#.to_owned(),
            ),
        }
    }

    /// The error object.
    pub fn to_raw(&self) -> Box<RawValue> {
        let data = self.data.as_deref().and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
        match data {
            Some(data) => raw(&serde_json::json!({"code": self.code, "message": self.message, "data": data})),
            None => raw(&serde_json::json!({"code": self.code, "message": self.message})),
        }
    }
}
