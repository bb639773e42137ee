//! Rules for the public workflows, which run with rights of their own.

use crate::{files, none, read};

/// A tag can be moved to other code; a commit cannot.
#[test]
fn actions_are_named_by_their_commits() {
    let mut violations = Vec::new();
    let mut seen = 0;
    for path in files(&[".yml", ".yaml"]) {
        let (text, shown) = read(&path);
        if !shown.starts_with(".github/") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let Some((_, action)) = line.split_once("uses: ") else { continue };
            seen += 1;
            let commit = action.split_once('@').map(|(_, at)| at.split(' ').next().unwrap_or_default());
            let named = commit
                .is_some_and(|commit| commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit()));
            if !named {
                violations.push(format!("{shown}:{}", number + 1));
            }
        }
    }
    none("actions that are not named by a commit", &violations);
    assert!(seen > 0, "the workflows were read");
}
