//! What a call is about, as the virtual server offers it: whose it is, and what its connector calls it.

use audit::{Effect, EffectMethod};
use issuer::AccessGrant;
use mcp::assistant::Dialect;
use mcp::{CallParams, Method, Mirrored, RpcError};
use model::{AccountId, ConnectorId, Digest, ToolName};
use serde_json::value::RawValue;

use crate::approval::Leave;
use crate::gate::Gate;
use crate::snapshot::{Offered, ServerView};
use crate::tasks::Task;

/// Something that is offered.
pub(crate) struct Wanted<'s> {
    pub(crate) connector: &'s ConnectorId,
    /// The connector's title.
    pub(crate) title: &'s str,
    what: What<'s>,
}

/// What it is, under the connector's own name. A resource is named by its URI everywhere.
enum What<'s> {
    Tool {
        name: &'s ToolName,
        mirrored: Option<&'s Mirrored>,
        definition: &'s RawValue,
    },
    Resource,
    Prompt {
        name: &'s str,
    },
    /// A task that this tool began.
    Task {
        tool: &'s ToolName,
        definition: &'s RawValue,
    },
}

impl<'s> Wanted<'s> {
    /// What the request is about; `None` when no such thing is offered in this dialect.
    pub(crate) fn find(
        view: &'s ServerView,
        params: &CallParams<'_>,
        dialect: Dialect,
        task: Option<&Task>,
    ) -> Option<Self> {
        match params.target() {
            mcp::Target::Tool(name) => {
                let offered = view.tool(name).filter(|offered| offered.entry.fits(dialect))?;
                let mirrored = offered.entry.mirrored.as_ref().ok();
                let definition = &*offered.entry.definition;
                let what = What::Tool { name: &offered.tool, mirrored, definition };
                Some(Self { connector: &offered.connector, title: &offered.connector_title, what })
            }
            mcp::Target::Resource(uri) => {
                let owner = view.resource(uri)?;
                Some(Self { connector: owner.connector, title: owner.title, what: What::Resource })
            }
            mcp::Target::Prompt(name) => {
                let offered = view.prompt(name)?;
                let what = What::Prompt { name: &offered.prompt };
                Some(Self { connector: &offered.connector, title: &offered.connector_title, what })
            }
            mcp::Target::Task(_) => {
                // What was begun with one account is no other's to see.
                let task =
                    task.filter(|task| view.account(&task.account.connector) == Some(&task.account))?;
                let is_its = |offered: &&Offered| {
                    offered.connector == task.account.connector && offered.tool == task.tool
                };
                let offered = view.tools().iter().find(is_its)?;
                let what = What::Task { tool: &offered.tool, definition: &offered.entry.definition };
                Some(Self { connector: &offered.connector, title: &offered.connector_title, what })
            }
        }
    }

    /// Remembers the task that the call began instead of being answered.
    pub(crate) fn note_task(
        &self,
        gate: &Gate,
        grant: &AccessGrant,
        params: &CallParams<'_>,
        account: &AccountId,
        leave: Option<Leave>,
        id: String,
    ) {
        if let What::Tool { name, .. } = self.what {
            let now = gate.clock.now();
            gate.tasks.began(grant, id, account, name, params.arguments(), leave, now);
        }
    }

    /// What policy is asked for.
    pub(crate) fn target<'a>(&'a self, params: &'a CallParams<'_>) -> policy::Target<'a> {
        match self.what {
            What::Tool { name, .. } => policy::Target::Tool { name, arguments: params.arguments() },
            What::Task { tool, .. } => policy::Target::Tool { name: tool, arguments: params.arguments() },
            What::Resource => policy::Target::Resource { uri: params.name() },
            What::Prompt { name } => policy::Target::Prompt { name, arguments: params.arguments() },
        }
    }

    /// The digest of what is offered under the name: of a tool its definition, as the connector sent it but for the name.
    pub(crate) fn definition(&self) -> Digest {
        match self.what {
            What::Tool { definition, .. } | What::Task { definition, .. } => {
                Digest::of(definition.get().as_bytes())
            }
            What::Resource | What::Prompt { .. } => Digest::of(b""),
        }
    }

    /// The tool that it is about; of a task the one that began it.
    pub(crate) fn tool(&self) -> Option<&'s ToolName> {
        match self.what {
            What::Tool { name, .. } => Some(name),
            What::Task { tool, .. } => Some(tool),
            What::Resource | What::Prompt { .. } => None,
        }
    }

    /// The arguments that headers repeat.
    pub(crate) fn mirrored(&self) -> Option<&'s Mirrored> {
        match self.what {
            What::Tool { mirrored, .. } => mirrored,
            What::Resource | What::Prompt { .. } | What::Task { .. } => None,
        }
    }

    /// What the record of the call says that was asked of the connector.
    pub(crate) fn recorded(&self, gate: &Gate, params: &CallParams<'_>, capture: bool) -> Effect {
        match self.what {
            What::Tool { name, .. } => Effect::tool(method(params.method()), name.as_str()),
            What::Task { tool, .. } => Effect::tool(method(params.method()), tool.as_str()),
            What::Resource => recorded(gate, params, capture),
            What::Prompt { name } => Effect::prompt(method(params.method()), name),
        }
    }
}

/// What a record says that was asked, under the name that the assistant used.
pub(crate) fn recorded(gate: &Gate, params: &CallParams<'_>, capture: bool) -> Effect {
    let method = method(params.method());
    match params.target() {
        mcp::Target::Tool(name) | mcp::Target::Task(name) => Effect::tool(method, name),
        mcp::Target::Resource(uri) => Effect::resource(method, gate.journal.uri(uri, capture)),
        mcp::Target::Prompt(name) => Effect::prompt(method, name),
    }
}

/// The error for what is not offered; what is forbidden looks the same.
pub(crate) fn unknown(dialect: Dialect, params: &CallParams<'_>) -> RpcError {
    match params.target() {
        mcp::Target::Tool(name) => RpcError::unknown_tool(name),
        mcp::Target::Prompt(name) => {
            RpcError::new(RpcError::INVALID_PARAMS, format!("Unknown prompt: {name}"))
        }
        mcp::Target::Task(_) => RpcError::new(RpcError::INVALID_PARAMS, "Unknown task"),
        mcp::Target::Resource(uri) => RpcError::no_resource(dialect, uri),
    }
}

fn method(method: Method) -> EffectMethod {
    match method {
        Method::CallTool => EffectMethod::CallTool,
        Method::ReadResource => EffectMethod::ReadResource,
        Method::Subscribe => EffectMethod::SubscribeResource,
        Method::Unsubscribe => EffectMethod::UnsubscribeResource,
        Method::GetPrompt => EffectMethod::GetPrompt,
        Method::Complete => EffectMethod::Complete,
        Method::GetTask => EffectMethod::GetTask,
        Method::UpdateTask => EffectMethod::UpdateTask,
        Method::CancelTask => EffectMethod::CancelTask,
    }
}
