//! A change as a person may see it: what is secret in it is shown as dots.

use std::path::Path;

use similar::TextDiff;

const DOTS: &str = "••••••••";

/// A value that is shorter is only taken for what it is where it stands by itself.
const SHORT: usize = 4;

/// The difference of two states of a file, line by line and without the lines around it, in which no secret stands. A line
/// whose text is escaped is shown by its name alone.
pub fn diff(file: &Path, before: Option<&str>, after: Option<&str>, secrets: &[&str]) -> String {
    let name = |text: Option<&str>| match text {
        Some(_) => file.display().to_string(),
        None => "/dev/null".to_owned(),
    };
    let (old, new) = (name(before), name(after));
    let diff = TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default());
    let diff = diff.unified_diff().context_radius(0).header(&old, &new).to_string();
    // A secret of several lines may be written over several lines.
    let mut parts: Vec<&str> = secrets.iter().flat_map(|it| it.lines()).filter(|it| !it.is_empty()).collect();
    parts.sort_by_key(|it| std::cmp::Reverse(it.len()));
    let (head, lines) = match diff.find("\n@@") {
        Some(at) => diff.split_at(at + 1),
        None => return String::new(),
    };
    head.to_owned() + &lines.split_inclusive('\n').map(|line| masked(line, &parts)).collect::<String>()
}

fn masked(line: &str, secrets: &[&str]) -> String {
    if line.starts_with("@@") {
        return line.to_owned();
    }
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
