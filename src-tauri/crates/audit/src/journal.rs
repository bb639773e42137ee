//! The journal: one writer, many callers, one sync for all that wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{CallId, DeviceId};
use org_protocol::{
    ArgumentSummary, AuditRecord, CallContext, DenialRecord, EpochReason, EventRecord, Head, IntentRecord, Outcome,
    PublicKey, SignedReceipt,
};
use os::Clock;
use tokio::sync::watch;

use crate::fault::JournalFault;

/// How a journal is kept.
#[derive(Clone)]
pub struct JournalConfig {
    /// Where its files lie; made if it is not there. Beside it lies `<dir>.head`.
    pub dir: PathBuf,
    /// Whose records these are.
    pub device: DeviceId,
    /// The organisation that gets them; none in personal mode, where nothing is ever pending for upload.
    pub org: Option<String>,
    /// The key of argument digests and of the head file; from the vault.
    pub mac_key: [u8; 32],
    /// The longest time until a record that nobody waits for (an outcome) is on disk.
    pub flush_within: Duration,
    /// The longest time that somebody waits for the disk.
    pub deadline: Duration,
    /// The longest silence; a heartbeat is written after it.
    pub heartbeat: Duration,
}

impl JournalConfig {
    /// The usual settings, for personal mode.
    pub fn new(dir: impl Into<PathBuf>, device: DeviceId, mac_key: [u8; 32]) -> Self {
        Self {
            dir: dir.into(),
            device,
            org: None,
            mac_key,
            flush_within: Duration::from_millis(50),
            deadline: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15 * 60),
        }
    }
}

impl std::fmt::Debug for JournalConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalConfig").field("dir", &self.dir).field("device", &self.device).finish_non_exhaustive()
    }
}

/// What was found when the journal was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The chain that is written now.
    pub epoch: u64,
    /// Why it is a new one; none where the last one goes on.
    pub began: Option<EpochReason>,
    /// What was wrong, for people; empty where nothing was.
    pub detail: String,
    /// The torn end of the last segment, if there was one.
    pub set_aside: Option<PathBuf>,
    /// Calls whose outcome was never written, now recorded as unknown.
    pub unknown_outcomes: Vec<CallId>,
}

/// Whether records can be written.
#[derive(Debug, Clone)]
pub enum Health {
    /// They can.
    Writing,
    /// They cannot: every call is refused.
    Failed(JournalFault),
}

/// A place between records: after `seq` of `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The epoch.
    pub epoch: u64,
    /// The record before it.
    pub seq: u64,
}

/// The proof that a call's intent is on disk. Buys one effect, and is consumed by [`Journal::outcome`].
///
/// One that is dropped leaves an outcome `unknown` with the code `dropped`.
#[derive(Debug)]
pub struct Intent {
    context: CallContext,
}

impl Intent {
    /// The call.
    pub fn call(&self) -> CallId {
        self.context.call
    }
}

/// The journal. Clones share one writer, which stops when the last of them and every [`Intent`] is gone.
#[derive(Clone)]
pub struct Journal {
    config: Arc<JournalConfig>,
    head: watch::Receiver<Head>,
    health: watch::Receiver<Health>,
}

impl Journal {
    /// Opens the journal in `config.dir`, repairs its end, and writes what became of calls that a crash cut off. Blocks
    /// for the disk.
    ///
    /// # Errors
    /// A [`JournalFault`] where nothing can be written. Lost or damaged history is none: it is left as it is, a new
    /// epoch begins, and [`Recovery`] says so.
    pub fn open(config: JournalConfig, clock: Arc<dyn Clock>) -> Result<(Self, Recovery), JournalFault> {
        let _ = (config, clock);
        Err(JournalFault::Closed)
    }

    /// Records that a call is about to be made. The record is on disk when this returns `Ok`.
    ///
    /// # Errors
    /// A [`JournalFault`]: the call must not be made.
    pub async fn intent(&self, record: IntentRecord) -> Result<Intent, JournalFault> {
        let _ = record;
        Err(JournalFault::Closed)
    }

    /// Records what became of a call. Queued: on disk within [`JournalConfig::flush_within`].
    ///
    /// # Errors
    /// [`JournalFault::Closed`]; the next start then records the outcome as unknown.
    pub fn outcome(&self, intent: Intent, outcome: Outcome) -> Result<(), JournalFault> {
        let _ = (intent, outcome);
        Err(JournalFault::Closed)
    }

    /// Records a refused call. On disk when this returns `Ok`.
    ///
    /// # Errors
    /// A [`JournalFault`].
    pub async fn denial(&self, record: DenialRecord) -> Result<(), JournalFault> {
        let _ = record;
        Err(JournalFault::Closed)
    }

    /// Records something other than a call. On disk when this returns `Ok`.
    ///
    /// # Errors
    /// A [`JournalFault`].
    pub async fn event(&self, record: EventRecord) -> Result<(), JournalFault> {
        let _ = record;
        Err(JournalFault::Closed)
    }

    /// Records something other than a call without waiting, as [`Journal::outcome`] does.
    ///
    /// # Errors
    /// A [`JournalFault`] where it cannot be queued.
    pub fn note(&self, record: &EventRecord) -> Result<(), JournalFault> {
        let _ = record;
        Err(JournalFault::Closed)
    }

    /// Summarises a call's arguments with the journal's key.
    pub fn summary(&self, arguments: &str, capture: bool) -> ArgumentSummary {
        ArgumentSummary::of(arguments, &self.config.mac_key, capture)
    }

    /// The last record that is on disk.
    pub fn head(&self) -> Head {
        *self.head.borrow()
    }

    /// Follows [`Journal::head`].
    pub fn watch(&self) -> watch::Receiver<Head> {
        self.head.clone()
    }

    /// Whether records can be written, and follows it.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Up to `limit` records after `position`, oldest first, across epochs. Blocks for the disk.
    ///
    /// # Errors
    /// [`JournalFault::Damaged`] where the next record cannot be read.
    pub fn after(&self, position: Position, limit: usize) -> Result<Vec<AuditRecord>, JournalFault> {
        let _ = (position, limit);
        Err(JournalFault::Closed)
    }

    /// The last `limit` records of the current epoch, oldest first. Blocks for the disk.
    ///
    /// # Errors
    /// As [`Journal::after`].
    pub fn latest(&self, limit: usize) -> Result<Vec<AuditRecord>, JournalFault> {
        let _ = limit;
        Err(JournalFault::Closed)
    }

    /// Up to `limit` records, and about 1 MiB, that the organisation has not acknowledged, oldest first, all of one
    /// epoch. Empty in personal mode. Records of another device, another organisation or personal mode are never among
    /// them. Blocks for the disk.
    ///
    /// # Errors
    /// A [`JournalFault`] where files cannot be read.
    pub fn pending(&self, limit: usize) -> Result<Vec<AuditRecord>, JournalFault> {
        let _ = limit;
        Err(JournalFault::Closed)
    }

    /// Takes the organisation's receipt for stored records: durable when this returns. Blocks for the disk.
    ///
    /// # Errors
    /// [`JournalFault::Receipt`] where no key of `keys` signed it, [`JournalFault::ForeignReceipt`] where it is for
    /// another history than this journal's.
    pub fn receipted(&self, signed: &SignedReceipt, keys: &[PublicKey]) -> Result<(), JournalFault> {
        let _ = (signed, keys);
        Err(JournalFault::Closed)
    }

    /// Writes what is queued and the head, and stops the writer. Blocks for the disk. Later records are refused.
    pub fn close(&self) {}
}
