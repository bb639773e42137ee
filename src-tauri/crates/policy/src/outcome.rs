//! What the decision hands out: a permit, or a denial. Neither can be made anywhere else.

use std::sync::Arc;

use model::{
    AccountId, AccountName, Advice, ApprovalTarget, CallId, ConnectorId, CredentialId, Digest, ForPerson,
    ServerId, ToolName,
};
use org_protocol::{Approved, HALTED, bare_uri};
use serde::{Deserialize, Serialize};

use crate::approval::ApprovalNeeded;
use crate::facts::Target;
use crate::rule::{PolicyVersion, RuleId};

/// What a permit or a denial is about. Whoever prints it sees a URI as a record keeps it: [`bare_uri`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// A tool.
    Tool(ToolName),
    /// A resource, or a template of resources, by its URI.
    Resource(String),
    /// A prompt.
    Prompt(String),
}

impl Aim {
    /// What a target names.
    pub fn of(target: &Target<'_>) -> Self {
        match target {
            Target::Tool { name, .. } => Self::Tool((*name).clone()),
            Target::Resource { uri } => Self::Resource((*uri).to_owned()),
            Target::Prompt { name, .. } => Self::Prompt((*name).to_owned()),
        }
    }

    fn names(&self, target: &Target<'_>) -> bool {
        match (self, target) {
            (Self::Tool(own), Target::Tool { name, .. }) => own == *name,
            (Self::Resource(own), Target::Resource { uri }) => own == uri,
            (Self::Prompt(own), Target::Prompt { name, .. }) => own == name,
            (Self::Tool(_) | Self::Resource(_) | Self::Prompt(_), _) => false,
        }
    }

    /// The same, as people are asked about it.
    pub fn to_approve(&self) -> ApprovalTarget {
        match self {
            Self::Tool(name) => ApprovalTarget::Tool(name.clone()),
            Self::Resource(uri) => ApprovalTarget::Resource(uri.clone()),
            Self::Prompt(name) => ApprovalTarget::Prompt(name.clone()),
        }
    }

    /// What it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tool(_) => "tool",
            Self::Resource(_) => "resource",
            Self::Prompt(_) => "prompt",
        }
    }
}

impl std::fmt::Display for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Tool(name) => return f.write_str(name.as_str()),
            Self::Resource(uri) => bare_uri(uri),
            Self::Prompt(name) => name.clone(),
        };
        text.chars().take(SHOWN).try_for_each(|c| write!(f, "{c}"))
    }
}

impl std::fmt::Debug for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({self})", self.kind())
    }
}

/// The stable code of what a payload rule blocks.
pub const PAYLOAD_BLOCKED: &str = "payload-blocked";
/// The stable code of what is over a limit.
pub const LIMIT_EXCEEDED: &str = "limit-exceeded";
/// How much of a name that came from outside is printed, in characters.
const SHOWN: usize = 128;

/// The right to make one call, once. Only [`crate::Policy::decide`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    pub(crate) call: CallId,
    pub(crate) server: ServerId,
    pub(crate) connector: ConnectorId,
    pub(crate) aim: Aim,
    pub(crate) rules: Vec<RuleId>,
    pub(crate) observed: Vec<RuleId>,
    pub(crate) version: Arc<PolicyVersion>,
    pub(crate) credential: CredentialChoice,
    pub(crate) digest: Digest,
    pub(crate) approval: Option<Approved>,
}

/// The credential that a permitted call is made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "credential", rename_all = "snake_case")]
pub enum CredentialChoice {
    /// None.
    None,
    /// The employee's own: an OAuth grant, or a token. Which of their accounts, the virtual server says.
    Own(AccountName),
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

    /// What it is good for.
    pub fn aim(&self) -> &Aim {
        &self.aim
    }

    /// The tool, if it is good for one.
    pub fn tool(&self) -> Option<&ToolName> {
        match &self.aim {
            Aim::Tool(name) => Some(name),
            Aim::Resource(_) | Aim::Prompt(_) => None,
        }
    }

    /// Every policy that one of the permissions rests on.
    pub fn rules(&self) -> &[RuleId] {
        &self.rules
    }

    /// Every forbid that is only observed and would have refused the call, or had its shared credential be another one.
    pub fn observed(&self) -> &[RuleId] {
        &self.observed
    }

    /// The person's leave that it rests on, where a policy asks for one.
    pub fn approval(&self) -> Option<&Approved> {
        self.approval.as_ref()
    }

    /// The policy set.
    pub fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// The credential to use.
    pub fn credential(&self) -> &CredentialChoice {
        &self.credential
    }

    /// The account that it is good for; the connector itself where that has no accounts of people.
    pub fn account(&self) -> AccountId {
        let account = match &self.credential {
            CredentialChoice::Own(account) => account.clone(),
            CredentialChoice::None | CredentialChoice::Shared(_) => AccountName::default(),
        };
        AccountId { connector: self.connector.clone(), account }
    }

    /// Whether it is this that was decided on, to the last byte: nothing else may be sent.
    pub fn covers(&self, target: &Target<'_>) -> bool {
        self.aim.names(target) && self.digest == target.digest()
    }
}

/// What a question was about; the four are asked in this order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "question", content = "about", rename_all = "snake_case")]
pub enum Stage {
    /// May the user see the virtual server?
    SeeServer(ServerId),
    /// May the server expose the connector to the user?
    ExposeConnector(ConnectorId),
    /// May the user call the tool, with these arguments?
    CallTool(ToolName),
    /// May the user read the resource of this URI?
    ReadResource(String),
    /// May the user get the prompt?
    GetPrompt(String),
    /// May the user's call be made with this shared credential?
    UseSharedCredential(CredentialId),
}

impl Stage {
    /// The question about the act itself.
    pub(crate) fn of(target: &Target<'_>) -> Self {
        match Aim::of(target) {
            Aim::Tool(name) => Self::CallTool(name),
            Aim::Resource(uri) => Self::ReadResource(uri),
            Aim::Prompt(name) => Self::GetPrompt(name),
        }
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SeeServer(server) => write!(f, "see server {server}"),
            Self::ExposeConnector(connector) => write!(f, "use connector {connector}"),
            Self::CallTool(tool) => write!(f, "call tool {tool}"),
            Self::ReadResource(uri) => write!(f, "read resource {}", Aim::Resource(uri.clone())),
            Self::GetPrompt(name) => write!(f, "get prompt {}", Aim::Prompt(name.clone())),
            Self::UseSharedCredential(credential) => write!(f, "use shared credential {credential}"),
        }
    }
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialKind {
    /// The virtual server does not offer such a tool, or no such connector.
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
    /// A policy needs to know something of the arguments that cannot be told.
    UnknownFact,
    /// It would be permitted, but an administrator has stopped it.
    Halted,
    /// It would be permitted, but a policy asks for a person who approves it.
    ApprovalNeeded,
    /// It would be permitted, but a payload rule blocks what is in it.
    Payload,
    /// It would be permitted, but it is too large, or one call too many.
    Limit,
}

impl DenialKind {
    /// The kind, as the journal has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotListed => "not-listed",
            Self::NoPermit => "no-permit",
            Self::Forbidden => "forbidden",
            Self::Error => "evaluation-error",
            Self::DenyAll => "deny-all",
            Self::Arguments => "arguments",
            Self::UnknownFact => "unknown-fact",
            Self::Halted => "halted",
            Self::ApprovalNeeded => "approval-needed",
            Self::Payload => "payload",
            Self::Limit => "limit",
        }
    }
}

/// A refusal. The `Display` of the error is for the log; [`Denial::outside_text`] is for the assistant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("call {} of {}/{} through {} is refused ({:?}): {}", .0.call, .0.connector, .0.aim, .0.server, .0.kind, .0.detail)]
pub struct Denial(pub(crate) Box<Refused>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) call: CallId,
    pub(crate) server: ServerId,
    pub(crate) connector: ConnectorId,
    pub(crate) aim: Aim,
    pub(crate) kind: DenialKind,
    pub(crate) stage: Option<Stage>,
    pub(crate) rules: Vec<RuleId>,
    pub(crate) version: Arc<PolicyVersion>,
    /// Whether no arguments would help: what was asked for is not listed either.
    pub(crate) hidden: bool,
    /// What the log says.
    pub(crate) detail: String,
    /// What the assistant is told about a tool that it can see.
    pub(crate) outside: String,
    /// What would make it a permit.
    pub(crate) approval: Option<ApprovalNeeded>,
}

impl Refused {
    /// Why what is permitted otherwise is refused. Its user may know of it.
    pub(crate) fn although(permit: Permit, kind: DenialKind, outside: String) -> Self {
        let Permit { call, server, connector, aim, version, .. } = permit;
        Self {
            call,
            server,
            connector,
            aim,
            kind,
            stage: None,
            rules: Vec::new(),
            version,
            hidden: false,
            detail: String::new(),
            outside,
            approval: None,
        }
    }
}

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

    /// What a person is to be asked, where their leave is all that is missing.
    pub fn approval(&self) -> Option<&ApprovalNeeded> {
        self.0.approval.as_ref()
    }

    /// The policy set.
    pub fn version(&self) -> &PolicyVersion {
        &self.0.version
    }

    /// Whether what was asked for is not listed for this user either. Then the answer must not tell that it exists.
    pub fn is_hidden(&self) -> bool {
        self.0.hidden
    }

    /// What the assistant is told: one or two short sentences with the policy's id and `@reason`, no values. What is
    /// hidden answers as what does not exist.
    pub fn outside_text(&self) -> String {
        if self.0.hidden {
            format!("There is no such {} here.", self.0.aim.kind())
        } else {
            self.0.outside.clone()
        }
    }
}

impl ForPerson for Denial {
    fn advice(&self) -> Advice {
        let Refused { connector, aim, outside, .. } = self.0.as_ref();
        let happened = match aim {
            Aim::Tool(tool) => format!("A call of {tool} on {connector} was refused."),
            Aim::Resource(_) => format!("Reading {aim} from {connector} was refused."),
            Aim::Prompt(_) => format!("The prompt {aim} of {connector} was refused."),
        };
        let todo = "Ask whoever writes your organisation's policies if you need this.";
        match self.0.kind {
            DenialKind::NotListed => {
                let why = format!("The virtual server does not offer this {}.", aim.kind());
                Advice::new(format!("{}-not-offered", aim.kind()), happened, why, "")
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
            DenialKind::Halted => {
                Advice::new(HALTED, happened, outside, "Ask your IT department when it goes on.")
            }
            DenialKind::ApprovalNeeded => Advice::new(
                "approval-needed",
                happened,
                outside,
                "Make the call where a person can be asked.",
            ),
            DenialKind::Payload => {
                Advice::new(PAYLOAD_BLOCKED, happened, outside, "Make the call without what was found.")
            }
            DenialKind::Limit => Advice::new(LIMIT_EXCEEDED, happened, outside, ""),
            DenialKind::Arguments => {
                Advice::new("arguments-refused", happened, outside, "Let the assistant correct the call.")
            }
            DenialKind::UnknownFact => Advice::new(
                "fact-unknown",
                happened,
                outside,
                "Let the assistant write the call another way.",
            ),
        }
    }
}
