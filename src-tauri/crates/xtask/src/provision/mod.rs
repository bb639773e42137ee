//! Installing what is missing, and only that: quick when everything is there.
//!
//! Nothing is fetched but from package registries, by name and pinned version. Everything but Debian's packages lands
//! under `target/tools` and needs no special rights.

mod cargo;
mod debian;
mod node;
mod python;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Fault, Watch, say};
use crate::workspace;

pub(crate) use cargo::{own_program, program};
pub(crate) use node::{node_path, npm};

/// `cargo xtask setup`.
///
/// # Errors
/// If something cannot be installed, or with `check` if something is missing.
pub(crate) fn setup(check: bool) -> Result<(), Fault> {
    let tools = workspace::tools();
    std::fs::create_dir_all(&tools).map_err(|source| Fault::file(&tools, source))?;
    let _lock = hold(&tools.join("lock"))?;
    let parts: [(&str, Need); 10] = [
        ("Debian packages", debian::need()?),
        ("SAML identity provider", debian::need_saml()),
        ("syslog server", debian::need_syslog()),
        ("SSH server", debian::need_ssh()),
        ("Node 22", node::need_node()?),
        ("npm programs", node::need_peers()?),
        ("conformance suite", node::need_conformance()?),
        ("Python programs", python::need()?),
        ("intercepting proxy", python::need_interceptor()?),
        ("sender of nonsense", python::need_fuzzer()?),
    ];
    let mut missing = Vec::new();
    for (title, need) in parts {
        let Need::Missing { what, install } = need else { continue };
        if check {
            missing.push(format!("{title}: {what}"));
            continue;
        }
        say(&format!("installing {title}: {what}"));
        let watch = Watch::start();
        install()?;
        say(&format!("installed {title} in {}", watch.text()));
    }
    if missing.is_empty() { Ok(()) } else { Err(Fault::Missing(format!("missing: {}", missing.join("; ")))) }
}

/// Installs what packages are made and tried with, which nothing else needs.
///
/// # Errors
/// If it cannot be installed.
pub(crate) fn packaging() -> Result<(), Fault> {
    debian::packaging()
}

/// A command to be run as root.
///
/// # Errors
/// If this user cannot become root.
pub(crate) fn as_root(program: &str) -> Result<Command, Fault> {
    let prefix = debian::privilege().ok_or_else(|| {
        Fault::Missing("packages are tried as root: use a user who may use sudo".to_owned())
    })?;
    let mut words = prefix.iter().copied().chain([program]);
    let mut command = Command::new(words.next().unwrap_or(program));
    command.args(words);
    Ok(command)
}

/// Whether a part has to be installed.
enum Need {
    /// It is there.
    Nothing,
    /// It is not.
    Missing {
        /// What is missing, in a few words.
        what: String,
        /// Installs it.
        install: Box<dyn FnOnce() -> Result<(), Fault>>,
    },
}

/// Waits until no other command of the project is installing; held until dropped.
fn hold(path: &Path) -> Result<File, Fault> {
    let file = File::create(path).map_err(|source| Fault::file(path, source))?;
    if file.try_lock().is_err() {
        say("waiting for another installation to end");
        file.lock().map_err(|source| Fault::file(path, source))?;
    }
    Ok(file)
}

/// A folder that was installed from committed files. It counts as installed when the copies that were made at its
/// successful end equal the committed files.
struct Installed {
    folder: PathBuf,
    sources: Vec<PathBuf>,
}

impl Installed {
    fn new(folder: PathBuf, source_folder: &Path, sources: &[&str]) -> Self {
        Self { folder, sources: sources.iter().map(|name| source_folder.join(name)).collect() }
    }

    fn stamp(&self, source: &Path) -> PathBuf {
        let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.folder.join(format!("{name}.installed"))
    }

    fn is_current(&self) -> Result<bool, Fault> {
        for source in &self.sources {
            let wanted = std::fs::read(source).map_err(|fault| Fault::file(source, fault))?;
            if std::fs::read(self.stamp(source)).ok() != Some(wanted) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Empties the folder, for an installation from nothing.
    fn clear(&self) -> Result<(), Fault> {
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).map_err(|source| Fault::file(&self.folder, source))?;
        }
        std::fs::create_dir_all(&self.folder).map_err(|source| Fault::file(&self.folder, source))
    }

    fn finish(&self) -> Result<(), Fault> {
        for source in &self.sources {
            let stamp = self.stamp(source);
            std::fs::copy(source, &stamp).map_err(|fault| Fault::file(&stamp, fault))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_current_only_after_its_end_and_until_its_list_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let list = folder.path().join("list.txt");
        std::fs::write(&list, "one").expect("write");
        let installed = Installed::new(folder.path().join("tool"), folder.path(), &["list.txt"]);

        assert!(!installed.is_current().expect("readable"), "nothing was installed yet");
        installed.clear().expect("clear");
        assert!(!installed.is_current().expect("readable"), "an interrupted installation does not count");
        installed.finish().expect("finish");
        assert!(installed.is_current().expect("readable"));
        std::fs::write(&list, "two").expect("write");
        assert!(!installed.is_current().expect("readable"), "the list has changed since");
    }
}
