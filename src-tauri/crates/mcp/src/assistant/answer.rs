//! Writing answers in the assistant's dialect.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::declared::Declared;
use super::incoming::{Dialect, Refusal};
use super::mirrored::{MirrorFault, Mirrored};
use crate::error::{RpcError, code_of};
use crate::list::List;
use crate::raw::{RawObject, raw};
use crate::revision::Revision;

/// An HTTP answer with a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body: one JSON-RPC response.
    pub body: Vec<u8>,
}

/// How a virtual server presents itself.
#[derive(Debug, Clone, Copy)]
pub struct ServerFace<'a> {
    /// The virtual server's id.
    pub name: &'a str,
    /// Its title.
    pub title: &'a str,
    /// This program's version.
    pub version: &'a str,
    /// What it can do.
    pub declared: &'a Declared,
    /// How it is used, in its connectors' words: a text, as JSON.
    pub instructions: Option<&'a RawValue>,
}

/// A tool as it is advertised.
#[derive(Debug, Clone)]
pub struct ToolEntry {
    /// The name that the assistant uses.
    pub name: String,
    /// The definition, as the connector sent it but for the name.
    pub definition: Box<RawValue>,
    /// The same for revisions with sessions, where it differs.
    earlier: Option<Box<RawValue>>,
    /// The arguments that headers repeat, in the stateless revision.
    pub mirrored: Result<Mirrored, MirrorFault>,
}

impl ToolEntry {
    /// Whether it may be offered in this dialect: a tool whose headers cannot be known must not be in the stateless
    /// revision.
    pub fn fits(&self, dialect: Dialect) -> bool {
        !dialect.is_stateless() || self.mirrored.is_ok()
    }

    /// Advertises `definition` under `name`. `None` when the definition is not an object.
    pub fn new(name: String, definition: &RawValue) -> Option<Self> {
        let mirrored = Mirrored::of(definition);
        let definition = renamed(&name, definition)?;
        let earlier = earlier(&definition);
        Some(Self { name, definition, earlier, mirrored })
    }

    /// What an assistant that speaks `dialect` is shown.
    pub fn shown(&self, dialect: Dialect) -> &RawValue {
        match &self.earlier {
            Some(earlier) if !dialect.is_stateless() => earlier,
            Some(_) | None => &self.definition,
        }
    }
}

/// A tool without what revisions with sessions do not allow: results that are no objects.
fn earlier(definition: &RawValue) -> Option<Box<RawValue>> {
    let mut object = RawObject::parse(definition)?;
    let schema = object.member("outputSchema").and_then(RawObject::parse)?;
    if schema.read::<Cow<'_, str>>("type").as_deref() == Some("object") {
        return None;
    }
    object.retain(|key| key != "outputSchema");
    Some(object.to_raw())
}

/// An entry under another name, and else as it was. `None` when it is not an object.
pub fn renamed(name: &str, entry: &RawValue) -> Option<Box<RawValue>> {
    let mut object = RawObject::parse(entry)?;
    if object.read::<String>("name").as_deref() == Some(name) {
        return Some(entry.to_owned());
    }
    object.set("name", raw(name));
    Some(object.to_raw())
}

#[derive(Serialize)]
struct Response<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
}

impl Answer {
    /// A result, shaped for the dialect.
    pub fn result(dialect: Dialect, id: &RawValue, result: &RawValue) -> Self {
        let shaped = RawObject::parse(result).and_then(|object| shaped(dialect, object));
        Self::ok(id, shaped.as_deref().unwrap_or(result))
    }

    /// The content of a resource. A connector of a revision with sessions says nothing of how long it stays true, so it is
    /// not kept.
    pub fn content(dialect: Dialect, id: &RawValue, result: &RawValue) -> Self {
        let kept = RawObject::parse(result).filter(|object| {
            let is_whole = object.read::<Cow<'_, str>>("resultType").is_none_or(|kind| kind == "complete");
            dialect.is_stateless() && is_whole
        });
        let Some(mut object) = kept else { return Self::result(dialect, id, result) };
        for (key, value) in [("ttlMs", raw(&0)), ("cacheScope", raw("private"))] {
            if object.member(key).is_none() {
                object.set(key, value);
            }
        }
        Self::result(dialect, id, &object.to_raw())
    }

    /// An error that came from a connector, passed on as it is but for codes that the assistant's revision does not have.
    pub fn passed_error(dialect: Dialect, id: &RawValue, error: &RawValue) -> Self {
        let code = code_of(error);
        let code = match (dialect.is_stateless(), code) {
            (true, Some(RpcError::RESOURCE_NOT_FOUND)) => Some(RpcError::INVALID_PARAMS),
            (
                false,
                Some(
                    RpcError::HEADER_MISMATCH | RpcError::MISSING_CAPABILITY | RpcError::UNSUPPORTED_REVISION,
                ),
            ) => Some(RpcError::INVALID_PARAMS),
            (true | false, _) => None,
        };
        let recoded = code.and_then(|code| {
            let mut error = RawObject::parse(error)?;
            error.set("code", raw(&code));
            Some(error.to_raw())
        });
        let error = recoded.as_deref().unwrap_or(error);
        let status = match code_of(error) {
            Some(RpcError::MISSING_CAPABILITY) => StatusCode::BAD_REQUEST,
            Some(_) | None => StatusCode::OK,
        };
        Self { status, body: response(id, None, Some(error)) }
    }

    /// An error of the gateway.
    pub fn error(dialect: Dialect, id: &RawValue, error: &RpcError) -> Self {
        let modern = dialect.is_stateless();
        let status = match error.code {
            RpcError::METHOD_NOT_FOUND if modern => StatusCode::NOT_FOUND,
            RpcError::HEADER_MISMATCH | RpcError::MISSING_CAPABILITY | RpcError::UNSUPPORTED_REVISION
                if modern =>
            {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::OK,
        };
        Self { status, body: response(id, None, Some(&error.to_raw())) }
    }

    /// The answer to a message that was refused unread.
    pub fn refusal(refusal: &Refusal) -> Self {
        let id: &RawValue = serde_json::from_str(&refusal.id).unwrap_or(RawValue::NULL);
        Self { status: refusal.status, body: response(id, None, Some(&refusal.error.to_raw())) }
    }

    /// The answer as one line, without its end. Line breaks of a connector's own are blanks then, which JSON does not tell
    /// apart between values, and within them there are none.
    pub fn into_line(self) -> Vec<u8> {
        let mut line = self.body;
        line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        line
    }

    /// The answer to `initialize`.
    pub fn initialized(id: &RawValue, revision: Revision, face: ServerFace<'_>) -> Self {
        let mut result = RawObject::default();
        result.set("protocolVersion", raw(revision.as_str()));
        result.set("capabilities", face.declared.to_raw(Dialect::of(revision)));
        result.set("serverInfo", raw(&server_info(face)));
        if let Some(instructions) = face.instructions {
            result.set("instructions", instructions.to_owned());
        }
        Self::ok(id, &result.to_raw())
    }

    /// The answer to `server/discover`.
    pub fn discovered(id: &RawValue, face: ServerFace<'_>) -> Self {
        let served: Vec<_> = Revision::ALL[1..].iter().rev().map(|revision| revision.as_str()).collect();
        let mut result = RawObject::default();
        result.set("resultType", raw("complete"));
        result.set("supportedVersions", raw(&served));
        result.set("capabilities", face.declared.to_raw(Dialect::of(Revision::MODERN)));
        if let Some(instructions) = face.instructions {
            result.set("instructions", instructions.to_owned());
        }
        result.set("ttlMs", raw(&0));
        result.set("cacheScope", raw("private"));
        result.set("_meta", raw(&json!({"io.modelcontextprotocol/serverInfo": server_info(face)})));
        Self::ok(id, &result.to_raw())
    }

    /// The answer to `ping`.
    pub fn pong(id: &RawValue) -> Self {
        Self::ok(id, &raw(&json!({})))
    }

    /// The answer to a request for a list, on one page. What policy shows differs by user, so the list is private to its
    /// authorization.
    pub fn list<'e>(
        dialect: Dialect,
        id: &RawValue,
        list: List,
        entries: impl IntoIterator<Item = &'e RawValue>,
        fresh_for: Duration,
    ) -> Self {
        let entries: Vec<&RawValue> = entries.into_iter().collect();
        let mut object = RawObject::default();
        object.set(list.member(), raw(&entries));
        if dialect.is_stateless() {
            object.set("resultType", raw("complete"));
            object.set("ttlMs", raw(&u64::try_from(fresh_for.as_millis()).unwrap_or(u64::MAX)));
            object.set("cacheScope", raw("private"));
        }
        Self::ok(id, &object.to_raw())
    }

    fn ok(id: &RawValue, result: &RawValue) -> Self {
        Self { status: StatusCode::OK, body: response(id, Some(result), None) }
    }
}

/// Adds what the modern era requires and drops what the legacy era does not know. `None`: nothing to do.
fn shaped(dialect: Dialect, mut object: RawObject<'_>) -> Option<Box<RawValue>> {
    let modern_member = |key: &str| matches!(key, "resultType" | "ttlMs" | "cacheScope");
    if dialect.is_stateless() {
        if object.member("resultType").is_some() {
            return None;
        }
        object.set("resultType", raw("complete"));
    } else {
        // Results were objects then, or not there.
        let is_object = |content: &RawValue| content.get().starts_with('{');
        let odd = object.member("structuredContent").is_some_and(|content| !is_object(content));
        let unknown = |key: &str| modern_member(key) || (odd && key == "structuredContent");
        if !object.keys().any(unknown) {
            return None;
        }
        object.retain(|key| !unknown(key));
    }
    Some(object.to_raw())
}

fn server_info(face: ServerFace<'_>) -> serde_json::Value {
    json!({"name": face.name, "title": face.title, "version": face.version})
}

fn response(id: &RawValue, result: Option<&RawValue>, error: Option<&RawValue>) -> Vec<u8> {
    serde_json::to_vec(&Response { jsonrpc: "2.0", id, result, error }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn result(revision: Revision, text: &str) -> String {
        let answer = Answer::result(Dialect::of(revision), &value("7"), &value(text));
        String::from_utf8(answer.body).unwrap()
    }

    #[test]
    fn results_that_are_no_objects_are_for_those_who_know_them() {
        let text = r#"{"content":[],"structuredContent":[1.50]}"#;
        assert!(result(Revision::MODERN, text).contains(r#""structuredContent":[1.50]"#));
        assert!(!result(Revision::V2025_11_25, text).contains("structuredContent"));
        let object = r#"{"content":[],"structuredContent":{"n":1.50}}"#;
        assert!(result(Revision::V2025_11_25, object).contains(r#""structuredContent":{"n":1.50}"#));

        let tool = |schema: &str| {
            let tool = format!(r#"{{"name":"a","inputSchema":{{}},"outputSchema":{schema},"x":1e3}}"#);
            ToolEntry::new("a".to_owned(), &value(&tool)).unwrap()
        };
        let shown = |tool: &ToolEntry, revision| tool.shown(Dialect::of(revision)).get().to_owned();
        let list = tool(r#"{"type":"array"}"#);
        assert!(shown(&list, Revision::MODERN).contains("outputSchema"));
        assert_eq!(shown(&list, Revision::V2025_11_25), r#"{"name":"a","inputSchema":{},"x":1e3}"#);
        assert!(shown(&tool(r#"{"type":"object"}"#), Revision::V2025_06_18).contains("outputSchema"));
    }

    #[test]
    fn results_are_shaped_for_the_era_and_else_untouched() {
        let odd = r#"{"content":[{"type":"video","n":1.50}],"x":12345678901234567890123}"#;
        assert_eq!(
            result(Revision::V2025_11_25, odd),
            format!(r#"{{"jsonrpc":"2.0","id":7,"result":{odd}}}"#)
        );
        assert_eq!(
            result(Revision::MODERN, odd),
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"video","n":1.50}],"x":12345678901234567890123,"resultType":"complete"}}"#
        );
        assert_eq!(
            result(Revision::V2025_11_25, r#"{"resultType":"complete","content":[]}"#),
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#
        );
    }

    #[test]
    fn a_renamed_tool_keeps_everything_else() {
        let definition = value(r#"{"name":"a","inputSchema":{"$defs":{"n":1.0}},"vendor":{"k":[]}}"#);
        let entry = ToolEntry::new("files_a".to_owned(), &definition).unwrap();
        assert_eq!(
            entry.definition.get(),
            r#"{"name":"files_a","inputSchema":{"$defs":{"n":1.0}},"vendor":{"k":[]}}"#
        );
    }

    #[test]
    fn unknown_methods_have_the_status_of_their_era() {
        let error = RpcError::new(RpcError::METHOD_NOT_FOUND, "unknown");
        let status = |revision| Answer::error(Dialect::of(revision), &value("1"), &error).status;
        assert_eq!(status(Revision::MODERN), StatusCode::NOT_FOUND);
        assert_eq!(status(Revision::V2025_11_25), StatusCode::OK);
    }
}
