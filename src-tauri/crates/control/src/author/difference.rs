//! What differs between two contents: between what was authored and what is live.
//!
//! It tells what was written otherwise. Who gains or loses what by that is another question, and not answered here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use org_protocol::{Content, PinnedDefinitions, PinnedTools, accounts_in_use};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::beside::named;
use super::limits;
use super::payload::{by_id, is_weaker};
use super::pin::tool_name;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// What kind of thing it is.
    pub what: Thing,
    /// Its id; a policy's is the path of its file, a tool's is `connector/name`.
    pub name: String,
    /// What became of it.
    pub change: Change,
    /// Its settings that differ, in the order of their keys; only of organisation, connectors and virtual servers that changed. Of a tool
    /// the places of its definition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
    /// Whether less is looked for, in less, or less becomes of it, or more passes; of payload rules and limits alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub weaker: bool,
}

/// Kinds of things, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// The organisation's settings.
    Organisation,
    /// A payload rule.
    PayloadRule,
    /// A limit.
    Limit,
    /// A connector.
    Connector,
    /// A virtual server.
    Server,
    /// An account that people sign in with, of a connector that is there before and after.
    Account,
    /// A file of policies.
    Policy,
    /// A pinned tool.
    Tool,
    /// What else a connector says to models: a prompt, a resource template, its instructions.
    Definition,
}

/// What became of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there before.
    Added,
    /// It is there no more.
    Removed,
    /// It is another.
    Changed,
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its key, dotted as in TOML.
    pub key: String,
    /// What it was; nothing where it was not set.
    pub before: Option<Value>,
    /// What it is; nothing where it is not set.
    pub after: Option<Value>,
}

/// What differs, in a fixed order: by kind, then by name.
pub fn differences(before: &Content, after: &Content) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut settings = settings(&before.org, &after.org);
    // Rules are told one by one.
    settings.retain(|setting| !["payload.rule", "limits"].contains(&setting.key.as_str()));
    if !settings.is_empty() {
        let name = after.org.id.clone();
        found.push(Difference {
            what: Thing::Organisation,
            name,
            change: Change::Changed,
            settings,
            weaker: false,
        });
    }
    found.extend(payload_rules(before, after));
    found.extend(limits(before, after));
    found.extend(specs(Thing::Connector, &before.connectors, &after.connectors));
    found.extend(specs(Thing::Server, &before.servers, &after.servers));
    found.extend(accounts(before, after));
    found.extend(compared(Thing::Policy, &before.policies, &after.policies));
    found.extend(defined(Thing::Tool, &tools(&before.tools), &tools(&after.tools)));
    found.extend(defined(Thing::Definition, &beside(&before.definitions), &beside(&after.definitions)));
    found
}

fn payload_rules(before: &Content, after: &Content) -> Vec<Difference> {
    let (before, after) = (by_id(before), by_id(after));
    let mut found = specs(Thing::PayloadRule, &before, &after);
    for one in &mut found {
        one.weaker = before.get(&one.name).is_some_and(|rule| is_weaker(rule, after.get(&one.name)));
    }
    found
}

fn limits(before: &Content, after: &Content) -> Vec<Difference> {
    let (before, after) = (limits::by_id(before), limits::by_id(after));
    let mut found = specs(Thing::Limit, &before, &after);
    for one in &mut found {
        one.weaker =
            before.get(&one.name).is_some_and(|limit| limits::is_weaker(limit, after.get(&one.name)));
    }
    found
}

/// Definitions, each with the places in which it differs.
fn defined(
    what: Thing,
    before: &BTreeMap<String, Vec<&str>>,
    after: &BTreeMap<String, Vec<&str>>,
) -> Vec<Difference> {
    let places = |one: Difference| {
        let settings = definition(before.get(&one.name), after.get(&one.name));
        Difference { settings, ..one }
    };
    compared(what, before, after).into_iter().map(places).collect()
}

/// Things that are the same or not, without settings.
fn compared<T: PartialEq>(
    what: Thing,
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
) -> Vec<Difference> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changes = names.into_iter().filter_map(|name| {
        let change = match (before.get(name), after.get(name)) {
            (None, _) => Change::Added,
            (Some(_), None) => Change::Removed,
            (Some(before), Some(after)) if before != after => Change::Changed,
            (Some(_), Some(_)) => return None,
        };
        Some(Difference { what, name: name.clone(), change, settings: Vec::new(), weaker: false })
    });
    changes.collect()
}

/// Things that are told setting by setting where they changed.
fn specs<I: ToString, T: Serialize>(
    what: Thing,
    before: &BTreeMap<I, T>,
    after: &BTreeMap<I, T>,
) -> Vec<Difference> {
    let flat = |specs: &BTreeMap<I, T>| -> BTreeMap<String, BTreeMap<String, Value>> {
        specs.iter().map(|(id, spec)| (id.to_string(), flattened(spec))).collect()
    };
    let (before, after) = (flat(before), flat(after));
    let mut found = compared(what, &before, &after);
    for one in &mut found {
        if let Some((before, after)) = before.get(&one.name).zip(after.get(&one.name)) {
            one.settings = changed_settings(before, after);
        }
    }
    found
}

fn settings<T: Serialize>(before: &T, after: &T) -> Vec<Setting> {
    changed_settings(&flattened(before), &flattened(after))
}

fn changed_settings(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<Setting> {
    compared(Thing::Organisation, before, after)
        .into_iter()
        .map(|Difference { name: key, .. }| {
            let (before, after) = (before.get(&key).cloned(), after.get(&key).cloned());
            Setting { key, before, after }
        })
        .collect()
}

fn flattened(spec: &impl Serialize) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    flatten(String::new(), serde_json::to_value(spec).unwrap_or_default(), &mut flat);
    flat
}

fn flatten(prefix: String, value: Value, flat: &mut BTreeMap<String, Value>) {
    match value.as_object() {
        Some(entries) if prefix.is_empty() || !entries.is_empty() => {
            for (key, value) in entries {
                let bare = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
                let key = if bare { key.clone() } else { format!("{key:?}") };
                let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                flatten(key, value.clone(), flat);
            }
        }
        Some(_) | None => {
            flat.insert(prefix, value);
        }
    }
}

/// Accounts of connectors that come and go are not told beside these.
fn accounts(before: &Content, after: &Content) -> Vec<Difference> {
    let own = |content: &Content| -> BTreeMap<String, ()> {
        accounts_in_use(&content.connectors, &content.servers)
            .into_iter()
            .filter(|(id, spec)| {
                let both = [before, after].map(|content| content.connectors.contains_key(&id.connector));
                spec.credential.is_own() && both == [true, true]
            })
            .map(|(id, _)| (id.to_string(), ()))
            .collect()
    };
    compared(Thing::Account, &own(before), &own(after))
}

/// Each tool in its connector's very words, as people accepted them.
fn tools<I: fmt::Display>(pinned: &BTreeMap<I, PinnedTools>) -> BTreeMap<String, Vec<&str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (connector, PinnedTools(tools)) in pinned {
        for tool in tools {
            let name = tool_name(tool).unwrap_or_default();
            found.entry(format!("{connector}/{name}")).or_default().push(tool.get());
        }
    }
    found
}

/// What connectors say to models beside their tools, in their very words.
fn beside<I: fmt::Display>(pinned: &BTreeMap<I, PinnedDefinitions>) -> BTreeMap<String, Vec<&str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (connector, definitions) in pinned {
        for (name, definition) in named(definitions) {
            found.entry(format!("{connector}/{name}")).or_default().push(definition.get());
        }
    }
    found
}

/// Where a definition differs, if it has one before and after.
fn definition(before: Option<&Vec<&str>>, after: Option<&Vec<&str>>) -> Vec<Setting> {
    let one = |of: Option<&Vec<&str>>| match of.map(Vec::as_slice) {
        Some([text]) => RawValue::from_string((*text).to_owned()).ok(),
        Some(_) | None => None,
    };
    let (Some(before), Some(after)) = (one(before), one(after)) else { return Vec::new() };
    mcp::differences(&before, &after)
        .into_iter()
        .map(|mcp::Difference { at, before, after, cut: _ }| Setting {
            key: at,
            before: before.map(Value::String),
            after: after.map(Value::String),
        })
        .collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, name, change, settings, weaker } = self;
        let what = match what {
            Thing::Organisation => "organisation",
            Thing::PayloadRule => "payload rule",
            Thing::Limit => "limit",
            Thing::Connector => "connector",
            Thing::Server => "virtual server",
            Thing::Account => "account",
            Thing::Policy => "policy file",
            Thing::Tool => "tool",
            Thing::Definition => "definition",
        };
        let change = match (self.what, change) {
            (Thing::Tool | Thing::Definition, Change::Added) => "is pinned anew",
            (Thing::Tool | Thing::Definition, Change::Removed) => "is pinned no more",
            (Thing::Tool | Thing::Definition, Change::Changed) => "is pinned with another definition",
            (_, Change::Added) => "is new",
            (_, Change::Removed) => "is removed",
            (_, Change::Changed) => "is changed",
        };
        write!(f, "{what} {name} {change}")?;
        match (weaker, self.change) {
            (false, _) => {}
            (true, _) if self.what == Thing::Limit => f.write_str("; more passes")?,
            (true, Change::Removed) => f.write_str("; less is looked for")?,
            (true, Change::Added | Change::Changed) => {
                f.write_str("; less is looked for, or less becomes of it")?;
            }
        }
        settings.iter().try_for_each(|setting| write!(f, "\n    {setting}"))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, before, after } = self;
        match (before, after) {
            (Some(before), Some(after)) => write!(f, "{key}: {before} becomes {after}"),
            (Some(before), None) => write!(f, "{key}: {before} is set no more"),
            (None, Some(after)) => write!(f, "{key}: {after} is set anew"),
            (None, None) => f.write_str(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::author::{check, init};

    fn content(change: impl FnOnce(&Path)) -> Content {
        let dir = tempfile::tempdir().expect("a directory");
        let org = dir.path().join("org");
        init(&org, "example").expect("writes the example");
        let mail = "title = \"Mail\"\nurl = \"https://mail.example.test/mcp\"\ncredential = { kind = \"user_oauth\" }\n";
        std::fs::write(org.join("connectors/mail.toml"), mail).expect("writes");
        std::fs::write(org.join("servers/desk.toml"), "title = \"Desk\"\nconnectors = [\"mail\"]\n")
            .expect("writes");
        change(&org);
        check(&org).unwrap_or_else(|faults| panic!("{}", faults[0]))
    }

    fn told(before: &Content, after: &Content) -> Vec<String> {
        differences(before, after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_same_content_differs_in_nothing() {
        assert_eq!(differences(&content(|_| ()), &content(|_| ())), []);
    }

    #[test]
    fn each_kind_of_difference_is_told_in_a_fixed_order_and_both_ways() {
        let before = content(|_| ());
        let after = content(|org| {
            let write = |file: &str, text: &str| std::fs::write(org.join(file), text).expect("writes");
            let settings = std::fs::read_to_string(org.join("org.toml")).expect("reads");
            let (name, rest) =
                settings.split_once("name = ").map(|(a, b)| (a, b.split_once('\n'))).expect("a name");
            write("org.toml", &format!("{name}name = \"Renamed\"\n{}", rest.expect("more").1));
            write("connectors/new.toml", "title = \"New\"\ncommand = [\"/opt/new\"]\n");
            write("connectors/new.tools.json", "[{\"name\":\"b\"},{\"name\":\"a\"}]");
            write(
                "servers/desk.toml",
                "title = \"Desk\"\nconnectors = [\"mail\"]\ntool_list = \"search\"\naccounts = { mail = \"shared\" }\n",
            );
            write(
                "policies/more.cedar",
                "@id(\"more\")\nforbid (principal in Group::\"guests\", action, resource);\n",
            );
        });
        let forth = told(&before, &after);
        assert_eq!(
            forth[1..],
            [
                "connector new is new",
                "virtual server desk is changed\n    accounts.mail: \"shared\" is set anew\n    tool_list: \"search\" is set anew",
                "account mail is removed",
                "account mail/shared is new",
                "policy file policies/more.cedar is new",
                "tool new/a is pinned anew",
                "tool new/b is pinned anew",
            ],
            "{forth:?}"
        );
        assert!(forth[0].starts_with("organisation example is changed\n    name: \""), "{forth:?}");
        assert!(forth[0].ends_with(" becomes \"Renamed\""), "{forth:?}");
        let back = told(&after, &before);
        assert_eq!(back.len(), forth.len());
        assert_eq!(back[1], "connector new is removed");
        assert_eq!(back[6], "tool new/a is pinned no more");
    }

    #[test]
    fn a_tool_with_other_words_is_another_and_keys_are_written_as_in_toml() {
        let pinned = |tools: &str| {
            content(|org| std::fs::write(org.join("connectors/mail.tools.json"), tools).expect("writes"))
        };
        let found =
            told(&pinned("[{\"name\":\"send\",\"n\":1.50}]"), &pinned("[{\"name\":\"send\",\"n\":1.5}]"));
        assert_eq!(
            found,
            ["tool mail/send is pinned with another definition\n    n: \"1.50\" becomes \"1.5\""]
        );
        let named = content(|org| {
            let path = org.join("org.toml");
            let text = std::fs::read_to_string(&path).expect("reads");
            let table = "[assistants.\"https://a.example/x\"]\ntitle = \"A\"\nredirect_uris = [\"http://127.0.0.1/cb\"]\n";
            std::fs::write(&path, format!("{text}\n{table}")).expect("writes");
        });
        let found = told(&content(|_| ()), &named);
        assert_eq!(
            found,
            ["organisation example is changed\n    assistants.\"https://a.example/x\".redirect_uris: \
              [\"http://127.0.0.1/cb\"] is set anew\n    assistants.\"https://a.example/x\".title: \"A\" is set anew"]
        );
    }
}
