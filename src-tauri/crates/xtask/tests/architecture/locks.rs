//! Lock files are committed, pin every version and name no place to download from, so that any mirror serves them.

use crate::{files, none, read, root};

/// Cargo's own name for its default registry; mirrors replace it.
const CRATES: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

#[test]
fn the_cargo_lock_names_one_registry() {
    let (text, _) = read(&root().join("Cargo.lock"));
    let others: Vec<String> =
        text.lines().filter(|line| line.contains("://") && *line != CRATES).map(str::to_owned).collect();
    none("other places in Cargo.lock", &others);
}

#[test]
fn npm_lock_files_name_no_download_addresses() {
    let mut violations = Vec::new();
    let manifests = files(&["package.json"]);
    for manifest in &manifests {
        let lock = manifest.with_file_name("package-lock.json");
        if !lock.is_file() {
            violations.push(format!("{} has no lock file", manifest.display()));
            continue;
        }
        let (text, shown) = read(&lock);
        let resolved = text.lines().filter(|line| line.trim_start().starts_with("\"resolved\"")).count();
        let pinned = text.matches("\"integrity\": \"sha512-").count();
        if resolved > 0 || pinned == 0 {
            violations.push(format!("{shown}: {resolved} addresses, {pinned} digests"));
        }
    }
    none("npm lock files", &violations);
    assert!(!manifests.is_empty(), "there are npm packages to check");
}

#[test]
fn python_requirements_are_pinned() {
    let mut violations = Vec::new();
    for path in files(&["requirements.txt"]) {
        let (text, shown) = read(&path);
        let loose = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        violations.extend(
            loose
                .filter(|line| !line.contains("==") || line.contains("://"))
                .map(|line| format!("{shown}: {line}")),
        );
    }
    none("requirements that are not pinned", &violations);
}
