//! YAML: an entry is a mapping in block style, the first one in the mapping that it goes into.
//!
//! No library writes YAML back with every byte as it was. So this knows one shape only, the one that the assistant itself writes: a
//! mapping in block style with mappings in block style. All else is refused.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

use super::{Why, before_last_line, begins_line, line_end, line_start, next_line};
use crate::splice::Splice;
use crate::tree::Tree;

const STEP: &str = "  ";

pub(super) fn read(text: &str) -> Result<Tree, Why> {
    Ok(parse(text)?.map_or_else(|| Tree::Map(Vec::new()), |node| node.tree()))
}

pub(super) fn insert(text: &str, within: &[&str], name: &str, entry: &Value) -> Result<Vec<Splice>, Why> {
    let [key] = within else { return Err("it is nested too deep".to_owned()) };
    let end = line_end(text);
    let root = parse(text)?;
    let found = match &root {
        None => None,
        Some(node) => node.members().ok_or("it is not a mapping")?.iter().find(|it| it.key == *key),
    };
    let Some(found) = found else {
        let block = written(name, entry, STEP, end);
        return Ok(vec![Splice::insert(text.len(), format!("{}{key}:{end}{block}", before_last_line(text)))]);
    };
    let odd = || format!("\"{key}\" is not a mapping with one entry below the other");
    match &found.value.kind {
        _ if found.value.is_anchored => Err(odd()),
        Kind::Map(members) => match members.first() {
            Some(first) if begins_line(text, first.start) && first.start > found.end => {
                let at = line_start(text, first.start);
                let indent = text.get(at..first.start).unwrap_or_default();
                if indent.contains('\t') || at < found.end {
                    return Err(odd());
                }
                Ok(vec![Splice::insert(at, written(name, entry, indent, end))])
            }
            Some(_) => Err(odd()),
            None => {
                let (at, upto) = (found.value.start, found.value.end);
                let removed = text.get(at..upto).filter(|it| *it == "{}").ok_or_else(odd)?;
                let block = written(name, entry, STEP, end);
                let inserted = format!("{end}{}", block.trim_end_matches(['\r', '\n']));
                Ok(vec![Splice { at, removed: removed.to_owned(), inserted }])
            }
        },
        Kind::Other(scalar) if scalar.is_empty() && begins_line(text, found.start) => {
            let at = next_line(text, found.end);
            let before = if at == text.len() { before_last_line(text) } else { "" };
            Ok(vec![Splice::insert(at, before.to_owned() + &written(name, entry, STEP, end))])
        }
        Kind::Other(_) | Kind::Text(_) | Kind::List(_) => Err(odd()),
    }
}

pub(super) fn remove(text: &str, within: &[&str], name: &str) -> Result<Vec<Splice>, Why> {
    let odd = || format!("\"{name}\" is not a mapping with one entry below the other");
    let [key] = within else { return Err(odd()) };
    let root = parse(text)?.ok_or_else(odd)?;
    let outer = root.members().and_then(|it| it.iter().find(|it| it.key == *key)).ok_or_else(odd)?;
    let members = outer.value.members().ok_or_else(odd)?;
    let found = members.iter().find(|it| it.key == name).ok_or_else(odd)?;
    if !begins_line(text, found.start) || !matches!(found.value.kind, Kind::Map(_)) {
        return Err(odd());
    }
    let (start, end) = (line_start(text, found.start), next_line(text, found.value.last().saturating_sub(1)));
    let own = Splice::remove(text, start, end).ok_or_else(odd)?;
    if members.len() > 1 {
        return Ok(vec![own]);
    }
    // A mapping without entries has to say so, or it were nothing.
    let colon = text.get(outer.end..).and_then(|rest| rest.find(':')).ok_or_else(odd)?;
    Ok(vec![Splice::insert(outer.end + colon + 1, " {}"), own])
}

fn written(name: &str, entry: &Value, indent: &str, end: &str) -> String {
    let mut block = format!("{indent}{name}:{end}");
    for (key, value) in entry.as_object().into_iter().flatten() {
        // What JSON writes in one line, YAML 1.2 reads.
        block += &format!("{indent}{STEP}{key}: {value}{end}");
    }
    block
}

struct Node {
    kind: Kind,
    /// Whether it can be meant elsewhere too.
    is_anchored: bool,
    start: usize,
    end: usize,
}

enum Kind {
    Text(String),
    Other(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

struct Member {
    key: String,
    start: usize,
    end: usize,
    value: Node,
}

impl Node {
    fn members(&self) -> Option<&[Member]> {
        match &self.kind {
            Kind::Map(members) => Some(members),
            Kind::Text(_) | Kind::Other(_) | Kind::List(_) => None,
        }
    }

    fn tree(&self) -> Tree {
        match &self.kind {
            Kind::Text(text) => Tree::Text(text.clone()),
            Kind::Other(text) => Tree::Other(text.clone()),
            Kind::List(items) => Tree::List(items.iter().map(Self::tree).collect()),
            Kind::Map(members) => {
                Tree::Map(members.iter().map(|it| (it.key.clone(), it.value.tree())).collect())
            }
        }
    }

    /// Where the last scalar in it ends.
    fn last(&self) -> usize {
        match &self.kind {
            Kind::Text(_) | Kind::Other(_) => self.end,
            Kind::List(items) => items.iter().map(Self::last).max().unwrap_or(self.end),
            Kind::Map(members) => {
                members.iter().map(|it| it.value.last().max(it.end)).max().unwrap_or(self.end)
            }
        }
    }
}

fn parse(text: &str) -> Result<Option<Node>, Why> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        bytes: text.char_indices().map(|(at, _)| at).chain([text.len()]).collect(),
        depth: 0,
    };
    let mut root = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(root),
            (Event::DocumentStart(_), _) if root.is_some() => {
                return Err("there is more than one document in it".to_owned());
            }
            (Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _) => {}
            (event, span) => {
                let node = reader.node(event, span)?;
                // A file of comments is an empty scalar.
                root = Some(node).filter(|it| !matches!(&it.kind, Kind::Other(text) if text.is_empty()));
            }
        }
    }
}

/// How deep values may lie in each other.
const DEEPEST: usize = 100;

struct Reader<'t> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// Where each character begins.
    bytes: Vec<usize>,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Why> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(fault)) => Err(fault.to_string()),
            None => Err("it ends too early".to_owned()),
        }
    }

    fn place(&self, character: usize) -> usize {
        self.bytes.get(character).or(self.bytes.last()).copied().unwrap_or_default()
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, Why> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deep".to_owned());
        }
        let start = self.place(span.start.index());
        let mut end = self.place(span.end.index());
        let is_anchored = matches!(
            &event,
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if *anchor > 0
        );
        let kind = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = matches!(style, ScalarStyle::Plain);
                let told = if anchor > 0 { format!("&{anchor} ") } else { String::new() };
                let told = tag.map_or(told.clone(), |tag| format!("{told}{tag} "));
                if plain && is_other(&text) { Kind::Other(told + &text) } else { Kind::Text(told + &text) }
            }
            Event::Alias(anchor) => Kind::Other(format!("*{anchor}")),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, span) => {
                            end = self.place(span.end.index());
                            break Kind::List(items);
                        }
                        (event, span) => items.push(self.node(event, span)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut members = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::MappingEnd {
                        end = self.place(span.end.index());
                        break Kind::Map(members);
                    }
                    let Node { kind: Kind::Text(key) | Kind::Other(key), start, end, .. } =
                        self.node(event, span)?
                    else {
                        return Err("a name in it is not plain text".to_owned());
                    };
                    let (event, span) = self.next()?;
                    members.push(Member { key, start, end, value: self.node(event, span)? });
                }
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err("it ends too early".to_owned()),
        };
        self.depth -= 1;
        Ok(Node { kind, is_anchored, start, end })
    }
}

/// Whether a scalar without quotes is no text.
fn is_other(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "true" | "false") || text.parse::<f64>().is_ok()
}
