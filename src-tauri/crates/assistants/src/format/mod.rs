//! The formats of configuration files: what a text says, where an entry goes, and what it takes to get it out again.
//!
//! Libraries read; nothing is ever written by them, so that what is not ours keeps every byte. What a format cannot place by its
//! narrow rules it refuses in words.

mod json;
mod toml;
mod yaml;

use serde_json::Value;

use crate::splice::Splice;
use crate::table::Format;
use crate::tree::Tree;

/// Why a format can do nothing with a text, in words that end a sentence.
pub(crate) type Why = String;

/// What the text says.
pub(crate) fn read(format: Format, text: &str) -> Result<Tree, Why> {
    match format {
        Format::Json | Format::Jsonc => json::read(format, text),
        Format::Toml => toml::read(text),
        Format::Yaml => yaml::read(text),
    }
}

/// What puts `entry` under `name` into the object that `within` leads to, making that where it is missing.
pub(crate) fn insert(
    format: Format,
    text: &str,
    within: &[&str],
    name: &str,
    entry: &Value,
) -> Result<Vec<Splice>, Why> {
    match format {
        Format::Json | Format::Jsonc => json::insert(format, text, within, name, entry),
        Format::Toml => toml::insert(text, within, name, entry),
        Format::Yaml => yaml::insert(text, within, name, entry),
    }
}

/// What takes the entry `name` out of the object that `within` leads to; it is there.
pub(crate) fn remove(format: Format, text: &str, within: &[&str], name: &str) -> Result<Vec<Splice>, Why> {
    match format {
        Format::Json | Format::Jsonc => json::remove(format, text, within, name),
        Format::Toml => toml::remove(text, within, name),
        Format::Yaml => yaml::remove(text, within, name),
    }
}

/// How lines end in this text.
fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// Where the line begins that `at` is in.
fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
}

/// Where the line after the one that `at` is in begins, or the end of the text.
fn next_line(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |end| at + end + 1)
}

/// What has to stand before something that begins a line at the end of the text.
fn before_last_line(text: &str) -> &'static str {
    if text.is_empty() || text.ends_with('\n') { "" } else { line_end(text) }
}

/// The white space that the line of `at` begins with.
fn indentation(text: &str, at: usize) -> &str {
    let line = text.get(line_start(text, at)..).unwrap_or_default();
    let end = line.find(|c| c != ' ' && c != '\t').unwrap_or(line.len());
    line.get(..end).unwrap_or_default()
}

/// Whether nothing but white space stands before `at` in its line.
fn begins_line(text: &str, at: usize) -> bool {
    text.get(line_start(text, at)..at).is_some_and(|before| before.chars().all(|c| c == ' ' || c == '\t'))
}
