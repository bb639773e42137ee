//! The rules of the architecture that a compiler does not check: who may depend on whom, which crate may name what, and
//! how source files and lock files look. A rule that has to change is changed here and in ARCHITECTURE.md.
#![forbid(unsafe_code)]
#![expect(clippy::expect_used, clippy::panic, reason = "a test ends at its first surprise")]

mod books;
mod dependencies;
mod locks;
mod sources;
mod workflows;

use std::path::{Path, PathBuf};

/// The workspace's root folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("three folders up")
}

/// All committed text files with one of these endings, but what was installed or generated.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let skipped = ["target", "node_modules", "gen", "dist", ".git"].contains(&name.as_str());
            if path.is_dir() && !skipped && !name.starts_with("target-") {
                folders.push(path);
            } else if path.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A file's text, and its path as people write it.
fn read(path: &Path) -> (String, String) {
    let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let shown = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    (text.unwrap_or_else(|fault| panic!("{shown}: {fault}")), shown)
}

/// Fails with all violations at once.
fn none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}
