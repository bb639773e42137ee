use std::collections::BTreeMap;

use cedar_policy::{Context, EvalResult, Request};
use cedar_policy_mcp_schema_generator::{RequestGenerator, SchemaGenerator, SchemaGeneratorConfig};
use mcp_tools_sdk::data::Input;
use mcp_tools_sdk::description::ToolDescription;
use model::ConnectorId;
use org_protocol::PinnedTools;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::schema::Vocabulary;

fn vocabulary(schema: &Value) -> Vocabulary {
    let tool = json!({"name": "t", "inputSchema": schema}).to_string();
    let tools = PinnedTools(vec![RawValue::from_string(tool).expect("JSON")]);
    let tools = BTreeMap::from([("c".parse::<ConnectorId>().expect("an id"), tools)]);
    Vocabulary::of(&tools, &BTreeMap::new(), BTreeMap::new()).expect("a schema")
}

/// Converts, and has Cedar check the result against the very schema that policies are checked against.
fn check(schema: &Value, text: &str) -> Result<EvalResult, ArgumentFault> {
    let vocabulary = vocabulary(schema);
    let (_, _, tool) = vocabulary.tools().next().expect("the tool");
    let input = convert(text, tool.arguments.as_ref().expect("typed"))?;
    let context = Context::from_pairs([
        ("server".to_owned(), r#"Server::"s""#.parse().expect("a value")),
        ("now".to_owned(), RestrictedExpression::new_datetime("2026-11-23")),
        ("client".to_owned(), r#"{"id": "i", "name": "n"}"#.parse().expect("a value")),
        ("network".to_owned(), r#"{}"#.parse().expect("a value")),
        ("input".to_owned(), input),
    ])
    .expect("a context");
    let (user, connector) =
        (r#"User::"u""#.parse().expect("an id"), r#"Connector::"c""#.parse().expect("an id"));
    let request = Request::new(user, tool.action.clone(), connector, context, Some(vocabulary.authoring()));
    let request = request.expect("what was converted conforms to the schema");
    Ok(request.context().and_then(|context| context.get("input")).expect("the input"))
}

fn member(schema: &Value, value: &str) -> Result<String, ArgumentFault> {
    let schema = json!({"type": "object", "properties": {"x": schema}, "required": ["x"]});
    check(&schema, &format!("{{\"x\": {value}}}")).map(|input| {
        let EvalResult::Record(record) = input else { panic!("{input}") };
        record.get("x").map_or("absent".to_owned(), ToString::to_string)
    })
}

fn wrong(wanted: &'static str) -> Result<String, ArgumentFault> {
    Err(ArgumentFault::WrongType { at: "/x".to_owned(), wanted })
}

#[test]
fn integers_are_exact() {
    let integer = json!({"type": "integer"});
    assert_eq!(member(&integer, "9223372036854775807"), Ok("9223372036854775807".to_owned()));
    assert_eq!(member(&integer, "-9223372036854775808"), Ok("-9223372036854775808".to_owned()));
    for far in ["9223372036854775808", "-9223372036854775809", "18446744073709551616"] {
        assert!(matches!(member(&integer, far), Err(ArgumentFault::OutOfRange { .. })), "{far}");
    }
    for other in ["1.0", "1e2", "\"1\"", "true", "[1]", "null"] {
        assert_eq!(member(&integer, other), wrong("an integer"), "{other}");
    }
}

#[test]
fn numbers_have_four_places_or_are_refused() {
    let number = json!({"type": "number"});
    for (text, expected) in [
        ("2", "2.0000"),
        ("-0.5", "-0.5000"),
        ("1e2", "100.0000"),
        ("12.34500000", "12.3450"),
        ("1.5E-3", "0.0015"),
        ("0e999999", "0.0000"),
        ("922337203685477.5807", "922337203685477.5807"),
        ("-922337203685477.5808", "-922337203685477.5808"),
        ("120000e-4", "12.0000"),
    ] {
        assert_eq!(member(&number, text), Ok(format!("decimal(\"{expected}\")")), "{text}");
    }
    for far in ["2.00004", "922337203685477.5808", "1e300", "1e-300", "0.10000000000000000001"] {
        assert!(matches!(member(&number, far), Err(ArgumentFault::OutOfRange { .. })), "{far}");
    }
    assert_eq!(member(&number, "1e999999"), Err(ArgumentFault::NotJson), "beyond every float");
    assert_eq!(member(&number, "\"2\""), wrong("a number"));
}

#[test]
fn texts_and_choices() {
    assert_eq!(member(&json!({"type": "string"}), r#""a\u0062\"""#), Ok(r#""ab\"""#.to_owned()));
    assert_eq!(member(&json!({"type": "string"}), r#""\ud800""#), Err(ArgumentFault::NotJson));
    assert_eq!(member(&json!({"type": "boolean"}), "1"), wrong("true or false"));
    let choice = json!({"type": "string", "enum": ["read", "write"]});
    assert_eq!(member(&choice, "\"read\""), Ok("\"read\"".to_owned()));
    assert_eq!(member(&choice, "\"Read\""), Err(ArgumentFault::NotAChoice("/x".to_owned())));
}

#[test]
fn nested_values() {
    let schema =
        json!({"type": "array", "items": {"type": "object", "properties": {"a/b": {"type": "integer"}}}});
    assert_eq!(member(&schema, r#"[{"a/b": 1}, {}, {"a/b": 1}]"#), Ok(r#"[{}, {"a/b": 1}]"#.to_owned()));
    assert_eq!(
        member(&schema, r#"[{}, {"a/b": "1"}]"#),
        Err(ArgumentFault::WrongType { at: "/x/1/a~1b".to_owned(), wanted: "an integer" })
    );
    assert_eq!(member(&schema, r#"[{"other": 1}]"#), Err(ArgumentFault::Undeclared("/x/0".to_owned())));
    assert_eq!(
        member(&schema, "[null]"),
        wrong("an object")
            .map_err(|_| ArgumentFault::WrongType { at: "/x/0".to_owned(), wanted: "an object" })
    );
}

#[test]
fn null_is_absent_where_the_tool_allows_it() {
    let schema =
        json!({"type": "object", "properties": {"x": {"type": ["integer", "null"]}}, "required": ["x"]});
    assert_eq!(check(&schema, r#"{"x": null}"#).map(|input| input.to_string()), Ok("{}".to_owned()));
    assert_eq!(check(&schema, "{}").map(|input| input.to_string()), Ok("{}".to_owned()));
    let schema = json!({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]});
    assert_eq!(check(&schema, "{}").map(|_| ()), Err(ArgumentFault::Missing("/x".to_owned())));
}

#[test]
fn values_that_are_not_read_are_taken_and_equal_nothing() {
    let schema = json!({"type": "object", "properties": {"x": {}, "y": true}});
    let input = check(&schema, r#"{"x": {"deep": [1]}, "y": {"deep": [1]}}"#).expect("taken");
    let EvalResult::Record(record) = input else { panic!("{input}") };
    assert_ne!(record.get("x"), record.get("y"));
}

#[test]
fn arguments_that_could_be_read_in_two_ways_are_refused() {
    let schema = json!({"type": "object", "properties": {"x": {}, "X": {}}});
    assert_eq!(check(&schema, r#"{"x": 1, "x": 1}"#), Err(ArgumentFault::DuplicateKey));
    assert_eq!(check(&schema, r#"{"x": 1, "\u0078": 1}"#), Err(ArgumentFault::DuplicateKey));
    assert_eq!(check(&schema, r#"{"x": [{"a": 1, "a": 2}]}"#), Err(ArgumentFault::DuplicateKey));
    assert!(check(&schema, r#"{"x": 1, "X": 2}"#).is_ok(), "keys differ by case");
    assert_eq!(check(&schema, "[]"), Err(ArgumentFault::NotAnObject));
    assert_eq!(check(&schema, "{} {}"), Err(ArgumentFault::NotJson));
    assert_eq!(check(&schema, &"[".repeat(100_000)), Err(ArgumentFault::NotJson));
    assert_eq!(check(&schema, r#"{"z": 1}"#), Err(ArgumentFault::Undeclared(String::new())));
    assert_eq!(
        check(&schema, r#"{"z": 1}"#).expect_err("undeclared").to_string(),
        "the arguments have a member that the tool does not declare"
    );
}

/// The generator's own conversion of the same call, on a schema that it made without our help.
fn generators(schema: &Value, arguments: &str) -> Option<EvalResult> {
    let stub = r#"namespace N { @mcp_principal("P") entity P; @mcp_resource("R") entity R; }"#;
    let config = SchemaGeneratorConfig::default().objects_as_records(true).encode_numbers_as_decimal(true);
    let mut generator = SchemaGenerator::from_cedarschema_str_with_config(stub, config).expect("a stub");
    let tool = json!({"name": "t", "inputSchema": schema}).to_string();
    let tool = ToolDescription::from_json_str(&tool).expect("a tool");
    generator.add_action_from_tool_description(&tool).expect("an action");
    let requests: RequestGenerator = generator.new_request_generator().expect("requests");
    let call = format!(r#"{{"params": {{"name": "t", "arguments": {arguments}}}}}"#);
    let call = Input::from_json_str(&call).ok()?;
    let entity = |text: &str| text.parse::<EntityUid>().expect("an entity");
    let (request, _) = requests
        .generate_request(
            entity(r#"N::P::"p""#).into(),
            entity(r#"N::R::"r""#).into(),
            [],
            Default::default(),
            &call,
            None,
        )
        .ok()?;
    Request::from(request).context().and_then(|context| context.get("input"))
}

/// Schemas that both sides understand: no fixed texts (entities there, texts here) and nothing untyped.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "integer"})),
        Just(json!({"type": "number"})),
        Just(json!({"type": "string"})),
    ];
    let nested = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![inner.clone().prop_map(|items| json!({"type": "array", "items": items})), object(inner),]
    });
    object(nested)
}

fn object(member: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-d]", (member, any::<bool>()), 1..4).prop_map(|members| {
        let required: Vec<&String> =
            members.iter().filter(|(_, (_, required))| *required).map(|(name, _)| name).collect();
        let properties: BTreeMap<&String, &Value> =
            members.iter().map(|(name, (schema, _))| (name, schema)).collect();
        json!({"type": "object", "properties": properties, "required": required})
    })
}

/// Values for a schema, one in eight of them of another type or missing.
fn values(schema: &Value) -> BoxedStrategy<Value> {
    let astray = prop_oneof![
        Just(json!("text")),
        Just(json!(7)),
        Just(json!([])),
        Just(json!({"z": 1})),
        Just(json!(null))
    ];
    let kind = schema["type"].as_str().unwrap_or_default();
    let fitting: BoxedStrategy<Value> = match kind {
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "integer" => {
            prop_oneof![any::<i64>().prop_map(Value::from), any::<u64>().prop_map(Value::from)].boxed()
        }
        "number" => (-1_000_000_000_i32..1_000_000_000, 0..5_u32)
            .prop_map(|(units, places)| json!(f64::from(units) / f64::from(10_u32.pow(places))))
            .boxed(),
        "string" => "\\PC{0,6}".prop_map(Value::from).boxed(),
        "array" => proptest::collection::vec(values(&schema["items"]), 0..3).prop_map(Value::from).boxed(),
        _ => {
            let members: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
            let members: Vec<_> = members
                .into_iter()
                .map(|(name, schema)| (Just(name.clone()), proptest::option::weighted(0.9, values(schema))))
                .collect();
            members
                .prop_map(|members| {
                    members
                        .into_iter()
                        .filter_map(|(name, value)| value.map(|value| (name, value)))
                        .collect::<Value>()
                })
                .boxed()
        }
    };
    prop_oneof![15 => fitting, 1 => astray].boxed()
}

/// As many cases as a landing can afford, unless the environment (`PROPTEST_CASES`) asks for a number of its own.
fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { usual.cases } else { 48 };
    ProptestConfig { cases, failure_persistence: None, ..usual }
}

proptest! {
    #![proptest_config(cases())]

    /// Two readings of one schema, made independently, agree on every call: the same value, or a refusal.
    #[test]
    fn agrees_with_the_generator((schema, arguments) in schemas().prop_flat_map(|schema| {
        let values = values(&schema);
        (Just(schema), values)
    })) {
        let text = arguments.to_string();
        let ours = check(&schema, &text);
        // The generator knows no `null`, and we read it as absence only where the schema does; it never does here.
        let theirs = generators(&schema, &text);
        match (&ours, &theirs) {
            (Ok(ours), Some(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(_), None) => {}
            // `null` for an optional member is absence to us.
            (Ok(_), None) => prop_assert!(text.contains("null"), "only we take {}", text),
            (Err(fault), Some(_)) => prop_assert!(false, "only the generator takes {}: {}", text, fault),
        }
    }

    /// No text makes the conversion panic, and what it takes conforms to the schema (asserted in `check`).
    #[test]
    fn takes_any_text(text in "[\\[\\]{}:,\"ax0-9.eE+-]{0,24}") {
        let schema = json!({"type": "object", "properties": {"a": {"type": "number"}, "x": {"type": "array"}}});
        let _ = check(&schema, &text);
    }
}
