//! Programs of others in Rust: built from the registry, for what only the full tests need.

use std::path::PathBuf;

use crate::landing::cargo;
use crate::run::{Fault, run};
use crate::workspace;

/// A program of a package in this version, with these of its features: the one on the path, or else the project's own, which is
/// built where it is missing.
///
/// # Errors
/// If it cannot be built.
pub(crate) fn program(package: &str, version: &str, name: &str, features: &[&str]) -> Result<PathBuf, Fault> {
    match workspace::on_path(name) {
        Some(found) => Ok(found),
        None => own_program(package, version, name, features),
    }
}

/// The same, whatever is on the path: where tests look for it.
///
/// # Errors
/// If it cannot be built.
pub(crate) fn own_program(
    package: &str,
    version: &str,
    name: &str,
    features: &[&str],
) -> Result<PathBuf, Fault> {
    let root = workspace::tools().join("cargo");
    let own = root.join("bin").join(name);
    if !own.is_file() {
        run(cargo()
            .args(["install", "--quiet", "--locked", "--version", &format!("={version}"), "--root"])
            .arg(&root)
            .args(["--features", &features.join(",")])
            .arg(package))?;
    }
    Ok(own)
}
