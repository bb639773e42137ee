//! A gateway whose audit journal lies on a disk of its own that is soon full: a tmpfs in a mount namespace.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::PeerFault;

/// Room for one segment of the journal and little more.
const SMALL: &str = "1100k";
const LARGE: &str = "16m";

/// A stand-in for the program `deskgate` that starts it on such a disk.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Around the program.
    ///
    /// # Errors
    /// If the stand-in cannot be written.
    pub fn around(program: &Path) -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-disk-").tempdir()?;
        let disk = Self { folder };
        let (program, grow) = (program.display(), disk.signal());
        let grow = grow.display();
        // The namespace's own root mounts it; nobody else sees it.
        let script = format!(
            r#"#!/bin/sh
[ "$1" = serve ] || exec '{program}' "$@"
mkdir -p "$DESKGATE_HOME/journal"
exec unshare --user --map-root-user --mount sh -c '
mount -t tmpfs -o size={SMALL},mode=0700 tmpfs "$DESKGATE_HOME/journal" || exit 1
(until [ -e "{grow}" ]; do sleep 0.1; done
mount -o remount,size={LARGE} "$DESKGATE_HOME/journal") &
exec "{program}" serve'
"#
        );
        std::fs::write(disk.program(), script)?;
        std::fs::set_permissions(disk.program(), std::fs::Permissions::from_mode(0o755))?;
        Ok(disk)
    }

    /// The stand-in.
    pub fn program(&self) -> PathBuf {
        self.folder.path().join("deskgate")
    }

    /// Makes room, as a person does who tidies up.
    ///
    /// # Errors
    /// If the signal cannot be given.
    pub fn grow(&self) -> Result<(), PeerFault> {
        Ok(std::fs::write(self.signal(), "")?)
    }

    fn signal(&self) -> PathBuf {
        self.folder.path().join("grow")
    }
}
