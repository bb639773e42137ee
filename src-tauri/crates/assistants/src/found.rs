//! Which assistants are on this machine, and what they are connected to.

use std::path::{Path, PathBuf};

use crate::edit::{Editor, Text};
use crate::entry::{Reached, reached};
use crate::fault::Fault;
use crate::machine::Machine;
use crate::outside::{Outside, outside};
use crate::table::{ASSISTANTS, Assistant};

/// By what an assistant was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundBy {
    /// This program is on the search path.
    Program(PathBuf),
    /// This folder is there.
    Folder(PathBuf),
    /// This configuration file is there.
    File(PathBuf),
}

/// An assistant on this machine.
#[derive(Debug)]
pub struct Found {
    /// Which one.
    pub assistant: &'static Assistant,
    /// By what it was found; by nothing where it is not on this machine.
    pub by: Vec<FoundBy>,
    /// Its configuration file, which need not be there.
    pub file: Option<PathBuf>,
    /// The entries that lead to Deskgate, by name.
    pub connected: Vec<(String, Reached)>,
    /// Its MCP servers that do not go through Deskgate. Of them only the place may be shown: what they are started with may be secret.
    pub others: Vec<Outside>,
    /// Why its file could not be looked at.
    pub trouble: Option<Fault>,
}

/// Looks for every assistant that is known. Reads files only; starts nothing.
pub fn find(machine: &Machine) -> Vec<Found> {
    ASSISTANTS.iter().map(|assistant| look(machine, assistant)).collect()
}

fn look(machine: &Machine, assistant: &'static Assistant) -> Found {
    let programs = assistant.programs.iter().filter_map(|name| machine.program(name)).map(FoundBy::Program);
    let folders = assistant.folders.iter().filter_map(|place| machine.resolve(*place));
    let mut by: Vec<FoundBy> =
        programs.chain(folders.filter(|it| it.is_dir()).map(FoundBy::Folder)).collect();
    let file = assistant.file(machine);
    let mut found = Found {
        assistant,
        by: Vec::new(),
        file: file.clone(),
        connected: Vec::new(),
        others: Vec::new(),
        trouble: None,
    };
    if let Some(file) = file.filter(|it| it.is_file()) {
        match connections(assistant, &file) {
            Ok((connected, others)) => (found.connected, found.others) = (connected, others),
            Err(fault) => found.trouble = Some(fault),
        }
        by.push(FoundBy::File(file));
    }
    found.by = by;
    found
}

/// The servers of a file that do not go through Deskgate; none where there is no file.
///
/// # Errors
/// A [`Fault`] where it cannot be read or is not understood.
pub fn outside_of(assistant: &Assistant, file: &Path) -> Result<Vec<Outside>, Fault> {
    if file.is_file() { Ok(connections(assistant, file)?.1) } else { Ok(Vec::new()) }
}

type Entries = (Vec<(String, Reached)>, Vec<Outside>);

/// The entries that lead to Deskgate, and those that do not.
fn connections(assistant: &Assistant, file: &Path) -> Result<Entries, Fault> {
    let bytes = std::fs::read(file).map_err(|source| Fault::Unreadable { file: file.to_owned(), source })?;
    let text = Text::of(file, &bytes)?;
    let editor = Editor::of(assistant, file);
    let entries = editor.entries(&text)?.into_iter();
    let connected = entries.filter_map(|(name, entry)| Some((name, reached(&entry)?))).collect();
    Ok((connected, outside(assistant, &editor.read(&text)?)))
}
