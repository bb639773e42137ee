//! What can go wrong with the vault, and what was found wrong when it was opened.

use std::io;
use std::path::PathBuf;

use model::{Advice, ForPerson};

use crate::Kind;

/// Why an operation failed. What was stored before is still there.
#[derive(Debug, thiserror::Error)]
pub enum VaultFault {
    /// The disk refused: full, read-only, gone.
    #[error("the vault's files cannot be used")]
    Disk(#[source] io::Error),
    /// The record was damaged. It has been set aside and is no longer listed.
    #[error("the {kind} record was damaged and set aside")]
    Damaged {
        /// Its kind.
        kind: Kind,
    },
    /// What holds the device's key does not do what it should.
    #[error("the device's key cannot be used: {why}")]
    DeviceKey {
        /// What it said.
        why: String,
    },
    /// The program is ending.
    #[error("the program is ending")]
    Ending,
}

impl ForPerson for VaultFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Disk(fault) => Advice::new(
                "vault-disk",
                format!("Deskgate could not store a secret: {fault}."),
                "Nothing that was stored before is lost.",
                "Check the free space and the permissions of Deskgate's data directory.",
            ),
            Self::Damaged { kind } => Advice::new(
                "vault-damaged",
                format!("A stored {} was damaged and has been set aside.", words(*kind)),
                "Deskgate goes on without it.",
                again(*kind),
            ),
            Self::DeviceKey { .. } => Advice::new(
                "device-key",
                "The key by which your organisation knows this computer cannot be used.",
                "Shared accounts cannot be used, and records are not delivered.",
                "Restart the computer. If it happens again, tell your IT department.",
            ),
            Self::Ending => Advice::new("ending", "Deskgate is ending.", "", ""),
        }
    }
}

/// Something that was lost or looked wrong on disk. It was set aside, the vault goes on without it, and it is to be
/// shown and audited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The keychain no longer has the key of the sealed files; all of them were set aside.
    KeyLost {
        /// Where the old files are now.
        aside: PathBuf,
    },
    /// A record is not what was sealed.
    Damaged {
        /// Its kind.
        kind: Kind,
        /// Its key, where the index still knows it.
        key: Option<String>,
        /// Where the file is now.
        aside: PathBuf,
    },
    /// A record is older than the index says: somebody put back an earlier file.
    RolledBack {
        /// Its kind.
        kind: Kind,
        /// Its key.
        key: String,
        /// Where the file is now.
        aside: PathBuf,
    },
    /// A record that the index lists is gone.
    Missing {
        /// Its kind.
        kind: Kind,
        /// Its key.
        key: String,
    },
    /// The index is gone or damaged and was rebuilt from the records; a missing record cannot be noticed this once.
    IndexLost,
    /// The directory cannot be read or written; nothing is stored beyond this run.
    Unusable {
        /// What the system said.
        why: String,
    },
}

impl Finding {
    pub(crate) fn concerns(&self, of_kind: Kind, of_key: &str) -> bool {
        match self {
            Self::Damaged { kind, key: Some(key), .. }
            | Self::RolledBack { kind, key, .. }
            | Self::Missing { kind, key } => *kind == of_kind && key == of_key,
            Self::Damaged { key: None, .. }
            | Self::KeyLost { .. }
            | Self::IndexLost
            | Self::Unusable { .. } => false,
        }
    }
}

impl ForPerson for Finding {
    fn advice(&self) -> Advice {
        match self {
            Self::KeyLost { .. } => Advice::new(
                "vault-key-lost",
                "Your keychain no longer has the key to Deskgate's stored secrets.",
                "They were set aside, and Deskgate starts with an empty vault.",
                "Sign in again and let your assistants connect again.",
            ),
            Self::Damaged { kind, .. } => VaultFault::Damaged { kind: *kind }.advice(),
            Self::RolledBack { kind, .. } => Advice::new(
                "vault-rolled-back",
                format!("A stored {} was replaced by an earlier one from outside Deskgate.", words(*kind)),
                "It was set aside and is not used.",
                again(*kind),
            ),
            Self::Missing { kind, .. } => Advice::new(
                "vault-missing",
                format!("A stored {} is missing.", words(*kind)),
                "Something other than Deskgate removed it.",
                again(*kind),
            ),
            Self::IndexLost => Advice::new(
                "vault-index-lost",
                "The list of Deskgate's stored secrets was lost and has been rebuilt.",
                "A secret that was removed from outside would not have been noticed this time.",
                "",
            ),
            Self::Unusable { why } => Advice::new(
                "vault-unusable",
                format!("Deskgate cannot use its vault's directory: {why}."),
                "Sign-ins and permissions last until Deskgate ends.",
                "Check the free space and the permissions of Deskgate's data directory.",
            ),
        }
    }
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Grant => "sign-in to a connector",
        Kind::Client => "registration at a connector",
        Kind::GatewayClient => "assistant's registration",
        Kind::GatewayToken => "assistant's token",
        Kind::Consent => "permission for an assistant",
        Kind::Approval => "approval for more than one call",
        Kind::Session => "sign-in to your organisation",
        Kind::Ratchet => "record of the newest policy seen",
        Kind::Pin => "list of accepted tools",
        Kind::Acceptance => "list of changes that you accepted",
        Kind::Device => "key of this device",
        Kind::Cursor => "record of what was uploaded",
        Kind::Sealed => "secret of a connector of yours",
        Kind::Import => "entry that was taken over from an assistant",
    }
}

fn again(kind: Kind) -> &'static str {
    match kind {
        Kind::Grant | Kind::Client | Kind::Session => "Sign in again when you are asked.",
        Kind::GatewayClient | Kind::GatewayToken | Kind::Consent => "Let the assistant connect again.",
        Kind::Approval => "Approve the calls again when you are asked.",
        Kind::Pin => "Accept the connector's tools again.",
        Kind::Acceptance => "Look at what changed once more, and accept it again.",
        Kind::Sealed | Kind::Import => {
            "Get a new secret where this one came from, and put the server into the assistant's configuration once more."
        }
        Kind::Ratchet | Kind::Device | Kind::Cursor => {
            "If you did not restore a backup, tell your IT department."
        }
    }
}
