//! What the disk may hold when the operating system crashes or the power fails: whatever was synced, and of everything else
//! any part. Each such image has all that was acknowledged, and is repaired without anybody being accused.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use model::CallId;

use super::faults::large_intent;
use super::support::*;
use crate::head_file;
use crate::storage::{Disk, SegmentFile, Storage};
use crate::*;

/// What the disk writes as a whole.
const SECTOR: usize = 512;

/// What was done to the disk, and what somebody was told.
#[derive(Clone)]
enum Step {
    Prepared { path: PathBuf, length: usize },
    Opened { path: PathBuf, file: usize, offset: u64 },
    Wrote { file: usize, bytes: Vec<u8> },
    Synced { file: usize },
    Adopted { from: PathBuf, to: PathBuf },
    Cut { path: PathBuf, length: usize },
    Removed { path: PathBuf },
    Acknowledged { call: CallId, head: Head },
}

/// The disk, with a list of what is done to it.
#[derive(Clone, Default)]
struct Recorder {
    steps: Arc<Mutex<Vec<Step>>>,
    files: Arc<Mutex<usize>>,
}

impl Recorder {
    fn note(&self, step: Step) {
        self.steps.lock().unwrap().push(step);
    }
}

impl Storage for Recorder {
    fn prepare(&self, path: &Path, length: u64) -> io::Result<()> {
        self.note(Step::Prepared { path: path.to_owned(), length: usize::try_from(length).unwrap() });
        Disk.prepare(path, length)
    }

    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn SegmentFile>> {
        let mut files = self.files.lock().unwrap();
        *files += 1;
        self.note(Step::Opened { path: path.to_owned(), file: *files, offset });
        let file = Disk.open(path, offset)?;
        Ok(Box::new(RecordedFile { file, id: *files, recorder: self.clone() }))
    }

    fn adopt(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.adopt(from, to)?;
        self.note(Step::Adopted { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        self.note(Step::Cut { path: path.to_owned(), length: usize::try_from(length).unwrap() });
        Disk.cut(path, length)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(Step::Removed { path: path.to_owned() });
        Disk.remove(path)
    }
}

struct RecordedFile {
    file: Box<dyn SegmentFile>,
    id: usize,
    recorder: Recorder,
}

impl SegmentFile for RecordedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.recorder.note(Step::Wrote { file: self.id, bytes: bytes.to_owned() });
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.recorder.note(Step::Synced { file: self.id });
        Ok(())
    }
}

/// A file's bytes: those that are certainly on the disk, and those that a program reads.
#[derive(Clone, Default)]
struct Content {
    certain: Vec<u8>,
    seen: Vec<u8>,
}

impl Content {
    /// What a crash may leave: each sector as it certainly is or as it was last written. `keeps` chooses.
    fn after_crash(&self, mut keeps: impl FnMut() -> bool) -> Vec<u8> {
        let mut bytes = self.certain.clone();
        for (at, sector) in self.seen.chunks(SECTOR).enumerate() {
            let from = at * SECTOR;
            let is_new = self.certain.get(from..from + sector.len()) != Some(sector);
            if is_new && keeps() {
                bytes.resize(bytes.len().max(from + sector.len()), 0);
                bytes[from..from + sector.len()].copy_from_slice(sector);
            }
        }
        bytes
    }
}

/// The disk as the steps make it.
#[derive(Default)]
struct Model {
    names: BTreeMap<PathBuf, Content>,
    /// Where each open file is, and where it is written next.
    open: BTreeMap<usize, (PathBuf, usize)>,
    acknowledged: Vec<CallId>,
    head: Option<Head>,
}

impl Model {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Prepared { path, length } => {
                let content = Content { certain: Vec::new(), seen: vec![0; *length] };
                self.names.insert(path.clone(), content);
            }
            Step::Opened { path, file, offset } => {
                self.open.insert(*file, (path.clone(), usize::try_from(*offset).unwrap()));
            }
            Step::Wrote { file, bytes } => {
                let (path, at) = self.open.get_mut(file).unwrap();
                let content = self.names.get_mut(path).unwrap();
                let end = *at + bytes.len();
                content.seen.resize(content.seen.len().max(end), 0);
                content.seen[*at..end].copy_from_slice(bytes);
                *at = end;
            }
            Step::Synced { file } => {
                let content = self.names.get_mut(&self.open[file].0).unwrap();
                content.certain = content.seen.clone();
            }
            Step::Adopted { from, to } => {
                let content = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), content);
                self.open
                    .values_mut()
                    .filter(|(path, _)| path == from)
                    .for_each(|open| open.0.clone_from(to));
            }
            Step::Cut { path, length } => {
                let content = self.names.get_mut(path).unwrap();
                content.seen.truncate(*length);
                content.certain = content.seen.clone();
            }
            Step::Removed { path } => drop(self.names.remove(path)),
            Step::Acknowledged { call, head } => {
                self.acknowledged.push(*call);
                self.head = self.head.max(Some(*head));
            }
        }
    }

    /// Lays an image out and starts on it.
    fn survives(&self, from: &Home, mut keeps: impl FnMut() -> bool, with_head_file: bool) {
        let home = Home { device: from.device, ..Home::new() };
        std::fs::create_dir(home.dir()).unwrap();
        for (path, content) in &self.names {
            std::fs::write(home.dir().join(path.file_name().unwrap()), content.after_crash(&mut keeps))
                .unwrap();
        }
        if let Some(head) = self.head.filter(|_| with_head_file) {
            let at = model::Timestamp::from_seconds(1);
            head_file::write(&home.dir(), home.device, head, at, &KEY).unwrap();
        }
        let before = verify(&home.dir());
        assert!(before.as_ref().is_ok_and(Report::is_good) || home.segments().is_empty(), "{before:?}");
        let (journal, recovery) = home.open();
        let first = home.segments().len() == 1 && self.acknowledged.is_empty();
        assert!(recovery.began.is_none() || first, "{recovery:?}");
        let records = all(&journal);
        let intents: Vec<CallId> = records
            .iter()
            .filter_map(|record| {
                let RecordBody::Intent(intent) = record.body() else { return None };
                Some(intent.call)
            })
            .collect();
        for call in &self.acknowledged {
            assert!(intents.contains(call), "{call} was acknowledged and is gone: {recovery:?}");
        }
        let ended: Vec<CallId> = outcomes(&records).into_iter().map(|(call, ..)| call).collect();
        assert_eq!(ended.len(), intents.len(), "one outcome for each intent");
        journal.close();
        assert_eq!(home.findings(), []);
    }
}

/// Batches of calls through several segments, two starts and a failure in between.
async fn recorded(home: &Home) -> Vec<Step> {
    let recorder = Recorder::default();
    for _ in 0..2 {
        let clock: Arc<os::ManualClock> = Arc::clone(&home.clock);
        let (journal, _) = Journal::open_on(home.config(), clock, Arc::new(recorder.clone())).unwrap();
        for _ in 0..3 {
            let mut batch = tokio::task::JoinSet::new();
            for _ in 0..3 {
                let (journal, recorder) = (journal.clone(), recorder.clone());
                batch.spawn(async move {
                    let intent = journal.intent(large_intent()).await.unwrap();
                    recorder.note(Step::Acknowledged { call: intent.call(), head: journal.head() });
                    journal.outcome(intent, ok()).unwrap();
                });
            }
            while let Some(done) = batch.join_next().await {
                done.unwrap();
            }
        }
        journal.close();
    }
    let steps = recorder.steps.lock().unwrap();
    steps.clone()
}

#[tokio::test]
async fn whatever_a_crash_of_the_operating_system_leaves_nothing_that_was_acknowledged_is_lost() {
    let home = Home::new();
    let steps = recorded(&home).await;
    assert!(home.segments().len() > 2);
    // As `testkit::full_size`.
    let images = if std::env::var_os("DESKGATE_TEST_FULL").is_some() { 8 } else { 1 };
    let mut model = Model::default();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for (at, step) in steps.iter().enumerate() {
        model.take(step);
        if matches!(step, Step::Acknowledged { .. } | Step::Opened { .. }) {
            continue;
        }
        let with_head_file = at % 2 == 0;
        model.survives(&home, || at % 4 < 2, with_head_file);
        for _ in 0..images {
            let mut coin = || {
                // xorshift64
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random & 1 == 0
            };
            model.survives(&home, &mut coin, with_head_file);
        }
    }
}
