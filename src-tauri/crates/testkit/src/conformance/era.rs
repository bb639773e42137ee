//! The two eras of the protocol.

use std::fmt;

use clap::ValueEnum;

/// An era, on either side of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Era {
    /// `initialize` and sessions.
    Legacy,
    /// Each request stands alone.
    Modern,
}

impl Era {
    /// Both.
    pub(crate) const BOTH: [Self; 2] = [Self::Legacy, Self::Modern];

    /// The newest revision of the era. The suite has a list of requirements for each.
    pub(crate) fn revision(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        })
    }
}
