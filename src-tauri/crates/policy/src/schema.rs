//! The Cedar schema that policies are checked against, generated from the pinned tools.
//!
//! The entity types and most actions are fixed ([`BASE`]); each tool adds the action
//! `Action::"<connector>/<tool>"` below `Action::"call_tool"`, with its arguments as `context.input`. Resources and
//! prompts have one action each, whose `context.input` is the same for all: to policy they are two more tools of every
//! connector. The arguments' types come out of the MCP schema generator, which is handed what [`crate::shape`] kept of the tool's own schema:
//! it knows neither connectors nor names that are no Cedar identifiers, so each tool is generated in a namespace of its
//! connector, under names that are always identifiers, and its types are then moved below our action.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema, SchemaFragment};
use cedar_policy_mcp_schema_generator::{SchemaGenerator, SchemaGeneratorConfig};
use mcp_tools_sdk::description::ToolDescription;
use model::{ConnectorId, ToolName};
use org_protocol::PinnedTools;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::naming::{Names, decoded, encoded};
use crate::scope::{GET_PROMPT, READ_RESOURCE};
use crate::shape::{Member, Members, Opaque, Shape, arguments_of};

/// The part of the schema that every policy sees.
const BASE: &str = r#"
entity Group;
entity User in [Group] = { issuer: String, subject: String, email?: String, name?: String } tags Set<String>;
entity Server;
entity Connector in [Server];
entity Credential in [Connector];
type Circumstance = { server: Server, now: datetime, client: { id: String, name: String }, device?: String };
action see_server appliesTo { principal: User, resource: Server, context: Circumstance };
action expose_connector appliesTo { principal: User, resource: Connector, context: Circumstance };
action use_shared_credential appliesTo { principal: User, resource: Credential, context: Circumstance };
"#;

/// The namespace of what resources and prompts are described with; no connector's id is in capitals.
const FIXED: &str = "MCP";

/// The member of `context.input` that is the URI of a resource.
pub(crate) const URI: &str = "uri";
/// The member of `context.input` that is the name of a prompt.
pub(crate) const NAME: &str = "name";

/// The group of every tool's action.
pub(crate) const CALL_TOOL: &str = "call_tool";

/// The schema could not be built. This is a fault of this program, not of who wrote the policies.
#[derive(Debug, thiserror::Error)]
#[error("the schema of {of} could not be built: {why}")]
pub struct SchemaFault {
    /// The tool or the part of the schema.
    of: String,
    /// What the generator or Cedar said.
    why: String,
}

/// What policies are written against: the schema, and what of the pinned tools it covers.
#[derive(Debug)]
pub struct Vocabulary {
    source: Value,
    authoring: Schema,
    listing: Schema,
    tools: BTreeMap<ConnectorId, BTreeMap<ToolName, Arc<ActType>>>,
    /// The reading of a resource, on whatever connector.
    pub(crate) resource: Arc<ActType>,
    /// The getting of a prompt.
    pub(crate) prompt: Arc<ActType>,
}

/// What can be done at a connector - one tool, or resources or prompts as such - as policy knows it.
#[derive(Debug)]
pub(crate) struct ActType {
    /// `Action::"<connector>/<tool>"`, `Action::"read_resource"` or `Action::"get_prompt"`.
    pub(crate) action: EntityUid,
    /// What is known of the act: a tool's arguments; why not, for an opaque tool.
    pub(crate) arguments: Result<Arguments, Opaque>,
}

/// `context.input` of an act that is not opaque.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) members: Members,
    /// The entity type that stands for a value that is not read.
    pub(crate) unread: EntityTypeName,
    /// What stands for `context.input` while the arguments are not known yet.
    pub(crate) unknown: EntityUid,
}

impl Vocabulary {
    /// Generates the schema of the pinned tools. A pinned entry without a name that MCP allows is no tool.
    ///
    /// # Errors
    /// [`SchemaFault`], if Cedar refuses what was generated.
    pub fn of(pinned: &BTreeMap<ConnectorId, PinnedTools>) -> Result<Self, SchemaFault> {
        let mut schemas = Schemas::of_base()?;
        let resource = schemas.fixed(READ_RESOURCE, "Resource", URI)?;
        let prompt = schemas.fixed(GET_PROMPT, "Prompt", NAME)?;
        let mut tools = BTreeMap::new();
        let mut namespaces = Names::default();
        for (connector, pinned) in pinned {
            let namespace = namespaces.fresh(connector.as_str());
            let generator = generator(&namespace)?;
            let mut idents = Names::default();
            let mut types = BTreeMap::new();
            for (tool, arguments) in definitions(pinned) {
                let (ident, name) = (idents.fresh(tool.as_str()), action_name(connector, &tool));
                let place = Place { namespace: &namespace, ident: &ident };
                types.insert(tool, schemas.act(&generator, place, &name, Some(CALL_TOOL), arguments)?);
            }
            tools.insert(connector.clone(), types);
        }
        // A group without members applies to nothing, and a policy about nothing is refused: before the first tool is
        // pinned, `call_tool` stands for the tools to come.
        let empty = tools.values().all(BTreeMap::is_empty);
        schemas.declare_group(if empty { applies_to(None) } else { json!({}) });
        let source = Value::Object(schemas.authoring);
        Ok(Self {
            authoring: Schema::from_json_value(source.clone()).map_err(|e| fault("the tools", &e))?,
            listing: Schema::from_json_value(Value::Object(schemas.listing))
                .map_err(|e| fault("the listing", &e))?,
            source,
            tools,
            resource,
            prompt,
        })
    }

    /// The schema in Cedar's own syntax, for editors and guides.
    ///
    /// # Errors
    /// [`SchemaFault`], if Cedar cannot write what it has read.
    pub fn text(&self) -> Result<String, SchemaFault> {
        let fragment =
            SchemaFragment::from_json_value(self.source.clone()).map_err(|e| fault("the tools", &e))?;
        fragment.to_cedarschema().map_err(|e| fault("the tools", &e))
    }

    /// The tools whose arguments no policy can read, and why.
    pub fn opaque(&self) -> impl Iterator<Item = (&ConnectorId, &ToolName, Opaque)> {
        self.tools.iter().flat_map(|(connector, tools)| {
            tools.iter().filter_map(move |(name, tool)| {
                tool.arguments.as_ref().err().map(|why| (connector, name, *why))
            })
        })
    }

    /// What policies are validated against.
    pub(crate) fn authoring(&self) -> &Schema {
        &self.authoring
    }

    /// The same schema with `context.input` as an entity whose attributes may be unknown. Attribute access reads alike
    /// on both, so the same policies type-check; but only entities can be partly unknown to Cedar's partial evaluation.
    pub(crate) fn listing(&self) -> &Schema {
        &self.listing
    }

    pub(crate) fn tools(&self) -> impl Iterator<Item = (&ConnectorId, &ToolName, &Arc<ActType>)> {
        self.tools
            .iter()
            .flat_map(|(connector, tools)| tools.iter().map(move |(name, tool)| (connector, name, tool)))
    }

    pub(crate) fn tools_of(
        &self,
        connector: &ConnectorId,
    ) -> impl Iterator<Item = (&ToolName, &Arc<ActType>)> {
        self.tools.get(connector).into_iter().flatten()
    }
}

/// `<connector>/<tool>`; a connector's id has no slash, so no two tools share a name.
pub(crate) fn action_name(connector: &ConnectorId, tool: &ToolName) -> String {
    format!("{connector}/{tool}")
}

/// The entity `Action::"<name>"`.
pub(crate) fn action(name: &str) -> Result<EntityUid, SchemaFault> {
    entity("Action", name)
}

/// The entity `<kind>::"<id>"`.
pub(crate) fn entity(of: &str, id: &str) -> Result<EntityUid, SchemaFault> {
    Ok(EntityUid::from_type_name_and_id(kind(of)?, EntityId::new(id)))
}

/// An entity type.
pub(crate) fn kind(name: &str) -> Result<EntityTypeName, SchemaFault> {
    EntityTypeName::from_str(name).map_err(|e| fault(name, &e))
}

fn fault(of: &str, why: &dyn std::fmt::Display) -> SchemaFault {
    SchemaFault { of: of.to_owned(), why: why.to_string() }
}

/// The pinned tools by name; a name that occurs twice has no definition that could be trusted.
fn definitions(pinned: &PinnedTools) -> BTreeMap<ToolName, Result<Members, Opaque>> {
    let mut found = BTreeMap::new();
    for raw in &pinned.0 {
        let Ok(tool) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()) else { continue };
        let name = tool.get("name").and_then(|name| serde_json::from_str::<ToolName>(name.get()).ok());
        let Some(name) = name else {
            tracing::warn!("a pinned tool has no name that MCP allows; it is left out");
            continue;
        };
        let known = found.contains_key(&name);
        found.insert(name, if known { Err(Opaque::Ambiguous) } else { arguments(&tool) });
    }
    found
}

/// What policy understands of the arguments. The rest of a definition may be as odd as it likes.
fn arguments(tool: &BTreeMap<String, &RawValue>) -> Result<Members, Opaque> {
    let schema = tool.get("inputSchema").ok_or(Opaque::NoSchema)?;
    arguments_of(&serde_json::from_str(schema.get()).map_err(|_| Opaque::Unreadable)?)
}

/// The two schemas while they are put together.
struct Schemas {
    authoring: Map<String, Value>,
    listing: Map<String, Value>,
}

/// Where the types of one act are.
#[derive(Clone, Copy)]
struct Place<'a> {
    namespace: &'a str,
    ident: &'a str,
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
    fn of_base() -> Result<Self, SchemaFault> {
        let base = base()?;
        Ok(Self { authoring: base.clone(), listing: base })
    }

    /// Adds an act that every connector has, of which one text is known.
    fn fixed(&mut self, action: &str, ident: &str, member: &str) -> Result<Arc<ActType>, SchemaFault> {
        let members = Members::from([(member.to_owned(), Member { shape: Shape::Text, optional: false })]);
        self.act(&generator(FIXED)?, Place { namespace: FIXED, ident }, action, None, Ok(members))
    }

    /// Adds an act below `group`.
    fn act(
        &mut self,
        generator: &SchemaGenerator,
        place: Place<'_>,
        name: &str,
        group: Option<&str>,
        members: Result<Members, Opaque>,
    ) -> Result<Arc<ActType>, SchemaFault> {
        let (mut input, mut unknown) = (None, None);
        let arguments = match members {
            Err(why) => Err(why),
            Ok(members) => {
                let generated = generate(generator.clone(), place.ident, &members)?;
                merge(&mut self.authoring, generated.clone());
                merge(&mut self.listing, generated);
                declare_unknown(&mut self.listing, place);
                input = Some(json!({"type": "EntityOrCommon", "name": place.input()}));
                unknown = Some(json!({"type": "Entity", "name": place.unknown()}));
                Ok(Arguments {
                    members,
                    unread: kind(&format!("{}::Unknown", place.namespace))?,
                    unknown: entity(&place.unknown(), "unknown")?,
                })
            }
        };
        declare_action(&mut self.authoring, name, group, input);
        declare_action(&mut self.listing, name, group, unknown);
        Ok(Arc::new(ActType { action: action(name)?, arguments }))
    }

    fn declare_group(&mut self, declaration: Value) {
        declare(&mut self.authoring, "", "actions", CALL_TOOL, declaration.clone());
        declare(&mut self.listing, "", "actions", CALL_TOOL, declaration);
    }
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
fn generator(namespace: &str) -> Result<SchemaGenerator, SchemaFault> {
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

fn declare_action(schema: &mut Map<String, Value>, name: &str, group: Option<&str>, input: Option<Value>) {
    let mut declaration = applies_to(input);
    if let Some(group) = group {
        declaration["memberOf"] = json!([{"id": group}]);
    }
    declare(schema, "", "actions", name, declaration);
}

fn applies_to(input: Option<Value>) -> Value {
    let mut attributes = json!({
        "server": {"type": "EntityOrCommon", "name": "Server"},
        "now": {"type": "EntityOrCommon", "name": "datetime"},
        "client": {"type": "Record", "attributes": {
            "id": {"type": "EntityOrCommon", "name": "String"},
            "name": {"type": "EntityOrCommon", "name": "String"},
        }},
        "device": {"type": "EntityOrCommon", "name": "String", "required": false},
    });
    if let Some(input) = input {
        attributes["input"] = input;
    }
    json!({"appliesTo": {
        "principalTypes": ["User"],
        "resourceTypes": ["Connector"],
        "context": {"type": "Record", "attributes": attributes},
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_definition_spoils_neither_itself_nor_others() {
        let definitions = [
            r#"{"name":"huge","inputSchema":{"type":"object","x-limit":1e400}}"#,
            r#"{"name":"odd","inputSchema":{"type":"object","properties":{}},"x-vendor":1e400}"#,
            r#"{"name":"bare"}"#,
            r#"{"name":"no name that MCP allows"}"#,
            r#"{"inputSchema":{"type":"object"}}"#,
            "7",
        ];
        let pinned = definitions.map(|text| serde_json::from_str::<Box<RawValue>>(text).expect("JSON"));
        let found = definitions_of(pinned);
        assert_eq!(found["huge"], Some(Opaque::Unreadable));
        assert_eq!(found["odd"], None);
        assert_eq!(found["bare"], Some(Opaque::NoSchema));
        assert_eq!(found.len(), 3);
    }

    fn definitions_of(pinned: [Box<RawValue>; 6]) -> BTreeMap<String, Option<Opaque>> {
        let found = definitions(&PinnedTools(pinned.into()));
        found.into_iter().map(|(name, arguments)| (name.to_string(), arguments.err())).collect()
    }
}
