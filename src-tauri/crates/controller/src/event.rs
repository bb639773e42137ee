//! What happens: everything that the application's state is made of, and everything that a person does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use managed::Managed;
use model::{AccountId, Advice, CallId, ServerId};
use url::Url;

use crate::effect::{PauseFor, Place};
use crate::pending::{Ending, PendingId, PendingItem};
use crate::state::{
    Activity, Assistant, AuditState, CallOutcome, Connector, ConnectorStatus, HeldPart, Link, ListState,
    Mode, PolicyState, Session, StandingApproval, UpdateState, VirtualServer,
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    // What the gateway is set up with.
    /// The settings were read: at start, and again whenever they change. Replaces what was there; a connector that stays
    /// keeps its status, account and last use.
    Configured(Box<Configuration>),
    /// The gateway takes calls at this address, such as `http://127.0.0.1:7717`.
    Listening {
        /// The address.
        address: String,
    },
    /// Which policy decides now.
    Policy(PolicyState),
    /// What IT has set on this machine; none where nothing is set.
    Managed(Option<Arc<Managed>>),
    /// The machine woke, left the network or is back in it.
    Upheaval(os::Upheaval),
    /// Who decides here has changed on this machine: the program begins anew.
    RuleChanged(Advice),

    // The organisation.
    /// Who is signed in, or why nobody is.
    Session(Session),
    /// What the sign-in windows remember is of no use any more.
    SignInsEnded,
    /// Whether the organisation can be reached.
    Link(Link),

    // Connectors and assistants.
    /// A connector's status changed.
    ConnectorStatus {
        /// The connector, as this account sees it.
        connector: AccountId,
        /// Its status now.
        status: ConnectorStatus,
    },
    /// The account in use at a connector is known, or forgotten.
    ConnectorAccount {
        /// The connector, as this account sees it.
        connector: AccountId,
        /// The account as the connector names it.
        account: Option<String>,
    },
    /// How many tools a connector has.
    ConnectorTools {
        /// The connector, as this account sees it.
        connector: AccountId,
        /// The number.
        tools: u32,
    },
    /// What of a connector is held, because it is not what was accepted.
    ConnectorHeld {
        /// The connector, as this account sees it.
        connector: AccountId,
        /// Each part that is held.
        held: Vec<HeldPart>,
    },
    /// How what a connector lists stands.
    ConnectorList {
        /// The connector, as this account sees it.
        connector: AccountId,
        /// How.
        list: ListState,
    },
    /// An assistant was allowed to use a virtual server, or was known from before.
    AssistantAllowed(Assistant),
    /// An assistant's permission ended.
    AssistantGone {
        /// The assistant's client identifier.
        client_id: String,
        /// The virtual server.
        server: ServerId,
    },

    // Calls and their record.
    /// A call was decided: its intent or denial is on disk.
    Call(Activity),
    /// A call ended.
    CallEnded {
        /// The call.
        call: CallId,
        /// How it ended.
        outcome: CallOutcome,
        /// How long it took.
        took: std::time::Duration,
    },
    /// How far the audit journal is.
    Audit(AuditState),

    // Faults.
    /// Something is wrong. The advice's code names it; raising it again replaces the words.
    FaultRaised(Advice),
    /// It is well again.
    FaultCleared {
        /// The advice's code.
        code: String,
    },

    /// What the present person has allowed for more than one call.
    Approvals(Vec<StandingApproval>),

    // What waits for a person. Told by the desk.
    /// A question was asked, or asked again.
    PendingAdded(PendingItem),
    /// A question has ended.
    PendingGone {
        /// Its id.
        id: PendingId,
        /// How it ended.
        ending: Ending,
    },

    /// A sign-in window is about to show this page, or shows it.
    SignInPage {
        /// The sign-in.
        id: PendingId,
        /// The page.
        url: Url,
    },

    /// A sign-in window was about to show a page that the organisation does not let it show.
    SignInPageRefused {
        /// The sign-in.
        id: PendingId,
        /// The page.
        url: Url,
    },

    /// Where an update of the program stands.
    Update(UpdateState),

    /// Whether the person is new here and shown around.
    Welcome(bool),
    /// What the person does.
    Person(Act),
    /// Time has passed; nothing else happened.
    Tick,
}

/// What a person does in the tray, a window or a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Open the main window at a place.
    Open(Place),
    /// Look at a pending item.
    Look(PendingId),
    /// Copy the URL of a virtual server.
    CopyUrl(ServerId),
    /// Sign in to the organisation.
    SignIn,
    /// Sign out of the organisation.
    SignOut {
        /// Whether the person's accounts at connectors are forgotten too.
        forget_accounts: bool,
    },
    /// Sign in to an account at a connector.
    SignInTo(AccountId),
    /// Forget an account at a connector.
    SignOutOf(AccountId),
    /// Take back what was approved for more than one call, by its id.
    ForgetApproval(String),
    /// Take back what an assistant was allowed.
    Revoke {
        /// The assistant's client identifier.
        client_id: String,
        /// The virtual server.
        server: ServerId,
    },
    /// Refuse calls for a while.
    Pause(PauseFor),
    /// Take calls again.
    Resume,
    /// Try the keychain again.
    TryKeychain,
    /// Look for an update now.
    LookForUpdate,
    /// Install the update that is ready.
    InstallUpdate,
    /// End, and begin anew as the version that is installed by now.
    StartAnew,
    /// Open the organisation's support page.
    Support,
    /// End the program.
    Quit,
}

/// What the gateway is set up with.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// Personal or managed.
    pub mode: Mode,
    /// The file that a person edits in personal mode; shown in words such as "add a connector in ...".
    pub settings_file: String,
    /// Where sign-in windows open.
    pub sign_in_surface: org_protocol::SignInSurface,
    /// The hosts whose pages they may show; any where there are none.
    pub sign_in_hosts: BTreeSet<org_protocol::SignInHost>,
    /// The virtual servers.
    pub servers: BTreeMap<ServerId, VirtualServer>,
    /// The connectors, each as often as accounts of it are in use.
    pub connectors: BTreeMap<AccountId, Connector>,
}

impl Configuration {
    /// Nothing is set up yet.
    pub fn empty(mode: Mode, settings_file: impl Into<String>) -> Self {
        Self {
            mode,
            settings_file: settings_file.into(),
            sign_in_surface: org_protocol::SignInSurface::Auto,
            sign_in_hosts: BTreeSet::new(),
            servers: BTreeMap::new(),
            connectors: BTreeMap::new(),
        }
    }
}
