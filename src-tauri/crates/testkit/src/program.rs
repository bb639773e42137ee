//! The project's own programs under test, and the stand-in for the desktop's browser opener.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use crate::{PeerFault, until};

/// A program of this workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `deskgate`, the command line.
    Deskgate,
    /// `deskgate-control`, the control plane.
    Control,
    /// `deskgate-desktop`, the tray application.
    Desktop,
    /// `deskgate-odd`, the odd server on standard streams.
    Odd,
    /// `deskgate-fixture`, the connector for the conformance suite.
    Fixture,
}

impl Program {
    fn package(self) -> (&'static str, &'static str) {
        match self {
            Self::Deskgate => ("cli", "deskgate"),
            Self::Control => ("control", "deskgate-control"),
            Self::Desktop => ("deskgate-desktop", "deskgate-desktop"),
            Self::Odd => ("testkit", "deskgate-odd"),
            Self::Fixture => ("testkit", "deskgate-fixture"),
        }
    }
}

/// The path of a program of this workspace, of the same build as the test that asks. Builds it first, except under
/// `cargo xtask test`, which has built all of them.
///
/// # Errors
/// If it cannot be built.
pub fn program(program: Program) -> Result<PathBuf, PeerFault> {
    let (package, name) = program.package();
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(2).unwrap_or(&test);
    let path = folder.join(name);
    if std::env::var_os("DESKGATE_PROGRAMS_BUILT").is_none() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", package, "--bin", name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()?;
        if !built.success() {
            return Err(PeerFault::answer(name, "it could not be built"));
        }
    }
    existing(path, name)
}

/// The path of a program of this workspace that was built together with the program that asks, into the same folder.
///
/// # Errors
/// If it is not there.
pub fn beside(program: Program) -> Result<PathBuf, PeerFault> {
    let (_, name) = program.package();
    let own = std::env::current_exe()?;
    existing(own.with_file_name(name), name)
}

fn existing(path: PathBuf, name: &str) -> Result<PathBuf, PeerFault> {
    if path.is_file() {
        Ok(path)
    } else {
        Err(PeerFault::answer(name, format!("{} is missing", path.display())))
    }
}

/// Whether tests run at full size: `cargo xtask test --full`.
pub fn full_size() -> bool {
    std::env::var_os("DESKGATE_TEST_FULL").is_some()
}

/// A stand-in for `xdg-open`: it writes down the address that it is asked to open. Put [`Opened::folder`] first in a
/// program's search path; the test then is the person in front of the browser.
#[derive(Debug)]
pub struct Opened {
    folder: TempDir,
    seen: usize,
}

impl Opened {
    /// Lays the stand-in out.
    ///
    /// # Errors
    /// If its folder cannot be written.
    pub fn new() -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-open-").tempdir()?;
        let list = folder.path().join("opened");
        // One write of one line: lines of two programs do not mix.
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" >>'{}'\n", list.display());
        for name in ["xdg-open", "sensible-browser", "x-www-browser"] {
            let path = folder.path().join(name);
            std::fs::write(&path, &script)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { folder, seen: 0 })
    }

    /// The folder with the stand-in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A search path that finds the stand-in first.
    pub fn path(&self) -> std::ffi::OsString {
        crate::place::path_with(&[self.folder()])
    }

    /// All addresses so far.
    pub fn all(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("opened")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map(|(whole, _)| whole.to_owned());
        whole.map(|lines| lines.lines().map(str::to_owned).collect()).unwrap_or_default()
    }

    /// Waits for the next address.
    ///
    /// # Errors
    /// If none comes in time, or it is no URL.
    pub async fn next(&mut self, deadline: Duration) -> Result<Url, PeerFault> {
        let seen = self.seen;
        let text = until("a page to be opened", deadline, async || self.all().get(seen).cloned()).await?;
        self.seen += 1;
        Ok(Url::parse(&text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn opened_pages_are_told_in_order() {
        let mut opened = Opened::new().expect("a stand-in");
        for page in ["http://127.0.0.1:1/a?b=c&d='e'", "http://127.0.0.1:2/"] {
            let status =
                Command::new("xdg-open").arg(page).env("PATH", opened.path()).status().expect("it runs");
            assert!(status.success());
            let told = opened.next(Duration::from_secs(10)).await.expect("told");
            assert_eq!(told, Url::parse(page).expect("a URL"));
        }
    }
}
