//! The parameters of `tools/call`, which policy reads and connectors receive.

use serde_json::value::RawValue;

use crate::raw::{RawObject, raw};

/// Keys of `_meta` that belong to one hop and are not passed on: the modern era's own, and the progress token, whose
/// notifications are not relayed.
const HOP_META: [&str; 1] = ["progressToken"];
const MODERN_META: &str = "io.modelcontextprotocol/";

/// Checked parameters of a `tools/call` request (MCP 2026-07-28, server/tools, "Calling Tools").
#[derive(Debug, Clone)]
pub struct CallParams<'a> {
    object: RawObject<'a>,
    name: String,
}

/// Why parameters are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallFault {
    /// `name` is missing or no string.
    #[error("a tool call has a name")]
    Name,
    /// `arguments` is there but no object.
    #[error("the arguments of a tool call are an object")]
    Arguments,
    /// A member differs from a known one only by the case of its letters.
    #[error("a member of the call imitates a known one")]
    Imitation,
}

impl<'a> CallParams<'a> {
    /// Reads the parameters.
    ///
    /// # Errors
    /// A [`CallFault`].
    pub fn read(object: RawObject<'a>) -> Result<Self, CallFault> {
        let known = ["name", "arguments", "_meta"];
        if object.keys().any(|key| !known.contains(&key) && known.iter().any(|k| k.eq_ignore_ascii_case(key)))
        {
            return Err(CallFault::Imitation);
        }
        let name: String = object.read("name").ok_or(CallFault::Name)?;
        if object.member("arguments").is_some_and(|value| !value.get().starts_with('{')) {
            return Err(CallFault::Arguments);
        }
        Ok(Self { object, name })
    }

    /// The same parameters, with a text of their own.
    pub fn into_owned(self) -> CallParams<'static> {
        CallParams { object: self.object.into_owned(), name: self.name }
    }

    /// The tool's name as the caller wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The arguments as JSON text; `{}` when absent.
    pub fn arguments(&self) -> &str {
        self.object.member("arguments").map_or("{}", RawValue::get)
    }

    /// The parameters for a connector that calls the tool `name`: everything as it came, but for the name and for
    /// what concerns only the hop from the assistant.
    pub(crate) fn passed_on(&self, name: &str) -> RawObject<'_> {
        let mut object = self.object.clone();
        object.set("name", raw(name));
        let meta = self.object.member("_meta").and_then(RawObject::parse);
        if let Some(mut meta) = meta {
            meta.retain(|key| !HOP_META.contains(&key) && !key.starts_with(MODERN_META));
            if meta.is_empty() {
                object.retain(|key| key != "_meta");
            } else {
                object.set("_meta", meta.to_raw());
            }
        }
        object
    }
}

/// A tool result that says, to the model and the person reading along, why there is no other.
pub fn tool_error(text: &str) -> Box<RawValue> {
    raw(&serde_json::json!({"content": [{"type": "text", "text": text}], "isError": true}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, CallFault> {
        let value: Box<RawValue> = serde_json::from_str(text).unwrap();
        let object = RawObject::parse(&value).unwrap();
        CallParams::read(object).map(|call| call.passed_on("real").to_raw().get().to_owned())
    }

    #[test]
    fn what_is_not_understood_passes_to_the_digit() {
        assert_eq!(
            read(
                r#"{"name":"a_real","arguments":{"n":12345678901234567890123,"x":1.50},"vendor":[1e3],
                "_meta":{"progressToken":1,"traceparent":"00-x","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#
            ),
            Ok(concat!(
                r#"{"name":"real","arguments":{"n":12345678901234567890123,"x":1.50},"vendor":[1e3],"#,
                r#""_meta":{"traceparent":"00-x"}}"#
            )
            .to_owned())
        );
    }

    #[test]
    fn wrong_parameters_are_named() {
        assert_eq!(read(r#"{"arguments":{}}"#), Err(CallFault::Name));
        assert_eq!(read(r#"{"name":1}"#), Err(CallFault::Name));
        assert_eq!(read(r#"{"name":"a","arguments":[]}"#), Err(CallFault::Arguments));
        assert_eq!(read(r#"{"name":"a","Arguments":{}}"#), Err(CallFault::Imitation));
    }
}
