//! Taking entries of other servers out of an assistant's file, and putting them back: byte for byte where nobody has changed the
//! file since, else the same entry.
//!
//! What was taken out holds secrets. It is handed to whoever seals it and is in no ledger.

use std::path::Path;

use model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connect::{Change, read};
use crate::edit::{Editor, Text};
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::outside::{Configured, Place, configured};
use crate::splice::{Splice, inverse};
use crate::table::Assistant;
use crate::tree::Tree;
use crate::unfit::Unfit;

/// An entry that was taken out, with all that it takes to put it back. Holds secrets: to be sealed, never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenOut {
    /// Where it stood.
    pub place: Place,
    /// What it said.
    entry: Value,
    /// The file before.
    before: Digest,
    /// The file after.
    after: Digest,
    /// What leads from the one to the other.
    splices: Vec<Splice>,
}

impl std::fmt::Debug for TakenOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TakenOut").field("place", &self.place).finish_non_exhaustive()
    }
}

impl TakenOut {
    /// What the entry says, read anew.
    ///
    /// # Errors
    /// [`Unfit`], where another version of Deskgate reads it than took it out.
    pub fn configured(&self, assistant: &Assistant) -> Result<Configured, Unfit> {
        configured(assistant, &Tree::from(&self.entry))
    }
}

/// Entries that go, and the change of the file that takes them out.
#[derive(Debug)]
pub struct Taken {
    /// The change.
    pub change: Change,
    /// What it takes out, in order.
    pub out: Vec<TakenOut>,
}

/// Entries that come back.
#[derive(Debug)]
pub struct PutBack {
    /// The change of the file; [`Change::exact`] says whether it is as it was.
    pub change: Change,
    /// What is still out afterwards, in order.
    pub left: Vec<TakenOut>,
}

/// What takes these entries out of an assistant's file.
///
/// # Errors
/// A [`Fault`]; an entry that is not there, or stands where nothing can be taken out, among them.
pub fn take_out(
    assistant: &'static Assistant,
    file: &Path,
    places: &[Place],
    ledger: &Ledger,
) -> Result<Taken, Fault> {
    let before = read(file)?;
    let gone = |place: &Place| Fault::Gone { file: file.to_owned(), name: place.name.clone() };
    let mut text = before.clone();
    let mut out = Vec::new();
    for place in places {
        let now = text.ok_or_else(|| gone(place))?;
        let (taken, after) = taken(assistant, file, &now, place)?.ok_or_else(|| gone(place))?;
        out.push(taken);
        text = Some(after);
    }
    Ok(Taken { change: change(assistant, file, before, text, ledger, true), out })
}

/// What puts those of `all` back that `is_wanted` says; `all` was taken out of the file in this order and is still out.
///
/// # Errors
/// A [`Fault`]; an entry of the same name that says something else among them.
pub fn put_back(
    assistant: &'static Assistant,
    file: &Path,
    all: &[TakenOut],
    is_wanted: impl Fn(&TakenOut) -> bool,
    ledger: &Ledger,
) -> Result<PutBack, Fault> {
    let before = read(file)?;
    if let Some((text, left)) = unwound(assistant, file, before.as_ref(), all, &is_wanted) {
        return Ok(PutBack { change: change(assistant, file, before, Some(text), ledger, true), left });
    }
    let (wanted, left): (Vec<&TakenOut>, Vec<&TakenOut>) = all.iter().partition(|it| is_wanted(it));
    let mut text = before.clone();
    for taken in wanted.into_iter().rev() {
        text = Some(again(assistant, file, text, taken)?);
    }
    let left = left.into_iter().cloned().collect();
    Ok(PutBack { change: change(assistant, file, before, text, ledger, false), left })
}

/// Takes one entry out; nothing where it is not there.
fn taken(
    assistant: &Assistant,
    file: &Path,
    text: &Text,
    place: &Place,
) -> Result<Option<(TakenOut, Text)>, Fault> {
    let editor = Editor::within(assistant, file, &place.within);
    let Some(entry) = editor.entry(text, &place.name)? else { return Ok(None) };
    let (splices, after) = editor.take(text, &place.name)?;
    let out = TakenOut {
        place: place.clone(),
        entry: Value::from(&entry),
        before: text.digest(),
        after: after.digest(),
        splices,
    };
    Ok(Some((out, after)))
}

/// The file as it would be had what is wanted never been taken out, while it is as it was left: all is put back, and what is not
/// wanted is taken out once more.
fn unwound(
    assistant: &Assistant,
    file: &Path,
    now: Option<&Text>,
    all: &[TakenOut],
    is_wanted: impl Fn(&TakenOut) -> bool,
) -> Option<(Text, Vec<TakenOut>)> {
    let (first, rest) = all.split_at(all.iter().position(&is_wanted)?);
    let mut text = now?.clone();
    for taken in rest.iter().rev() {
        if text.digest() != taken.after {
            return None;
        }
        text = text.after(&inverse(&taken.splices)?)?;
        if text.digest() != taken.before {
            return None;
        }
    }
    let mut left = first.to_vec();
    for kept in rest.iter().filter(|it| !is_wanted(it)) {
        let (out, after) = taken(assistant, file, &text, &kept.place).ok()??;
        left.push(out);
        text = after;
    }
    Some((text, left))
}

/// The entry once more in a file that was changed since: where it stood, if that comes out right, else as a new one.
fn again(assistant: &Assistant, file: &Path, text: Option<Text>, taken: &TakenOut) -> Result<Text, Fault> {
    let editor = Editor::within(assistant, file, &taken.place.within);
    let name = taken.place.name.as_str();
    let text = text.map_or_else(|| Text::of(file, b""), Ok)?;
    match editor.entry(&text, name)? {
        Some(found) if found == Tree::from(&taken.entry) => return Ok(text),
        Some(_) => return Err(Fault::Occupied { file: file.to_owned(), name: name.to_owned() }),
        None => {}
    }
    let before = editor.read(&text)?;
    let there = inverse(&taken.splices).and_then(|splices| text.after(&splices));
    match there.filter(|after| editor.is_as_meant(&before, after, name, &taken.entry)) {
        Some(after) => Ok(after),
        None => Ok(editor.add(&text, name, &taken.entry)?.1),
    }
}

/// A change that leaves what the ledger says of the file.
fn change(
    assistant: &'static Assistant,
    file: &Path,
    before: Option<Text>,
    after: Option<Text>,
    ledger: &Ledger,
    exact: bool,
) -> Change {
    let earlier = ledger.of_file(assistant.id, file);
    let records = earlier.clone();
    Change {
        file: file.to_owned(),
        assistant: assistant.id,
        before,
        after,
        earlier,
        records,
        folders: Vec::new(),
        exact,
    }
}
