//! One harmless call, the way of an assistant's from policy to record, so that a person sees that it works.

use std::sync::Arc;
use std::time::Duration;

use issuer::AccessGrant;
use mcp::assistant::Dialect;
use mcp::{CallParams, Method, RawObject, Revision, raw};
use serde_json::value::RawValue;

use crate::call::{Reply, call, listed, passes};
use crate::gate::Gate;
use crate::snapshot::Offered;
use crate::voice::Voice;

/// What trying a virtual server out came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// How many tools it offers this person.
    pub tools: usize,
    /// The call that was made; none where no tool can be called without knowing what for.
    pub call: Option<TriedCall>,
}

/// A call that was made to try it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedCall {
    /// The connector's title.
    pub connector: String,
    /// The tool, by the name that assistants use.
    pub tool: String,
    /// How long it took.
    pub took: Duration,
    /// Why there is no result, in words.
    pub fault: Option<String>,
}

/// Lists a virtual server's tools as an assistant with this grant would, and calls one that only reads, needs no argument and
/// is allowed without a question. Nobody is asked anything; what comes back is looked at by nobody.
pub async fn try_out(gate: &Arc<Gate>, grant: &Arc<AccessGrant>) -> Trial {
    let dialect = Dialect::of(Revision::V2026_07_28);
    gate.discovery.listed(&grant.server).await;
    let (tools, harmless) = {
        let snapshot = gate.snapshots.current();
        let tools = listed(gate, &snapshot, grant, dialect);
        let harmless = tools.iter().filter(|tool| is_harmless(&tool.entry.definition));
        let harmless = harmless.map(|tool| Candidate::of(tool)).find(|it| it.passes(gate, grant, dialect));
        (tools.len(), harmless)
    };
    let call = match harmless {
        Some(candidate) => candidate.called(gate, grant, dialect).await,
        None => None,
    };
    Trial { tools, call }
}

/// Whether it says of itself that it changes nothing, and needs to be told nothing (MCP, ToolAnnotations). That it says so may
/// be untrue; a person has just allowed assistants to call it as well.
fn is_harmless(definition: &RawValue) -> bool {
    let Some(tool) = RawObject::parse(definition) else { return false };
    let annotations = tool.member("annotations").and_then(RawObject::parse);
    let reads = annotations.and_then(|it| it.read::<bool>("readOnlyHint")).unwrap_or(false);
    let schema = tool.member("inputSchema").and_then(RawObject::parse);
    let needs_nothing = schema.is_some_and(|schema| {
        schema
            .member("required")
            .is_none_or(|required| serde_json::from_str::<[String; 0]>(required.get()).is_ok())
    });
    reads && needs_nothing
}

struct Candidate {
    connector: String,
    tool: String,
}

impl Candidate {
    fn of(offered: &Offered) -> Self {
        Self { connector: offered.connector_title.clone(), tool: offered.entry.name.clone() }
    }

    fn params(&self) -> Option<CallParams<'static>> {
        let mut object = RawObject::default();
        object.set("name", raw(&self.tool));
        object.set("arguments", raw(&serde_json::Map::new()));
        CallParams::read(Method::CallTool, object).ok()
    }

    fn passes(&self, gate: &Gate, grant: &AccessGrant, dialect: Dialect) -> bool {
        self.params().is_some_and(|params| passes(gate, grant, &params, dialect))
    }

    async fn called(self, gate: &Arc<Gate>, grant: &Arc<AccessGrant>, dialect: Dialect) -> Option<TriedCall> {
        let params = self.params()?;
        let voice = Voice::unattended(dialect);
        let begun = gate.clock.boot_time();
        let reply = call(gate, grant, &params, &voice, None).await;
        let took = gate.clock.boot_time().saturating_sub(begun);
        Some(TriedCall { connector: self.connector, tool: self.tool, took, fault: fault(reply) })
    }
}

fn fault(reply: Reply) -> Option<String> {
    match reply {
        Reply::Result(result) if mcp::is_tool_error(&result) => {
            Some("The connector answered, but the tool reports an error.".to_owned())
        }
        Reply::Result(_) => None,
        Reply::ConnectorError(_) => Some("The connector answered with an error.".to_owned()),
        Reply::Refused(error) => Some(error.message),
        Reply::Failed(words) => Some(words),
        Reply::Unknown => Some("The tool is not offered any more.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_is_what_says_so_and_needs_to_be_told_nothing() {
        for (definition, harmless) in [
            (r#"{"name":"a","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object"}}"#, true),
            (r#"{"name":"a","annotations":{"readOnlyHint":true},"inputSchema":{"required":[]}}"#, true),
            (r#"{"name":"a","annotations":{"readOnlyHint":true},"inputSchema":{"required":["q"]}}"#, false),
            (r#"{"name":"a","annotations":{"readOnlyHint":false},"inputSchema":{}}"#, false),
            (r#"{"name":"a","annotations":{"readOnlyHint":"yes"},"inputSchema":{}}"#, false),
            (r#"{"name":"a","annotations":{"readOnlyHint":true},"inputSchema":{"required":"q"}}"#, false),
            (r#"{"name":"a","annotations":{"readOnlyHint":true}}"#, false),
            (r#"{"name":"a","inputSchema":{}}"#, false),
            (r#"[]"#, false),
        ] {
            let definition = RawValue::from_string(definition.to_owned()).unwrap();
            assert_eq!(is_harmless(&definition), harmless, "{definition}");
        }
    }
}
