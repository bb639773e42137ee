//! Connecting: the change of one file, shown first, then written.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use model::Digest;
use similar::TextDiff;

use crate::disconnect::{Undone, undo};
use crate::edit::{Editor, Text};
use crate::entry::{Target, entry_name, reached};
use crate::fault::Fault;
use crate::ledger::{Held, Ledger, Record};
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
    /// What the ledger said of the file when the change was computed.
    pub(crate) earlier: Vec<Record>,
    /// What the ledger says of the file afterwards.
    pub(crate) records: Vec<Record>,
    /// Folders that were made for the file and go with it, the outermost first.
    pub(crate) folders: Vec<PathBuf>,
    /// Whether the file is as it was before it was connected, byte for byte; of a connection, whether undoing it leads there.
    pub exact: bool,
}

/// What connects an assistant to a virtual server. An entry of ours with an earlier address is replaced where the ledger tells of
/// it.
///
/// # Errors
/// A [`Fault`]; an entry of the name that is not ours, or that was made by hand, among them.
pub fn connect(
    machine: &Machine,
    assistant: &'static Assistant,
    target: &Target,
    ledger: &Ledger,
) -> Result<Connection, Fault> {
    let file = assistant.file(machine).ok_or(Fault::NoFile { assistant: assistant.title })?;
    let editor = Editor::of(assistant, &file);
    let before = read(&file)?;
    let (name, entry) = (entry_name(target.server.as_str()), assistant.entry_for(target));
    let earlier = ledger.of_file(assistant.id, &file);
    let (mut text, mut records, mut exact) = (before.clone(), earlier.clone(), true);
    if let Some(found) = before.as_ref().map(|it| editor.entry(it, &name)).transpose()?.flatten() {
        if found == Tree::from(&entry) {
            return Ok(Connection::Already { file });
        }
        if reached(&found).is_none_or(|it| it.server != target.server.as_str()) {
            return Err(Fault::Taken { file, name });
        }
        // It may hold what Deskgate never wrote, and could not bring back.
        if !earlier.iter().any(|it| it.server == target.server && it.name == name) {
            return Err(Fault::ByHand { file, name });
        }
        if let Undone::Change(undone) = undo(&editor, assistant, target.server.as_str(), &before, records)? {
            (text, records, exact) = (undone.after, undone.records, undone.exact);
        } else {
            return Err(Fault::Taken { file, name });
        }
    }
    // One whose entry somebody has taken out is over.
    records.retain(|it| it.server != target.server);
    let (mut record, after) = added(&editor, text.as_ref(), target, &name, entry)?;
    record.exact = exact;
    if text.is_none() {
        record.folders = remembered(&earlier, record.folders);
    }
    records.push(record);
    let (assistant, after, folders) = (assistant.id, Some(after), Vec::new());
    Ok(Connection::Change(Change { file, assistant, before, after, earlier, records, folders, exact }))
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
        exact: true,
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

/// The folders that go with the file: those that were made for it earlier and are still there, and those that will be made.
fn remembered(earlier: &[Record], missing: Vec<PathBuf>) -> Vec<PathBuf> {
    let made: BTreeSet<PathBuf> =
        earlier.iter().flat_map(|it| &it.folders).filter(|it| it.exists()).cloned().collect();
    // All lie above the file, so a folder comes before what is in it.
    made.into_iter().chain(missing).collect()
}

/// Removes folders, the innermost first. One that somebody put something into stays, and those that it is in.
fn remove_folders(folders: &[PathBuf]) {
    for folder in folders.iter().rev() {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
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

    /// The same without the lines beside, without these secrets, and with nothing of the file that is not known to be harmless:
    /// names, and the plain words of the entries that go or come.
    pub fn masked_diff(&self, secrets: &[&str]) -> String {
        // Without its assistant nothing is known of a file.
        let Some(assistant) = Assistant::named(self.assistant) else { return String::new() };
        let states = [self.before.as_ref(), self.after.as_ref()];
        crate::masked::masked_diff(assistant, &self.file, states, secrets)
    }

    /// Whether the file is as it was when the change was computed.
    ///
    /// # Errors
    /// [`Fault::Meanwhile`] where it is not; [`Fault::Unreadable`].
    pub fn check(&self) -> Result<(), Fault> {
        if read(&self.file)? == self.before {
            Ok(())
        } else {
            Err(Fault::Meanwhile { file: self.file.clone() })
        }
    }

    /// Whether the file is made or removed as a whole.
    pub fn is_whole_file(&self) -> bool {
        self.before.is_none() || self.after.is_none()
    }

    /// Makes the change, durably, while no other program changes the ledger. The ledger is written first when something is put in,
    /// and last when it is taken out, so that it never says less than was done.
    ///
    /// # Errors
    /// [`Fault::Meanwhile`] where the file, or what the ledger says of it, is no longer what was looked at;
    /// [`Fault::Unreadable`] and [`Fault::Unwritable`]: the file is then as it was. [`Fault::NotRemembered`]: the file was
    /// changed. [`Fault::Unsettled`]: it may have been.
    pub fn apply(&self, ledger: &mut Ledger) -> Result<(), Fault> {
        let place = ledger.file();
        let mut held = ledger.hold().map_err(|source| Fault::Unwritable { file: place.clone(), source })?;
        if read(&self.file)? != self.before || held.of_file(self.assistant, &self.file) != self.earlier {
            return Err(Fault::Meanwhile { file: self.file.clone() });
        }
        let adds = self.records.len() >= self.earlier.len().max(1);
        if adds {
            let written = held.replace(self.assistant, &self.file, &self.records);
            written.map_err(|source| Fault::Unwritable { file: place.clone(), source })?;
        }
        self.write().map_err(|source| self.failed(&mut held, source))?;
        if adds {
            return Ok(());
        }
        let written = held.replace(self.assistant, &self.file, &self.records);
        written.map_err(|source| self.unremembered(place, source))
    }

    /// The file could not be written. What the ledger says stays unless nothing happened: a write can fail when the file has its new
    /// bytes already.
    fn failed(&self, held: &mut Held<'_>, source: io::Error) -> Fault {
        let file = self.file.clone();
        if !read(&file).is_ok_and(|now| now == self.before) {
            return Fault::Unsettled { file, source };
        }
        if held.of_file(self.assistant, &file) != self.earlier {
            // Where this fails too, the ledger tells of an entry that is not there, which is forgotten as one that somebody took out.
            let _ = held.replace(self.assistant, &file, &self.earlier);
        }
        Fault::Unwritable { file, source }
    }

    /// The file was written, and the ledger could not be.
    fn unremembered(&self, ledger: PathBuf, source: io::Error) -> Fault {
        if self.before == self.after {
            return Fault::Unwritable { file: ledger, source };
        }
        Fault::NotRemembered { file: self.file.clone(), ledger, source }
    }

    fn write(&self) -> io::Result<()> {
        match (&self.before, &self.after) {
            (before, after) if before == after => Ok(()),
            (Some(_), Some(after)) => os::replace_durable(&self.file, after.bytes()),
            (None, Some(after)) => {
                let missing = missing_folders(&self.file);
                // Nothing is left of a file that was not made.
                self.make(after).inspect_err(|_| remove_folders(&missing))
            }
            (_, None) => {
                os::remove_durable(&self.file)?;
                remove_folders(&self.folders);
                Ok(())
            }
        }
    }

    fn make(&self, text: &Text) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        os::write_durable(&self.file, text.bytes())
    }
}

/// Whether a text is the one of a digest; no text is the one of none.
pub(crate) fn is_as(text: Option<&Text>, digest: Option<Digest>) -> bool {
    text.map(Text::digest) == digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Platform;

    /// The file holds `now` when its write has failed: that is said, and so many connections are remembered.
    fn check(now: Option<&str>, expected: fn(&Fault) -> bool, remembered: usize) {
        let folder = tempfile::tempdir().expect("a folder");
        let (home, variables) = (folder.path().join("home"), std::collections::BTreeMap::new());
        let machine = Machine { platform: Platform::Linux, home, variables, path: Vec::new() };
        let codex = Assistant::named("codex").expect("known");
        let file = codex.file(&machine).expect("a file");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(&file, "a = 1\n").expect("written");
        let mut ledger = Ledger::open(&folder.path().join("deskgate")).expect("a ledger");
        let url = url::Url::parse("http://127.0.0.1:7717/s/desk/mcp").expect("a URL");
        let target = Target { server: "desk".parse().expect("an id"), url, bridge: Vec::new() };
        let connection = connect(&machine, codex, &target, &ledger).expect("a change");
        let Connection::Change(change) = connection else { panic!("a change") };
        let mut held = ledger.hold().expect("held");
        held.replace(change.assistant, &file, &change.records).expect("remembered");
        let after = change.after.as_ref().expect("a file").bytes();
        std::fs::write(&file, now.map_or(after, str::as_bytes)).expect("written");
        let fault = change.failed(&mut held, io::ErrorKind::StorageFull.into());
        assert!(expected(&fault), "{fault}");
        assert_eq!(held.of_file("codex", &file).len(), remembered);
    }

    #[test]
    fn a_failed_write_is_forgotten_only_where_the_file_is_as_it_was() {
        check(Some("a = 1\n"), |it| matches!(it, Fault::Unwritable { .. }), 0);
        check(Some("a = 2\n"), |it| matches!(it, Fault::Unsettled { .. }), 1);
        check(None, |it| matches!(it, Fault::Unsettled { .. }), 1);
    }
}
