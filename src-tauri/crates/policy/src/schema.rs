//! The Cedar schema that policies are checked against, generated from the pinned tools.
//!
//! The entity types and most actions are fixed; each tool adds the action `Action::"<connector>/<tool>"` below
//! `Action::"call_tool"`, with its arguments as `context.input`. Resources and prompts have one action each, whose
//! `context.input` is the same for all: to policy they are two more tools of every connector.
//!
//! The types come out of the MCP schema generator, which is handed what [`crate::shape`] kept of the tool's own schema:
//! it knows neither connectors nor names that are no Cedar identifiers, so each tool is generated in a namespace of its
//! connector, under names that are always identifiers, and its types are then moved below our action.

mod assembly;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema, SchemaFragment};
use model::{ConnectorId, ToolName};
use org_protocol::{ClaimTypes, PinnedTools};
use serde_json::Value;
use serde_json::value::RawValue;

use self::assembly::{Act, Place, Schemas, generator};
use crate::declared::{DeclaredFacts, Facts};
use crate::naming::Names;
use crate::scope::{GET_PROMPT, READ_RESOURCE};
use crate::shape::{Members, Opaque, arguments_of};

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
    /// What is computed of them.
    pub(crate) facts: Option<FactsType>,
}

/// `context.facts` of a tool that has any declared.
#[derive(Debug)]
pub(crate) struct FactsType {
    pub(crate) members: Members,
    /// What stands for them while the arguments are not known yet.
    pub(crate) unknown: EntityUid,
    pub(crate) facts: Facts,
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
    /// Generates the schema of the pinned tools with their facts, and of users with these claims. A pinned entry without a name that
    /// MCP allows is no tool.
    ///
    /// # Errors
    /// [`SchemaFault`], if Cedar refuses what was generated.
    pub(crate) fn of(
        pinned: &BTreeMap<ConnectorId, PinnedTools>,
        claims: &ClaimTypes,
        mut declared: DeclaredFacts,
    ) -> Result<Self, SchemaFault> {
        let mut schemas = Schemas::of_base(claims)?;
        let resource = schemas.fixed(READ_RESOURCE, "Resource", URI)?;
        let prompt = schemas.fixed(GET_PROMPT, "Prompt", NAME)?;
        let mut tools = BTreeMap::new();
        let mut namespaces = Names::default();
        for (connector, pinned) in pinned {
            let namespace = namespaces.fresh(connector.as_str());
            let generator = generator(&namespace)?;
            let mut idents = Names::default();
            let mut types = BTreeMap::new();
            let mut facts = declared.remove(connector).unwrap_or_default();
            for (tool, members) in definitions(pinned) {
                let (ident, name) = (idents.fresh(tool.as_str()), action_name(connector, &tool));
                let of_facts = idents.fresh(&format!("{tool}_facts"));
                let place = |ident| Place { namespace: &namespace, ident };
                let facts = facts.remove(&tool).map(|facts| (place(of_facts.as_str()), facts));
                let act = Act { name: &name, group: Some(CALL_TOOL), members, facts };
                types.insert(tool, schemas.act(&generator, place(ident.as_str()), act)?);
            }
            tools.insert(connector.clone(), types);
        }
        // A group without members applies to nothing, and a policy about nothing is refused: before the first tool is
        // pinned, `call_tool` stands for the tools to come.
        let empty = tools.values().all(BTreeMap::is_empty);
        schemas.declare_group(empty);
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
pub(crate) fn definitions(pinned: &PinnedTools) -> BTreeMap<ToolName, Result<Members, Opaque>> {
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
