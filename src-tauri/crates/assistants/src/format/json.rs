//! JSON, and JSON with comments and trailing commas.

use jsonc_parser::ast::{Object, ObjectProp, Value as Node};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::tokens::{Token, TokenAndRange};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, ParseResult, parse_to_ast};
use serde_json::Value;

use super::{Why, begins_line, indentation, line_end, next_line};
use crate::splice::Splice;
use crate::table::Format;
use crate::tree::Tree;

pub(super) fn read(format: Format, text: &str) -> Result<Tree, Why> {
    let parsed = parse(format, text)?;
    Ok(parsed.value.as_ref().map_or_else(|| Tree::Map(Vec::new()), tree))
}

pub(super) fn insert(
    format: Format,
    text: &str,
    within: &[&str],
    name: &str,
    entry: &Value,
) -> Result<Vec<Splice>, Why> {
    let parsed = parse(format, text)?;
    let Some(root) = &parsed.value else {
        let lines = Lines { end: line_end(text), unit: "  " };
        let whole = nested(within, name, entry);
        let inserted = format!("{}{}{}", super::before_last_line(text), lines.write(&whole, ""), lines.end);
        return Ok(vec![Splice::insert(text.len(), inserted)]);
    };
    let root = root.as_object().ok_or("it is not an object")?;
    let lines = Lines { end: line_end(text), unit: unit(text, root) };
    let (object, missing) = descend(root, within)?;
    let value = match missing.split_first() {
        Some((_, rest)) => nested(rest, name, entry),
        None => entry.clone(),
    };
    let key = missing.first().copied().unwrap_or(name);
    Ok(Gap::of(text, object, &parsed).fill(&lines, key, &value))
}

pub(super) fn remove(format: Format, text: &str, within: &[&str], name: &str) -> Result<Vec<Splice>, Why> {
    let parsed = parse(format, text)?;
    let root = parsed.value.as_ref().and_then(Node::as_object).ok_or("it is not an object")?;
    let (object, missing) = descend(root, within)?;
    let at = object.properties.iter().position(|it| it.name.as_str() == name);
    let (Some(at), []) = (at, missing) else { return Err("the entry is not there".to_owned()) };
    taken_out(text, object, at, &parsed).ok_or_else(|| "the entry is not where it seemed to be".to_owned())
}

fn parse(format: Format, text: &str) -> Result<ParseResult<'_>, Why> {
    let comments = format == Format::Jsonc;
    let options = ParseOptions {
        allow_comments: comments,
        allow_trailing_commas: comments,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    // The library lets comments pass after the value.
    if !comments && !text.trim().is_empty() {
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|fault| fault.to_string())?;
    }
    let collect = CollectOptions { comments: CommentCollectionStrategy::AsTokens, tokens: true };
    parse_to_ast(text, &collect, &options).map_err(|fault| fault.to_string())
}

fn tree(node: &Node<'_>) -> Tree {
    match node {
        Node::StringLit(it) => Tree::Text(it.value.clone().into_owned()),
        Node::NumberLit(it) => Tree::Other(it.value.to_owned()),
        Node::BooleanLit(it) => Tree::Other(it.value.to_string()),
        Node::NullKeyword(_) => Tree::Other("null".to_owned()),
        Node::Array(it) => Tree::List(it.elements.iter().map(tree).collect()),
        Node::Object(it) => {
            Tree::Map(it.properties.iter().map(|it| (it.name.as_str().to_owned(), tree(&it.value))).collect())
        }
    }
}

/// As far as the path leads through objects, and what of it is missing.
fn descend<'o, 't, 'p, 'k>(
    root: &'o Object<'t>,
    path: &'p [&'k str],
) -> Result<(&'o Object<'t>, &'p [&'k str]), Why> {
    let (mut object, mut missing) = (root, path);
    while let Some((first, rest)) = missing.split_first() {
        let Some(property) = object.properties.iter().find(|it| it.name.as_str() == *first) else { break };
        object = property.value.as_object().ok_or_else(|| format!("\"{first}\" is not an object"))?;
        missing = rest;
    }
    Ok((object, missing))
}

fn nested(path: &[&str], name: &str, entry: &Value) -> Value {
    let innermost = serde_json::json!({ name: entry });
    path.iter().rev().fold(innermost, |inner, key| serde_json::json!({ *key: inner }))
}

/// One step of indentation, as the first member of the file has it.
fn unit<'t>(text: &'t str, root: &Object<'_>) -> &'t str {
    let first = root.properties.first().map(|it| it.start()).filter(|at| begins_line(text, *at));
    first.map(|at| indentation(text, at)).filter(|unit| !unit.is_empty()).unwrap_or("  ")
}

/// How lines are written in this file.
struct Lines<'t> {
    end: &'static str,
    unit: &'t str,
}

impl Lines<'_> {
    /// A value over several lines, its first one where it goes, the others indented by `indent`.
    fn write(&self, value: &Value, indent: &str) -> String {
        let Value::Object(members) = value else { return in_one_line(value) };
        if members.is_empty() {
            return "{}".to_owned();
        }
        let inner = format!("{indent}{}", self.unit);
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| {
                format!("{}{inner}{}: {}", self.end, quoted(name), self.write(value, &inner))
            })
            .collect();
        format!("{{{}{}{indent}}}", members.join(","), self.end)
    }
}

fn in_one_line(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", quoted(name), in_one_line(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(in_one_line).collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

fn quoted(name: &str) -> String {
    Value::from(name).to_string()
}

/// The tokens between two places, comments among them.
fn between<'p, 't>(
    parsed: &'p ParseResult<'t>,
    from: usize,
    to: usize,
) -> impl Iterator<Item = &'p TokenAndRange<'t>> {
    let tokens = parsed.tokens.as_deref().unwrap_or_default();
    tokens.iter().filter(move |it| it.range.start >= from && it.range.end <= to)
}

/// The end of an object, where another member goes.
struct Gap<'t> {
    text: &'t str,
    /// The object's braces, from outside.
    open: usize,
    close: usize,
    /// The last member, and the comma that follows it.
    last: Option<(usize, usize)>,
    comma: Option<usize>,
    /// Behind what stands in the line of the last member, or of all comments where there is no member.
    after: usize,
}

impl<'t> Gap<'t> {
    fn of(text: &'t str, object: &Object<'_>, parsed: &ParseResult<'_>) -> Self {
        let (open, close) = (object.range.start, object.range.end);
        let last = object.properties.last().map(|it| (it.start(), it.end()));
        let mut gap = Self { text, open, close, last, comma: None, after: last.map_or(open + 1, |it| it.1) };
        for token in between(parsed, gap.after, close.saturating_sub(1)) {
            let same_line = text.get(gap.after..token.range.start).is_some_and(|it| !it.contains('\n'));
            if token.token == Token::Comma {
                gap.comma = Some(token.range.end);
            }
            if token.token == Token::Comma || same_line || last.is_none() {
                gap.after = token.range.end;
            }
        }
        let upto = text.get(..gap.after).unwrap_or_default();
        gap.after = upto.trim_end_matches(['\r', '\n']).len();
        gap
    }

    fn fill(&self, lines: &Lines<'_>, key: &str, value: &Value) -> Vec<Splice> {
        let outer = indentation(self.text, self.open);
        let Some((start, end)) = self.last else { return vec![self.first(lines, outer, key, value)] };
        if !begins_line(self.text, start) {
            let member = format!("{}: {}", quoted(key), in_one_line(value));
            return vec![match self.comma {
                Some(comma) => Splice::insert(comma, format!(" {member},")),
                None => Splice::insert(end, format!(", {member}")),
            }];
        }
        let indent = indentation(self.text, start);
        let member = format!("{}{indent}{}: {}", lines.end, quoted(key), lines.write(value, indent));
        match self.comma {
            Some(_) => vec![Splice::insert(self.after, member + ",")],
            None if self.after == end => vec![Splice::insert(end, format!(",{member}"))],
            None => vec![Splice::insert(end, ","), Splice::insert(self.after, member)],
        }
    }

    /// The first member of an object.
    fn first(&self, lines: &Lines<'_>, outer: &str, key: &str, value: &Value) -> Splice {
        let indent = format!("{outer}{}", lines.unit);
        let member = format!("{}{indent}{}: {}", lines.end, quoted(key), lines.write(value, &indent));
        let rest = self.text.get(self.after..self.close.saturating_sub(1)).unwrap_or_default();
        if rest.contains('\n') {
            return Splice::insert(self.after, member);
        }
        let inserted = format!("{member}{}{outer}", lines.end);
        Splice { at: self.after, removed: rest.to_owned(), inserted }
    }
}

/// What takes the member number `at` out, with the comma that it needs no longer.
fn taken_out(text: &str, object: &Object<'_>, at: usize, parsed: &ParseResult<'_>) -> Option<Vec<Splice>> {
    let member = object.properties.get(at)?;
    let until = object.properties.get(at + 1).map_or(object.range.end.checked_sub(1)?, |it| it.start());
    let comma_in = |from, to| {
        between(parsed, from, to).find(|it| it.token == Token::Comma).map(|it| (it.range.start, it.range.end))
    };
    if let Some((_, end)) = comma_in(member.end(), until) {
        return Some(vec![with_its_line(text, member.start(), end)?]);
    }
    // The last one, without a comma behind it: the comma before goes too.
    let own = from_line_before(text, member)?;
    let Some(before) = at.checked_sub(1).and_then(|at| object.properties.get(at)) else {
        return Some(vec![own]);
    };
    let (start, end) = comma_in(before.end(), member.start())?;
    if own.at <= end {
        return Some(vec![Splice::remove(text, start, own.at + own.removed.len())?]);
    }
    Some(vec![Splice::remove(text, start, end)?, own])
}

/// From `start` to `end`; the whole line, or lines, where nothing else stands in them.
fn with_its_line(text: &str, start: usize, end: usize) -> Option<Splice> {
    let next = next_line(text, end);
    if text.get(end..next)?.trim().is_empty() && begins_line(text, start) {
        return Splice::remove(text, super::line_start(text, start), next);
    }
    let spaces = text.get(end..)?.len() - text.get(end..)?.trim_start_matches([' ', '\t']).len();
    Splice::remove(text, start, end + spaces)
}

/// A member with the line end and the white space before it.
fn from_line_before(text: &str, member: &ObjectProp<'_>) -> Option<Splice> {
    let before = text.get(..member.start())?.trim_end_matches([' ', '\t']);
    let before = before.strip_suffix('\n').map_or(before, |it| it.strip_suffix('\r').unwrap_or(it));
    Splice::remove(text, before.len(), member.end())
}
