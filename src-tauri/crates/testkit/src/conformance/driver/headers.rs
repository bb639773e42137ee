//! The headers that repeat what is in the body (2026-07-28, Transports, Standard MCP Request Headers).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The name that `Mcp-Name` repeats.
pub(crate) fn name<'a>(method: &str, params: &'a Value) -> Option<&'a str> {
    match method {
        "tools/call" | "prompts/get" => params["name"].as_str(),
        "resources/read" => params["uri"].as_str(),
        _ => None,
    }
}

/// `Mcp-Param-*` for the arguments of a tool with this schema.
pub(crate) fn parameters(schema: &Value, arguments: &Value) -> Vec<(String, String)> {
    let properties = schema["properties"].as_object();
    let annotated = properties.into_iter().flatten().filter_map(|(name, property)| {
        Some((property["x-mcp-header"].as_str()?, arguments.get(name).filter(|value| !value.is_null())?))
    });
    annotated.map(|(header, value)| (format!("Mcp-Param-{header}"), encoded(&plain(value)))).collect()
}

/// A value as a header carries it.
pub(crate) fn encoded(value: &str) -> String {
    let printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if printable && value.trim() == value && !value.starts_with("=?base64?") {
        return value.to_owned();
    }
    format!("=?base64?{}?=", STANDARD.encode(value))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_header_cannot_carry_is_encoded() {
        assert_eq!(encoded("us west 1"), "us west 1");
        assert_eq!(encoded(""), "");
        for value in ["Hello, 世界", " padded ", "a\r\nb", "\tx", "=?base64?SGVsbG8=?="] {
            assert!(encoded(value).starts_with("=?base64?"), "{value:?}");
        }
    }

    #[test]
    fn annotated_arguments_that_are_there_are_repeated() {
        let schema = json!({"properties": {
            "a": {"x-mcp-header": "A"}, "b": {"x-mcp-header": "B"}, "c": {}, "d": {"x-mcp-header": "D"},
        }});
        let found = parameters(&schema, &json!({"a": 42, "b": null, "c": "x", "d": false}));
        assert_eq!(
            found,
            [("Mcp-Param-A".to_owned(), "42".to_owned()), ("Mcp-Param-D".to_owned(), "false".to_owned())]
        );
    }
}
