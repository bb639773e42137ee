//! Disconnecting: back to the bytes from before, or, where somebody changed the file since, without our entry and nothing else.

use std::path::PathBuf;

use crate::connect::{Change, added, is_as, read};
use crate::edit::{Editor, Text};
use crate::entry::{Target, entry_name, is_formed_as_ours, reached};
use crate::fault::Fault;
use crate::ledger::{Ledger, Record};
use crate::machine::Machine;
use crate::splice::{Splice, inverse};
use crate::table::Assistant;
use crate::tree::Tree;

/// What there is to do.
#[derive(Debug)]
pub enum Undone {
    /// The entry is gone already; the ledger forgets it.
    Gone(Change),
    /// This.
    Change(Change),
}

/// What disconnects an assistant from a virtual server.
///
/// # Errors
/// A [`Fault`]: it is not connected, or the entry is not ours.
pub fn disconnect(
    machine: &Machine,
    assistant: &'static Assistant,
    server: &str,
    ledger: &Ledger,
) -> Result<Undone, Fault> {
    // The file that was changed, even where the assistant would have another one by now.
    let made =
        ledger.records().iter().find(|it| it.assistant == assistant.id && it.server.as_str() == server);
    let file = made.map(|it| it.file.clone()).or_else(|| assistant.file(machine));
    let file = file.ok_or(Fault::NoFile { assistant: assistant.title })?;
    let editor = Editor::of(assistant, &file);
    undo(&editor, assistant, server, &read(&file)?, ledger.of_file(assistant.id, &file))
}

/// The same, of one file as it is, with what the ledger says of it.
pub(crate) fn undo(
    editor: &Editor<'_>,
    assistant: &'static Assistant,
    server: &str,
    before: &Option<Text>,
    records: Vec<Record>,
) -> Result<Undone, Fault> {
    let earlier = records.clone();
    let change = |after, records, folders, exact| Change {
        file: editor.file.to_owned(),
        assistant: assistant.id,
        before: before.clone(),
        after,
        earlier: earlier.clone(),
        records,
        folders,
        exact,
    };
    let at = records.iter().position(|it| it.server.as_str() == server);
    if let Some(at) = at
        && let Some(Unwound { text, records, folders, exact }) = unwound(editor, before, &records, at)
    {
        return Ok(Undone::Change(change(text, records, folders, exact)));
    }
    let made = at.and_then(|at| records.get(at).cloned());
    let mut left = records;
    if let Some(at) = at {
        left.remove(at);
    }
    let name = made.as_ref().map_or_else(|| entry_name(server), |it| it.name.clone());
    let found = before.as_ref().map(|it| editor.entry(it, &name)).transpose()?.flatten();
    let (Some(text), Some(found)) = (before, found) else {
        return match made {
            Some(_) => Ok(Undone::Gone(change(before.clone(), left, Vec::new(), false))),
            None => Err(not_ours(editor, before.as_ref(), server)),
        };
    };
    let as_written = made.as_ref().is_some_and(|it| found == Tree::from(&it.entry));
    if !as_written && reached(&found).is_none_or(|it| it.server != server) {
        return Err(Fault::Taken { file: editor.file.to_owned(), name });
    }
    // Without a record only what could be nobody's but ours is taken out.
    if made.is_none() && !is_formed_as_ours(assistant, &found, server) {
        return Err(Fault::ByHand { file: editor.file.to_owned(), name });
    }
    let after = match made.as_ref().and_then(|it| cut_out(editor, text, it)) {
        Some(after) => after,
        None => editor.take(text, &name)?.1,
    };
    Ok(Undone::Change(change(Some(after), left, Vec::new(), false)))
}

struct Unwound {
    text: Option<Text>,
    records: Vec<Record>,
    folders: Vec<PathBuf>,
    exact: bool,
}

/// The file as it would be had the connection number `at` never been made, while it is as it was left: later connections are undone
/// and made once more.
fn unwound(editor: &Editor<'_>, now: &Option<Text>, records: &[Record], at: usize) -> Option<Unwound> {
    let (earlier, rest) = records.split_at_checked(at)?;
    let mut text = now.clone();
    for record in rest.iter().rev() {
        let after = text.filter(|it| it.digest() == record.after)?;
        let before = after.after(&inverse(&record.splices)?)?;
        text = if record.before.is_none() && before.bytes().is_empty() { None } else { Some(before) };
        if !is_as(text.as_ref(), record.before) {
            return None;
        }
    }
    let (undone, later) = rest.split_first()?;
    let (folders, exact) = (undone.folders.clone(), undone.exact);
    let mut unwound = Unwound { text, records: earlier.to_vec(), folders, exact };
    for record in later {
        let target = Target {
            server: record.server.clone(),
            url: url::Url::parse("http://127.0.0.1/").ok()?,
            bridge: Vec::new(),
        };
        let again = added(editor, unwound.text.as_ref(), &target, &record.name, record.entry.clone());
        let (mut again, after) = again.ok()?;
        // The folders are there, and go with the last connection that needs them.
        if unwound.text.is_none() {
            again.folders.clone_from(&undone.folders);
        }
        // What it is built on now is what the undone one was built on.
        again.exact = record.exact && undone.exact;
        unwound.text = Some(after);
        unwound.records.push(again);
    }
    Some(unwound)
}

/// What was put in, taken out again where it stands unchanged in a file that was changed elsewhere.
fn cut_out(editor: &Editor<'_>, text: &Text, made: &Record) -> Option<Text> {
    let [Splice { removed, inserted, .. }] = made.splices.as_slice() else { return None };
    let at = text.only(inserted)?;
    let after = text.after(&[Splice { at, removed: inserted.clone(), inserted: removed.clone() }])?;
    editor.is_without(text, &after, &made.name).then_some(after)
}

/// There is no entry of ours: is there one that somebody made by hand?
fn not_ours(editor: &Editor<'_>, text: Option<&Text>, server: &str) -> Fault {
    let entries = text.and_then(|it| editor.entries(it).ok()).unwrap_or_default();
    let by_hand = entries.into_iter().find(|(_, it)| reached(it).is_some_and(|it| it.server == server));
    match by_hand {
        Some((name, _)) => Fault::ByHand { file: editor.file.to_owned(), name },
        None => Fault::NotConnected { assistant: editor.assistant.title, server: server.to_owned() },
    }
}
