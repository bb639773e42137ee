//! What older desktops do not read: no mistake, but somebody has to know it before it is signed.

use std::fmt;
use std::path::{Path, PathBuf};

use org_protocol::{Content, LaterUse, annotation_at};
use serde::Serialize;
use toml::de::{DeTable, DeValue};

use super::folder::line_of;

/// A use of a key that older desktops do not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The file, relative to the folder.
    pub file: PathBuf,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The key, dotted as in TOML; of a policy its annotation.
    pub key: String,
    /// The format that brought it.
    pub format: u32,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key, format } = self;
        write!(f, "{}", file.display())?;
        if let Some(line) = line {
            write!(f, ":{line}")?;
        }
        write!(
            f,
            ": {key} came with format {format} of the content. No bundle of an earlier format is signed: desktops that read none \
             of format {format} obey their last policy until it expires, and then permit nothing. Update Deskgate there first; \
             `bundle publish` counts them"
        )
    }
}

/// What desktops do not read that know only earlier formats, in the order of the files.
pub(super) fn warnings(folder: &Path, content: &Content) -> Vec<Warning> {
    let mut found: Vec<Warning> =
        content.later_uses().iter().filter_map(|one| warning(folder, one)).collect();
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    found
}

fn warning(folder: &Path, found: &LaterUse) -> Option<Warning> {
    let format = found.key.format;
    let (part, rest) = found.at.split_first()?;
    if part == "policies" {
        let file = PathBuf::from(rest.first()?);
        let annotation = found.key.path.split_once('=').map_or("", |(_, annotation)| annotation);
        let text = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
        let line = annotation_at(&text, annotation).map(|at| line_of(&text, at));
        return Some(Warning { file, line, key: format!("@{annotation}"), format });
    }
    if part == "definitions" {
        let file = PathBuf::from(format!("connectors/{}.definitions.json", rest.first()?));
        return Some(Warning { file, line: None, key: part.clone(), format });
    }
    let (file, keys) = match rest.split_first() {
        Some((id, keys)) if part != "org" => (PathBuf::from(part).join(format!("{id}.toml")), keys),
        Some(_) | None => (PathBuf::from("org.toml"), rest),
    };
    let text = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
    Some(Warning { line: line_of_key(&text, keys), key: keys.join("."), file, format })
}

/// The line on which the last of the keys stands, each of which is within the one before.
pub(super) fn line_of_key(text: &str, keys: &[String]) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let (first, rest) = keys.split_first()?;
    let (key, value) = table.get_ref().get_key_value(first.as_str())?;
    let (mut span, mut value) = (key.span(), value.get_ref());
    for name in rest {
        match value {
            DeValue::Table(table) => {
                let (key, below) = table.get_key_value(name.as_str())?;
                (span, value) = (key.span(), below.get_ref());
            }
            DeValue::Array(list) => {
                let below = list.get(name.parse::<usize>().ok()?)?;
                (span, value) = (below.span(), below.get_ref());
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => break,
        }
    }
    Some(line_of(text, span.start))
}

#[cfg(test)]
mod tests {
    use org_protocol::LaterKey;

    use super::*;
    use crate::author::init;

    fn told(path: &'static str, at: &[&str]) -> (String, Option<usize>, String) {
        let dir = tempfile::tempdir().expect("a directory");
        init(&dir.path().join("org"), "example").expect("writes the example");
        let policies = "@id(\"a\")\n// @observe\n@observe\nforbid (principal, action, resource);\n";
        std::fs::write(dir.path().join("org/policies/more.cedar"), policies).expect("writes");
        let files = "title = \"F\"\ncommand = [\n  \"a\",\n  \"b\",\n]\n[credential]\nkind = \"none\"\n";
        std::fs::write(dir.path().join("org/connectors/more.toml"), files).expect("writes");
        let at = at.iter().map(ToString::to_string).collect();
        let found = LaterUse { key: LaterKey { format: 2, path }, at };
        let warning = warning(&dir.path().join("org"), &found).expect("told");
        (warning.file.display().to_string(), warning.line, warning.key)
    }

    #[test]
    fn a_later_key_is_told_with_file_and_line() {
        let text = include_str!("../../example/org.toml");
        let line = |key: &str| text.lines().position(|line| line.starts_with(key)).map(|line| line + 1);
        assert_eq!(
            told("org.offline.grace_hours", &["org", "offline", "grace_hours"]),
            ("org.toml".to_owned(), line("grace_hours"), "offline.grace_hours".to_owned())
        );
        let more = || "connectors/more.toml".to_owned();
        assert_eq!(
            told("connectors.*.credential.kind=none", &["connectors", "more", "credential", "kind"]),
            (more(), Some(7), "credential.kind".to_owned())
        );
        assert_eq!(
            told("connectors.*.command.*", &["connectors", "more", "command", "1"]),
            (more(), Some(4), "command.1".to_owned())
        );
        assert_eq!(
            told("policies.*=observe", &["policies", "policies/more.cedar"]),
            ("policies/more.cedar".to_owned(), Some(3), "@observe".to_owned())
        );
    }
}
