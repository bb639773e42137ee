//! What was looked at, as plain values.

use std::sync::Arc;

use model::{Advice, ListeningProcess, Timestamp};
use os::{FolderState, Service};
use url::Url;
use vault::KeychainState;

use crate::state::AppState;

/// What was looked at.
#[derive(Debug, Clone)]
pub struct Looked {
    /// When.
    pub now: Timestamp,
    /// The version of the program that looked.
    pub version: String,
    /// The installation's folder.
    pub home: String,
    /// What is there.
    pub folder: FolderFound,
    /// Whether Deskgate runs on it.
    pub instance: Instance,
    /// The port that assistants know.
    pub port: PortFound,
    /// The keychain; none where it cannot be told without asking it for something.
    pub keychain: Option<KeychainState>,
    /// What IT has set on the machine and cannot be used.
    pub machine: Option<Advice>,
    /// What is wrong with the person's own settings, where they count.
    pub settings: Option<Advice>,
    /// The organisation that decides, if one does.
    pub organisation: Option<OrganisationFound>,
    /// The records of calls.
    pub records: RecordsFound,
    /// The most bytes that they may take; none where the organisation says that.
    pub quota: Option<u64>,
    /// Programs that the person's own connectors start.
    pub programs: Vec<ProgramFound>,
    /// The places for tray icons and for notifications; none where there is no session.
    pub session: Option<(Service, Service)>,
    /// Whether Deskgate starts with the session.
    pub autostart: Autostart,
    /// Whether a page that is opened can be seen, and a program that opens it.
    pub browser: (bool, Option<String>),
    /// The proxies that the environment names.
    pub proxies: Vec<ProxyFound>,
    /// Whether the environment keeps this computer's own addresses from proxies.
    pub proxies_spare_this_computer: bool,
    /// What a running gateway knows of itself.
    pub state: Option<Arc<AppState>>,
}

/// The installation's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderFound {
    /// It is not there yet.
    Absent,
    /// It cannot be used, and why.
    Unusable(String),
    /// It is there.
    There(FolderState),
}

/// Whether Deskgate runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// It does, and is who looks.
    This,
    /// It does not.
    None,
    /// A process has the folder, and does not answer.
    Silent {
        /// The process, where it is named.
        pid: Option<u32>,
    },
}

/// The port that assistants know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortFound {
    /// None is chosen yet.
    None,
    /// Deskgate has it.
    Ours(String),
    /// It is free.
    Free(u16),
    /// Another program has it.
    Taken {
        /// The port.
        port: u16,
        /// The program, where the system tells.
        holder: Option<ListeningProcess>,
    },
    /// It cannot be used.
    Refused {
        /// The port.
        port: u16,
        /// Why.
        why: String,
    },
}

/// The organisation that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganisationFound {
    /// Where it is found.
    pub address: Url,
    /// Whether IT has set it on this machine, or the person.
    pub set_by_it: bool,
    /// What its server says the time is.
    pub clock: ServerClock,
}

/// What a server says the time is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerClock {
    /// So many seconds is this computer's clock ahead of the server's; behind, if negative.
    Ahead(i64),
    /// It says none.
    Untold,
    /// It does not answer, and why.
    Silent(String),
}

/// The records of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordsFound {
    /// There are none yet.
    None,
    /// They cannot be read, and why.
    Unreadable(String),
    /// They are too many to be checked in a moment.
    Many {
        /// What they take.
        bytes: u64,
    },
    /// They were checked.
    Checked {
        /// What they take.
        bytes: u64,
        /// How many there are.
        records: u64,
        /// How many of those that are an organisation's it has not signed for.
        undelivered: u64,
        /// What is wrong, in words.
        faults: Vec<String>,
    },
}

/// A program that a connector starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramFound {
    /// The connector, as settings name it.
    pub connector: String,
    /// The connector's title.
    pub title: String,
    /// The program, without its arguments.
    pub program: String,
    /// Whether it can be started.
    pub found: bool,
}

/// A proxy that the environment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyFound {
    /// The variable.
    pub variable: String,
    /// Its address without names and passwords; none where it is no address.
    pub address: Option<String>,
}

/// Whether Deskgate starts with the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Autostart {
    /// This system's way is not known.
    Unknown,
    /// It does not.
    Off,
    /// It does, by this entry.
    On(String),
}
