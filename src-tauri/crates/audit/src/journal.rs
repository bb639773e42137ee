//! The journal: one writer, many callers, one sync for all that wait.
//!
//! It never lets an intent pass that is not on disk, and never writes again to a file that failed once.

mod chores;
mod erase;
mod intent;
mod prune;
mod queue;
mod recovery;
mod room;
mod start;
mod telling;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use model::{CallId, DeviceId};
use org_protocol::{
    ArgumentKind, ArgumentSummary, AuditRecord, CallContext, DenialRecord, EpochReason, Erasure, EventRecord,
    GapRecord, Head, IntentRecord, Outcome, PreparedBody, PublicKey, Receipt, RecordedUri, SignedReceipt,
    argument_mac, verify_receipt,
};
use os::{Clock, InstanceLock, LockFault};
use tokio::sync::{oneshot, watch};

use chores::{Chores, Tools};
pub use erase::Erased;
use erase::Wanted;
pub use intent::Intent;
use queue::{Entry, Shared, Then};
use room::Room;
pub use room::{Fill, JournalRules, Usage};
use telling::Told;
use writer::Writer;

use crate::checkpoint;
use crate::collected::{self, Collected};
use crate::fault::JournalFault;
use crate::pruned;
use crate::reader::{Limit, Span, read_after};
use crate::receipts::Receipts;
use crate::segment::{self, Segment};
use crate::storage::{Disk, Storage};

/// How much is uploaded at once.
const UPLOAD_BYTES: usize = 1024 * 1024;

/// How a journal is kept.
#[derive(Clone)]
pub struct JournalConfig {
    /// Where its files lie; made if it is not there. Beside it lie `<dir>.head` and `<dir>.checkpoint`.
    pub dir: PathBuf,
    /// Whose records these are.
    pub device: DeviceId,
    /// The organisation that gets them; none in personal mode, where nothing is ever pending for upload.
    pub org: Option<String>,
    /// The key of argument digests and of the head file, of which the key that signs checkpoints is made; from the vault.
    pub mac_key: [u8; 32],
    /// The longest time until a record that nobody waits for (an outcome) is on disk.
    pub flush_within: Duration,
    /// The longest time that somebody waits for the disk.
    pub deadline: Duration,
    /// The longest silence; a heartbeat is written after it.
    pub heartbeat: Duration,
    /// How often writing is tried again after it failed.
    pub retry_every: Duration,
    /// The size of a segment file. A start reads one whole segment, so a small one starts faster.
    pub segment_bytes: u64,
    /// What it may take, what it gives up, and what becomes of calls that cannot be recorded; see [`Journal::set_rules`].
    pub rules: JournalRules,
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
            retry_every: Duration::from_secs(1),
            segment_bytes: 1024 * 1024,
            rules: JournalRules::default(),
        }
    }
}

impl std::fmt::Debug for JournalConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalConfig")
            .field("dir", &self.dir)
            .field("device", &self.device)
            .finish_non_exhaustive()
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
    /// They cannot, and calls are made all the same, as the organisation wants it.
    BestEffort {
        /// Why not.
        fault: JournalFault,
        /// How many calls were made without a record since.
        missing: u64,
    },
}

/// A place between records: after `seq` of `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The epoch.
    pub epoch: u64,
    /// The record before it.
    pub seq: u64,
}

/// The journal. Clones share one writer, which stops when the last of them is gone or [`Journal::close`] is called.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<JournalConfig>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    receipts: Arc<Mutex<Receipts>>,
    /// The last record that the organisation has acknowledged.
    acknowledged: watch::Sender<Option<Head>>,
    running: Mutex<Option<Running>>,
}

/// What ends with [`Journal::close`].
struct Running {
    writer: JoinHandle<()>,
    /// Keeps other processes out until nothing more is written.
    _lock: InstanceLock,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.shared.close();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { writer, _lock }) = running {
            // A panic there has been reported by the runtime; there is nothing to add.
            let _ = writer.join();
        }
    }
}

impl Journal {
    /// Opens the journal in `config.dir`, repairs its end, and writes what became of calls that a crash cut off. Blocks
    /// for the disk.
    ///
    /// # Errors
    /// A [`JournalFault`] where nothing can be written. Lost or damaged history is none: it is left as it is, a new
    /// epoch begins, and [`Recovery`] says so.
    pub fn open(config: JournalConfig, clock: Arc<dyn Clock>) -> Result<(Self, Recovery), JournalFault> {
        Self::open_on(config, clock, Arc::new(Disk))
    }

    pub(crate) fn open_on(
        config: JournalConfig,
        clock: Arc<dyn Clock>,
        storage: Arc<dyn Storage>,
    ) -> Result<(Self, Recovery), JournalFault> {
        let dir = &config.dir.clone();
        os::create_private_dir(dir).map_err(|fault| JournalFault::storage(dir, fault))?;
        let lock = os::lock_instance(&dir.join("lock")).map_err(|fault| match fault {
            LockFault::Held { .. } => JournalFault::InUse,
            LockFault::File(fault) => JournalFault::storage(dir, fault),
        })?;
        start::remove_leftovers(dir);
        let (receipts, lost_receipts) = Receipts::read_or_set_aside(dir)?;
        let lost_pruned = pruned::read_or_set_aside(dir, &config.mac_key)?;
        let checkpoint_key = checkpoint::key(config.device, &config.mac_key)?.to_string();
        let found = recovery::look(&config, &checkpoint_key)?;
        let config = Arc::new(config);
        let room = Room::new(config.rules, closed_bytes(dir)?);
        let shared = Arc::new(Shared::new(found.head, room));
        let last = config.org.as_deref().and_then(|org| receipts.last(config.device, org));
        let acknowledged = watch::Sender::new(last.map(Receipt::head));
        let receipts = Arc::new(Mutex::new(receipts));
        let chores = Chores::start(Tools {
            config: Arc::clone(&config),
            storage: Arc::clone(&storage),
            clock: Arc::clone(&clock),
            shared: Arc::clone(&shared),
            receipts: Arc::clone(&receipts),
        });
        let mut writer = Writer::new(
            Arc::clone(&config),
            Arc::clone(&clock),
            storage,
            Arc::clone(&shared),
            chores,
            found.head,
            checkpoint_key,
        );
        let lost = [(lost_receipts, "receipts"), (lost_pruned, "what was pruned")];
        let recovery = start::start(&mut writer, found, &lost)?;
        let writer = std::thread::Builder::new()
            .name("audit-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|fault| JournalFault::storage(&config.dir, fault))?;
        let inner = Inner {
            acknowledged,
            config,
            shared,
            clock,
            receipts,
            running: Mutex::new(Some(Running { writer, _lock: lock })),
        };
        Ok((Self { inner: Arc::new(inner) }, recovery))
    }

    /// Records that a call is about to be made. The record is on disk when this returns `Ok`, unless the rules let calls go on
    /// where nothing can be written: then it is counted as missing ([`JournalRules::on_failure`]).
    ///
    /// # Errors
    /// A [`JournalFault`]: the call must not be made.
    pub async fn intent(&self, record: IntentRecord) -> Result<Intent, JournalFault> {
        let body = PreparedBody::intent(&record).map_err(encoding)?;
        let context = Arc::new(CallContext::from(&record));
        let (tell, told) = oneshot::channel();
        let shared = &self.inner.shared;
        let queued = shared.push(Entry { body, then: Then::Open(Arc::clone(&context), tell) });
        let written = match queued {
            Ok(()) => self.told(told).await,
            Err(fault) => Err(fault),
        };
        written.or_else(|fault| {
            shared.count_missing(fault, self.inner.clock.now())?;
            Ok(Intent::unrecorded(context))
        })
    }

    /// Records what became of a call. Queued: on disk within [`JournalConfig::flush_within`].
    ///
    /// # Errors
    /// [`JournalFault::Closed`]; the next start then records the outcome as unknown.
    pub fn outcome(&self, intent: Intent, outcome: Outcome) -> Result<(), JournalFault> {
        intent.finish(outcome)
    }

    /// Records a refused call. On disk when this returns `Ok`.
    ///
    /// # Errors
    /// A [`JournalFault`].
    pub async fn denial(&self, record: DenialRecord) -> Result<(), JournalFault> {
        self.write_and_wait(PreparedBody::denial(&record)).await
    }

    /// Records something other than a call. On disk when this returns `Ok`.
    ///
    /// # Errors
    /// A [`JournalFault`].
    pub async fn event(&self, record: EventRecord) -> Result<(), JournalFault> {
        self.write_and_wait(PreparedBody::event(&record)).await
    }

    /// Records that calls were made without a record. On disk when this returns `Ok`.
    ///
    /// # Errors
    /// A [`JournalFault`].
    pub async fn gap(&self, record: GapRecord) -> Result<(), JournalFault> {
        self.write_and_wait(PreparedBody::gap(&record)).await
    }

    /// Records something other than a call without waiting, as [`Journal::outcome`] does.
    ///
    /// # Errors
    /// A [`JournalFault`] where it cannot be queued.
    pub fn note(&self, record: &EventRecord) -> Result<(), JournalFault> {
        let body = PreparedBody::event(record).map_err(encoding)?;
        self.inner.shared.push(Entry { body, then: Then::Nothing })
    }

    /// Erases personal data from all records that are written, and says how many. `by` says who asks. That it is asked for is recorded
    /// before it is done, and afterwards how much it was; of the person only a digest with the journal's key.
    ///
    /// # Errors
    /// A [`JournalFault`]; some of it may have been erased then.
    pub async fn erase(&self, erasure: Erasure, by: EventRecord) -> Result<Erased, JournalFault> {
        let of = erasure.person().map(|person| self.keyed(person));
        let record = erase::asked(by, of, erasure.before());
        let body = PreparedBody::event(&record).map_err(encoding)?;
        let (tell, told) = oneshot::channel();
        let then = Then::Erase(Box::new(Wanted { erasure, record }), tell);
        self.inner.shared.push(Entry { body, then })?;
        told.await.unwrap_or(Err(JournalFault::Closed))
    }

    /// A digest of a text with the journal's key: that of [`argument_mac`].
    pub fn keyed(&self, text: &str) -> String {
        argument_mac(&self.inner.config.mac_key, ArgumentKind::Text, text.as_bytes())
    }

    /// Summarises a call's arguments with the journal's key.
    pub fn summary(&self, arguments: &str, capture: bool) -> ArgumentSummary {
        ArgumentSummary::of(arguments, &self.inner.config.mac_key, capture)
    }

    /// As much of a resource's URI as a record may keep; without what can carry a secret, unless values are captured.
    pub fn uri(&self, uri: &str, capture: bool) -> RecordedUri {
        RecordedUri::of(uri, &self.inner.config.mac_key, capture)
    }

    /// The last record that is on disk.
    pub fn head(&self) -> Head {
        *self.inner.shared.head.borrow()
    }

    /// Follows [`Journal::head`].
    pub fn watch(&self) -> watch::Receiver<Head> {
        self.inner.shared.head.subscribe()
    }

    /// Whether records can be written, and follows it.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.shared.health.subscribe()
    }

    /// Puts other rules in force.
    pub fn set_rules(&self, rules: JournalRules) {
        self.inner.shared.set_rules(rules);
    }

    /// How much of its quota the journal takes, and follows it by the percent.
    pub fn usage(&self) -> watch::Receiver<Usage> {
        self.inner.shared.room.usage.subscribe()
    }

    /// Up to `limit` records after `position`, oldest first, across epochs. Blocks for the disk.
    ///
    /// # Errors
    /// [`JournalFault::Damaged`] where the next record cannot be read; what is after it in later epochs begins at
    /// `Position { epoch: epoch + 1, seq: 0 }`.
    pub fn after(&self, position: Position, limit: usize) -> Result<Vec<AuditRecord>, JournalFault> {
        let limit = Limit { records: limit, bytes: usize::MAX };
        read_after(&self.inner.config.dir, position, self.head(), limit, Span::All)
    }

    /// The last `limit` records of the current epoch, oldest first. Blocks for the disk.
    ///
    /// # Errors
    /// As [`Journal::after`].
    pub fn latest(&self, limit: usize) -> Result<Vec<AuditRecord>, JournalFault> {
        let Head { epoch, seq, .. } = self.head();
        self.after(Position { epoch, seq: seq.saturating_sub(limit as u64) }, limit)
    }

    /// Up to `limit` records, and about 1 MiB, that the organisation has not acknowledged, oldest first, all of one
    /// epoch. Empty in personal mode. Records of another device, another organisation or personal mode are never among
    /// them, nor are those after a damage within their epoch. Blocks for the disk.
    ///
    /// # Errors
    /// A [`JournalFault`] where files cannot be read.
    pub fn pending(&self, limit: usize) -> Result<Vec<AuditRecord>, JournalFault> {
        let Inner { config, receipts, .. } = &*self.inner;
        let Some(org) = &config.org else { return Ok(Vec::new()) };
        let receipted = receipts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last(config.device, org)
            .map_or(Position::default(), |receipt| Position::from(receipt.head()));
        self.pending_from(receipted, limit)
    }

    /// As [`Journal::pending`], but what is after `position`, whether or not the organisation has acknowledged it: for
    /// a server that knows less than it has signed for.
    ///
    /// # Errors
    /// A [`JournalFault`] where files cannot be read.
    pub fn pending_from(&self, position: Position, limit: usize) -> Result<Vec<AuditRecord>, JournalFault> {
        let config = &self.inner.config;
        let Some(org) = &config.org else { return Ok(Vec::new()) };
        let limit = Limit { records: limit, bytes: UPLOAD_BYTES };
        for epoch in epochs_of(&config.dir, config.device, org, position.epoch)? {
            let seq = if epoch == position.epoch { position.seq } else { 0 };
            match read_after(&config.dir, Position { epoch, seq }, self.head(), limit, Span::Epoch) {
                Ok(records) if records.is_empty() => {}
                Err(JournalFault::Damaged { epoch, after, detail }) => {
                    tracing::warn!(epoch, after, detail, "the rest of a damaged epoch is not uploaded");
                }
                other => return other,
            }
        }
        Ok(Vec::new())
    }

    /// Up to `limit` records, and about 1 MiB, that a collector has not taken from this device itself, oldest first, all of one
    /// epoch; of whose records, as [`Journal::pending`]. Blocks for the disk.
    ///
    /// # Errors
    /// A [`JournalFault`] where files cannot be read.
    pub fn uncollected(&self, limit: usize) -> Result<Vec<AuditRecord>, JournalFault> {
        let config = &self.inner.config;
        let collected = collected::read_or_set_aside(&config.dir)?;
        let ours = collected
            .iter()
            .filter(|kept| kept.device == config.device && config.org.as_deref() == Some(kept.org.as_str()));
        let last = ours.map(|kept| Position::from(kept.head)).max().unwrap_or_default();
        self.pending_from(last, limit)
    }

    /// A collector has said that it has the records up to this one: durable when this returns. Blocks for the disk.
    ///
    /// # Errors
    /// A [`JournalFault`].
    pub fn collected(&self, head: Head) -> Result<(), JournalFault> {
        let config = &self.inner.config;
        let Some(org) = config.org.clone() else { return Ok(()) };
        collected::keep(
            &config.dir,
            Collected { device: config.device, org, head, at: self.inner.clock.now() },
        )
    }

    /// How far an epoch was removed, and the organisation's word that it had it. Blocks for the disk.
    pub fn pruned(&self, epoch: u64) -> Option<(Head, SignedReceipt)> {
        let pruned = pruned::read(&self.inner.config.dir).ok()?;
        let found = pruned.into_iter().find(|pruned| pruned.end.epoch == epoch)?;
        Some((found.end, found.receipt?))
    }

    /// Has a record stay whatever receipts say, because the organisation refuses it: durable when this returns. Blocks for the disk.
    ///
    /// # Errors
    /// A [`JournalFault`].
    pub fn keep(&self, place: Position) -> Result<(), JournalFault> {
        crate::kept::keep(&self.inner.config.dir, place)
    }

    /// The last record that the organisation has acknowledged.
    pub fn acknowledged(&self) -> Option<Head> {
        *self.inner.acknowledged.borrow()
    }

    /// Follows [`Journal::acknowledged`].
    pub fn watch_acknowledged(&self) -> watch::Receiver<Option<Head>> {
        self.inner.acknowledged.subscribe()
    }

    /// Takes the organisation's receipt for stored records: durable when this returns. Blocks for the disk.
    ///
    /// # Errors
    /// [`JournalFault::Receipt`] where no key of `keys` signed it, [`JournalFault::ForeignReceipt`] where it is for
    /// another history than this journal's.
    pub fn receipted(&self, signed: &SignedReceipt, keys: &[PublicKey]) -> Result<(), JournalFault> {
        let Inner { config, receipts, acknowledged, .. } = &*self.inner;
        let receipt = verify_receipt(signed, keys)?;
        if receipt.device != config.device || config.org.as_ref() != Some(&receipt.org) {
            return Err(JournalFault::ForeignReceipt("another device or organisation".to_owned()));
        }
        let before = Position { epoch: receipt.epoch, seq: receipt.seq.saturating_sub(1) };
        let limit = Limit { records: 1, bytes: usize::MAX };
        let record = read_after(&config.dir, before, self.head(), limit, Span::Epoch)?;
        if record.first().map(|record| record.link().head()) != Some(receipt.head()) {
            return Err(JournalFault::ForeignReceipt(format!(
                "record {} of epoch {} is another one here",
                receipt.seq, receipt.epoch
            )));
        }
        let mut receipts = receipts.lock().unwrap_or_else(PoisonError::into_inner);
        receipts.keep(&config.dir, receipt, signed.clone())?;
        let last = config.org.as_deref().and_then(|org| receipts.last(config.device, org));
        acknowledged.send_replace(last.map(Receipt::head));
        Ok(())
    }

    /// Writes what is queued and the head, and stops the writer. Blocks for the disk. Later records are refused.
    pub fn close(&self) {
        self.inner.stop();
    }

    async fn write_and_wait(
        &self,
        body: Result<PreparedBody, serde_json::Error>,
    ) -> Result<(), JournalFault> {
        let (tell, told) = oneshot::channel();
        self.inner.shared.push(Entry { body: body.map_err(encoding)?, then: Then::Tell(tell) })?;
        self.told(told).await
    }

    async fn told<T>(&self, told: oneshot::Receiver<Told<T>>) -> Result<T, JournalFault> {
        match tokio::time::timeout(self.inner.config.deadline, told).await {
            Ok(Ok(told)) => told.pass_on(),
            Ok(Err(_)) => Err(JournalFault::Closed),
            Err(_) => Err(JournalFault::Deadline),
        }
    }
}

impl From<Head> for Position {
    fn from(head: Head) -> Self {
        Self { epoch: head.epoch, seq: head.seq }
    }
}

/// What the journal's files take, but the last segment, which is written.
fn closed_bytes(dir: &Path) -> Result<u64, JournalFault> {
    let unreadable = |fault| JournalFault::storage(dir, fault);
    let last = segment::list(dir).map_err(unreadable)?.last().map(|name| name.path(dir));
    let mut bytes = 0_u64;
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if Some(entry.path()) != last {
            bytes = bytes.saturating_add(entry.metadata().map_err(unreadable)?.len());
        }
    }
    Ok(bytes)
}

/// The epochs from `first` on whose records belong to this device and organisation.
fn epochs_of(dir: &Path, device: DeviceId, org: &str, first: u64) -> Result<Vec<u64>, JournalFault> {
    let names = segment::list(dir).map_err(|fault| JournalFault::storage(dir, fault))?;
    let mut epochs = Vec::new();
    for name in names.into_iter().filter(|name| name.epoch >= first) {
        if epochs.last() == Some(&name.epoch) {
            continue;
        }
        let path = name.path(dir);
        let header = Segment::read_header(&path).map_err(|fault| JournalFault::storage(&path, fault))?;
        // What cannot be read does not say whose it is, and so is not sent to anybody.
        if header.is_ok_and(|header| header.device == device && header.org.as_deref() == Some(org)) {
            epochs.push(name.epoch);
        }
    }
    Ok(epochs)
}

fn encoding(fault: serde_json::Error) -> JournalFault {
    JournalFault::Encoding(fault.to_string())
}
