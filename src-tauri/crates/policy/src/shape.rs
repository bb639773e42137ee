//! What policy understands of a tool's arguments: JSON Schema in, a small tree of shapes out.
//!
//! The tree is the one source of both the Cedar schema that policies are checked against and the conversion of the
//! arguments that they are evaluated on, so the two cannot drift apart. A shape may claim less than the schema says,
//! never more: what has no exact counterpart becomes [`Shape::Unread`], which no policy can look into.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// How deep shapes nest; what lies deeper is not read.
const DEPTH: usize = 12;
/// How many schema nodes one tool may have once its references are expanded.
const NODES: usize = 4_000;

/// The members of an object, by name.
pub(crate) type Members = BTreeMap<String, Member>;

/// One member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// What its value looks like.
    pub(crate) shape: Shape,
    /// Whether it may be absent or `null`.
    pub(crate) optional: bool,
}

/// What one value looks like to policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `boolean`, a Cedar `Bool`.
    Bool,
    /// `integer`, a Cedar `Long`.
    Long,
    /// `number`, a Cedar `decimal`.
    Decimal,
    /// `string`, a Cedar `String`.
    Text,
    /// `string` with `enum` or `const`: a Cedar `String` with one of these values.
    Choice(BTreeSet<String>),
    /// `array`, a Cedar `Set`.
    List(Box<Shape>),
    /// `object` with declared members only, a Cedar record.
    Record(Members),
    /// Anything else. Policies can ask whether it is there, and nothing more.
    Unread,
}

/// Why policy cannot look at any of a tool's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opaque {
    /// The tool has no `inputSchema`.
    NoSchema,
    /// The schema has numbers that no reader here can hold.
    Unreadable,
    /// The schema does not describe an object.
    NotAnObject,
    /// The schema takes members that it does not declare.
    Open,
    /// The members follow from alternatives (`anyOf`, `oneOf`, `allOf`, `if`) or from the values of others.
    Alternatives,
    /// The schema refers to itself at its root, or to something outside itself.
    Reference,
    /// The schema is too large once its references are expanded.
    TooLarge,
    /// The connector has two tools of this name.
    Ambiguous,
}

impl std::fmt::Display for Opaque {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoSchema => "it has no input schema",
            Self::Unreadable => "its input schema has numbers that cannot be read",
            Self::NotAnObject => "its input schema does not describe an object",
            Self::Open => "its input schema takes members that it does not declare",
            Self::Alternatives => "its members follow from alternatives or conditions",
            Self::Reference => "its input schema refers to itself or outside itself",
            Self::TooLarge => "its input schema is too large",
            Self::Ambiguous => "the connector has two tools of this name",
        })
    }
}

/// Reads the arguments' members from a tool's `inputSchema` (MCP 2026-07-28, server/tools, "Tool").
///
/// # Errors
/// Why the tool is opaque.
pub(crate) fn arguments_of(root: &Value) -> Result<Members, Opaque> {
    let mut reading = Reading { root, open: Vec::new(), nodes: 0 };
    let mut schema = root.as_object().ok_or(Opaque::NotAnObject)?;
    while let Some(reference) = reference_of(schema) {
        if !reading.enter(reference) {
            return Err(Opaque::Reference);
        }
        schema = reading.target(reference).and_then(Value::as_object).ok_or(Opaque::Reference)?;
    }
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(Opaque::NotAnObject);
    }
    if has_alternatives(schema) {
        return Err(Opaque::Alternatives);
    }
    if takes_undeclared(schema) {
        return Err(Opaque::Open);
    }
    let members = reading.members(schema);
    if reading.nodes > NODES { Err(Opaque::TooLarge) } else { Ok(members) }
}

/// One walk through a schema.
struct Reading<'a> {
    root: &'a Value,
    /// The references that are being expanded: one that opens itself again is recursion.
    open: Vec<&'a str>,
    nodes: usize,
}

/// A shape, and whether `null` may stand in its place.
type Nullable = (Shape, bool);

impl<'a> Reading<'a> {
    fn members(&mut self, schema: &'a Map<String, Value>) -> Members {
        let required: BTreeSet<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut members = Members::new();
        for (name, value) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let (shape, nullable) = self.shape(value);
            members.insert(
                name.clone(),
                Member { shape, optional: nullable || !required.contains(name.as_str()) },
            );
        }
        members
    }

    fn shape(&mut self, schema: &'a Value) -> Nullable {
        self.nodes += 1;
        let Some(schema) = schema.as_object() else { return (Shape::Unread, false) };
        if self.nodes > NODES || self.open.len() > DEPTH {
            return (Shape::Unread, false);
        }
        if let Some(reference) = reference_of(schema) {
            return self.referred(reference);
        }
        match schema.get("type") {
            Some(Value::String(name)) => (self.typed(name, schema), name == "null"),
            Some(Value::Array(names)) => self.one_of_types(names, schema),
            Some(_) => (Shape::Unread, false),
            None => self.untyped(schema),
        }
    }

    fn referred(&mut self, reference: &'a str) -> Nullable {
        if !self.enter(reference) {
            return (Shape::Unread, false);
        }
        let found = self.target(reference).map_or((Shape::Unread, false), |target| self.shape(target));
        self.open.pop();
        found
    }

    /// `false` if the reference is being expanded already.
    fn enter(&mut self, reference: &'a str) -> bool {
        if self.open.contains(&reference) {
            return false;
        }
        self.open.push(reference);
        true
    }

    fn target(&self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#')?;
        let definition = pointer.starts_with("/$defs/") || pointer.starts_with("/definitions/");
        definition.then(|| self.root.pointer(pointer)).flatten()
    }

    fn typed(&mut self, name: &str, schema: &'a Map<String, Value>) -> Shape {
        match name {
            "boolean" => Shape::Bool,
            "integer" => Shape::Long,
            "number" => Shape::Decimal,
            "string" => choice(schema).unwrap_or(Shape::Text),
            "array" => self.list(schema),
            "object" => self.record(schema),
            _ => Shape::Unread,
        }
    }

    fn one_of_types(&mut self, names: &'a [Value], schema: &'a Map<String, Value>) -> Nullable {
        let nullable = names.iter().any(|name| name == "null");
        let mut others = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
        match (others.next(), others.next()) {
            (Some(name), None) => (self.typed(name, schema), nullable),
            (None | Some(_), _) => (Shape::Unread, nullable),
        }
    }

    fn untyped(&mut self, schema: &'a Map<String, Value>) -> Nullable {
        if let Some(choice) = choice(schema) {
            let nullable = schema
                .get("enum")
                .and_then(Value::as_array)
                .is_some_and(|values| values.contains(&Value::Null));
            return (choice, nullable);
        }
        let branches: Vec<&'a Value> = ["anyOf", "oneOf", "allOf"]
            .iter()
            .filter_map(|key| schema.get(*key))
            .flat_map(|branches| branches.as_array().into_iter().flatten())
            .collect();
        if schema.contains_key("allOf") && branches.len() > 1 {
            return (Shape::Unread, false);
        }
        self.alternatives(&branches)
    }

    /// One alternative beside `null` is that alternative; several fixed texts are a choice; all else is not read.
    fn alternatives(&mut self, branches: &[&'a Value]) -> Nullable {
        let mut nullable = false;
        let mut shapes = Vec::new();
        for branch in branches {
            if branch.get("type").is_some_and(|name| name == "null") {
                nullable = true;
                continue;
            }
            let (shape, null) = self.shape(branch);
            nullable |= null;
            shapes.push(shape);
        }
        let merged = shapes.into_iter().reduce(|left, right| match (left, right) {
            (Shape::Choice(mut left), Shape::Choice(right)) => {
                left.extend(right);
                Shape::Choice(left)
            }
            _ => Shape::Unread,
        });
        (merged.unwrap_or(Shape::Unread), nullable)
    }

    fn list(&mut self, schema: &'a Map<String, Value>) -> Shape {
        if schema.contains_key("prefixItems") {
            return Shape::Unread;
        }
        let item = match schema.get("items") {
            Some(items @ Value::Object(_)) => match self.nested(|reading| reading.shape(items)) {
                (shape, false) => shape,
                (_, true) => Shape::Unread,
            },
            Some(Value::Array(_)) => return Shape::Unread,
            Some(_) | None => Shape::Unread,
        };
        Shape::List(Box::new(item))
    }

    fn record(&mut self, schema: &'a Map<String, Value>) -> Shape {
        let declares = schema.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty())
            || schema.get("additionalProperties") == Some(&Value::Bool(false));
        if !declares || has_alternatives(schema) || takes_undeclared(schema) {
            return Shape::Unread;
        }
        Shape::Record(self.nested(|reading| reading.members(schema)))
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.open.push("");
        let found = read(self);
        self.open.pop();
        found
    }
}

/// The reference of a schema that is nothing but a reference. Beside other constraints it is not followed.
fn reference_of(schema: &Map<String, Value>) -> Option<&str> {
    const BESIDE: [&str; 11] = [
        "$ref",
        "$schema",
        "$id",
        "$defs",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "$comment",
    ];
    let reference = schema.get("$ref")?.as_str()?;
    schema.keys().all(|key| BESIDE.contains(&key.as_str())).then_some(reference)
}

fn has_alternatives(schema: &Map<String, Value>) -> bool {
    [
        "$ref",
        "$dynamicRef",
        "anyOf",
        "oneOf",
        "allOf",
        "if",
        "then",
        "else",
        "dependentSchemas",
        "dependencies",
    ]
    .iter()
    .any(|key| schema.contains_key(*key))
}

/// JSON Schema takes undeclared members unless told otherwise; tools that mean it say so, and only those are believed.
fn takes_undeclared(schema: &Map<String, Value>) -> bool {
    let open = |key: &str| schema.get(key).is_some_and(|value| *value != Value::Bool(false));
    open("additionalProperties") || open("unevaluatedProperties") || schema.contains_key("patternProperties")
}

/// The fixed texts of `enum` or `const`; none if any of them is not a text (`null` is spoken for elsewhere).
fn choice(schema: &Map<String, Value>) -> Option<Shape> {
    let values: Vec<&Value> = match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => values.iter().filter(|value| !value.is_null()).collect(),
        (None, Some(value)) => vec![value],
        _ => return None,
    };
    let texts: Option<BTreeSet<String>> =
        values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect();
    texts.filter(|texts| !texts.is_empty()).map(Shape::Choice)
}

#[cfg(test)]
mod tests;
