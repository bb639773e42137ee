//! Notes: a real connector over stdio whose words about itself change overnight.

use std::path::PathBuf;

use serde::Serialize;
use tempfile::TempDir;

use crate::PeerFault;
use crate::place::{python, script, text};

/// What the connector says of itself.
#[derive(Debug, Clone, Serialize)]
pub struct NotesWords {
    /// Its instructions.
    pub instructions: String,
    /// Of its tool `read_note`.
    pub tool: String,
    /// The name of the tool's only argument: `name` or `title`.
    pub argument: String,
    /// Of its prompt `summarise`.
    pub prompt: String,
    /// Of its resource template `note://{name}`.
    pub template: String,
}

impl Default for NotesWords {
    fn default() -> Self {
        Self {
            instructions: "Ask for a note by its name.".to_owned(),
            tool: "Reads a note.".to_owned(),
            argument: "name".to_owned(),
            prompt: "Asks for a summary of a note.".to_owned(),
            template: "A note.".to_owned(),
        }
    }
}

/// The connector: a FastMCP server, as often as it is started.
#[derive(Debug)]
pub struct Notes {
    folder: TempDir,
}

impl Notes {
    /// One that says the usual.
    ///
    /// # Errors
    /// If its folder cannot be made.
    pub fn new() -> Result<Self, PeerFault> {
        let notes = Self { folder: tempfile::Builder::new().prefix("deskgate-notes-").tempdir()? };
        notes.says(&NotesWords::default())?;
        Ok(notes)
    }

    /// What it says whenever it is started from now on.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn says(&self, words: &NotesWords) -> Result<(), PeerFault> {
        Ok(std::fs::write(self.words(), serde_json::to_vec(words)?)?)
    }

    /// The command that starts it.
    ///
    /// # Errors
    /// If the tools are not installed.
    pub fn command(&self) -> Result<Vec<String>, PeerFault> {
        Ok(vec![text(&python()?), text(&script("python/notes.py")), text(&self.words())])
    }

    fn words(&self) -> PathBuf {
        self.folder.path().join("words.json")
    }
}
