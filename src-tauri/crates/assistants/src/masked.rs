//! A change as a person may see it: what is secret in it is shown as dots.

use std::path::Path;

use similar::TextDiff;

use crate::edit::{Editor, Text};
use crate::harmless::Harmless;
use crate::table::Assistant;

pub(crate) const DOTS: &str = "••••••••";

/// A value that is shorter is only taken for what it is where it stands by itself.
pub(crate) const SHORT: usize = 4;

/// The difference of two states of a file, line by line and without the lines around it, in which no secret stands. A line
/// whose text is escaped is shown by its name alone.
pub fn diff(file: &Path, before: Option<&str>, after: Option<&str>, secrets: &[&str]) -> String {
    let parts = parts(secrets);
    line_by_line(file, before, after, |line| masked(line, &parts))
}

/// The same of an assistant's file, in which much stands that is not known to be secret: nothing is shown but what is known to be
/// harmless.
pub(crate) fn masked_diff(
    assistant: &Assistant,
    file: &Path,
    states: [Option<&Text>; 2],
    secrets: &[&str],
) -> String {
    let (editor, parts) = (Editor::of(assistant, file), parts(secrets));
    let trees = states.map(|state| editor.read(state?).ok());
    let harmless = Harmless::of(assistant, trees, secrets);
    let [before, after] = states.map(|state| Some(String::from_utf8_lossy(state?.bytes())));
    line_by_line(file, before.as_deref(), after.as_deref(), |line| masked(&harmless.shown(line), &parts))
}

/// The lines of secrets, the longest first: a secret of several lines may be written over several lines.
fn parts<'s>(secrets: &[&'s str]) -> Vec<&'s str> {
    let mut parts: Vec<&str> = secrets.iter().flat_map(|it| it.lines()).filter(|it| !it.is_empty()).collect();
    parts.sort_by_key(|it| std::cmp::Reverse(it.len()));
    parts
}

fn line_by_line(
    file: &Path,
    before: Option<&str>,
    after: Option<&str>,
    shown: impl Fn(&str) -> String,
) -> String {
    let name = |text: Option<&str>| match text {
        Some(_) => file.display().to_string(),
        None => "/dev/null".to_owned(),
    };
    let (old, new) = (name(before), name(after));
    let diff = TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default());
    let diff = diff.unified_diff().context_radius(0).header(&old, &new).to_string();
    let (head, lines) = match diff.find("\n@@") {
        Some(at) => diff.split_at(at + 1),
        None => return String::new(),
    };
    // What is no line of the file: where it stands, and that it ends without a line's end.
    let is_told = |line: &str| line.starts_with("@@") || line.starts_with('\\');
    let show = |line: &str| if is_told(line) { line.to_owned() } else { shown(line) };
    head.to_owned() + &lines.split_inclusive('\n').map(show).collect::<String>()
}

fn masked(line: &str, secrets: &[&str]) -> String {
    let mut shown = line.to_owned();
    for secret in secrets {
        if secret.len() >= SHORT {
            shown = shown.replace(secret, DOTS);
        } else {
            for quote in ['"', '\''] {
                shown = shown.replace(&format!("{quote}{secret}{quote}"), &format!("{quote}{DOTS}{quote}"));
            }
            for end in ["", ",", "}", " }"] {
                let tail = format!(" {secret}{end}\n");
                if let Some(before) = shown.strip_suffix(&tail) {
                    shown = format!("{before} {DOTS}{end}\n");
                }
            }
        }
    }
    // How else a secret is written there nobody knows.
    if line.contains('\\') {
        let at = shown.find([':', '=']).map_or(1, |at| at + 1);
        let end = if shown.ends_with('\n') { "\n" } else { "" };
        shown = format!("{} {DOTS}{end}", shown.get(..at).unwrap_or_default());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, secrets: &[&str], expected: &str) {
        let shown = diff(Path::new("f"), Some(before), Some(after), secrets);
        assert_eq!(shown, format!("--- f\n+++ f\n{expected}"));
    }

    #[test]
    fn secrets_are_dots_however_they_are_written() {
        check("a\nb: hunter2\nc\n", "a\nc\n", &["hunter2"], "@@ -2 +1,0 @@\n-b: ••••••••\n");
        let escaped = "{\"A\": \"hunter\\u0032\"}\n";
        check(escaped, "", &["hunter2"], "@@ -1 +0,0 @@\n-{\"A\": ••••••••\n");
        check(
            "A = \"ab\"\nport: 1\n",
            "",
            &["ab", "1"],
            "@@ -1,2 +0,0 @@\n-A = \"••••••••\"\n-port: ••••••••\n",
        );
        let block = "key: |\n  one-line\n  two-line\n";
        check(block, "", &["one-line\ntwo-line\n"], "@@ -1,3 +0,0 @@\n-key: |\n-  ••••••••\n-  ••••••••\n");
        assert_eq!(diff(Path::new("f"), Some("a"), Some("a"), &[]), "");
    }
}
