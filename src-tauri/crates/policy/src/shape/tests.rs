use serde_json::json;

use super::*;

fn check(schema: Value) -> Result<Members, Opaque> {
    arguments_of(&schema)
}

fn one(schema: Value) -> Member {
    let members = check(json!({"type": "object", "properties": {"x": schema}, "required": ["x"]}));
    members.expect("typed").remove("x").expect("x")
}

fn required(shape: Shape) -> Member {
    Member { shape, optional: false }
}

fn optional(shape: Shape) -> Member {
    Member { shape, optional: true }
}

#[test]
fn plain_types() {
    assert_eq!(one(json!({"type": "boolean"})), required(Shape::Bool));
    assert_eq!(one(json!({"type": "integer", "minimum": 3})), required(Shape::Long));
    assert_eq!(one(json!({"type": "number"})), required(Shape::Decimal));
    assert_eq!(one(json!({"type": "string", "format": "date-time"})), required(Shape::Text));
    assert_eq!(
        one(json!({"type": "array", "items": {"type": "string"}})),
        required(Shape::List(Box::new(Shape::Text)))
    );
}

#[test]
fn null_is_absence() {
    assert_eq!(
        one(json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null})),
        optional(Shape::Long)
    );
    assert_eq!(one(json!({"type": ["string", "null"]})), optional(Shape::Text));
    assert_eq!(one(json!({"type": ["string", "integer"]})), required(Shape::Unread));
}

#[test]
fn choices() {
    let red_green = Shape::Choice(["red".to_owned(), "green".to_owned()].into());
    assert_eq!(one(json!({"type": "string", "enum": ["red", "green"]})), required(red_green.clone()));
    assert_eq!(one(json!({"enum": ["green", "red"]})), required(red_green.clone()));
    assert_eq!(one(json!({"oneOf": [{"const": "red"}, {"const": "green"}]})), required(red_green));
    assert_eq!(one(json!({"enum": ["red", 3]})), required(Shape::Unread));
    assert_eq!(one(json!({"type": "integer", "enum": [1, 2]})), required(Shape::Long));
}

#[test]
fn what_has_no_counterpart_is_not_read() {
    for schema in [
        json!(true),
        json!({}),
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"allOf": [{"type": "string"}, {"type": "string"}]}),
        json!({"type": "object"}),
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "patternProperties": {"^x": {}}}),
        json!({"type": "array", "prefixItems": [{"type": "string"}]}),
        json!({"$ref": "https://example.com/schema"}),
        json!({"$ref": "#/$defs/missing"}),
    ] {
        assert_eq!(one(schema.clone()), required(Shape::Unread), "{schema}");
    }
}

#[test]
fn references_are_expanded_and_recursion_ends() {
    let members = check(json!({
        "type": "object",
        "properties": {"filter": {"$ref": "#/$defs/Filter"}, "level": {"allOf": [{"$ref": "#/$defs/Level"}]}},
        "$defs": {
            "Level": {"type": "string", "enum": ["low"]},
            "Filter": {"type": "object", "properties": {"name": {"type": "string"}, "inner": {"$ref": "#/$defs/Filter"}}},
        },
    }))
    .expect("typed");
    let filter = Members::from([
        ("name".to_owned(), optional(Shape::Text)),
        ("inner".to_owned(), optional(Shape::Unread)),
    ]);
    assert_eq!(
        members,
        Members::from([
            ("filter".to_owned(), optional(Shape::Record(filter))),
            ("level".to_owned(), optional(Shape::Choice(["low".to_owned()].into()))),
        ])
    );
}

#[test]
fn tools_that_cannot_be_typed_are_opaque() {
    assert_eq!(check(json!(true)), Err(Opaque::NotAnObject));
    assert_eq!(check(json!({"type": "array"})), Err(Opaque::NotAnObject));
    assert_eq!(check(json!({"type": "object", "additionalProperties": true})), Err(Opaque::Open));
    assert_eq!(check(json!({"type": "object", "oneOf": [{"required": ["a"]}]})), Err(Opaque::Alternatives));
    assert_eq!(
        check(json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}})),
        Err(Opaque::Reference)
    );
}

#[test]
fn a_schema_that_explodes_is_opaque() {
    let mut definitions = Map::new();
    for level in 0..8 {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        definitions.insert(
            format!("d{level}"),
            json!({"type": "object", "properties": {"a": next, "b": next, "c": next, "d": next}}),
        );
    }
    let schema = json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": definitions});
    assert_eq!(check(schema), Err(Opaque::TooLarge));
}
