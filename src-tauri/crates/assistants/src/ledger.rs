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
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    connections: Vec<Record>,
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
        let file = home.join("assistants.json");
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

    /// Replaces what was done to a file for an assistant, durably. Another program that does the same waits meanwhile.
    pub(crate) fn replace(&mut self, assistant: &str, file: &Path, records: &[Record]) -> io::Result<()> {
        os::create_private_dir(&self.home)?;
        let lock = File::create(self.home.join("assistants.lock"))?;
        lock.lock()?;
        let now = Self::open(&self.home)?;
        self.set_aside = now.set_aside.or_else(|| self.set_aside.take());
        self.records = now.records;
        self.records.retain(|it| it.assistant != assistant || it.file != file);
        self.records.extend_from_slice(records);
        let stored = Stored { format: FORMAT, connections: self.records.clone() };
        let bytes = serde_json::to_vec_pretty(&stored)?;
        os::write_durable(&self.home.join("assistants.json"), &bytes)
    }
}
