//! What a connector says of itself when a conversation with it begins: in the result of `initialize` (MCP 2025-11-25,
//! basic/lifecycle) or of `server/discover` (2026-07-28, server/discover).

use serde_json::value::RawValue;

use crate::list::{Filter, List, Topic};
use crate::raw::RawObject;

/// What a connector says of itself, each part as it wrote it.
#[derive(Debug, Clone, Default)]
pub struct About {
    capabilities: Option<Box<RawValue>>,
    instructions: Option<Box<RawValue>>,
    server_info: Option<Box<RawValue>>,
}

impl About {
    /// Reads what a result presents.
    pub(super) fn of(presented: &RawObject<'_>) -> Self {
        let member = |name: &str| presented.member(name).map(ToOwned::to_owned);
        let meta = presented.member("_meta").and_then(RawObject::parse);
        let in_meta = meta.as_ref().and_then(|meta| meta.member("io.modelcontextprotocol/serverInfo"));
        Self {
            capabilities: member("capabilities").filter(|value| RawObject::parse(value).is_some()),
            instructions: member("instructions").filter(|value| is_text(value)),
            server_info: in_meta.map(ToOwned::to_owned).or_else(|| member("serverInfo")),
        }
    }

    /// The capabilities; no member where nothing was declared.
    pub fn capabilities(&self) -> RawObject<'_> {
        self.capabilities.as_deref().and_then(RawObject::parse).unwrap_or_default()
    }

    /// How the connector is used, in its own words: a text, as JSON.
    pub fn instructions(&self) -> Option<&RawValue> {
        self.instructions.as_deref()
    }

    /// The same without what it says to models.
    #[must_use]
    pub fn without_instructions(&self) -> Self {
        Self { instructions: None, ..self.clone() }
    }

    /// Its name, title and version, as it wrote them.
    pub fn server_info(&self) -> Option<&RawValue> {
        self.server_info.as_deref()
    }

    /// Whether it has a capability.
    pub fn declares(&self, capability: &str) -> bool {
        self.capabilities().member(capability).is_some_and(|value| value.get() != "null")
    }

    /// Whether it gives this list. A connector that declares none of them may still have tools, as old ones do.
    pub fn gives(&self, list: List) -> bool {
        let declares = |topic: Topic| self.declares(topic.capability());
        declares(list.topic()) || (list == List::Tools && !Topic::ALL.into_iter().any(declares))
    }

    /// The lists of which it tells changes.
    pub fn tells(&self) -> Filter {
        Filter::of(|topic| self.has(topic.capability(), "listChanged"))
    }

    /// Whether it tells of changes of single resources to those who subscribe.
    pub fn subscribes(&self) -> bool {
        self.has("resources", "subscribe")
    }

    fn has(&self, capability: &str, flag: &str) -> bool {
        let all = self.capabilities();
        let one = all.member(capability).and_then(RawObject::parse);
        one.and_then(|one| one.read(flag)).unwrap_or(false)
    }
}

fn is_text(value: &RawValue) -> bool {
    serde_json::from_str::<String>(value.get()).is_ok_and(|text| !text.is_empty())
}

impl PartialEq for About {
    fn eq(&self, other: &Self) -> bool {
        let texts = |about: &Self| {
            [&about.capabilities, &about.instructions, &about.server_info]
                .map(|part| part.as_deref().map(|value| value.get().to_owned()))
        };
        texts(self) == texts(other)
    }
}

impl Eq for About {}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(text: &str) -> About {
        let value: Box<RawValue> = serde_json::from_str(text).unwrap();
        About::of(&RawObject::parse(&value).unwrap())
    }

    #[test]
    fn what_is_declared_is_known_and_kept_as_it_was_written() {
        let about = about(
            r#"{"capabilities":{"tools":{},"resources":{"subscribe":true,"listChanged":true},"prompts":null},
                "instructions":"caf\u00e9","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"a"}}}"#,
        );
        assert!(about.gives(List::Tools) && about.gives(List::Templates) && !about.gives(List::Prompts));
        assert_eq!(about.tells().topics, [Topic::Resources]);
        assert!(about.subscribes());
        assert_eq!(about.instructions().map(RawValue::get), Some(r#""caf\u00e9""#));
        assert_eq!(about.server_info().map(RawValue::get), Some(r#"{"name":"a"}"#));
    }

    #[test]
    fn who_declares_nothing_may_have_tools_only() {
        for nothing in ["{}", r#"{"capabilities":{}}"#, r#"{"capabilities":[],"instructions":7}"#] {
            let about = about(nothing);
            assert!(about.gives(List::Tools) && !about.gives(List::Resources), "{nothing}");
            assert!(about.tells().is_empty() && about.instructions().is_none(), "{nothing}");
        }
        let about = about(r#"{"capabilities":{"prompts":{}}}"#);
        assert!(!about.gives(List::Tools) && about.gives(List::Prompts));
    }
}
