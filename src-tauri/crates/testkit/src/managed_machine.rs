//! A machine on which IT has set something: `/etc/deskgate/managed.d` in a mount namespace, around a real program.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::PeerFault;

/// Such a machine. Its `/etc` is a copy of this one's, which only the program within sees.
#[derive(Debug)]
pub struct ManagedMachine {
    folder: TempDir,
}

impl ManagedMachine {
    /// Around a program; nothing is set yet. Of `deskgate` only what serves runs within, as the command line reads nothing there.
    ///
    /// # Errors
    /// If the copy or the stand-in cannot be made.
    pub fn around(program: &Path) -> Result<Self, PeerFault> {
        Self::with(
            program,
            &format!("case \"$1\" in serve|--*|\"\") ;; *) exec '{}' \"$@\" ;; esac", program.display()),
        )
    }

    /// Around a program, whatever it is told.
    ///
    /// # Errors
    /// If the copy or the stand-in cannot be made.
    pub fn wholly_around(program: &Path) -> Result<Self, PeerFault> {
        Self::with(program, "")
    }

    fn with(program: &Path, outside: &str) -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-machine-").tempdir()?;
        let machine = Self { folder };
        std::fs::create_dir(machine.etc())?;
        // What this user may not read is not needed.
        Command::new("cp").args(["-a", "/etc/."]).arg(machine.etc()).output()?;
        let _gone = std::fs::remove_dir_all(machine.etc().join("deskgate"));
        let (program, etc) = (program.display(), machine.etc());
        let etc = etc.display();
        let script = format!(
            r#"#!/bin/sh
{outside}
exec unshare --user --map-root-user --mount sh -c '
mount --bind "{etc}" /etc || exit 1
exec "{program}" "$@"' sh "$@"
"#
        );
        std::fs::write(machine.program(), script)?;
        std::fs::set_permissions(machine.program(), std::fs::Permissions::from_mode(0o755))?;
        Ok(machine)
    }

    /// The stand-in for the program.
    pub fn program(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    /// Sets what a file of this name says, as device management does.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn set(&self, name: &str, settings: &Value) -> Result<(), PeerFault> {
        for part in ["deskgate", "deskgate/managed.d"] {
            let part = self.etc().join(part);
            std::fs::create_dir_all(&part)?;
            std::fs::set_permissions(part, std::fs::Permissions::from_mode(0o755))?;
        }
        let written = self.file(&format!("{name}.new"));
        std::fs::write(&written, settings.to_string())?;
        self.mode(&format!("{name}.new"), 0o644)?;
        Ok(std::fs::rename(written, self.file(name))?)
    }

    /// Puts an authority (PEM) into the system's store of those that it believes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn believes(&self, authority: &Path) -> Result<(), PeerFault> {
        let store = self.etc().join("ssl/certs/ca-certificates.crt");
        let text = format!("{}\n{}", std::fs::read_to_string(&store)?, std::fs::read_to_string(authority)?);
        // A file of its own: the copy may be a link to this computer's.
        std::fs::remove_file(&store)?;
        Ok(std::fs::write(store, text)?)
    }

    /// Writes a file below `/etc`, as device management does.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, place: &str, text: &str) -> Result<(), PeerFault> {
        let file = self.etc().join(place);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(file, text)?)
    }

    /// Gives a file other permissions.
    ///
    /// # Errors
    /// If it has none.
    pub fn mode(&self, name: &str, mode: u32) -> Result<(), PeerFault> {
        Ok(std::fs::set_permissions(self.file(name), std::fs::Permissions::from_mode(mode))?)
    }

    /// Takes a file away.
    ///
    /// # Errors
    /// If there is none.
    pub fn unset(&self, name: &str) -> Result<(), PeerFault> {
        Ok(std::fs::remove_file(self.file(name))?)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.etc().join("deskgate/managed.d").join(name)
    }

    fn etc(&self) -> PathBuf {
        self.folder.path().join("etc")
    }
}
