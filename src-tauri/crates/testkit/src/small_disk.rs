//! Programs of which something lies on a disk of its own that gets full, a tmpfs in a mount namespace: a gateway's audit journal, or the
//! control plane's database.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::{PeerFault, until};

/// Room for one segment of the journal and little more.
const SMALL: &str = "1100k";
/// Room for the first segment of an epoch and some calls more.
const TINY: &str = "400k";
const LARGE: &str = "16m";

/// A stand-in for the program that starts it on such a disk.
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
        Self::of(SMALL, program)
    }

    /// Around the program, with a disk on which a journal can only just begin.
    ///
    /// # Errors
    /// If the stand-in cannot be written.
    pub fn tiny(program: &Path) -> Result<Self, PeerFault> {
        Self::of(TINY, program)
    }

    fn of(size: &str, program: &Path) -> Result<Self, PeerFault> {
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
mount -t tmpfs -o size={size},mode=0700 tmpfs "$DESKGATE_HOME/journal" || exit 1
(until [ -e "{grow}" ]; do sleep 0.1; done
mount -o remount,size={LARGE} "$DESKGATE_HOME/journal") &
exec "{program}" serve'
"#
        );
        std::fs::write(disk.program(), script)?;
        std::fs::set_permissions(disk.program(), std::fs::Permissions::from_mode(0o755))?;
        Ok(disk)
    }

    /// Around the program `deskgate-control`, with its database alone on a disk that is filled when a test says so.
    ///
    /// # Errors
    /// If the stand-in cannot be written.
    pub fn under_database(program: &Path) -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-disk-").tempdir()?;
        let disk = Self { folder };
        let database = disk.folder.path().join("database");
        std::fs::create_dir(&database)?;
        let [program, database, fill, filled, grow] =
            [program, &database, &disk.mark("fill"), &disk.mark("filled"), &disk.signal()]
                .map(|path| path.display().to_string());
        // Whoever is root need not become it, and could start no programs as another user then.
        let script = format!(
            r#"#!/bin/sh
case " $* " in *" serve "*) ;; *) exec '{program}' "$@" ;; esac
[ "$(id -u)" = 0 ] || become="--user --map-root-user"
exec unshare $become --mount sh -c '
mount -t tmpfs -o size={LARGE},mode=0700 tmpfs "{database}" || exit 1
(until [ -e "{fill}" ]; do sleep 0.1; done
cat /dev/zero > "{database}/rubbish" 2> /dev/null
touch "{filled}"
until [ -e "{grow}" ]; do sleep 0.1; done
rm "{database}/rubbish") &
DESKGATE_DATABASE="sqlite:{database}/control.sqlite" exec "{program}" "$@"' sh "$@"
"#
        );
        std::fs::write(disk.program(), script)?;
        std::fs::set_permissions(disk.program(), std::fs::Permissions::from_mode(0o755))?;
        Ok(disk)
    }

    /// Fills it, as somebody does who puts something else there.
    ///
    /// # Errors
    /// If it is not full within a minute.
    pub async fn fill(&self) -> Result<(), PeerFault> {
        std::fs::write(self.mark("fill"), "")?;
        let filled = self.mark("filled");
        until("a full disk", Duration::from_secs(60), async || filled.exists().then_some(())).await
    }

    fn mark(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
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
        self.mark("grow")
    }
}
