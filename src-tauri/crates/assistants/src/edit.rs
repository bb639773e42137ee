//! Edits of a whole file: planned, compared with what they should have done, never written here.

use std::path::Path;

use model::Digest;
use serde_json::Value;

use crate::fault::Fault;
use crate::format;
use crate::splice::{Splice, apply};
use crate::table::Assistant;
use crate::tree::{Tree, Twice};

/// What an editor on Windows may begin a file with.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A file as it is, or as it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    whole: String,
}

impl Text {
    pub(crate) fn of(file: &Path, bytes: &[u8]) -> Result<Self, Fault> {
        match std::str::from_utf8(bytes) {
            Ok(whole) => Ok(Self { whole: whole.to_owned() }),
            Err(_) => {
                Err(Fault::NotUnderstood { file: file.to_owned(), why: "it is not UTF-8 text".to_owned() })
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.whole.as_bytes()
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.bytes())
    }

    pub(crate) fn after(&self, splices: &[Splice]) -> Option<Self> {
        apply(&self.whole, splices).map(|whole| Self { whole })
    }

    /// The place of a text that is there once.
    pub(crate) fn only(&self, part: &str) -> Option<usize> {
        let at = self.whole.find(part).filter(|_| !part.is_empty())?;
        (self.whole.rfind(part) == Some(at)).then_some(at)
    }

    fn read(&self) -> (usize, &str) {
        match self.whole.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => (BYTE_ORDER_MARK.len(), rest),
            None => (0, &self.whole),
        }
    }
}

/// The edits of one file of one assistant.
pub(crate) struct Editor<'a> {
    pub(crate) assistant: &'a Assistant,
    pub(crate) file: &'a Path,
    /// Where in it the entries stand.
    within: Vec<&'a str>,
}

impl<'a> Editor<'a> {
    /// Of the entries that are for everything that the person does.
    pub(crate) fn of(assistant: &'a Assistant, file: &'a Path) -> Self {
        Self { assistant, file, within: assistant.within.to_vec() }
    }

    /// Of the entries in another place of the file.
    pub(crate) fn within(assistant: &'a Assistant, file: &'a Path, within: &'a [String]) -> Self {
        Self { assistant, file, within: within.iter().map(String::as_str).collect() }
    }

    /// What the file says.
    pub(crate) fn read(&self, text: &Text) -> Result<Tree, Fault> {
        format::read(self.assistant.format, text.read().1).map_err(|why| self.not_understood(why))
    }

    /// All entries of the file.
    pub(crate) fn entries(&self, text: &Text) -> Result<Vec<(String, Tree)>, Fault> {
        match self.read(text)?.at(&self.within).map_err(|it| self.twice(&it))? {
            Some(Tree::Map(members)) => Ok(members.clone()),
            Some(Tree::Text(_) | Tree::Other(_) | Tree::List(_)) | None => Ok(Vec::new()),
        }
    }

    /// The entry of this name.
    pub(crate) fn entry(&self, text: &Text, name: &str) -> Result<Option<Tree>, Fault> {
        Ok(self.read(text)?.at(&self.path(name)).map_err(|it| self.twice(&it))?.cloned())
    }

    /// Puts an entry in that is not there.
    pub(crate) fn add(&self, text: &Text, name: &str, entry: &Value) -> Result<(Vec<Splice>, Text), Fault> {
        let (shift, rest) = text.read();
        let before = self.read(text)?;
        let splices = format::insert(self.assistant.format, rest, &self.within, name, entry)
            .map_err(|why| self.no_room(why))?;
        let (splices, after) = self.spliced(text, shift, splices)?;
        if !self.is_as_meant(&before, &after, name, entry) {
            return Err(self.no_room("the change would not come out as it should".to_owned()));
        }
        Ok((splices, after))
    }

    /// Takes an entry out that is there.
    pub(crate) fn take(&self, text: &Text, name: &str) -> Result<(Vec<Splice>, Text), Fault> {
        let (shift, rest) = text.read();
        let splices = format::remove(self.assistant.format, rest, &self.within, name)
            .map_err(|why| self.no_room(why))?;
        let (splices, after) = self.spliced(text, shift, splices)?;
        if !self.is_without(text, &after, name) {
            return Err(self.no_room("the change would not come out as it should".to_owned()));
        }
        Ok((splices, after))
    }

    /// Whether `after` says what `before` does, and the entry beside.
    pub(crate) fn is_as_meant(&self, before: &Tree, after: &Text, name: &str, entry: &Value) -> bool {
        let Ok(after) = self.read(after) else { return false };
        after.at(&self.path(name)) == Ok(Some(&Tree::from(entry))) && self.same_but(before, &after, name)
    }

    /// Whether `after` says what `before` does, but for the entry, which is gone.
    pub(crate) fn is_without(&self, before: &Text, after: &Text, name: &str) -> bool {
        let (Ok(before), Ok(after)) = (self.read(before), self.read(after)) else { return false };
        matches!(after.at(&self.path(name)), Ok(None)) && self.same_but(&before, &after, name)
    }

    /// Whether two states say the same but for the entry, and for the object that it is in where that has no other.
    fn same_but(&self, one: &Tree, other: &Tree, name: &str) -> bool {
        let path = self.path(name);
        let rest = |tree: &Tree| {
            let less = tree.without(&path);
            match less.at(&self.within) {
                Ok(Some(left)) if left.is_empty() => less.without(&self.within),
                Ok(_) | Err(_) => less,
            }
        };
        rest(one) == rest(other)
    }

    fn spliced(
        &self,
        text: &Text,
        shift: usize,
        mut splices: Vec<Splice>,
    ) -> Result<(Vec<Splice>, Text), Fault> {
        for splice in &mut splices {
            splice.at += shift;
        }
        let after = text.after(&splices);
        let after = after.ok_or_else(|| self.no_room("the entry has no place in it".to_owned()))?;
        Ok((splices, after))
    }

    fn path<'n>(&'n self, name: &'n str) -> Vec<&'n str> {
        self.within.iter().copied().chain([name]).collect()
    }

    fn not_understood(&self, why: String) -> Fault {
        Fault::NotUnderstood { file: self.file.to_owned(), why }
    }

    fn twice(&self, Twice(name): &Twice) -> Fault {
        self.not_understood(format!("\"{name}\" stands in it twice"))
    }

    fn no_room(&self, why: String) -> Fault {
        Fault::NoRoom { file: self.file.to_owned(), why }
    }
}
