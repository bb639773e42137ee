//! What a tool's definition says, for whoever searches. It is a connector's text: it never reaches beyond its line.

use mcp::RawObject;
use serde_json::value::RawValue;

/// The most letters of a description in a line.
const LONGEST_DESCRIPTION: usize = 160;
/// The most letters of a parameter's name, and of its type.
const LONGEST_WORD: usize = 60;
/// The most parameters in a line.
const MOST_PARAMETERS: usize = 12;
/// The most values of a type that are told.
const MOST_VALUES: usize = 6;
/// How deep in a schema words count, in levels of properties.
const DEEPEST: usize = 4;
/// The most bytes of one tool's parameters that are searched.
const MOST_SEARCHED: usize = 16 * 1024;

/// A tool's definition.
pub(super) struct Definition<'a> {
    tool: RawObject<'a>,
    schema: RawObject<'a>,
}

impl<'a> Definition<'a> {
    /// Reads what can be read of it; the rest says nothing.
    pub(super) fn read(definition: &'a RawValue) -> Self {
        let tool = RawObject::parse(definition).unwrap_or_default();
        let schema = tool.borrowed("inputSchema").and_then(RawObject::parse).unwrap_or_default();
        Self { tool, schema }
    }

    pub(super) fn title(&self) -> String {
        text(&self.tool, "title")
    }

    pub(super) fn description(&self) -> String {
        text(&self.tool, "description")
    }

    /// The names and descriptions of the parameters.
    pub(super) fn parameters(&self) -> String {
        let mut words = String::new();
        collect(&self.schema, DEEPEST, &mut words);
        words
    }

    /// A line: how the tool is called, whose it is, and what it does.
    pub(super) fn line(&self, name: &str, from: &str) -> String {
        let description = self.description();
        let about = if description.is_empty() { self.title() } else { description };
        let from = if from.is_empty() { String::new() } else { format!(" [{}]", line(from, LONGEST_WORD)) };
        let call = format!("{}{}{from}", line(name, usize::MAX), self.signature());
        let about = line(&about, LONGEST_DESCRIPTION);
        if about.is_empty() { call } else { format!("{call} - {about}") }
    }

    /// The parameters with their types, those that are required first.
    fn signature(&self) -> String {
        let Some(properties) = self.schema.borrowed("properties").and_then(RawObject::parse) else {
            return "()".to_owned();
        };
        let required: Vec<String> = self.schema.read("required").unwrap_or_default();
        let mut all: Vec<(bool, String)> = properties
            .members()
            .map(|(name, schema)| {
                let is_required = required.iter().any(|required| required == name);
                let mark = if is_required { "" } else { "?" };
                (!is_required, format!("{}{mark}: {}", line(name, LONGEST_WORD), kind(schema, DEEPEST)))
            })
            .collect();
        all.sort_by_key(|(is_optional, _)| *is_optional);
        let is_cut = all.len() > MOST_PARAMETERS;
        all.truncate(MOST_PARAMETERS);
        let mut parameters: Vec<String> = all.into_iter().map(|(_, parameter)| parameter).collect();
        if is_cut {
            parameters.push("…".to_owned());
        }
        format!("({})", parameters.join(", "))
    }
}

/// What values a schema takes, in a word.
fn kind(schema: &RawValue, depth: usize) -> String {
    let Some(schema) = RawObject::parse(schema).filter(|_| depth > 0) else { return "any".to_owned() };
    let word = if let Some(values) = schema.read::<Vec<Box<RawValue>>>("enum") {
        let told = values.iter().take(MOST_VALUES).map(|value| value.get().to_owned());
        let rest = (values.len() > MOST_VALUES).then(|| "…".to_owned());
        told.chain(rest).collect::<Vec<_>>().join("|")
    } else if let Some(word) = schema.read::<String>("type") {
        match (word.as_str(), schema.member("items")) {
            ("array", Some(items)) => format!("{}[]", kind(items, depth - 1)),
            _ => word,
        }
    } else if let Some(words) = schema.read::<Vec<String>>("type") {
        words.join("|")
    } else {
        "any".to_owned()
    };
    line(&word, LONGEST_WORD)
}

/// Adds the names and descriptions of a schema's properties.
fn collect(schema: &RawObject<'_>, depth: usize, words: &mut String) {
    if depth == 0 {
        return;
    }
    if let Some(properties) = schema.member("properties").and_then(RawObject::parse) {
        for (name, property) in properties.members() {
            if words.len() > MOST_SEARCHED {
                return;
            }
            let Some(property) = RawObject::parse(property) else { continue };
            *words += &format!("{name} {}\n", text(&property, "description"));
            collect(&property, depth - 1, words);
        }
    }
    if let Some(items) = schema.member("items").and_then(RawObject::parse) {
        collect(&items, depth - 1, words);
    }
}

fn text(object: &RawObject<'_>, key: &str) -> String {
    object.read(key).unwrap_or_default()
}

/// A text on one line, cut where it is longer than this many letters.
fn line(text: &str, longest: usize) -> String {
    let is_space = |letter: char| letter.is_whitespace() || letter.is_control();
    let text = text.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
