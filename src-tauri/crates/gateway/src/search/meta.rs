//! The three tools that stand for all others.

use std::sync::LazyLock;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::wish::{LONGEST_QUERY, MOST_DESCRIBED, MOST_FOUND, USUALLY_FOUND};

/// One of the three. A connector's tool of the same name is found and called like any other, through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetaTool {
    /// Finds tools.
    Search,
    /// Gives the definitions of tools.
    Describe,
    /// Calls a tool.
    Call,
}

impl MetaTool {
    const ALL: [Self; 3] = [Self::Search, Self::Describe, Self::Call];

    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Search => "search_tools",
            Self::Describe => "describe_tools",
            Self::Call => "call_tool",
        }
    }

    fn definition(self) -> Value {
        json!({
            "name": self.name(),
            "title": self.title(),
            "description": self.description(),
            "inputSchema": {
                "type": "object",
                "properties": self.properties(),
                "required": self.required(),
                "additionalProperties": false,
            },
            "annotations": self.annotations(),
        })
    }

    fn title(self) -> &'static str {
        match self {
            Self::Search => "Search tools",
            Self::Describe => "Describe tools",
            Self::Call => "Call a tool",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Search => {
                "Find this server's tools by what they do: names, arguments and a line about each, best first."
            }
            Self::Describe => "Get the full definitions of tools that search_tools found.",
            Self::Call => "Call a tool that search_tools found. The result is that tool's own.",
        }
    }

    fn properties(self) -> Value {
        let name = json!({"type": "string", "description": "The tool's name"});
        match self {
            Self::Search => json!({
                "query": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": LONGEST_QUERY,
                    "description": "A few words for what the tool should do, or its name",
                },
                "limit": {"type": "integer", "minimum": 1, "maximum": MOST_FOUND, "default": USUALLY_FOUND},
            }),
            Self::Describe => json!({
                "names": {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "maxItems": MOST_DESCRIBED,
                },
            }),
            Self::Call => json!({
                "name": name,
                "arguments": {"type": "object", "description": "Its arguments, as its definition wants them"},
            }),
        }
    }

    fn required(self) -> Value {
        match self {
            Self::Search => json!(["query"]),
            Self::Describe => json!(["names"]),
            Self::Call => json!(["name"]),
        }
    }

    /// Of the tool that is called anything may be true.
    fn annotations(self) -> Value {
        match self {
            Self::Search | Self::Describe => json!({"readOnlyHint": true, "openWorldHint": false}),
            Self::Call => json!({"readOnlyHint": false, "destructiveHint": true, "openWorldHint": true}),
        }
    }
}

/// The three, as they are listed.
pub(crate) fn definitions() -> impl Iterator<Item = &'static RawValue> {
    static DEFINITIONS: LazyLock<[Box<RawValue>; 3]> =
        LazyLock::new(|| MetaTool::ALL.map(|tool| mcp::raw(&tool.definition())));
    DEFINITIONS.iter().map(|definition| &**definition)
}
