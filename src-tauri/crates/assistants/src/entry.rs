//! An entry: what it says for one virtual server, and whether one that is there leads to Deskgate.

use std::path::Path;

use model::ServerId;
use serde_json::{Map, Value};
use url::Url;

use crate::table::{Assistant, Field};
use crate::tree::Tree;

/// What an assistant is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The virtual server.
    pub server: ServerId,
    /// Its address.
    pub url: Url,
    /// The `deskgate` program and what it is started with, for assistants that only start programs.
    pub bridge: Vec<String>,
}

/// How an entry leads to Deskgate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The virtual server.
    pub server: String,
    /// Its address as the entry has it; nothing where the entry starts the bridge.
    pub url: Option<String>,
}

/// What the entry for a virtual server is called, everywhere: it says whose it is, and collides with nobody's.
pub fn entry_name(server: &str) -> String {
    format!("deskgate-{server}")
}

impl Assistant {
    /// What the entry says.
    pub(crate) fn entry_for(&self, target: &Target) -> Value {
        let value = |field: &Field| match field {
            Field::Text(text) => Value::from(*text),
            Field::Yes => Value::from(true),
            Field::Seconds(count) => Value::from(*count),
            Field::Everything => Value::from(vec!["*"]),
            Field::Name => Value::from(entry_name(target.server.as_str())),
            Field::Url => Value::from(target.url.as_str()),
            Field::Program => Value::from(target.bridge.first().cloned().unwrap_or_default()),
            Field::Arguments => Value::from(target.bridge.get(1..).unwrap_or_default().to_vec()),
        };
        let members: Map<String, Value> =
            self.entry.iter().map(|(name, field)| ((*name).to_owned(), value(field))).collect();
        Value::Object(members)
    }
}

/// What names a server: an address, or a program.
pub(crate) const ADDRESSES: &[&str] = &["url", "httpUrl", "serverUrl", "uri"];
const PROGRAMS: &[&str] = &["command", "cmd", "args"];

/// Whether an entry is a server, rather than a part of the assistant that is only switched on or off there.
pub(crate) fn is_server(entry: &Tree) -> bool {
    let Tree::Map(members) = entry else { return false };
    members.iter().any(|(name, _)| ADDRESSES.contains(&name.as_str()) || PROGRAMS.contains(&name.as_str()))
}

/// Where an entry leads, if that is a Deskgate on this machine.
pub(crate) fn reached(entry: &Tree) -> Option<Reached> {
    let Tree::Map(members) = entry else { return None };
    let texts = |names: &[&str]| -> Vec<String> {
        // In the order of the names, not of the file: a program stands before what it is started with.
        let named = names.iter().flat_map(|name| members.iter().filter(move |(it, _)| it == name));
        named
            .flat_map(|(_, value)| match value {
                Tree::Text(text) => vec![text.clone()],
                Tree::List(items) => items.iter().filter_map(Tree::text).map(str::to_owned).collect(),
                Tree::Other(_) | Tree::Map(_) => Vec::new(),
            })
            .collect()
    };
    let by_url = texts(ADDRESSES).into_iter().find_map(|url| {
        let server = server_of(&url)?;
        Some(Reached { server, url: Some(url) })
    });
    by_url.or_else(|| bridged(&texts(PROGRAMS)))
}

/// Whether an entry has the form of ours for a virtual server and nothing beside: all that may differ is the address, or the program
/// and what it is started with.
pub(crate) fn is_formed_as_ours(assistant: &Assistant, entry: &Tree, server: &str) -> bool {
    let Tree::Map(members) = entry else { return false };
    let is_as_meant = |(name, field): &(&str, Field)| {
        let Ok(Some(value)) = entry.at(&[name]) else { return false };
        match (field, value) {
            (Field::Text(text), Tree::Text(value)) => value == text,
            (Field::Name, Tree::Text(value)) => *value == entry_name(server),
            (Field::Url | Field::Program, Tree::Text(_)) => true,
            (Field::Yes, Tree::Other(value)) => value == "true",
            (Field::Seconds(count), Tree::Other(value)) => *value == count.to_string(),
            (Field::Everything, Tree::List(items)) => *items == [Tree::Text("*".to_owned())],
            (Field::Arguments, Tree::List(items)) => items.iter().all(|it| it.text().is_some()),
            (_, Tree::Text(_) | Tree::Other(_) | Tree::List(_) | Tree::Map(_)) => false,
        }
    };
    members.len() == assistant.entry.len()
        && assistant.entry.iter().all(is_as_meant)
        && reached(entry).is_some_and(|it| it.server == server)
}

/// The virtual server of an address on this machine.
fn server_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let server = url.path().strip_prefix("/s/")?.strip_suffix("/mcp")?;
    (model::is_on_this_machine(&url) && url.scheme() == "http" && server.parse::<ServerId>().is_ok())
        .then(|| server.to_owned())
}

fn bridged(words: &[String]) -> Option<Reached> {
    let program = Path::new(words.first()?).file_stem()?;
    let server = words.iter().skip_while(|word| *word != "bridge").nth(1)?;
    (program == "deskgate" && server.parse::<ServerId>().is_ok())
        .then(|| Reached { server: server.clone(), url: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(entry: Value, expected: Option<&str>) {
        let found = reached(&Tree::from(&entry));
        assert_eq!(found.map(|it| it.server).as_deref(), expected, "{entry}");
    }

    #[test]
    fn only_entries_that_lead_here_are_ours() {
        check(json!({"url": "http://127.0.0.1:7717/s/desk/mcp"}), Some("desk"));
        check(json!({"type": "http", "url": "http://localhost:9/s/desk/mcp"}), Some("desk"));
        check(json!({"serverUrl": "http://[::1]:9/s/desk/mcp"}), Some("desk"));
        check(json!({"command": "/opt/deskgate", "args": ["bridge", "desk"]}), Some("desk"));
        check(json!({"args": ["bridge", "desk"], "command": "/opt/deskgate"}), Some("desk"));
        check(json!({"command": ["deskgate", "--home", "/x", "bridge", "desk"]}), Some("desk"));
        check(json!({"url": "http://10.0.0.1:7717/s/desk/mcp"}), None);
        check(json!({"url": "https://127.0.0.1.example/s/desk/mcp"}), None);
        check(json!({"url": "http://127.0.0.1:7717/s/Desk Top/mcp"}), None);
        check(json!({"url": "http://127.0.0.1:7717/mcp"}), None);
        check(json!({"command": "notdeskgate", "args": ["bridge", "desk"]}), None);
        check(json!({"command": "deskgate", "args": ["bridge"]}), None);
        check(json!([]), None);
    }
}
