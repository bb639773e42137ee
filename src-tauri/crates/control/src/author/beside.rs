//! What connectors say to models beside their tools, as it is pinned: by name, for whoever compares or looks at it.

use mcp::List;
use org_protocol::PinnedDefinitions;
use serde_json::value::RawValue;

/// Each pinned definition beside the tools with what it is: `prompt greet`, `resource template notes/{id}`, `instructions`. One
/// that nothing tells apart has no name.
pub(super) fn named(pinned: &PinnedDefinitions) -> Vec<(String, &RawValue)> {
    let mut all = parts(&pinned.prompts, List::Prompts, "prompt");
    all.extend(parts(&pinned.resource_templates, List::Templates, "resource template"));
    all.extend(pinned.instructions.as_deref().map(|said| ("instructions".to_owned(), said)));
    all
}

fn parts<'d>(definitions: &'d [Box<RawValue>], list: List, kind: &str) -> Vec<(String, &'d RawValue)> {
    let part = |definition: &'d RawValue| {
        let name = mcp::connector::identity(list, definition).unwrap_or_default();
        (format!("{kind} {name}"), definition)
    };
    definitions.iter().map(AsRef::as_ref).map(part).collect()
}
