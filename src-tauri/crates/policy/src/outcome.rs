//! What the decision hands out: a permit, or a denial. Neither can be made anywhere else.

use std::sync::Arc;

use model::{Advice, CallId, ConnectorId, CredentialId, Digest, ForPerson, ServerId, ToolName};
use serde::{Deserialize, Serialize};

use crate::rule::{PolicyVersion, RuleId};

/// The right to make one call, once. Only [`crate::Policy::decide`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    pub(crate) call: CallId,
    pub(crate) server: ServerId,
    pub(crate) connector: ConnectorId,
    pub(crate) tool: ToolName,
    pub(crate) rules: Vec<RuleId>,
    pub(crate) version: Arc<PolicyVersion>,
    pub(crate) credential: CredentialChoice,
    pub(crate) arguments: Digest,
}

/// The credential that a permitted call is made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "credential", rename_all = "snake_case")]
pub enum CredentialChoice {
    /// None.
    None,
    /// The employee's own OAuth grant.
    UserOauth,
    /// A service account of the organisation.
    Shared(CredentialId),
}

impl Permit {
    /// The call.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// The virtual server that it comes through.
    pub fn server(&self) -> &ServerId {
        &self.server
    }

    /// The connector that it goes to.
    pub fn connector(&self) -> &ConnectorId {
        &self.connector
    }

    /// The tool.
    pub fn tool(&self) -> &ToolName {
        &self.tool
    }

    /// Every policy that one of the permissions rests on.
    pub fn rules(&self) -> &[RuleId] {
        &self.rules
    }

    /// The policy set.
    pub fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// The credential to use.
    pub fn credential(&self) -> &CredentialChoice {
        &self.credential
    }

    /// The digest of the arguments that were decided on: nothing else may be sent.
    pub fn arguments_digest(&self) -> Digest {
        self.arguments
    }
}

/// What a question was about; the four are asked in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "question", content = "about", rename_all = "snake_case")]
pub enum Stage {
    /// May the user see the virtual server?
    SeeServer(ServerId),
    /// May the server expose the connector to the user?
    ExposeConnector(ConnectorId),
    /// May the user call the tool, with these arguments?
    CallTool(ToolName),
    /// May the user's call be made with this shared credential?
    UseSharedCredential(CredentialId),
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SeeServer(server) => write!(f, "see server {server}"),
            Self::ExposeConnector(connector) => write!(f, "use connector {connector}"),
            Self::CallTool(tool) => write!(f, "call tool {tool}"),
            Self::UseSharedCredential(credential) => write!(f, "use shared credential {credential}"),
        }
    }
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialKind {
    /// The virtual server does not offer such a tool.
    NotListed,
    /// No policy permits it.
    NoPermit,
    /// A policy forbids it.
    Forbidden,
    /// A policy could not be evaluated.
    Error,
    /// There is no policy to obey.
    DenyAll,
    /// The arguments are not what the tool declares, and a policy needs to read them.
    Arguments,
}

/// A refusal. The `Display` of the error is for the log; [`Denial::outside_text`] is for the assistant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("call {} of {}/{} through {} is refused ({:?}): {}", .0.call, .0.connector, .0.tool, .0.server, .0.kind, .0.detail)]
pub struct Denial(pub(crate) Box<Refused>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) call: CallId,
    pub(crate) server: ServerId,
    pub(crate) connector: ConnectorId,
    pub(crate) tool: ToolName,
    pub(crate) kind: DenialKind,
    pub(crate) stage: Option<Stage>,
    pub(crate) rules: Vec<RuleId>,
    pub(crate) version: Arc<PolicyVersion>,
    /// Whether no arguments would help: the tool is not listed either.
    pub(crate) hidden: bool,
    /// What the log says.
    pub(crate) detail: String,
    /// What the assistant is told about a tool that it can see.
    pub(crate) outside: String,
}

/// What every call of a tool that is not there for the caller is answered with, whether it exists or not.
const NO_SUCH_TOOL: &str = "There is no such tool here.";

impl Denial {
    /// The call.
    pub fn call(&self) -> CallId {
        self.0.call
    }

    /// Why.
    pub fn kind(&self) -> DenialKind {
        self.0.kind
    }

    /// The question at which it was refused; none where none was put.
    pub fn stage(&self) -> Option<&Stage> {
        self.0.stage.as_ref()
    }

    /// The policies that decided; empty where none permits.
    pub fn rules(&self) -> &[RuleId] {
        &self.0.rules
    }

    /// The policy set.
    pub fn version(&self) -> &PolicyVersion {
        &self.0.version
    }

    /// Whether the tool is not listed for this user either. Then the answer must not tell that it exists.
    pub fn is_hidden(&self) -> bool {
        self.0.hidden
    }

    /// What the assistant is told: one or two short sentences with the policy's id and `@reason`, no values. A tool that
    /// is hidden answers as one that does not exist.
    pub fn outside_text(&self) -> String {
        if self.0.hidden { NO_SUCH_TOOL.to_owned() } else { self.0.outside.clone() }
    }
}

impl ForPerson for Denial {
    fn advice(&self) -> Advice {
        let Refused { connector, tool, outside, .. } = self.0.as_ref();
        let happened = format!("A call of {tool} on {connector} was refused.");
        let todo = "Ask whoever writes your organisation's policies if you need this.";
        match self.0.kind {
            DenialKind::NotListed => {
                Advice::new("tool-not-offered", happened, "The virtual server does not offer this tool.", "")
            }
            DenialKind::NoPermit => Advice::new("no-policy-permits", happened, outside, todo),
            DenialKind::Forbidden => Advice::new("policy-forbids", happened, outside, todo),
            DenialKind::Error => Advice::new(
                "policy-failed",
                happened,
                outside,
                "Tell whoever writes your organisation's policies.",
            ),
            DenialKind::DenyAll => Advice::new("no-policy", happened, outside, ""),
            DenialKind::Arguments => {
                Advice::new("arguments-refused", happened, outside, "Let the assistant correct the call.")
            }
        }
    }
}
