//! The one thread that writes: it seals what waits into the chain, writes and syncs once for all, then tells everybody.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{CallId, Timestamp};
use org_protocol::{
    AuditEvent, AuditRecord, CallContext, EpochReason, EpochRecord, EventRecord, Head, HeartbeatRecord,
    PreparedBody,
};
use os::Clock;

use super::JournalConfig;
use super::chores::Chores;
use super::intent::Intent;
use super::queue::{Entry, Shared, Then, Work, refuse};
use super::room::Fill;
use super::telling::{Spent, Telling, tell_all};
use crate::checkpoint;
use crate::fault::JournalFault;
use crate::head_file;
use crate::segment::{SegmentHeader, SegmentName};
use crate::storage::{SegmentFile, Storage};

/// The first segment of an epoch is small, because somebody waits for it.
const FIRST_SEGMENT: u64 = 256 * 1024;
/// How often the head file is written while records come without a pause.
const HEAD_EVERY: Duration = Duration::from_secs(1);
/// A wall clock that goes wrong by more than this between two batches was moved by somebody.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

pub(super) struct Writer {
    pub(super) config: Arc<JournalConfig>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) shared: Arc<Shared>,
    pub(super) chores: Chores,
    /// The segment that is written; none after a failure: what is said of a file after that cannot be relied on.
    pub(super) current: Option<Current>,
    /// The last record on disk.
    pub(super) head: Head,
    /// Calls whose intent is on disk and whose outcome is not.
    pub(super) open: BTreeMap<CallId, Arc<CallContext>>,
    headed: Option<(Head, Duration)>,
    fill: Fill,
    clocks: Option<(Timestamp, Duration)>,
    buffer: String,
    /// A file that the next record begins a segment in, whatever room there is.
    fresh: Option<PathBuf>,
    /// Whose signature checkpoints have.
    checkpoint_key: String,
}

/// The segment that is written.
pub(super) struct Current {
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn SegmentFile>,
    /// Where the next line goes.
    pub(super) offset: u64,
    /// Up to where the file has been filled with zeros.
    pub(super) length: u64,
}

impl Writer {
    pub(super) fn new(
        config: Arc<JournalConfig>,
        clock: Arc<dyn Clock>,
        storage: Arc<dyn Storage>,
        shared: Arc<Shared>,
        chores: Chores,
        head: Head,
        checkpoint_key: String,
    ) -> Self {
        Self {
            config,
            clock,
            storage,
            shared,
            chores,
            current: None,
            head,
            open: BTreeMap::new(),
            headed: None,
            fill: Fill::Low,
            clocks: None,
            buffer: String::new(),
            fresh: None,
            checkpoint_key,
        }
    }

    /// Writes until the journal is closed.
    pub(super) fn run(mut self) {
        let mut rest = None;
        // The list that the last batch stood in is used again for the next but one.
        let mut spare = Vec::new();
        self.look();
        self.chores.prune();
        loop {
            match self.shared.next(self.config.flush_within, rest, &mut spare) {
                Work::Write(batch) => {
                    spare = self.commit(batch);
                    rest = None;
                }
                Work::Quiet => {
                    self.ask_for_head();
                    rest = Some(self.config.heartbeat);
                }
                Work::Silent => {
                    self.beat();
                    self.chores.prune();
                }
                Work::Look => self.look(),
                Work::Finish(batch) => {
                    drop(self.commit(batch));
                    return self.finish();
                }
            }
        }
    }

    /// Begins an epoch in a new file with its first record and `batch`. Durable on success.
    /// The first record of a chain that begins now.
    pub(super) fn beginning(
        &self,
        reason: EpochReason,
        previous: Option<Head>,
        detail: String,
    ) -> EpochRecord {
        let checkpoint_key = Some(self.checkpoint_key.clone());
        EpochRecord { org: self.config.org.clone(), reason, previous, checkpoint_key, detail }
    }

    pub(super) fn begin_epoch(
        &mut self,
        record: &EpochRecord,
        batch: &mut Vec<Entry>,
    ) -> Result<(), JournalFault> {
        let now_millis = u64::try_from(self.clock.now().micros() / 1000).unwrap_or(0);
        let epoch = now_millis.max(self.head.epoch.saturating_add(1));
        let body = PreparedBody::epoch(record).map_err(encoding)?;
        batch.insert(0, Entry { body, then: Then::Nothing });
        let fresh = self.config.dir.join("new");
        let written = self
            .storage
            .prepare(&fresh, FIRST_SEGMENT)
            .map_err(|fault| JournalFault::storage(&fresh, fault))
            .and_then(|()| self.write_into(fresh, FIRST_SEGMENT, Head::before(epoch), batch));
        if written.is_err() {
            batch.remove(0);
        }
        self.settle(written?, batch);
        Ok(())
    }

    /// Has the next record begin a segment.
    pub(super) fn turn(&mut self) -> Result<(), JournalFault> {
        let fresh = self.config.dir.join("new");
        let prepared = self.storage.prepare(&fresh, FIRST_SEGMENT);
        prepared.map_err(|fault| JournalFault::storage(&fresh, fault))?;
        self.fresh = Some(fresh);
        Ok(())
    }

    /// Writes a batch at the end of the chain. Durable on success; on a fault, who waits has not been told.
    pub(super) fn write(&mut self, batch: &mut Vec<Entry>) -> Result<(), JournalFault> {
        if let Some(entry) = self.clock_moved() {
            batch.insert(0, entry);
        }
        if batch.iter().any(|entry| matches!(entry.then, Then::Erase(..)))
            && let Err(fault) = self.turn()
        {
            tracing::warn!(%fault, "a segment was not begun, so that nothing is erased from the last one");
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let head = self.seal(&mut buffer, self.head, batch);
        let Some(current) = &mut self.current else { return Err(JournalFault::Closed) };
        let end = current.offset + buffer.len() as u64;
        let fresh = self.fresh.take().map(|fresh| (fresh, FIRST_SEGMENT));
        let spare = || if end > current.length { self.chores.take_spare() } else { None };
        if let Some((spare, length)) = fresh.or_else(spare) {
            let head = self.write_into(spare, length, self.head, batch)?;
            self.settle(head, batch);
            return Ok(());
        }
        let written = current.file.append(buffer.as_bytes()).and_then(|()| current.file.sync());
        written.map_err(|fault| JournalFault::storage(&current.path, fault))?;
        current.offset = end;
        if end > current.length / 2 {
            self.chores.want_spare();
        }
        self.buffer = buffer;
        self.settle(head, batch);
        Ok(())
    }

    /// Gives the emptied list back.
    fn commit(&mut self, mut batch: Vec<Entry>) -> Vec<Entry> {
        if batch.is_empty() {
            return batch;
        }
        match self.write(&mut batch) {
            Ok(()) => batch,
            Err(fault) => {
                self.fail(&fault, batch);
                Vec::new()
            }
        }
    }

    /// Seals the entries into `out`; one that cannot be written is refused and taken out.
    fn seal(&self, out: &mut String, mut head: Head, batch: &mut Vec<Entry>) -> Head {
        let (now, uptime) = (self.clock.now(), millis(self.clock.boot_time()));
        let mut refused = Vec::new();
        for (at, entry) in batch.iter().enumerate() {
            match AuditRecord::seal_into(out, self.config.device, &head, now, uptime, &entry.body) {
                Ok(next) => head = next,
                Err(fault) => refused.push((at, fault)),
            }
        }
        for (at, fault) in refused.into_iter().rev() {
            tracing::error!(%fault, "a record was not written");
            refuse(batch.remove(at), &fault.into());
        }
        head
    }

    /// Begins a segment in the prepared file `path` with the batch that follows `from`, and turns to it. Only when it is
    /// complete does it get its name: a segment with a name has a header and a record.
    fn write_into(
        &mut self,
        path: PathBuf,
        length: u64,
        from: Head,
        batch: &mut Vec<Entry>,
    ) -> Result<Head, JournalFault> {
        let name = SegmentName { epoch: from.epoch, first_seq: from.seq + 1 };
        let mut open: Vec<_> = self.open.values().map(|context| CallContext::clone(context)).collect();
        if batch.iter().any(|entry| matches!(entry.then, Then::Erase(..))) {
            // Whose calls these are stands in the segments from which it is erased now.
            open.iter_mut().for_each(CallContext::forget_person);
        }
        let header = SegmentHeader::new(
            self.config.device,
            self.config.org.clone(),
            self.checkpoint_key.clone(),
            name,
            open,
        );
        let mut text = header.line().map_err(encoding)?;
        let head = self.seal(&mut text, from, batch);
        let named = name.path(&self.config.dir);
        let write = || {
            let mut file = self.storage.open(&path, 0)?;
            file.append(text.as_bytes())?;
            file.sync()?;
            self.storage.adopt(&path, &named)?;
            Ok(file)
        };
        let file = write().map_err(|fault| JournalFault::storage(&path, fault))?;
        let current = Current { path: named, file, offset: text.len() as u64, length };
        if let Some(full) = self.current.replace(current) {
            self.shared.room.closed(full.length.max(full.offset));
            self.chores.prune();
        }
        Ok(head)
    }

    /// Everything of the batch is on disk: remembers and tells.
    fn settle(&mut self, head: Head, batch: &mut Vec<Entry>) {
        self.head = head;
        self.shared.head.send_replace(head);
        let (mut tellings, mut spent) = (Vec::new(), Spent::default());
        for entry in batch.drain(..) {
            spent.bodies.push(entry.body);
            match entry.then {
                Then::Open(context, tell) => {
                    self.open.insert(context.call, Arc::clone(&context));
                    tellings.push(Telling::Open(Intent::new(context, Arc::clone(&self.shared)), tell));
                }
                Then::Tell(tell) => tellings.push(Telling::Done(tell)),
                Then::Close(call) => {
                    spent.contexts.extend(self.open.remove(&call));
                }
                Then::Erase(wanted, tell) => self.chores.erase(wanted, tell),
                Then::Nothing => {}
            }
        }
        tell_all(tellings, spent);
        self.look();
        let now = self.clock.boot_time();
        if self.headed.is_some_and(|(_, at)| now.saturating_sub(at) >= HEAD_EVERY) {
            self.ask_for_head();
        }
    }

    /// Refuses everything until a new file can be written. The failed one is never written again: after a failed sync
    /// the system may have thrown the data away and report success the next time.
    fn fail(&mut self, fault: &JournalFault, batch: Vec<Entry>) {
        tracing::error!(%fault, "the audit journal cannot be written; calls are refused");
        self.shared.failed(fault, batch);
        if let Some(failed) = self.current.take() {
            // What was written but not acknowledged would look like an insertion later.
            if let Err(fault) = self.storage.cut(&failed.path, failed.offset) {
                tracing::warn!(%fault, "the journal's failed segment was not cut");
            }
            self.shared.room.closed(failed.offset);
        }
        loop {
            let goes_on = self.shared.wait_to_retry(self.config.retry_every);
            let record = self.beginning(EpochReason::StorageFailed, Some(self.head), fault.to_string());
            let mut owed = self.shared.take_owed();
            match self.begin_epoch(&record, &mut owed) {
                Ok(()) => {
                    tracing::info!("the audit journal can be written again");
                    return self.shared.recovered();
                }
                Err(fault) => self.shared.failed(&fault, owed),
            }
            if !goes_on {
                return;
            }
        }
    }

    /// Looks how much of the quota is taken, and says so where it has come to another step.
    fn look(&mut self) {
        let written = self.current.as_ref().map_or(0, |current| current.offset);
        let usage = self.shared.room.look(written);
        let (before, now) = (self.fill, usage.fill());
        self.fill = now;
        self.shared.set_full(now == Fill::Full);
        if now <= before && before != Fill::Full || now == before {
            return;
        }
        self.chores.prune();
        let event = EventRecord::new(AuditEvent::JournalFilling)
            .with("percent", usage.percent().to_string())
            .with("bytes", usage.bytes.to_string())
            .with("quota", usage.quota.to_string());
        match PreparedBody::event(&event) {
            Ok(body) => self.shared.push_own(body),
            Err(fault) => tracing::error!(%fault, "it was not recorded how full the journal is"),
        }
    }

    fn clock_moved(&mut self) -> Option<Entry> {
        let (now, boot) = (self.clock.now(), self.clock.boot_time());
        let (earlier, earlier_boot) = self.clocks.replace((now, boot))?;
        let expected = earlier.plus(boot.saturating_sub(earlier_boot));
        if now.since(expected).max(expected.since(now)) <= CLOCK_TOLERANCE {
            return None;
        }
        let event = EventRecord::new(AuditEvent::ClockMoved)
            .with("expected", expected.to_string())
            .with("found", now.to_string());
        let body = PreparedBody::event(&event).ok()?;
        Some(Entry { body, then: Then::Nothing })
    }

    fn beat(&mut self) {
        let record = HeartbeatRecord { open_calls: self.open.len() as u64 };
        match PreparedBody::heartbeat(&record) {
            Ok(body) => drop(self.commit(vec![Entry { body, then: Then::Nothing }])),
            Err(fault) => tracing::error!(%fault, "a heartbeat was not written"),
        }
        self.ask_for_head();
    }

    fn ask_for_head(&mut self) {
        if self.headed.is_none_or(|(head, _)| head != self.head) {
            self.headed = Some((self.head, self.clock.boot_time()));
            self.chores.write_head(self.head);
        }
    }

    fn finish(mut self) {
        self.chores.stop();
        let config = &self.config;
        write_head(config, self.head, self.clock.now());
    }
}

/// Writes what is known of the chain's end beside the journal: for the next start, and signed for others.
pub(super) fn write_head(config: &JournalConfig, head: Head, now: Timestamp) {
    let JournalConfig { dir, device, mac_key, .. } = config;
    if let Err(fault) = head_file::write(dir, *device, head, now, mac_key) {
        tracing::warn!(%fault, "the journal's head file was not written");
    }
    if let Err(fault) = checkpoint::write(dir, *device, head, now, mac_key) {
        tracing::warn!(%fault, "the journal's checkpoint was not written");
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn encoding(fault: serde_json::Error) -> JournalFault {
    JournalFault::Encoding(fault.to_string())
}
