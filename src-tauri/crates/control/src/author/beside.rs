//! What connectors say to models beside their tools, as it is pinned: by name, for whoever compares or looks at it.

use mcp::List;
use org_protocol::PinnedDefinitions;
use serde_json::value::RawValue;

/// Each pinned definition beside the tools with what it is: `prompt greet`, `resource template notes/{id}`, `instructions`. One
/// that nothing tells apart has no name.
pub(super) fn named(pinned: &PinnedDefinitions) -> Vec<(String, &RawValue)> {
    let of = |list, kind: &'static str, definitions| {
        let name = move |definition: &'_ Box<RawValue>| mcp::connector::identity(list, definition);
        parts(definitions, kind, name)
    };
    let mut all = of(List::Prompts, "prompt", &pinned.prompts);
    all.extend(of(List::Templates, "resource template", &pinned.resource_templates));
    all.extend(pinned.instructions.as_deref().map(|said| ("instructions".to_owned(), said)));
    all
}

fn parts<'d>(
    definitions: &'d [Box<RawValue>],
    kind: &str,
    name: impl Fn(&Box<RawValue>) -> Option<String>,
) -> Vec<(String, &'d RawValue)> {
    let part = |definition: &'d Box<RawValue>| {
        let name = name(definition).unwrap_or_default();
        (format!("{kind} {name}"), definition.as_ref())
    };
    definitions.iter().map(part).collect()
}
