//! A wall clock that can be set while a program runs (libfaketime): days pass, or a person sets the computer's clock. The clock
//! that nobody sets, on which the program also counts, goes on as it is.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::PeerFault;

/// The wall clock of the programs that are started with its [environment](Self::environment).
#[derive(Debug)]
pub struct MovedClock {
    folder: TempDir,
    library: PathBuf,
}

impl MovedClock {
    /// One that is not moved yet.
    ///
    /// # Errors
    /// Without libfaketime.
    pub fn new() -> Result<Self, PeerFault> {
        let clock = Self {
            folder: tempfile::Builder::new().prefix("deskgate-clock-").tempdir()?,
            library: library()?,
        };
        clock.offset("+0")?;
        Ok(clock)
    }

    /// Sets it: so much later or earlier than it is, such as `+8d` or `-2h`.
    ///
    /// # Errors
    /// If it cannot be set.
    pub fn offset(&self, offset: &str) -> Result<(), PeerFault> {
        // Read in whole or not at all.
        let next = self.folder.path().join("next");
        std::fs::write(&next, format!("{offset}\n"))?;
        Ok(std::fs::rename(next, self.file())?)
    }

    /// What a program needs to have this clock.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file())),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            // Times of files are the disk's own.
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

/// In the folder of this machine's architecture, as Debian has it.
fn library() -> Result<PathBuf, PeerFault> {
    let folders = std::fs::read_dir("/usr/lib")?.filter_map(Result::ok);
    let found =
        folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|it| it.exists());
    found.ok_or_else(|| PeerFault::Missing("libfaketime".to_owned()))
}
