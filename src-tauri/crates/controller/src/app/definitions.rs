//! What a model reads of a connector, part by part; what was accepted of it, and what differs from that now.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use connector::Listing;
use model::{AccountId, Digest, ToolName};
use serde_json::value::RawValue;

/// One part of what a model reads of a connector. Resources are none: they are what the connector is asked for, not what it says of
/// itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A tool: its title, description, schemas, annotations, icons and `_meta`.
    Tool(ToolName),
    /// A prompt, with its arguments.
    Prompt(String),
    /// A resource template (RFC 6570), with its description.
    Template(String),
    /// How the connector is used, in its own words.
    Instructions,
}

impl Part {
    /// Whether it is nothing that is called, so that nobody but models reads it.
    pub(crate) fn is_beside_tools(&self) -> bool {
        !matches!(self, Self::Tool(_))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(name) => write!(f, "tool {name}"),
            Self::Prompt(name) => write!(f, "prompt {name}"),
            Self::Template(template) => write!(f, "resource template {template}"),
            Self::Instructions => f.write_str("instructions"),
        }
    }
}

/// How many hexadecimal digits tell changes apart: too many to find another change with the same, few enough to type.
const ID_LENGTH: usize = 24;

/// Definitions by part.
pub(crate) type Definitions = BTreeMap<Part, Box<RawValue>>;

/// A part that is not what was accepted. It is held: models read nothing of it until somebody accepts it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) part: Part,
    /// What was accepted; nothing where the part is new and may not be accepted unseen.
    pub(crate) accepted: Option<Box<RawValue>>,
    /// What it is now.
    pub(crate) now: Box<RawValue>,
}

impl Change {
    /// Tells this change from every other one: whoever accepts it accepts these very words.
    pub(crate) fn id(&self, account: &AccountId) -> String {
        let (account, part) = (account.to_string(), self.part.to_string());
        let said = mcp::canonical(&self.now);
        let mut id = Digest::of(&serde_json::to_vec(&(account, part, said)).unwrap_or_default()).hex();
        id.truncate(ID_LENGTH);
        id
    }

    /// What differs, place by place.
    pub(crate) fn differences(&self) -> Vec<mcp::Difference> {
        match &self.accepted {
            Some(accepted) => mcp::differences(accepted, &self.now),
            None => mcp::content(&self.now),
        }
    }

    /// Whether it changes what the part takes as arguments. Policies are typed against that.
    pub(crate) fn changes_input(&self) -> bool {
        let input = |definition: &RawValue| {
            mcp::RawObject::parse(definition)
                .and_then(|object| object.member("inputSchema").map(mcp::canonical))
        };
        let accepted = self.accepted.as_deref();
        matches!(self.part, Part::Tool(_)) && accepted.map(input) != Some(input(&self.now))
    }
}

/// All that a connector lists of it.
pub(crate) fn listed(listing: &Listing) -> Definitions {
    let tools = listing.tools.iter().map(|(name, definition)| (Part::Tool(name.clone()), definition));
    let prompts = listing.prompts.iter().map(|(name, definition)| (Part::Prompt(name.clone()), definition));
    let templates =
        listing.templates.iter().map(|(name, definition)| (Part::Template(name.clone()), definition));
    let mut all: Definitions =
        tools.chain(prompts).chain(templates).map(|(part, definition)| (part, definition.clone())).collect();
    if let Some(instructions) = listing.about.instructions() {
        all.insert(Part::Instructions, instructions.to_owned());
    }
    all
}

/// What is listed otherwise than it was accepted. Instructions are one text for all, so that those which nobody accepted are a change
/// as well, where others could have been: `instructed`. What else was never accepted is left out without a word.
pub(crate) fn changes(accepted: &Definitions, listed: &Definitions, instructed: bool) -> Vec<Change> {
    let differs = |part: &Part, now: &RawValue| match accepted.get(part) {
        Some(before) if mcp::is_same(before, now) => None,
        None if !(instructed && *part == Part::Instructions) => None,
        before => Some(Change { part: part.clone(), accepted: before.cloned(), now: now.to_owned() }),
    };
    listed.iter().filter_map(|(part, now)| differs(part, now)).collect()
}

/// The listing without what beside the tools was not accepted, or is held.
pub(crate) fn admitted(listing: &Arc<Listing>, accepted: &Definitions, held: &[Change]) -> Arc<Listing> {
    let is_admitted =
        |part: &Part| accepted.contains_key(part) && held.iter().all(|change| change.part != *part);
    let prompts = listing.prompts.iter().map(|(name, _)| Part::Prompt(name.clone()));
    let templates = listing.templates.iter().map(|(template, _)| Part::Template(template.clone()));
    let instructions = listing.about.instructions().map(|_| Part::Instructions);
    if prompts.chain(templates).chain(instructions).all(|part| is_admitted(&part)) {
        return Arc::clone(listing);
    }
    let mut admitted = Listing::clone(listing);
    admitted.prompts.retain(|(name, _)| is_admitted(&Part::Prompt(name.clone())));
    admitted.templates.retain(|(name, _)| is_admitted(&Part::Template(name.clone())));
    if !is_admitted(&Part::Instructions) {
        admitted.about = listing.about.without_instructions();
    }
    Arc::new(admitted)
}

#[cfg(test)]
pub(crate) mod tests {
    use mcp::connector::About;
    use model::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn definition(value: &Value) -> Box<RawValue> {
        mcp::raw(value)
    }

    /// A connector with one tool, one prompt and one template, each described with `words`.
    pub(crate) fn listing(words: &str) -> Listing {
        let named = |name: &str| (name.to_owned(), definition(&json!({"name": name, "description": words})));
        Listing {
            about: About::default(),
            tools: vec![("read".parse().unwrap(), named("read").1)],
            resources: Vec::new(),
            templates: vec![named("notes/{id}")],
            prompts: vec![named("greet")],
            left_out: Vec::new(),
            at: Timestamp::from_seconds(0),
        }
    }

    #[test]
    fn a_change_is_told_by_its_very_words_and_its_place() {
        let change = |part: Part, now: &Value| Change { part, accepted: None, now: definition(now) };
        let (files, mail) = ("files".parse().unwrap(), "mail".parse().unwrap());
        let one = change(Part::Prompt("a".to_owned()), &json!({"name": "a"}));
        assert_eq!(one.id(&files), change(one.part.clone(), &json!({"name": "a"})).id(&files));
        for other in [
            change(Part::Template("a".to_owned()), &json!({"name": "a"})).id(&files),
            change(one.part.clone(), &json!({"name": "a", "description": ""})).id(&files),
            one.id(&mail),
        ] {
            assert_ne!(one.id(&files), other);
        }
    }

    #[test]
    fn only_what_it_takes_is_typed() {
        let change = |before: &Value, now: &Value| {
            let (accepted, now) = (Some(definition(before)), definition(now));
            Change { part: Part::Tool("read".parse().unwrap()), accepted, now }.changes_input()
        };
        let typed = json!({"name": "read", "inputSchema": {"type": "object", "properties": {}}});
        let mut told = typed.clone();
        told["description"] = json!("Reads.");
        assert!(!change(&typed, &told));
        told["inputSchema"]["properties"]["path"] = json!({"type": "string"});
        assert!(change(&typed, &told));
        assert!(change(&typed, &json!({"name": "read"})), "one without a schema takes anything");
    }

    #[test]
    fn what_is_held_or_was_never_accepted_is_left_out() {
        let (before, now) = (Arc::new(listing("as before")), Arc::new(listing("otherwise")));
        let accepted = listed(&before);
        let held = changes(&accepted, &listed(&now), true);
        assert_eq!(held.len(), 3, "{held:?}");
        let nothing = admitted(&now, &accepted, &held);
        assert!(nothing.prompts.is_empty() && nothing.templates.is_empty());
        let same = admitted(&before, &accepted, &changes(&accepted, &accepted, true));
        assert!(Arc::ptr_eq(&same, &before), "nothing to leave out");
        let unseen = admitted(&before, &Definitions::new(), &[]);
        assert!(unseen.prompts.is_empty() && unseen.templates.is_empty());
    }
}
