//! Connecting: the change of one file, shown first, then written.

use std::io;
use std::path::{Path, PathBuf};

use model::Digest;
use similar::TextDiff;

use crate::disconnect::{Undone, undo};
use crate::edit::{Editor, Text};
use crate::entry::{Target, entry_name, reached};
use crate::fault::Fault;
use crate::ledger::{Ledger, Record};
use crate::machine::Machine;
use crate::table::Assistant;
use crate::tree::Tree;

/// What there is to do.
#[derive(Debug)]
pub enum Connection {
    /// Nothing: the entry is there as it should be.
    Already {
        /// The file that it is in.
        file: PathBuf,
    },
    /// This.
    Change(Change),
}

/// A change of a file that was not made yet.
#[derive(Debug)]
pub struct Change {
    /// The file.
    pub file: PathBuf,
    pub(crate) assistant: &'static str,
    pub(crate) before: Option<Text>,
    pub(crate) after: Option<Text>,
    /// What the ledger says of the file afterwards.
    pub(crate) records: Vec<Record>,
    /// Folders that were made for the file and go with it, the outermost first.
    pub(crate) folders: Vec<PathBuf>,
    /// Whether the file is as it was before it was connected, byte for byte.
    pub exact: bool,
}

/// What connects an assistant to a virtual server. An entry of ours with an earlier address is replaced.
///
/// # Errors
/// A [`Fault`]; an entry of the name that is not ours among them.
pub fn connect(
    machine: &Machine,
    assistant: &'static Assistant,
    target: &Target,
    ledger: &Ledger,
) -> Result<Connection, Fault> {
    let file = assistant.file(machine).ok_or(Fault::NoFile { assistant: assistant.title })?;
    let editor = Editor { assistant, file: &file };
    let before = read(&file)?;
    let (name, entry) = (entry_name(target.server.as_str()), assistant.entry_for(target));
    let mut records = ledger.of_file(assistant.id, &file);
    let mut text = before.clone();
    if let Some(found) = before.as_ref().map(|it| editor.entry(it, &name)).transpose()?.flatten() {
        if found == Tree::from(&entry) {
            return Ok(Connection::Already { file });
        }
        if reached(&found).is_none_or(|it| it.server != target.server.as_str()) {
            return Err(Fault::Taken { file, name });
        }
        if let Undone::Change(undone) = undo(&editor, assistant, target.server.as_str(), &before, records)? {
            (text, records) = (undone.after, undone.records);
        } else {
            return Err(Fault::Taken { file, name });
        }
    }
    // One whose entry somebody has taken out is over.
    records.retain(|it| it.server != target.server);
    let (record, after) = added(&editor, text.as_ref(), target, &name, entry)?;
    records.push(record);
    let folders = Vec::new();
    let assistant = assistant.id;
    Ok(Connection::Change(Change {
        file,
        assistant,
        before,
        after: Some(after),
        records,
        folders,
        exact: true,
    }))
}

/// Puts the entry in, and says what that took.
pub(crate) fn added(
    editor: &Editor<'_>,
    text: Option<&Text>,
    target: &Target,
    name: &str,
    entry: serde_json::Value,
) -> Result<(Record, Text), Fault> {
    let empty = Text::of(editor.file, b"")?;
    let (splices, after) = editor.add(text.unwrap_or(&empty), name, &entry)?;
    let record = Record {
        assistant: editor.assistant.id.to_owned(),
        server: target.server.clone(),
        file: editor.file.to_owned(),
        name: name.to_owned(),
        entry,
        before: text.map(Text::digest),
        after: after.digest(),
        splices,
        folders: if text.is_none() { missing_folders(editor.file) } else { Vec::new() },
    };
    Ok((record, after))
}

/// The file as it is; nothing where there is none.
pub(crate) fn read(file: &Path) -> Result<Option<Text>, Fault> {
    match std::fs::read(file) {
        Ok(bytes) => Text::of(file, &bytes).map(Some),
        // A link to nothing is not for us to replace.
        Err(fault) if fault.kind() == io::ErrorKind::NotFound && file.symlink_metadata().is_err() => Ok(None),
        Err(source) => Err(Fault::Unreadable { file: file.to_owned(), source }),
    }
}

/// The folders above a file that are not there, the outermost first.
fn missing_folders(file: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> =
        file.ancestors().skip(1).take_while(|it| !it.exists()).map(Path::to_owned).collect();
    missing.reverse();
    missing
}

impl Change {
    /// The change as a unified diff. One line beside each change is shown, no more: the file may hold what is nobody's business.
    pub fn diff(&self) -> String {
        let shown = |text: &Option<Text>| {
            text.as_ref().map(|it| String::from_utf8_lossy(it.bytes()).into_owned()).unwrap_or_default()
        };
        let name = |text: &Option<Text>| match text {
            Some(_) => self.file.display().to_string(),
            None => "/dev/null".to_owned(),
        };
        let (before, after) = (shown(&self.before), shown(&self.after));
        let (old, new) = (name(&self.before), name(&self.after));
        TextDiff::from_lines(&before, &after).unified_diff().context_radius(1).header(&old, &new).to_string()
    }

    /// Whether the file is made or removed as a whole.
    pub fn is_whole_file(&self) -> bool {
        self.before.is_none() || self.after.is_none()
    }

    /// Makes the change, durably. The ledger is written first when something is put in, and last when it is taken out, so that
    /// it never says less than was done.
    ///
    /// # Errors
    /// [`Fault::Meanwhile`] where the file is no longer the one that was looked at, and [`Fault::Unwritable`]. The file is then as
    /// it was.
    pub fn apply(&self, ledger: &mut Ledger) -> Result<(), Fault> {
        if read(&self.file)? != self.before {
            return Err(Fault::Meanwhile { file: self.file.clone() });
        }
        let earlier = ledger.of_file(self.assistant, &self.file);
        let adds = self.records.len() >= earlier.len().max(1);
        if adds {
            self.remember(ledger, &self.records)?;
        }
        if let Err(source) = self.write() {
            if adds {
                self.remember(ledger, &earlier)?;
            }
            return Err(Fault::Unwritable { file: self.file.clone(), source });
        }
        if adds { Ok(()) } else { self.remember(ledger, &self.records) }
    }

    fn remember(&self, ledger: &mut Ledger, records: &[Record]) -> Result<(), Fault> {
        let written = ledger.replace(self.assistant, &self.file, records);
        written.map_err(|source| Fault::Unwritable { file: "assistants.json".into(), source })
    }

    fn write(&self) -> io::Result<()> {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if before == after => Ok(()),
            (Some(_), Some(after)) => os::replace_durable(&self.file, after.bytes()),
            (None, Some(after)) => {
                if let Some(folder) = self.file.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                os::write_durable(&self.file, after.bytes())
            }
            (_, None) => {
                os::remove_durable(&self.file)?;
                for folder in self.folders.iter().rev() {
                    // One that somebody put something into stays.
                    if std::fs::remove_dir(folder).is_err() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Whether a text is the one of a digest; no text is the one of none.
pub(crate) fn is_as(text: Option<&Text>, digest: Option<Digest>) -> bool {
    text.map(Text::digest) == digest
}
