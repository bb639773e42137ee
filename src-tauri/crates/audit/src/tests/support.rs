//! What the tests share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use model::{CallId, DeviceId, Digest, Subject};
use os::ManualClock;

use crate::storage::{Disk, SegmentFile, Storage};
use crate::{
    ArgumentSummary, AuditRecord, DenialRecord, Effect, FindingKind, IntentRecord, Journal, JournalConfig,
    Outcome, OutcomeStatus, PolicyReference, Position, RecordBody, Recovery, verify,
};

pub(super) const KEY: [u8; 32] = [9; 32];

/// A journal's directory in a directory of its own, so that the head file has its place.
pub(super) struct Home {
    pub(super) root: tempfile::TempDir,
    pub(super) device: DeviceId,
    pub(super) clock: Arc<ManualClock>,
}

impl Home {
    pub(super) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), device: DeviceId::new(), clock: Arc::default() }
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.root.path().join("journal")
    }

    pub(super) fn config(&self) -> JournalConfig {
        JournalConfig {
            retry_every: Duration::from_millis(5),
            segment_bytes: 64 * 1024,
            ..JournalConfig::new(self.dir(), self.device, KEY)
        }
    }

    pub(super) fn org_config(&self, org: &str) -> JournalConfig {
        JournalConfig { org: Some(org.to_owned()), ..self.config() }
    }

    pub(super) fn open(&self) -> (Journal, Recovery) {
        self.open_with(self.config())
    }

    pub(super) fn open_with(&self, config: JournalConfig) -> (Journal, Recovery) {
        let clock: Arc<ManualClock> = Arc::clone(&self.clock);
        Journal::open(config, clock).unwrap()
    }

    pub(super) fn open_on(&self, storage: &Arc<Faulty>) -> Journal {
        let clock: Arc<ManualClock> = Arc::clone(&self.clock);
        let storage: Arc<Faulty> = Arc::clone(storage);
        Journal::open_on(self.config(), clock, storage).unwrap().0
    }

    /// The kinds of findings, in order, with their range.
    pub(super) fn findings(&self) -> Vec<(FindingKind, u64, u64)> {
        let report = verify(&self.dir()).unwrap();
        report.findings.iter().map(|finding| (finding.kind, finding.from, finding.to)).collect()
    }

    /// The segment files, in order.
    pub(super) fn segments(&self) -> Vec<PathBuf> {
        let names = crate::segment::list(&self.dir()).unwrap();
        names.into_iter().map(|name| name.path(&self.dir())).collect()
    }
}

pub(super) fn intent() -> IntentRecord {
    IntentRecord {
        call: CallId::new(),
        subject: Subject::local("employee"),
        server: "analyst".parse().unwrap(),
        connector: "warehouse".parse().unwrap(),
        effect: Effect::tool_call("execute_sql"),
        client_id: "client".to_owned(),
        client_name: "Assistant".to_owned(),
        process: None,
        policy: policy(),
        rules: vec!["analysts-read".to_owned()],
        observed: Vec::new(),
        approval: None,
        credential: "shared:warehouse".to_owned(),
        arguments: ArgumentSummary::of(r#"{"sql":"select 1"}"#, &KEY, false),
        payload: Vec::new(),
    }
}

pub(super) fn policy() -> PolicyReference {
    PolicyReference { label: "1".to_owned(), digest: Digest::of(b"policy") }
}

pub(super) fn denial() -> DenialRecord {
    let IntentRecord { call, subject, server, client_id, client_name, policy, .. } = intent();
    DenialRecord {
        call,
        subject,
        server,
        connector: None,
        effect: Effect::tool_call("drop_table"),
        client_id,
        client_name,
        process: None,
        policy,
        rules: Vec::new(),
        kind: "not-listed".to_owned(),
        reason: "nothing permits it".to_owned(),
        arguments: None,
        payload: Vec::new(),
    }
}

pub(super) fn ok() -> Outcome {
    Outcome::new(OutcomeStatus::Ok)
}

/// One whole call.
pub(super) async fn call(journal: &Journal) -> CallId {
    let intent = journal.intent(intent()).await.unwrap();
    let call = intent.call();
    journal.outcome(intent, ok()).unwrap();
    call
}

/// `count` whole calls, and then a close: a first record, then two records for each.
pub(super) async fn filled(home: &Home, count: usize) {
    let (journal, _) = home.open();
    for _ in 0..count {
        call(&journal).await;
    }
    journal.close();
}

/// Waits until `seq` is on disk.
pub(super) async fn reached(journal: &Journal, seq: u64) {
    let mut head = journal.watch();
    let wait = head.wait_for(|head| head.seq >= seq);
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the record is written").unwrap();
}

pub(super) fn all(journal: &Journal) -> Vec<AuditRecord> {
    journal.after(Position::default(), usize::MAX).unwrap()
}

pub(super) fn kinds(records: &[AuditRecord]) -> Vec<&str> {
    records.iter().map(|record| record.link().kind.as_str()).collect()
}

/// The status and code of each outcome.
pub(super) fn outcomes(records: &[AuditRecord]) -> Vec<(CallId, OutcomeStatus, Option<String>)> {
    let outcome = |record: &AuditRecord| {
        let RecordBody::Outcome(record) = record.body() else { return None };
        Some((record.of.call, record.outcome.status, record.outcome.code.clone()))
    };
    records.iter().filter_map(outcome).collect()
}

/// Copies a directory tree of one level.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The disk, with a count of syncs, and faults and delays on demand.
#[derive(Default)]
pub(super) struct Faulty {
    pub(super) syncs: Arc<AtomicUsize>,
    faults: Arc<Mutex<Faults>>,
    gate: Arc<Gate>,
}

/// What is to fail.
#[derive(Default)]
struct Faults {
    next: Vec<(Operation, io::ErrorKind, usize)>,
    /// The number of an operation, of whatever kind.
    at: Option<(usize, io::ErrorKind)>,
    done: usize,
    /// Uses of a file after it has failed.
    misused: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Prepare,
    Open,
    Append,
    Sync,
    Adopt,
    Cut,
    Remove,
}

#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Faulty {
    /// Fails the next `times` of these operations.
    pub(super) fn fail(&self, operation: Operation, kind: io::ErrorKind, times: usize) {
        self.faults.lock().unwrap().next.push((operation, kind, times));
    }

    /// Fails the operation of this number, from 0, of whatever kind it is.
    pub(super) fn failing_at(number: usize, kind: io::ErrorKind) -> Self {
        let faults = Faults { at: Some((number, kind)), ..Faults::default() };
        Self { faults: Arc::new(Mutex::new(faults)), ..Self::default() }
    }

    /// How many operations there were.
    pub(super) fn operations(&self) -> usize {
        self.faults.lock().unwrap().done
    }

    /// How often a file was written or synced although that had failed before.
    pub(super) fn misused(&self) -> usize {
        self.faults.lock().unwrap().misused
    }

    /// Succeeds from now on.
    pub(super) fn heal(&self) {
        self.faults.lock().unwrap().next.clear();
    }

    /// Holds every sync until [`Faulty::let_go`].
    pub(super) fn hold(&self) {
        *self.gate.shut.lock().unwrap() = true;
    }

    pub(super) fn let_go(&self) {
        *self.gate.shut.lock().unwrap() = false;
        self.gate.opened.notify_all();
    }

    pub(super) fn synced(&self) -> usize {
        self.syncs.load(Ordering::SeqCst)
    }
}

fn check(faults: &Mutex<Faults>, operation: Operation) -> io::Result<()> {
    let mut faults = faults.lock().unwrap();
    let number = faults.done;
    faults.done += 1;
    if let Some((_, kind)) = faults.at.filter(|(at, _)| *at == number) {
        return Err(kind.into());
    }
    match faults.next.iter_mut().find(|(of, _, left)| *of == operation && *left > 0) {
        Some((_, kind, left)) => {
            *left -= 1;
            Err((*kind).into())
        }
        None => Ok(()),
    }
}

impl Storage for Faulty {
    fn prepare(&self, path: &Path, length: u64) -> io::Result<()> {
        check(&self.faults, Operation::Prepare)?;
        Disk.prepare(path, length)
    }

    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn SegmentFile>> {
        check(&self.faults, Operation::Open)?;
        let file = Disk.open(path, offset)?;
        let (syncs, faults, gate) =
            (Arc::clone(&self.syncs), Arc::clone(&self.faults), Arc::clone(&self.gate));
        Ok(Box::new(FaultyFile { file, syncs, faults, gate, has_failed: false }))
    }

    fn adopt(&self, from: &Path, to: &Path) -> io::Result<()> {
        check(&self.faults, Operation::Adopt)?;
        Disk.adopt(from, to)
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        check(&self.faults, Operation::Cut)?;
        Disk.cut(path, length)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        check(&self.faults, Operation::Remove)?;
        Disk.remove(path)
    }
}

struct FaultyFile {
    file: Box<dyn SegmentFile>,
    syncs: Arc<AtomicUsize>,
    faults: Arc<Mutex<Faults>>,
    gate: Arc<Gate>,
    has_failed: bool,
}

impl FaultyFile {
    fn check(&mut self, operation: Operation) -> io::Result<()> {
        if self.has_failed {
            self.faults.lock().unwrap().misused += 1;
        }
        check(&self.faults, operation).inspect_err(|_| self.has_failed = true)
    }
}

impl SegmentFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(fault) = self.check(Operation::Append) {
            // As a full disk does: a part is written.
            self.file.append(&bytes[..bytes.len() / 2])?;
            return Err(fault);
        }
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        let shut = self.gate.shut.lock().unwrap();
        drop(self.gate.opened.wait_while(shut, |shut| *shut).unwrap());
        self.check(Operation::Sync)?;
        self.file.sync()
    }
}
