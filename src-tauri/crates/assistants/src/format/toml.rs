//! TOML: an entry is a table at the end of the file.

use serde_json::Value;
use toml_edit::{Document, Item, Table, TableLike, Value as Node};

use super::{Why, before_last_line, begins_line, line_end, line_start, next_line, on_line};
use crate::splice::Splice;
use crate::tree::Tree;

pub(super) fn read(text: &str) -> Result<Tree, Why> {
    Ok(table(parse(text)?.as_table()))
}

pub(super) fn insert(text: &str, within: &[&str], name: &str, entry: &Value) -> Result<Vec<Splice>, Why> {
    let document = parse(text)?;
    let mut item = document.as_item();
    for key in within {
        let Some(inner) = item.get(key) else { break };
        if !inner.is_table() {
            return Err(format!("\"{key}\" is not written as a table of its own"));
        }
        item = inner;
    }
    let end = line_end(text);
    let blank = if text.trim().is_empty() { "" } else { end };
    let header = within.iter().chain([&name]).map(|key| key_text(key)).collect::<Vec<_>>().join(".");
    let mut block = format!("{}{blank}[{header}]{end}", before_last_line(text));
    for (key, value) in entry.as_object().into_iter().flatten() {
        block += &format!("{} = {}{end}", key_text(key), in_line(value));
    }
    Ok(vec![Splice::insert(text.len(), block)])
}

pub(super) fn remove(text: &str, within: &[&str], name: &str) -> Result<Vec<Splice>, Why> {
    let odd = || format!("\"{name}\" is not written as a table of its own");
    let document = parse(text)?;
    let mut item = document.as_item();
    for key in within.iter().chain([&name]) {
        item = item.get(key).ok_or_else(odd)?;
    }
    let table = item.as_table().filter(|table| !table.is_implicit()).ok_or_else(odd)?;
    let header = table.span().ok_or_else(odd)?;
    if !begins_line(text, header.start) {
        return Err(odd());
    }
    let (mut start, end) =
        (line_start(text, header.start), next_line(text, last(table, header.end).saturating_sub(1)));
    // The empty line before it came with it.
    let rest = text.get(end..).unwrap_or_default();
    if rest.is_empty() || rest.starts_with(['\r', '\n']) {
        let before = text.get(..start).unwrap_or_default();
        let ended = before.strip_suffix('\n').map(|it| it.strip_suffix('\r').unwrap_or(it));
        if let Some(ended) = ended.filter(|it| it.ends_with('\n')) {
            start = ended.len();
        }
    }
    Splice::remove(text, start, end).map(|it| vec![it]).ok_or_else(odd)
}

/// A value in one line. What JSON writes of anything but an object, TOML reads; nothing is what TOML has no word for.
fn in_line(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{} = {}", key_text(key), in_line(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(in_line).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

fn parse(text: &str) -> Result<Document<&str>, Why> {
    // What the library displays holds the line itself, and that may hold a secret.
    Document::parse(text).map_err(|fault| match fault.span() {
        Some(span) => on_line(text, span.start, fault.message()),
        None => fault.message().to_owned(),
    })
}

/// Names of ours and of assistants need no quotes; others would get them.
fn key_text(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { key.to_owned() } else { Value::from(key).to_string() }
}

fn table(table: &dyn TableLike) -> Tree {
    Tree::Map(table.iter().map(|(key, item)| (key.to_owned(), tree(item))).collect())
}

fn tree(item: &Item) -> Tree {
    match item {
        Item::None => Tree::Other(String::new()),
        Item::Value(value) => node(value),
        Item::Table(it) => table(it),
        Item::ArrayOfTables(tables) => Tree::List(tables.iter().map(|it| table(it)).collect()),
    }
}

fn node(value: &Node) -> Tree {
    match value {
        Node::String(it) => Tree::Text(it.value().clone()),
        Node::Integer(it) => Tree::Other(it.value().to_string()),
        Node::Float(it) => Tree::Other(format!("{:?}", it.value())),
        Node::Boolean(it) => Tree::Other(it.value().to_string()),
        Node::Datetime(it) => Tree::Other(it.value().to_string()),
        Node::Array(items) => Tree::List(items.iter().map(node).collect()),
        Node::InlineTable(it) => table(it),
    }
}

/// Where the last thing in a table ends.
fn last(table: &Table, header: usize) -> usize {
    table
        .iter()
        .map(|(_, item)| match item {
            Item::Table(inner) => last(inner, inner.span().map_or(0, |it| it.end)),
            Item::None | Item::Value(_) | Item::ArrayOfTables(_) => item.span().map_or(0, |it| it.end),
        })
        .fold(header, usize::max)
}
