//! What the controller wants done outside itself. The state machine only names effects; a [`Shell`] and an [`Engine`] do them.

use std::time::Duration;

use model::{AccountId, ServerId, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::event::Act;
use crate::pending::PendingId;

/// A place in the main window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Is it working, and does it need me?
    Overview,
    /// What can I reach, and as whom?
    Connectors,
    /// Who uses my access?
    Assistants,
    /// What was done in my name?
    Activity,
    /// What may I do, and why not?
    Access,
    /// What waits for me?
    Pending,
    /// What is decided for me?
    Settings,
    /// Is it healthy?
    About,
}

impl Place {
    /// Every place, in the order of the sidebar.
    pub const ALL: [Self; 8] = [
        Self::Overview,
        Self::Connectors,
        Self::Assistants,
        Self::Activity,
        Self::Access,
        Self::Pending,
        Self::Settings,
        Self::About,
    ];

    /// The place's name, as in ids and bindings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Connectors => "connectors",
            Self::Assistants => "assistants",
            Self::Activity => "activity",
            Self::Access => "access",
            Self::Pending => "pending",
            Self::Settings => "settings",
            Self::About => "about",
        }
    }
}

/// The text is no place's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no place of this name")]
pub struct UnknownPlace;

impl std::str::FromStr for Place {
    type Err = UnknownPlace;

    fn from_str(name: &str) -> Result<Self, UnknownPlace> {
        Self::ALL.into_iter().find(|place| place.as_str() == name).ok_or(UnknownPlace)
    }
}

/// Something to be done outside the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Show the main window at a place.
    OpenWindow(Place),
    /// Show the window of one consent or approval.
    OpenQuestionWindow {
        /// The pending item.
        id: PendingId,
        /// The window's title.
        title: String,
    },
    /// Show a native sign-in window.
    OpenSignInWindow {
        /// The pending item that it ends.
        id: PendingId,
        /// Where the person authenticates.
        url: Url,
        /// Where the sign-in comes back to; only this exact place, with the attempt's state, ends it.
        redirect_uri: Url,
        /// What is signed in to, for the window's title.
        title: String,
        /// Whether it knows nothing of other sign-ins, nor they of it: who is signed in there is somebody else.
        apart: bool,
    },
    /// Close the window that was opened for a pending item, if there is one.
    CloseWindow(PendingId),
    /// Close the window of a sign-in that goes on elsewhere: nothing is given up by it.
    LeaveWindow(PendingId),
    /// Open the system browser.
    OpenBrowser(Url),
    /// Show a notification.
    Notify(Notice),
    /// Take a notification away that has lost its point.
    Withdraw(PendingId),
    /// Forget what the sign-in windows remember: the next one starts with nobody signed in.
    ForgetSignIns,
    /// Put a text on the clipboard.
    CopyText(String),
    /// Let the gateway do something.
    Order(Order),
    /// Have the desktop application start with the session, or not.
    Autostart(bool),
    /// End the program.
    Quit,
    /// End, and begin anew: who decides here has changed.
    StartAnew,
}

/// A notification. Its text is shown on locked screens: nothing sensitive is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The pending item that it speaks of, or spoke of, so that it can be withdrawn; none for a fault.
    pub about: Option<PendingId>,
    /// The first line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// Where a click leads.
    pub place: Place,
    /// What a click does instead, if the notification offers something.
    pub offer: Option<Offer>,
    /// Whether what it speaks of can be denied at once. Allowing takes a look at it.
    pub deniable: bool,
}

/// Something that a notification offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What its button says.
    pub label: String,
    /// What it does.
    pub act: Act,
}

impl Notice {
    /// One that is said and goes: it speaks of nothing that waits, and offers nothing.
    pub fn new(title: String, body: String, place: Place) -> Self {
        Self { about: None, title, body, place, offer: None, deniable: false }
    }

    /// Whether it stays until it is taken away: it speaks of what waits for the person. Others are said and go.
    pub fn stays(&self) -> bool {
        self.about.is_some() && self.offer.is_none()
    }
}

/// What the person wants of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Sign in to the organisation.
    SignIn,
    /// Sign out of the organisation: the session and all that hangs on it end.
    SignOut {
        /// Whether the person's accounts at connectors are forgotten too; else they stay, sealed, until the same person is
        /// back.
        forget_accounts: bool,
    },
    /// Sign in to an account at a connector now, before a call needs it.
    SignInTo(AccountId),
    /// Forget an account at a connector.
    SignOutOf(AccountId),
    /// Forget what was approved for more than one call, by its id.
    ForgetApproval(String),
    /// Take back what an assistant was allowed at a virtual server.
    Revoke {
        /// The assistant's client identifier.
        client_id: String,
        /// The virtual server.
        server: ServerId,
    },
    /// Try the keychain again, which may ask the person for a password.
    TryKeychain,
    /// Refuse every call until resumed.
    Pause,
    /// Take calls again.
    Resume,
    /// Look for an update now.
    LookForUpdate,
    /// Install the update that is ready, as an administrator who is asked for.
    InstallUpdate,
    /// Have everything that waits between two attempts try at once. Nobody is asked anything for it.
    TryNow,
}

/// Does what concerns windows, notifications and the clipboard: Tauri on the desktop, almost nothing in `deskgate serve`.
pub trait Shell: Send + Sync {
    /// Does one effect; never [`Effect::Order`]. Must not block.
    fn perform(&self, effect: Effect);
}

/// Does what concerns the gateway. Implemented where the gateway is put together.
pub trait Engine: Send + Sync {
    /// Starts one order; what comes of it is told through events. Must not block.
    fn order(&self, order: Order);
}

/// How long a pause lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseFor {
    /// So long.
    Duration(Duration),
    /// Until then.
    Until(Timestamp),
    /// Until the person resumes, or the program starts anew.
    Open,
}
