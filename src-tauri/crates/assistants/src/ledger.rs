//! What was done to whose files, so that it can be undone: `assistants.json` in Deskgate's folder.
//!
//! It holds what was put in and taken out and digests of the file before and after, nothing else of the file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use model::{Digest, ServerId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::splice::Splice;

const FORMAT: u32 = 1;
const NAME: &str = "assistants.json";

/// One connection that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The assistant's id.
    pub assistant: String,
    /// The virtual server.
    pub server: ServerId,
    /// The file that was changed.
    pub file: PathBuf,
    /// What the entry is called there.
    pub name: String,
    /// What the entry says.
    pub entry: Value,
    /// The file before; nothing where there was none.
    pub before: Option<Digest>,
    /// The file after.
    pub after: Digest,
    /// What leads from the one to the other.
    pub splices: Vec<Splice>,
    /// Folders that were made for the file, the outermost first.
    pub folders: Vec<PathBuf>,
    /// Whether the file before is the one that the person had. It is not where an earlier entry had to be taken out of a file that
    /// was changed since.
    pub exact: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    connections: Vec<Record>,
}

/// The ledger while nobody else changes it, read anew when that began.
#[derive(Debug)]
pub(crate) struct Held<'l> {
    ledger: &'l mut Ledger,
    /// Until it is closed.
    _lock: File,
}

impl Held<'_> {
    /// What was done to a file for an assistant, as of now.
    pub(crate) fn of_file(&self, assistant: &str, file: &Path) -> Vec<Record> {
        self.ledger.of_file(assistant, file)
    }

    /// Replaces what was done to a file for an assistant, durably.
    pub(crate) fn replace(&mut self, assistant: &str, file: &Path, records: &[Record]) -> io::Result<()> {
        let kept = self.ledger.records.iter().filter(|it| it.assistant != assistant || it.file != file);
        let connections = kept.chain(records).cloned().collect();
        let stored = Stored { format: FORMAT, connections };
        os::write_durable(&self.ledger.file(), &serde_json::to_vec_pretty(&stored)?)?;
        self.ledger.records = stored.connections;
        Ok(())
    }
}

/// The ledger of one installation.
#[derive(Debug, Clone)]
pub struct Ledger {
    home: PathBuf,
    records: Vec<Record>,
    set_aside: Option<PathBuf>,
}

impl Ledger {
    /// Reads the ledger in Deskgate's folder. One that is damaged is set aside, which [`Ledger::set_aside`] tells, and another is
    /// begun.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(home: &Path) -> io::Result<Self> {
        let file = home.join(NAME);
        let begun = |records, set_aside| Self { home: home.to_owned(), records, set_aside };
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(begun(Vec::new(), None)),
            Err(fault) => return Err(fault),
        };
        match serde_json::from_slice::<Stored>(&bytes) {
            Ok(Stored { format: FORMAT, connections }) => Ok(begun(connections, None)),
            Ok(_) | Err(_) => Ok(begun(Vec::new(), Some(os::set_aside(&file)?))),
        }
    }

    /// Where a damaged ledger lies now.
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// What was done, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What was done to a file for an assistant.
    pub(crate) fn of_file(&self, assistant: &str, file: &Path) -> Vec<Record> {
        self.records.iter().filter(|it| it.assistant == assistant && it.file == file).cloned().collect()
    }

    /// Where it lies.
    pub(crate) fn file(&self) -> PathBuf {
        self.home.join(NAME)
    }

    /// Waits until no other program changes the ledger or a file that it tells of, and keeps others from it until what is returned
    /// is gone.
    pub(crate) fn hold(&mut self) -> io::Result<Held<'_>> {
        os::create_private_dir(&self.home)?;
        let lock = File::create(self.home.join("assistants.lock"))?;
        lock.lock()?;
        let now = Self::open(&self.home)?;
        self.set_aside = now.set_aside.or_else(|| self.set_aside.take());
        self.records = now.records;
        Ok(Held { ledger: self, _lock: lock })
    }
}
