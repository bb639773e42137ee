//! What marks mistakes in TOML in editors: npm `@taplo/cli`, the engine of the extension Even Better TOML.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::PeerFault;
use crate::place::{node, npm_file};

/// What was found in files, by the schemas that their first lines name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marked {
    /// Nothing.
    Nothing,
    /// Mistakes: `FILE:LINE:COLUMN` and the words, one after the other.
    Mistakes(Vec<(String, String)>),
}

/// Has files below a folder looked at.
///
/// # Errors
/// If the program is not installed or cannot be run.
pub fn marked(folder: &Path, files: &[PathBuf]) -> Result<Marked, PeerFault> {
    let output = Command::new(node()?)
        .arg(npm_file("@taplo/cli/dist/cli.js")?)
        .args(["lint", "--colors", "never"])
        .args(files)
        .current_dir(folder)
        .output()?;
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let looked_at = format!("found files total={}", files.len());
    if !said.contains(&looked_at) {
        return Err(PeerFault::answer("taplo", said));
    }
    if output.status.success() {
        return Ok(Marked::Nothing);
    }
    let mut mistakes = Vec::new();
    let mut words = "";
    for line in said.lines() {
        if let Some(mistake) = line.strip_prefix("error: ") {
            words = mistake;
        } else if let Some((_, place)) = line.split_once("┌─ ") {
            mistakes.push((place.trim().to_owned(), words.to_owned()));
        }
    }
    if mistakes.is_empty() { Err(PeerFault::answer("taplo", said)) } else { Ok(Marked::Mistakes(mistakes)) }
}
