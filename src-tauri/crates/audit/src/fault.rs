//! Why the journal refused something.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use model::{Advice, ForPerson};
use org_protocol::{LineFault, ReceiptFault};

/// Why the journal refused something. A call whose intent is refused must not be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalFault {
    /// The disk is full.
    #[error("the disk with the audit journal is full")]
    DiskFull,
    /// The journal has reached its quota.
    #[error("the audit journal has reached its quota of {} MiB", .quota / (1024 * 1024))]
    Quota {
        /// What it may take, in bytes.
        quota: u64,
    },
    /// A file cannot be made, read, written or synced.
    #[error("the audit journal's file {} cannot be used", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another process writes this journal.
    #[error("another process writes the audit journal")]
    InUse,
    /// More records wait than the journal holds.
    #[error("too many records wait for the audit journal")]
    Busy,
    /// The disk took longer than the deadline. The record may be written later; its call counts as not made.
    #[error("the audit journal's disk did not answer in time")]
    Deadline,
    /// The journal was closed.
    #[error("the audit journal is closed")]
    Closed,
    /// The record cannot be written as a line.
    #[error("the record cannot be written")]
    Record(#[from] LineFault),
    /// The record's JSON cannot be made.
    #[error("the record has no JSON form: {0}")]
    Encoding(String),
    /// A receipt is not good.
    #[error("the receipt is refused")]
    Receipt(#[from] ReceiptFault),
    /// A receipt is good, but not for what this journal holds.
    #[error("the receipt is for another history: {0}")]
    ForeignReceipt(String),
    /// Stored records are not what they should be; `audit verify` says more.
    #[error("the journal cannot be read after record {after} of epoch {epoch}: {detail}")]
    Damaged {
        /// The epoch.
        epoch: u64,
        /// The last good record.
        after: u64,
        /// What is wrong.
        detail: String,
    },
}

impl JournalFault {
    /// Whether a file is not there.
    pub(crate) fn is_of_missing_file(&self) -> bool {
        matches!(self, Self::Storage { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the records are good and it is only that nothing can be written just now.
    pub(crate) fn is_of_the_storage(&self) -> bool {
        match self {
            Self::DiskFull | Self::Quota { .. } | Self::Storage { .. } | Self::Deadline => true,
            // The disk is good: whoever asks for more than can be written waits, or is refused.
            Self::Busy
            | Self::InUse
            | Self::Closed
            | Self::Record(_)
            | Self::Encoding(_)
            | Self::Receipt(_)
            | Self::ForeignReceipt(_)
            | Self::Damaged { .. } => false,
        }
    }

    /// The fault of an operation on a file.
    pub(crate) fn storage(path: impl Into<PathBuf>, fault: io::Error) -> Self {
        if matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::DiskFull
        } else {
            Self::Storage { path: path.into(), source: Arc::new(fault) }
        }
    }
}

impl ForPerson for JournalFault {
    fn advice(&self) -> Advice {
        const REFUSED: &str =
            "Calls are refused until it can be written again, because none may go unrecorded.";
        match self {
            Self::DiskFull => Advice::new(
                "audit-disk-full",
                "The disk is full, and the audit journal cannot be written.",
                REFUSED,
                "Free some space; Deskgate goes on by itself.",
            ),
            Self::Quota { quota } => Advice::new(
                "audit-quota",
                format!("The audit journal has reached its quota of {} MiB.", quota / (1024 * 1024)),
                REFUSED,
                "Connect to the organisation, so that it can take the records over, or have the quota raised.",
            ),
            Self::Storage { path, .. } => Advice::new(
                "audit-storage",
                format!("The audit journal in {} cannot be written.", path.display()),
                REFUSED,
                "Check the disk and the folder's permissions; Deskgate tries again by itself.",
            ),
            Self::InUse => Advice::new(
                "audit-in-use",
                "Another process writes the audit journal.",
                "",
                "Quit the other Deskgate first.",
            ),
            Self::Busy | Self::Deadline => Advice::new(
                "audit-slow",
                "The disk is too slow for the audit journal just now.",
                "The call was not made.",
                "Try again in a moment.",
            ),
            Self::Closed => {
                Advice::new("audit-closed", "Deskgate is shutting down.", "The call was not made.", "")
            }
            Self::Record(_) | Self::Encoding(_) => Advice::new(
                "audit-record",
                "The call is too large to be recorded.",
                "It was not made.",
                "Make a call with smaller arguments.",
            ),
            Self::Receipt(_) | Self::ForeignReceipt(_) => Advice::new(
                "audit-receipt",
                "The organisation's receipt for audit records is not good.",
                "The records stay on this device.",
                "Tell the organisation's support.",
            ),
            Self::Damaged { .. } => Advice::new(
                "audit-damaged",
                "Stored audit records were changed or damaged.",
                "They stay as they are, as evidence.",
                "Run deskgate audit verify, and tell the organisation's support.",
            ),
        }
    }
}
