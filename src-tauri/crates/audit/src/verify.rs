//! The offline check of a journal directory: needs no key, no network and no running Deskgate.
//!
//! It finds what contradicts itself, the head file or a receipt. A journal that was written anew as a whole, with its
//! head file and without receipts, contradicts nothing here; the control plane, which knows the old head, refuses it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::{DeviceId, Timestamp};
use org_protocol::{
    AuditRecord, ChainWalk, EpochReason, EpochRecord, Finding, FindingKind, Head, Known, NoteKey, RecordBody,
};
use serde::Serialize;

use crate::checkpoint::{self, Checkpoint};
use crate::coverage::uncovered;
use crate::head_file;
use crate::pruned::{self, Pruned};
use crate::receipts::Receipts;
use crate::segment::{Piece, Segment, SegmentHeader, SegmentName, list};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many records could be read.
    pub records: u64,
    /// How many personal fields of them were erased.
    pub erased: u64,
    /// Each chain, oldest first.
    pub epochs: Vec<EpochReport>,
    /// When the first record was written.
    pub first: Option<Timestamp>,
    /// When the last record was written.
    pub last: Option<Timestamp>,
    /// The last record that the organisation has acknowledged. The receipt's signature is not checked here.
    pub acknowledged: Option<Head>,
    /// What the device has signed; nothing of it is trusted here but by [`verify_signed`].
    pub checkpoint: Option<CheckpointReport>,
    /// What is not here any more because it was no longer needed.
    pub pruned: Vec<PrunedReport>,
    /// Bytes after the last record that are none: a crash cut a write short, or one is under way.
    pub torn_bytes: u64,
    /// What is wrong; nothing, where all is well.
    pub findings: Vec<Finding>,
    /// What is wrong with files beside the records.
    pub faults: Vec<String>,
}

/// One chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EpochReport {
    /// Its number.
    pub epoch: u64,
    /// Whose records these are.
    pub device: Option<DeviceId>,
    /// Which organisation's; none in personal mode.
    pub org: Option<String>,
    /// Why it began.
    pub reason: Option<EpochReason>,
    /// How many records could be read.
    pub records: u64,
    /// Its last record.
    pub head: Option<Head>,
}

/// How far a history is signed, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckpointReport {
    /// The last record that is covered, and with it everything before.
    pub head: Head,
    /// When it was signed.
    pub at: Timestamp,
    /// Whose signature it has: a verifier key (C2SP `signed-note`).
    pub key: String,
    /// Whether whoever asked named this key; else the journal itself does, which proves nothing against one that was written anew.
    pub expected: bool,
    /// How many records were written after it, and are not covered.
    pub after: u64,
}

/// How far the beginning of one chain was removed because it was no longer needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrunedReport {
    /// The last record that was removed.
    pub end: Head,
    /// When it was.
    pub at: Timestamp,
    /// When the organisation signed for it; none where nobody did. The receipt's signature is not checked here.
    pub receipted: Option<Timestamp>,
    /// When its collector had said that it has it, where nobody signs.
    pub collected: Option<Timestamp>,
}

/// Why a journal could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyFault {
    /// There is no journal.
    #[error("there is no journal in {}", .0.display())]
    Absent(PathBuf),
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.faults.is_empty()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} records in {} chains", self.records, self.epochs.len())?;
        if let (Some(first), Some(last)) = (self.first, self.last) {
            write!(f, ", from {first} to {last}")?;
        }
        match self.acknowledged {
            Some(head) => write!(f, "; acknowledged up to record {} of epoch {}", head.seq, head.epoch)?,
            None => f.write_str("; no receipt")?,
        }
        if let Some(CheckpointReport { head, at, key, expected, after }) = &self.checkpoint {
            let Head { epoch, seq, .. } = head;
            let expected = if *expected { "the expected key" } else { "the journal's own key" };
            write!(f, "\nsigned at {at} up to record {seq} of epoch {epoch} by {expected} {key}")?;
            if *after > 0 {
                write!(f, "; {after} records came after it")?;
            }
        }
        if self.erased > 0 {
            write!(f, "\nerased: {} personal fields; the records stand without them", self.erased)?;
        }
        for PrunedReport { end, receipted, collected, .. } in &self.pruned {
            let Head { epoch, seq, .. } = end;
            write!(f, "\nremoved: records 1 to {seq} of epoch {epoch}: ")?;
            match (receipted, collected) {
                (Some(at), _) => write!(f, "the organisation signed for them on {at}")?,
                (None, Some(at)) => write!(f, "the organisation's collector had them on {at}")?,
                (None, None) => {
                    f.write_str("they were old, and the quota was near; nobody signed for them")?
                }
            }
        }
        for finding in &self.findings {
            write!(f, "\n{finding}")?;
        }
        for fault in &self.faults {
            write!(f, "\n{fault}")?;
        }
        if self.is_good() { f.write_str("\nNothing is missing or changed.") } else { Ok(()) }
    }
}

/// Checks every record in `dir` against its neighbours, the head file and the receipts. Blocks for the disk; may be used
/// while the journal is written.
///
/// # Errors
/// A [`VerifyFault`] where there is nothing to check or a file cannot be read. What is wrong with records is a finding.
pub fn verify(dir: &Path) -> Result<Report, VerifyFault> {
    look(dir, None)
}

/// As [`verify`], and insists on a checkpoint that this key signed: then nobody without the device's key wrote what is covered by it.
///
/// # Errors
/// As [`verify`].
pub fn verify_signed(dir: &Path, key: &NoteKey) -> Result<Report, VerifyFault> {
    look(dir, Some(key))
}

/// How often a check begins anew because a segment was removed under its eyes.
const ATTEMPTS: usize = 5;

fn look(dir: &Path, key: Option<&NoteKey>) -> Result<Report, VerifyFault> {
    for _ in 1..ATTEMPTS {
        match look_once(dir, key) {
            Err(VerifyFault::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    look_once(dir, key)
}

fn look_once(dir: &Path, key: Option<&NoteKey>) -> Result<Report, VerifyFault> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| VerifyFault::File { path, source }
    };
    // First, so that a record that is written meanwhile is no surprise.
    let head_file = head_file::read(dir);
    let note = checkpoint::read(dir);
    let receipts = Receipts::read(dir);
    let pruned = pruned::read(dir);
    let names = list(dir).map_err(unreadable(dir))?;
    if names.is_empty() && matches!(head_file, Ok(None)) {
        return Err(VerifyFault::Absent(dir.to_owned()));
    }
    let mut check = Check::new();
    match &head_file {
        Ok(Some(file)) => check.know(file.head, "the head file"),
        Ok(None) => {}
        Err(fault) => check.report.faults.push(format!("the head file is not good: {fault}")),
    }
    match &receipts {
        Ok(receipts) => {
            for receipt in receipts.all() {
                check.know(receipt.head(), &format!("the receipt of {}", receipt.stored_at));
                check.report.acknowledged = check.report.acknowledged.max(Some(receipt.head()));
            }
        }
        Err(fault) => check.report.faults.push(format!("the receipts cannot be read: {fault}")),
    }
    check.checkpoint(dir, note, key);
    match pruned {
        Ok(pruned) => pruned.iter().for_each(|pruned| check.prune(pruned)),
        Err(fault) => check.report.faults.push(format!("what was pruned cannot be read: {fault}")),
    }
    let mut epochs: BTreeMap<u64, Vec<SegmentName>> = BTreeMap::new();
    for name in names {
        epochs.entry(name.epoch).or_default().push(name);
    }
    for segments in epochs.values() {
        check.learn_from_beginning(dir, segments).map_err(unreadable(dir))?;
    }
    let last = epochs.keys().next_back().copied();
    for (epoch, segments) in &epochs {
        check.epoch(dir, *epoch, segments, Some(*epoch) == last).map_err(unreadable(dir))?;
    }
    check.missing_epochs(&epochs.keys().copied().collect());
    check.signature_reaches_all();
    Ok(check.report)
}

struct Check {
    known: Vec<Known>,
    /// How far epochs were removed rightfully.
    pruned: BTreeMap<u64, Head>,
    /// The end before, as each epoch's first record names it.
    begins: BTreeMap<u64, Option<Head>>,
    /// Where epochs ended, as their successors say, and why they ended.
    ends: BTreeMap<u64, (Head, EpochReason)>,
    report: Report,
}

impl Check {
    fn new() -> Self {
        let report = Report {
            records: 0,
            erased: 0,
            epochs: Vec::new(),
            first: None,
            last: None,
            acknowledged: None,
            checkpoint: None,
            pruned: Vec::new(),
            torn_bytes: 0,
            findings: Vec::new(),
            faults: Vec::new(),
        };
        Self {
            known: Vec::new(),
            pruned: BTreeMap::new(),
            begins: BTreeMap::new(),
            ends: BTreeMap::new(),
            report,
        }
    }

    fn know(&mut self, head: Head, from: &str) {
        self.known.push(Known { head, from: from.to_owned() });
    }

    fn checkpoint(&mut self, dir: &Path, note: Result<Option<String>, String>, expected: Option<&NoteKey>) {
        let read = match (note, expected) {
            (Ok(None), None) => return,
            (Ok(None), Some(key)) => Err(format!("there is none, so nothing here is signed by {key}")),
            (Ok(Some(note)), _) => signed(dir, &note, expected),
            (Err(fault), _) => Err(fault),
        };
        match read {
            Ok(report) => {
                self.know(report.head, &format!("the checkpoint of {}", report.at));
                self.report.checkpoint = Some(report);
            }
            Err(fault) => self.report.faults.push(format!("the signed checkpoint is not good: {fault}")),
        }
    }

    fn prune(&mut self, pruned: &Pruned) {
        let end = pruned.end;
        if let Some(detail) = pruned.contradiction() {
            let (epoch, to) = (end.epoch, end.seq);
            self.report.findings.push(Finding { kind: FindingKind::Removed, epoch, from: 1, to, detail });
            return;
        }
        let receipt = pruned.receipt.as_ref().and_then(|receipt| receipt.unverified().ok());
        let receipted = receipt.map(|receipt| receipt.stored_at);
        let collected = pruned.collected;
        self.report.pruned.push(PrunedReport { end, at: pruned.at, receipted, collected });
        self.pruned.insert(end.epoch, end);
    }

    /// An epoch's first record names the end of the one before.
    fn learn_from_beginning(&mut self, dir: &Path, segments: &[SegmentName]) -> std::io::Result<()> {
        let Some(name) = segments.first() else { return Ok(()) };
        let segment = Segment::read(&name.path(dir))?;
        let begins = beginning(&segment);
        self.begins.insert(name.epoch, begins.as_ref().and_then(|record| record.previous));
        if let Some(EpochRecord { previous: Some(previous), reason, .. }) = begins {
            self.know(previous, &format!("the beginning of epoch {}", name.epoch));
            self.ends.insert(previous.epoch, (previous, reason));
        }
        Ok(())
    }

    fn epoch(
        &mut self,
        dir: &Path,
        epoch: u64,
        segments: &[SegmentName],
        is_last: bool,
    ) -> std::io::Result<()> {
        let mut headers = Vec::new();
        for name in segments {
            headers.push(Segment::read_header(&name.path(dir))?);
        }
        let good = headers.iter().flatten().next();
        let mut report = EpochReport {
            epoch,
            device: good.map(|header| header.device),
            org: good.and_then(|header| header.org.clone()),
            reason: None,
            records: 0,
            head: None,
        };
        let Some(device) = report.device else {
            self.find(FindingKind::Unreadable, epoch, 1, "no segment of the epoch has a good header");
            self.report.epochs.push(report);
            return Ok(());
        };
        let mut walk = ChainWalk::new(device, epoch, &self.known);
        if let Some(end) = self.pruned.get(&epoch) {
            walk = walk.after(*end);
        }
        for (at, (name, header)) in segments.iter().zip(&headers).enumerate() {
            self.header(*name, header);
            let segment = Segment::read(&name.path(dir))?;
            if at == 0 {
                report.reason = beginning(&segment).map(|record| record.reason);
            }
            self.segment(&segment, &mut walk, is_last && at + 1 == segments.len());
        }
        let chain = walk.finish();
        report.records = chain.records;
        report.head = chain.last;
        self.report.records += chain.records;
        self.report.erased += chain.erased;
        self.report.findings.extend(chain.findings);
        self.after_the_end(epoch, chain.last);
        self.report.epochs.push(report);
        Ok(())
    }

    fn header(&mut self, name: SegmentName, header: &Result<SegmentHeader, String>) {
        match header {
            Ok(header) if (header.epoch, header.first_seq) == (name.epoch, name.first_seq) => {}
            Ok(header) => {
                let detail = format!("the segment of record {} has this name", header.first_seq);
                self.find(FindingKind::Reordered, name.epoch, name.first_seq, &detail);
            }
            Err(fault) => {
                self.find(FindingKind::Edited, name.epoch, name.first_seq, &format!("the segment: {fault}"));
            }
        }
    }

    fn segment(&mut self, segment: &Segment, walk: &mut ChainWalk, may_be_torn: bool) {
        let mut is_torn = false;
        for piece in segment.pieces().skip(1) {
            // What follows a hole was being written with it.
            is_torn |= may_be_torn && piece.has_a_hole();
            if is_torn {
                self.report.torn_bytes += piece.length();
                continue;
            }
            match piece {
                Piece::Line { text, .. } => {
                    if let Some(at) = walk.push(text) {
                        self.report.first = self.report.first.or(Some(at));
                        self.report.last = Some(at);
                    }
                }
                Piece::Torn { bytes } if may_be_torn => self.report.torn_bytes += bytes.len() as u64,
                Piece::Torn { .. } | Piece::Garbage { .. } => {
                    walk.push("");
                }
            }
        }
    }

    /// Nothing may follow what the next epoch says was the end. Where the end was damaged, what follows is evidence that
    /// has been reported already.
    fn after_the_end(&mut self, epoch: u64, last: Option<Head>) {
        let Some((end, reason)) = self.ends.get(&epoch).copied() else { return };
        let Some(last) = last.filter(|last| last.seq > end.seq) else { return };
        if reason != EpochReason::HistoryDamaged {
            self.report.findings.push(Finding {
                kind: FindingKind::Inserted,
                epoch,
                from: end.seq + 1,
                to: last.seq,
                detail: "the next epoch says that this one ended before".to_owned(),
            });
        }
    }

    /// Where somebody named a key, nothing that is not covered by its signature passes; what came after it is counted.
    fn signature_reaches_all(&mut self) {
        let Some(checkpoint) = &mut self.report.checkpoint else { return };
        let Head { epoch, seq, .. } = checkpoint.head;
        let after = self.report.epochs.iter().filter_map(|epoch| epoch.head);
        checkpoint.after = after
            .map(|last| match last.epoch.cmp(&epoch) {
                Ordering::Less => 0,
                Ordering::Equal => last.seq.saturating_sub(seq),
                Ordering::Greater => last.seq,
            })
            .sum();
        if checkpoint.expected {
            let faults = uncovered(checkpoint.head, &self.begins, &self.pruned);
            self.report.faults.extend(faults);
        }
    }

    fn missing_epochs(&mut self, present: &BTreeSet<u64>) {
        let mut missing: BTreeMap<u64, (u64, String)> = BTreeMap::new();
        let is_pruned = |head: &Head| self.pruned.get(&head.epoch).is_some_and(|end| head.seq <= end.seq);
        let gone = |known: &&Known| !present.contains(&known.head.epoch) && !is_pruned(&known.head);
        for known in self.known.iter().filter(gone) {
            let entry = missing.entry(known.head.epoch).or_default();
            *entry = std::mem::take(entry).max((known.head.seq, known.from.clone()));
        }
        for (epoch, (to, from)) in missing {
            let detail = format!("the whole epoch is gone; {from} names it");
            let from = self.pruned.get(&epoch).map_or(1, |end| end.seq.saturating_add(1));
            self.report.findings.push(Finding { kind: FindingKind::Removed, epoch, from, to, detail });
        }
    }

    fn find(&mut self, kind: FindingKind, epoch: u64, seq: u64, detail: &str) {
        self.report.findings.push(Finding { kind, epoch, from: seq, to: seq, detail: detail.to_owned() });
    }
}

/// What a checkpoint's note says, signed by the key that is expected, or else by the one that its chain names.
fn signed(dir: &Path, note: &str, expected: Option<&NoteKey>) -> Result<CheckpointReport, String> {
    let Checkpoint { head, at, device } = Checkpoint::of_note(note)?;
    let key = match expected {
        Some(key) => key.clone(),
        None => named_key(dir, head.epoch)
            .ok_or_else(|| format!("epoch {} names no key to check it with", head.epoch))?,
    };
    key.open(note).map_err(|fault| fault.to_string())?;
    if !checkpoint::is_of(&key, device) {
        return Err("it is of another device than its key".to_owned());
    }
    Ok(CheckpointReport { head, at, key: key.to_string(), expected: expected.is_some(), after: 0 })
}

/// The key that the segments of an epoch name.
fn named_key(dir: &Path, epoch: u64) -> Option<NoteKey> {
    let names = list(dir).ok()?.into_iter().rev().filter(|name| name.epoch == epoch);
    let mut headers = names.filter_map(|name| Segment::read_header(&name.path(dir)).ok()?.ok());
    headers.find_map(|header| header.checkpoint_key)?.parse().ok()
}

fn beginning(segment: &Segment) -> Option<EpochRecord> {
    let piece = segment.pieces().nth(1)?;
    let Piece::Line { text, .. } = piece else { return None };
    match AuditRecord::parse(text).ok()?.body() {
        RecordBody::Epoch(record) => Some(record.clone()),
        RecordBody::Intent(_)
        | RecordBody::Outcome(_)
        | RecordBody::Denial(_)
        | RecordBody::Event(_)
        | RecordBody::Gap(_)
        | RecordBody::Heartbeat(_)
        | RecordBody::Unknown => None,
    }
}
