//! Where things lie. Everything that is installed for the project lies under `target/tools`, nothing outside.

use std::path::{Path, PathBuf};

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(3).unwrap_or(here).to_owned()
}

/// Programs that were installed for the project: `target/tools`.
pub(crate) fn tools() -> PathBuf {
    root().join("target").join("tools")
}

/// The committed lists of programs that tests talk to.
pub(crate) fn peers() -> PathBuf {
    root().join("src-tauri/crates/testkit/peers")
}

/// The Cargo that runs this command, else the one on the path.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The first program of that name on the path.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}
