//! Why nothing could be started, in words for a person.

use audit::JournalFault;
use gateway::BindFault;
use model::{Advice, ForPerson};
use os::LockFault;

use super::home::HomeFault;

/// Why nothing could be started.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The folder cannot be used.
    #[error(transparent)]
    Home(#[from] HomeFault),
    /// Another instance owns the folder.
    #[error(transparent)]
    Instance(#[from] LockFault),
    /// The socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindFault),
    /// The organisation that decides here cannot be met for the first time.
    #[error("{0}")]
    Organisation(Advice),
    /// The audit journal cannot be written: without it no call may be made.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The system's trust store cannot be used.
    #[error("no trust store: {0}")]
    Trust(String),
    /// The local socket cannot be made.
    #[error("the local socket cannot be made")]
    Socket(#[source] std::io::Error),
}

impl StartFault {
    /// Whether another instance owns the folder.
    pub fn is_running_already(&self) -> bool {
        matches!(self, Self::Instance(LockFault::Held { .. }))
    }
}

impl ForPerson for StartFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Home(fault) => fault.advice(),
            Self::Instance(fault) => fault.advice(),
            Self::Bind(fault) => fault.advice(),
            Self::Journal(fault) => fault.advice(),
            Self::Organisation(advice) => advice.clone(),
            Self::Trust(why) => Advice::new(
                "trust-store",
                format!("The system's trusted certificates cannot be used: {why}."),
                "No secure connection could be made.",
                "Install the package ca-certificates.",
            ),
            Self::Socket(error) => Advice::new(
                "local-socket",
                format!("The local socket cannot be made: {error}."),
                "The command line could not reach Deskgate.",
                "Check the folder's permissions, or set DESKGATE_HOME to a shorter path.",
            ),
        }
    }
}
