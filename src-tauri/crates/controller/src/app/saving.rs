//! Calls that were looked for in the window, kept in a file of the person's own.
//!
//! The file has one audit record a line (JSON Lines), as the journal has it and `deskgate audit export` prints it, the newest call
//! first: what allowed or denied a call, and below it what became of it.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audit::{JournalFault, PastCall, PastCalls};
use model::{Advice, ForPerson as _, Subject, Timestamp};
use tempfile::NamedTempFile;

use super::present::Present;
use super::runtime::blocking_or;
use crate::state::AppState;
use crate::view::{self, ActivityFilter, SavingView};

/// How many calls are written at once, between which somebody may give up.
const PAGE: usize = 2_000;

/// How files begin that are not finished.
const UNFINISHED: &str = ".deskgate-activity-";

/// So many files of the same day are told apart.
const MOST_OF_A_NAME: u32 = 100;

/// Writes calls into a file, a page at a time. One file at once; cheap to clone.
#[derive(Debug, Clone)]
pub struct SavedCalls {
    journal: PathBuf,
    present: Present,
    /// The file that is wanted now; others are not gone on with.
    wanted: Arc<AtomicU32>,
    under_way: Arc<Mutex<Option<Saving>>>,
    /// The file that was finished last.
    finished: Arc<Mutex<Option<PathBuf>>>,
}

/// A file that is being written. Dropped, it is gone.
#[derive(Debug)]
struct Saving {
    number: u32,
    calls: PastCalls,
    filter: ActivityFilter,
    file: BufWriter<NamedTempFile>,
    /// What it will be called.
    folder: PathBuf,
    name: String,
    saved: u32,
}

/// Why calls could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SavingFault {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The file could not be written.
    #[error("nothing can be saved in {}", folder.display())]
    Storage {
        /// Where it would be.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing is being saved: it was given up, or another was begun.
    #[error("nothing is being saved")]
    GivenUp,
}

impl SavingFault {
    /// What a person is told.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Journal(fault) => fault.advice(),
            Self::Storage { folder, source } => Advice::new(
                "activity-not-saved",
                format!("Nothing could be saved in {}: {source}.", folder.display()),
                "No file was left there.",
                "Check that the folder is there, belongs to you and has space left; then try again.",
            ),
            Self::GivenUp => Advice::new(
                "activity-saving-ended",
                "Saving was given up.",
                "No file was left.",
                "Save again.",
            ),
        }
    }
}

impl SavedCalls {
    pub(crate) fn of(journal: PathBuf, present: Present) -> Self {
        Self { journal, present, wanted: Arc::default(), under_way: Arc::default(), finished: Arc::default() }
    }

    /// Begins a file in `folder` with the calls that pass, and gives up one that is being written; what [`Self::further`] is asked
    /// with. The day is in the file's name.
    ///
    /// # Errors
    /// [`SavingFault`] where the journal cannot be read or nothing can be written there.
    pub async fn begin(
        &self,
        folder: PathBuf,
        filter: ActivityFilter,
        now: Timestamp,
    ) -> Result<u32, SavingFault> {
        let number = self.wanted.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        let this = self.clone();
        blocking_or(SavingFault::GivenUp, move || {
            let mut under_way = lock(&this.under_way);
            if this.wanted.load(Ordering::SeqCst) != number {
                // Another was begun meanwhile, or is.
                return Err(SavingFault::GivenUp);
            }
            *under_way = None;
            sweep(&folder);
            *under_way = Some(Saving::begin(number, &this.journal, folder, filter, now)?);
            Ok(number)
        })
        .await
    }

    /// Writes some more; the file is there when the answer names it.
    ///
    /// # Errors
    /// [`SavingFault`]; nothing is being saved any more then, and no file was left.
    pub async fn further(&self, state: Arc<AppState>, number: u32) -> Result<SavingView, SavingFault> {
        let this = self.clone();
        blocking_or(SavingFault::GivenUp, move || this.page(&state, number)).await
    }

    /// Gives up the file that is being written, or that one alone where it is named. Waits for the page that is being written.
    pub fn give_up(&self, number: Option<u32>) {
        let wanted = self.wanted.load(Ordering::SeqCst);
        if number.is_none_or(|number| number == wanted) {
            // Where another was begun this very moment, that one goes on.
            let next = wanted.wrapping_add(1);
            let _ = self.wanted.compare_exchange(wanted, next, Ordering::SeqCst, Ordering::SeqCst);
            let _ = lock(&self.under_way).take_if(|saving| saving.number == wanted);
        }
    }

    /// The folder of the file that was finished last.
    pub fn folder(&self) -> Option<PathBuf> {
        lock(&self.finished).as_deref().and_then(Path::parent).map(Path::to_owned)
    }

    fn page(&self, state: &AppState, number: u32) -> Result<SavingView, SavingFault> {
        let mut under_way = lock(&self.under_way);
        // What is not put back is given up, its file with it.
        let mut saving = under_way.take_if(|saving| saving.number == number).ok_or(SavingFault::GivenUp)?;
        let present = self.present.now().ok_or(SavingFault::GivenUp)?;
        saving.further(state, &present)?;
        if self.wanted.load(Ordering::SeqCst) != number {
            return Err(SavingFault::GivenUp);
        }
        let (calls, back_to) = (saving.saved, saving.calls.back_to().map(view::millis));
        if !saving.calls.is_over() {
            *under_way = Some(saving);
            return Ok(SavingView { calls, back_to, file: None });
        }
        let file = saving.finish()?;
        let shown = file.display().to_string();
        *lock(&self.finished) = Some(file);
        Ok(SavingView { calls, back_to, file: Some(shown) })
    }
}

impl Saving {
    fn begin(
        number: u32,
        journal: &Path,
        folder: PathBuf,
        filter: ActivityFilter,
        now: Timestamp,
    ) -> Result<Self, SavingFault> {
        let calls = PastCalls::of(journal)?;
        // Only whoever is signed in to the computer may read it (`tempfile`), and what is not finished goes away by itself.
        let file = match tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&folder) {
            Ok(file) => BufWriter::new(file),
            Err(source) => return Err(SavingFault::Storage { folder, source }),
        };
        let name = format!("deskgate-activity-{}", os::local_day(now));
        Ok(Self { number, calls, filter, file, folder, name, saved: 0 })
    }

    fn further(&mut self, state: &AppState, present: &Subject) -> Result<(), SavingFault> {
        let filter = &self.filter;
        let wanted = |past: &PastCall| {
            let call = view::past(state, present, past)?;
            view::passes(&call, filter).then(|| lines(past))
        };
        for lines in self.calls.further(PAGE, wanted)? {
            self.file.write_all(lines.as_bytes()).map_err(|source| self.storage(source))?;
            self.saved = self.saved.saturating_add(1);
        }
        Ok(())
    }

    /// Gives the file its name; another of that name is not touched.
    fn finish(mut self) -> Result<PathBuf, SavingFault> {
        self.file.flush().map_err(|source| self.storage(source))?;
        let Self { file, folder, name, .. } = self;
        let fault = |source| SavingFault::Storage { folder: folder.clone(), source };
        let mut file = file.into_inner().map_err(|error| fault(error.into_error()))?;
        for further in 1..=MOST_OF_A_NAME {
            let name = if further == 1 { format!("{name}.jsonl") } else { format!("{name}-{further}.jsonl") };
            let path = folder.join(name);
            match file.persist_noclobber(&path) {
                Ok(_) => return Ok(path),
                Err(there) if there.error.kind() == io::ErrorKind::AlreadyExists => file = there.file,
                Err(other) => return Err(fault(other.error)),
            }
        }
        Err(fault(io::ErrorKind::AlreadyExists.into()))
    }

    fn storage(&self, source: io::Error) -> SavingFault {
        SavingFault::Storage { folder: self.folder.clone(), source }
    }
}

/// Takes away what a program left that ended before it had finished; one file is written at once.
fn sweep(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED)) {
        // One that stays is in nobody's way.
        let _ = std::fs::remove_file(entry.path());
    }
}

/// What is recorded of a call.
fn lines(past: &PastCall) -> String {
    let records = [Some(&past.begun), past.ended.as_ref()];
    records.into_iter().flatten().map(|record| format!("{}\n", record.line())).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use audit::AuditRecord;

    use super::super::records::tests::journal_of_two;
    use super::*;
    use crate::view::OutcomeKind;

    async fn saved(
        calls: &SavedCalls,
        folder: &Path,
        text: &str,
        outcome: Option<OutcomeKind>,
    ) -> SavingView {
        let filter = ActivityFilter { text: text.to_owned(), outcome };
        let number =
            calls.begin(folder.to_owned(), filter, Timestamp::from_seconds(1_700_000_000)).await.unwrap();
        calls.further(Arc::new(AppState::starting(true)), number).await.unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
        files.sort();
        files
    }

    #[tokio::test]
    async fn what_was_looked_for_is_saved_as_it_was_recorded_and_nobody_elses() {
        let (journal, present) = journal_of_two().await;
        let folder = tempfile::tempdir().unwrap();
        let calls = SavedCalls::of(journal.path().to_owned(), present);
        let all = saved(&calls, folder.path(), "", None).await;
        assert_eq!(all.calls, 5);
        let file = PathBuf::from(all.file.unwrap());
        let text = std::fs::read_to_string(&file).unwrap();
        let written = audit::export(journal.path(), audit::Position::default(), 100).unwrap();
        for line in text.lines() {
            AuditRecord::parse(line).unwrap();
            assert!(
                written.iter().any(|record| record.line() == line),
                "as it stands in the journal: {line}"
            );
            assert!(!line.contains("bob"));
        }
        assert_eq!(text.lines().count(), 9, "four calls with their ends, and a denial");
        let failed = saved(&calls, folder.path(), " CURSOR move ", Some(OutcomeKind::Failed)).await;
        assert_eq!((failed.calls, calls.folder().as_deref()), (1, Some(folder.path())));
        assert_eq!(files(folder.path()).len(), 2, "one beside the other: {:?}", files(folder.path()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn what_is_given_up_or_cannot_be_written_leaves_no_file() {
        let (journal, present) = journal_of_two().await;
        let folder = tempfile::tempdir().unwrap();
        let calls = SavedCalls::of(journal.path().to_owned(), present);
        let state = Arc::new(AppState::starting(true));
        let now = Timestamp::from_seconds(1_700_000_000);
        let begin = || calls.begin(folder.path().to_owned(), ActivityFilter::default(), now);
        let first = begin().await.unwrap();
        let second = begin().await.unwrap();
        assert!(matches!(calls.further(Arc::clone(&state), first).await, Err(SavingFault::GivenUp)));
        let done = calls.further(Arc::clone(&state), second).await.unwrap();
        std::fs::remove_file(done.file.expect("what was begun later goes on")).unwrap();
        let third = begin().await.unwrap();
        calls.give_up(Some(second));
        assert_eq!(files(folder.path()).len(), 1, "another is not given up");
        calls.give_up(Some(third));
        assert_eq!(files(folder.path()), Vec::<String>::new());
        assert!(matches!(calls.further(Arc::clone(&state), third).await, Err(SavingFault::GivenUp)));
        std::fs::write(folder.path().join(".deskgate-activity-left"), "by a program that was ended").unwrap();
        begin().await.unwrap();
        assert_eq!(files(folder.path()).len(), 1, "the new one alone");
        calls.give_up(None);
        assert_eq!(files(folder.path()), Vec::<String>::new());
        let nowhere = folder.path().join("nowhere");
        let fault = calls.begin(nowhere.clone(), ActivityFilter::default(), now).await.unwrap_err();
        assert!(fault.advice().happened.contains(&nowhere.display().to_string()), "{fault}");
    }
}
