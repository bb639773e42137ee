//! Asking a connector for its lists, and reading what it gives.

use serde_json::value::RawValue;

use super::AnswerFault;
use super::request::{Outgoing, own};
use crate::assistant::Dialect;
use crate::list::List;
use crate::raw::{RawObject, raw};

/// One page of a connector's list.
#[derive(Debug, Clone)]
pub struct Page {
    /// Each entry as it was sent, whether well-formed or not.
    pub entries: Vec<Box<RawValue>>,
    /// Where to go on.
    pub next_cursor: Option<String>,
}

/// The request for a list, from the start or from a cursor.
pub fn list(dialect: Dialect, id: u64, list: List, cursor: Option<&str>, version: &str) -> Outgoing {
    let mut params = RawObject::default();
    if let Some(cursor) = cursor {
        params.set("cursor", raw(cursor));
    }
    own(dialect, id, list.method(), params, version)
}

/// Reads one page.
///
/// # Errors
/// An [`AnswerFault`] when there is no list; a malformed entry in it is not an error here.
pub fn read_page(list: List, result: &RawValue) -> Result<Page, AnswerFault> {
    let object = RawObject::parse(result).ok_or(AnswerFault::Shape(list.method()))?;
    let entries = object.read(list.member()).ok_or(AnswerFault::Shape(list.method()))?;
    Ok(Page { entries, next_cursor: object.read("nextCursor") })
}

/// What tells an entry from the others of its list; `None` for a malformed one.
pub fn identity(list: List, entry: &RawValue) -> Option<String> {
    RawObject::parse(entry)?.read(list.identity())
}

/// The URI of the resource that shows a tool's results (MCP Apps): `_meta.ui.resourceUri`, or the older
/// `_meta["ui/resourceUri"]`.
pub fn interface_of(tool: &RawValue) -> Option<String> {
    let tool = RawObject::parse(tool)?;
    let meta = tool.member("_meta").and_then(RawObject::parse)?;
    let nested = meta.member("ui").and_then(RawObject::parse).and_then(|ui| ui.read("resourceUri"));
    nested.or_else(|| meta.read("ui/resourceUri"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_malformed_entry_does_not_spoil_its_list() {
        for list in List::ALL {
            let (member, key) = (list.member(), list.identity());
            let text = format!(r#"{{"{member}":[{{"{key}":"a"}},{{"nope":1}},7],"nextCursor":"c"}}"#);
            let page = read_page(list, &value(&text)).unwrap();
            let found: Vec<_> = page.entries.iter().map(|entry| identity(list, entry)).collect();
            assert_eq!(found, [Some("a".to_owned()), None, None], "{list:?}");
            assert_eq!(page.next_cursor.as_deref(), Some("c"));
            let none = read_page(list, &value(r#"{"entries":[]}"#)).expect_err("no list");
            assert_eq!(none, AnswerFault::Shape(list.method()));
        }
    }

    #[test]
    fn a_tool_names_its_interface_in_either_way() {
        for tool in
            [r#"{"_meta":{"ui":{"resourceUri":"ui://a"}}}"#, r#"{"_meta":{"ui/resourceUri":"ui://a"}}"#]
        {
            assert_eq!(interface_of(&value(tool)).as_deref(), Some("ui://a"), "{tool}");
        }
        assert_eq!(interface_of(&value(r#"{"_meta":{"ui":7}}"#)), None);
    }
}
