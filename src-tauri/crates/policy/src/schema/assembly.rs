//! Puts the two schemas together, act by act: what a policy is checked against, and the same with `context.input` unknown.

use std::sync::{Arc, LazyLock};

use cedar_policy::SchemaFragment;
use cedar_policy_mcp_schema_generator::{SchemaGenerator, SchemaGeneratorConfig};
use mcp_tools_sdk::description::ToolDescription;
use org_protocol::{ClaimType, ClaimTypes};
use serde_json::{Map, Value, json};

use super::{ActType, Arguments, CALL_TOOL, FactsType, SchemaFault, action, entity, fault, kind};
use crate::declared::Facts;
use crate::naming::{decoded, encoded};
use crate::shape::{Member, Members, Opaque, Shape};

/// The part of the schema that every policy sees.
const BASE: &str = r#"
entity Group;
entity User in [Group] = { issuer: String, subject: String, email?: String, name?: String };
entity Server;
entity Connector in [Server];
entity Credential in [Connector];
type Client = { id: String, name: String, program?: { name: String, path: String } };
type Network = { address?: ipaddr };
type Circumstance = { server: Server, now: datetime, client: Client, device?: String, network: Network };
action see_server appliesTo { principal: User, resource: Server, context: Circumstance };
action expose_connector appliesTo { principal: User, resource: Connector, context: Circumstance };
action use_shared_credential appliesTo { principal: User, resource: Credential, context: Circumstance };
"#;

/// The namespace of what resources and prompts are described with; no connector's id is in capitals.
const FIXED: &str = "MCP";

/// The two schemas while they are put together.
pub(super) struct Schemas {
    pub(super) authoring: Map<String, Value>,
    pub(super) listing: Map<String, Value>,
}

/// Where the types of one act are.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) namespace: &'a str,
    pub(super) ident: &'a str,
}

/// One act to be described.
pub(super) struct Act<'a> {
    pub(super) name: &'a str,
    pub(super) group: Option<&'a str>,
    pub(super) members: Result<Members, Opaque>,
    /// What is computed of its arguments, and where the types of that are.
    pub(super) facts: Option<(Place<'a>, Facts)>,
}

/// What the context of an act has beside the circumstances, as types of Cedar's.
#[derive(Default)]
struct Beside {
    input: Option<Value>,
    facts: Option<Value>,
}

impl Place<'_> {
    /// The type of what is known of the act.
    fn input(self) -> String {
        format!("{}::{}Input", self.namespace, self.ident)
    }

    /// The entity type that stands for it while it is not known.
    fn unknown(self) -> String {
        format!("{}::{}Arguments", self.namespace, self.ident)
    }
}

impl Schemas {
    pub(super) fn of_base(claims: &ClaimTypes) -> Result<Self, SchemaFault> {
        let mut base = base()?;
        let user = base.get_mut("").and_then(|all| all.pointer_mut("/entityTypes/User/shape/attributes"));
        let user = user.and_then(Value::as_object_mut).ok_or_else(|| fault("the base", &"no users"))?;
        for (name, kind) in claims {
            // What every user has is not for a claim to say anew.
            user.entry(name.as_str()).or_insert_with(|| claim(*kind));
        }
        Ok(Self { authoring: base.clone(), listing: base })
    }

    /// Adds an act that every connector has, of which one text is known.
    pub(super) fn fixed(
        &mut self,
        action: &str,
        ident: &str,
        member: &str,
    ) -> Result<Arc<ActType>, SchemaFault> {
        let members = Members::from([(member.to_owned(), Member { shape: Shape::Text, optional: false })]);
        let act = Act { name: action, group: None, members: Ok(members), facts: None };
        self.act(&generator(FIXED)?, Place { namespace: FIXED, ident }, act)
    }

    /// Adds an act.
    pub(super) fn act(
        &mut self,
        generator: &SchemaGenerator,
        place: Place<'_>,
        Act { name, group, members, facts }: Act<'_>,
    ) -> Result<Arc<ActType>, SchemaFault> {
        let (mut known, mut unknown) = (Beside::default(), Beside::default());
        let arguments = match members {
            Err(why) => Err(why),
            Ok(members) => {
                (known.input, unknown.input) = self.types(generator, place, &members)?;
                Ok(Arguments {
                    members,
                    unread: kind(&format!("{}::Unknown", place.namespace))?,
                    unknown: entity(&place.unknown(), "unknown")?,
                })
            }
        };
        let facts = match facts {
            None => None,
            Some((place, facts)) => {
                let members = facts.members();
                (known.facts, unknown.facts) = self.types(generator, place, &members)?;
                Some(FactsType { members, unknown: entity(&place.unknown(), "unknown")?, facts })
            }
        };
        declare_action(&mut self.authoring, name, group, known);
        declare_action(&mut self.listing, name, group, unknown);
        Ok(Arc::new(ActType { action: action(name)?, arguments, facts }))
    }

    /// Adds the types of a record, which is what is known, and of the entity that stands for it while it is not.
    fn types(
        &mut self,
        generator: &SchemaGenerator,
        place: Place<'_>,
        members: &Members,
    ) -> Result<(Option<Value>, Option<Value>), SchemaFault> {
        let generated = generate(generator.clone(), place.ident, members)?;
        merge(&mut self.authoring, generated.clone());
        merge(&mut self.listing, generated);
        declare_unknown(&mut self.listing, place);
        Ok((
            Some(json!({"type": "EntityOrCommon", "name": place.input()})),
            Some(json!({"type": "Entity", "name": place.unknown()})),
        ))
    }

    /// Adds the group of tools; with no tools in it, it stands for those to come.
    pub(super) fn declare_group(&mut self, is_empty: bool) {
        let declaration = if is_empty { applies_to(Beside::default()) } else { json!({}) };
        declare(&mut self.authoring, "", "actions", CALL_TOOL, declaration.clone());
        declare(&mut self.listing, "", "actions", CALL_TOOL, declaration);
    }
}

/// An attribute of users that is there if the identity provider said so.
fn claim(kind: ClaimType) -> Value {
    let named = |name: &str| json!({"type": "EntityOrCommon", "name": name});
    let mut declared = match kind {
        ClaimType::Texts => json!({"type": "Set", "element": named("String")}),
        ClaimType::Bool | ClaimType::Long | ClaimType::String => named(kind.name()),
    };
    declared["required"] = json!(false);
    declared
}

fn base() -> Result<Map<String, Value>, SchemaFault> {
    static PARSED: LazyLock<Result<Map<String, Value>, String>> = LazyLock::new(|| {
        let (fragment, _) = SchemaFragment::from_cedarschema_str(BASE).map_err(|e| e.to_string())?;
        let schema = fragment.to_json_value().map_err(|e| e.to_string())?;
        schema.as_object().cloned().ok_or_else(|| schema.to_string())
    });
    PARSED.clone().map_err(|why| fault("the base", &why))
}

/// A generator for the tools of one connector.
pub(super) fn generator(namespace: &str) -> Result<SchemaGenerator, SchemaFault> {
    let stub =
        format!("namespace {namespace} {{ @mcp_principal(\"P\") entity P; @mcp_resource(\"R\") entity R; }}");
    let config = SchemaGeneratorConfig::default().objects_as_records(true).encode_numbers_as_decimal(true);
    SchemaGenerator::from_cedarschema_str_with_config(&stub, config).map_err(|e| fault(namespace, &e))
}

/// Runs the generator for one tool and returns the types that it made, by namespace.
fn generate(
    mut generator: SchemaGenerator,
    ident: &str,
    members: &Members,
) -> Result<Map<String, Value>, SchemaFault> {
    let tool = json!({"name": ident, "inputSchema": record_schema(members)}).to_string();
    let tool = ToolDescription::from_json_str(&tool).map_err(|e| fault(ident, &e))?;
    generator.add_action_from_tool_description(&tool).map_err(|e| fault(ident, &e))?;
    let generated = serde_json::to_value(generator.get_schema()).map_err(|e| fault(ident, &e))?;
    let Value::Object(mut generated) = generated else { return Err(fault(ident, &"no schema")) };
    for definition in generated.values_mut() {
        if let Some(kept) = definition.as_object_mut() {
            kept.insert("actions".to_owned(), json!({}));
            if let Some(types) = kept.get_mut("entityTypes").and_then(Value::as_object_mut) {
                types.retain(|name, _| name != "P" && name != "R");
            }
            for kind in kept.get_mut("commonTypes").and_then(Value::as_object_mut).into_iter().flatten() {
                restore_names(kind.1);
            }
        }
    }
    Ok(generated)
}

/// Gives the members of generated record types their own names back.
fn restore_names(kind: &mut Value) {
    let Some(kind) = kind.as_object_mut() else { return };
    if let Some(element) = kind.get_mut("element") {
        restore_names(element);
    }
    let Some(attributes) = kind.get_mut("attributes").and_then(Value::as_object_mut) else { return };
    *attributes = std::mem::take(attributes)
        .into_iter()
        .map(|(name, mut kind)| {
            restore_names(&mut kind);
            (decoded(&name).unwrap_or(name), kind)
        })
        .collect();
}

fn record_schema(members: &Members) -> Value {
    let required: Vec<String> =
        members.iter().filter(|(_, member)| !member.optional).map(|(name, _)| encoded(name)).collect();
    let properties: Map<String, Value> =
        members.iter().map(|(name, Member { shape, .. })| (encoded(name), shape_schema(shape))).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn shape_schema(shape: &Shape) -> Value {
    match shape {
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Long => json!({"type": "integer"}),
        Shape::Decimal => json!({"type": "number"}),
        // Fixed texts stay texts, so that policies compare them with plain strings; `lint` checks those strings.
        Shape::Text | Shape::Choice(_) => json!({"type": "string"}),
        Shape::List(item) => json!({"type": "array", "items": shape_schema(item)}),
        Shape::Record(members) => record_schema(members),
        Shape::Unread => json!({}),
    }
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn declare(schema: &mut Map<String, Value>, namespace: &str, section: &str, name: &str, declaration: Value) {
    let namespace = schema
        .entry(namespace)
        .or_insert_with(|| json!({"commonTypes": {}, "entityTypes": {}, "actions": {}}));
    if let Some(section) = namespace.get_mut(section).and_then(Value::as_object_mut) {
        section.insert(name.to_owned(), declaration);
    }
}

fn declare_unknown(schema: &mut Map<String, Value>, place: Place<'_>) {
    let shape = json!({"shape": {"type": "EntityOrCommon", "name": place.input()}});
    declare(schema, place.namespace, "entityTypes", &format!("{}Arguments", place.ident), shape);
}

fn declare_action(schema: &mut Map<String, Value>, name: &str, group: Option<&str>, beside: Beside) {
    let mut declaration = applies_to(beside);
    if let Some(group) = group {
        declaration["memberOf"] = json!([{"id": group}]);
    }
    declare(schema, "", "actions", name, declaration);
}

fn applies_to(Beside { input, facts }: Beside) -> Value {
    let mut attributes = json!({
        "server": {"type": "EntityOrCommon", "name": "Server"},
        "now": {"type": "EntityOrCommon", "name": "datetime"},
        "client": {"type": "EntityOrCommon", "name": "Client"},
        "network": {"type": "EntityOrCommon", "name": "Network"},
        "device": {"type": "EntityOrCommon", "name": "String", "required": false},
    });
    for (name, kind) in [("input", input), ("facts", facts)] {
        if let Some(kind) = kind {
            attributes[name] = kind;
        }
    }
    json!({"appliesTo": {
        "principalTypes": ["User"],
        "resourceTypes": ["Connector"],
        "context": {"type": "Record", "attributes": attributes},
    }})
}
