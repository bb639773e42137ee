//! What the application's state is made of.

use std::time::Duration;

use model::{
    AccountId, Advice, ApprovalScope, ApprovalTarget, CallId, ConnectorId, ServerId, Timestamp, ToolName,
};
use url::Url;

/// Who decides what may be done here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// The person, in their own settings.
    Personal,
    /// An organisation.
    Managed(Box<Organisation>),
}

/// The organisation that manages this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Its name, as people read it.
    pub name: String,
    /// Where people find help.
    pub support_url: Option<Url>,
    /// Where its settings come from.
    pub config_url: Option<Url>,
    /// The fingerprint of its root key, to compare with what IT has published.
    pub fingerprint: Option<String>,
    /// Whether the fingerprint was set beforehand, or compared by a person.
    pub confirmed: bool,
}

/// Whether somebody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// Personal mode: the user of this computer.
    Local {
        /// The operating system's user name.
        label: String,
    },
    /// Nobody is.
    SignedOut,
    /// A sign-in is going on.
    SigningIn,
    /// Somebody is.
    SignedIn {
        /// How they are shown: an e-mail address or a name.
        label: String,
    },
    /// The session was ended, or could not be renewed silently.
    Expired {
        /// Who was signed in.
        label: String,
        /// What happened, and what to do.
        why: Advice,
    },
}

impl Session {
    /// Who is, or was, signed in.
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Local { label } | Self::SignedIn { label } | Self::Expired { label, .. } => Some(label),
            Self::SignedOut | Self::SigningIn => None,
        }
    }
}

/// Whether the organisation can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// There is no organisation to reach.
    None,
    /// It answers.
    Online,
    /// It has not answered since then.
    Offline {
        /// Since when.
        since: Timestamp,
    },
}

/// A virtual server, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServer {
    /// Its title.
    pub title: String,
    /// What an assistant is given.
    pub url: String,
    /// Its connectors, in order, with the account that it uses of each.
    pub connectors: Vec<AccountId>,
    /// What may be done with it, where that is known: for the Access place.
    pub tools: Vec<ToolAccess>,
}

/// What policy says of one tool, before any argument is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolAccess {
    /// The connector.
    pub connector: ConnectorId,
    /// The tool.
    pub tool: ToolName,
    /// What policy says.
    pub access: Access,
    /// Why, in words.
    pub reason: String,
}

/// What a person has allowed for more than one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingApproval {
    /// Its name, by which it is taken back.
    pub id: String,
    /// The assistant's client identifier.
    pub client_id: String,
    /// The assistant's name, as it claims.
    pub client_name: String,
    /// The virtual server.
    pub server: ServerId,
    /// The connector.
    pub connector: ConnectorId,
    /// What may be asked of it, with any arguments.
    pub target: ApprovalTarget,
    /// For how long.
    pub scope: ApprovalScope,
    /// When the person allowed it.
    pub answered: Timestamp,
}

/// What policy says of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may be called; arguments may still be refused.
    Allowed,
    /// It may be called when the person approves the call.
    Asks,
    /// It may not be called.
    NotAllowed,
}

/// A connector, as people see it: one for each account that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connector {
    /// Its title, with the account where it is named.
    pub title: String,
    /// Where it runs.
    pub runs: Runs,
    /// As whom it is used.
    pub credential: CredentialKind,
    /// The account, as the connector names it.
    pub account: Option<String>,
    /// How it is.
    pub status: ConnectorStatus,
    /// How many tools it has, once known.
    pub tools: Option<u32>,
    /// How what it lists stands.
    pub list: ListState,
    /// What it says otherwise than was accepted, and that is held for it.
    pub held: Vec<HeldPart>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
}

/// A part of what a connector says to models that is held, because it is not what was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPart {
    /// By this it is accepted: it stands for these very words.
    pub id: String,
    /// Which part, in words.
    pub part: String,
    /// What differs, place by place.
    pub differences: Vec<mcp::Difference>,
    /// What looks as if it were made to deceive, in words.
    pub flags: Vec<String>,
    /// What it waits for, in words, where the person may not accept it.
    pub waits_for: Option<String>,
}

/// Where a connector runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// A program on this computer.
    Here {
        /// The program's name.
        program: String,
    },
    /// A server.
    At {
        /// Its host name.
        host: String,
    },
    /// At the organisation, which makes the calls.
    AtOrganisation,
}

/// As whom a connector is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// No account is needed.
    None,
    /// The person's own account.
    Own,
    /// An account of the organisation, whose secret stays there.
    Shared,
    /// An account of the organisation, whose secret is lent to this computer.
    Lent,
}

/// How a connector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectorStatus {
    /// Not used yet.
    Idle,
    /// It answers.
    Ready,
    /// The person has to sign in; a call asks for it.
    SignInNeeded,
    /// A sign-in waits for the person.
    SigningIn,
    /// It does not answer and is tried again by itself.
    Unreachable(Advice),
}

/// How what a connector lists stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListState {
    /// It is what the connector says.
    #[default]
    Current,
    /// The connector does not answer: what is offered is what it listed last.
    Kept {
        /// Since when it does not answer.
        since: Timestamp,
        /// Until when it is still offered.
        until: Timestamp,
    },
    /// The connector has not answered for so long that nothing of it is offered until it does.
    Withdrawn {
        /// Since when it does not answer.
        since: Timestamp,
    },
    /// The organisation's own rules let nothing of it be offered for now.
    Withheld(Withheld),
}

/// Why an organisation's connector is not used, although it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// The policy has run out, and IT wants it fresh for this connector.
    InGrace,
    /// The organisation was met by its address alone, and the connector is a program on this computer.
    Unconfirmed,
}

/// An assistant that was allowed to use a virtual server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assistant {
    /// Its client identifier.
    pub client_id: String,
    /// The name it claims.
    pub name: String,
    /// The program that was really running when it was allowed: its absolute path.
    pub executable: Option<String>,
    /// The virtual server.
    pub server: ServerId,
    /// Since when it is allowed.
    pub allowed: Timestamp,
    /// When it last called.
    pub last_call: Option<Timestamp>,
    /// How many calls it has made since this program started.
    pub calls: u64,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The call: the same id as in the audit journal.
    pub call: CallId,
    /// When it was decided.
    pub at: Timestamp,
    /// The assistant's client identifier.
    pub client_id: String,
    /// The assistant's name.
    pub client_name: String,
    /// The virtual server.
    pub server: ServerId,
    /// The connector, and the account that was used of it.
    pub account: AccountId,
    /// The MCP method.
    pub method: String,
    /// The tool, the resource's URI as the record has it, or the prompt.
    pub target: String,
    /// The names of the rules that decided.
    pub rules: Vec<String>,
    /// The policy's version.
    pub policy: String,
    /// The credential's reference, never a secret; empty without one.
    pub credential: String,
    /// What is recorded of the arguments, such as `path: text, 24 characters`.
    pub arguments: Vec<String>,
    /// How it went.
    pub outcome: CallOutcome,
    /// How long it took, once it ended.
    pub took: Option<Duration>,
}

/// How a call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// It is being made.
    Running,
    /// It answered.
    Done,
    /// The tool itself said that it failed.
    ToolError,
    /// It was not allowed.
    Denied {
        /// Why, in words.
        reason: String,
    },
    /// It waits for a sign-in, or ended because nobody signed in.
    SignInNeeded,
    /// It could not be made, or its end is not known.
    Failed {
        /// Why, in words.
        reason: String,
    },
}

/// How far the audit journal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditState {
    /// How many records there are on this device.
    pub records: u64,
    /// How many of them the organisation has acknowledged; none where records stay on this device.
    pub receipted: Option<u64>,
    /// Whether the chain was found whole.
    pub health: AuditHealth,
}

/// Whether the audit chain was found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditHealth {
    /// Nobody has looked yet.
    NotChecked,
    /// It was whole.
    Whole {
        /// When that was found.
        at: Timestamp,
    },
    /// It was not.
    Broken(Advice),
}

/// Which policy decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyState {
    /// Its version, as IT names it.
    pub version: String,
    /// Its digest, as text.
    pub digest: String,
    /// Since when it is in force here.
    pub since: Timestamp,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// How fresh a policy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// The built-in personal policy, or the person's own: it does not age.
    Own,
    /// In force.
    Fresh {
        /// Until when, if it says so.
        until: Option<Timestamp>,
    },
    /// Expired, and obeyed for a while longer.
    Grace {
        /// Until when.
        until: Timestamp,
    },
    /// Every call is refused.
    DenyAll(Advice),
}

/// In a word, how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, specta::Type)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not taking calls yet.
    Starting,
    /// The organisation has ended the person's session.
    Expired,
    /// All is well.
    Ready,
    /// It works, and needs the person.
    Attention,
    /// Calls are refused because the person said so.
    Paused,
    /// The organisation cannot be reached; the last good policy decides.
    Offline,
    /// Every call is refused.
    Refused,
}
