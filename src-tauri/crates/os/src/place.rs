//! What can be told of a folder without touching it: whose it is, who may enter, how much room its disk has.

use std::io;
use std::path::Path;

/// A folder, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderState {
    /// Whether it is this user's. On Windows not told, and taken for granted.
    pub own: bool,
    /// Whether others than its owner may read it, write it or enter.
    pub open_to_others: bool,
    /// Whether this process may make files in it.
    pub writable: bool,
    /// How many bytes its disk has left for this user; `None` where that cannot be told.
    pub free: Option<u64>,
}

/// Looks at a folder. Nothing is written. Blocks for the disk.
///
/// # Errors
/// Whatever the file system says; [`io::ErrorKind::NotADirectory`] where the name is something else's.
pub fn look_at_folder(path: &Path) -> io::Result<FolderState> {
    let about = std::fs::metadata(path)?;
    if !about.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(imp::look(path, &about))
}

/// Whether a file is there that somebody may run; on Windows any file. Blocks for the disk.
pub fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.is_file() && imp::may_run(&about))
}

#[cfg(unix)]
mod imp {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use rustix::fs::{Access, access, statvfs};

    use super::FolderState;

    pub(super) fn look(path: &Path, about: &Metadata) -> FolderState {
        FolderState {
            own: about.uid() == crate::current_user().0,
            open_to_others: about.mode() & 0o077 != 0,
            writable: access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok(),
            free: statvfs(path).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        }
    }

    pub(super) fn may_run(about: &Metadata) -> bool {
        about.mode() & 0o111 != 0
    }
}

#[cfg(not(unix))]
mod imp {
    use std::fs::Metadata;
    use std::path::Path;

    use super::FolderState;

    pub(super) fn look(_path: &Path, about: &Metadata) -> FolderState {
        FolderState {
            own: true,
            open_to_others: false,
            writable: !about.permissions().readonly(),
            free: None,
        }
    }

    pub(super) fn may_run(_about: &Metadata) -> bool {
        true
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_is_told_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode));
        mode(0o700).unwrap();
        let closed = look_at_folder(folder.path()).unwrap();
        assert!(closed.own && !closed.open_to_others && closed.writable, "{closed:?}");
        assert!(closed.free.is_some_and(|free| free > 0), "{closed:?}");
        mode(0o750).unwrap();
        assert!(look_at_folder(folder.path()).unwrap().open_to_others);
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was written");
    }

    #[test]
    fn a_program_is_a_file_that_may_be_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert!(!is_program(&file) && !is_program(folder.path()));
        std::fs::write(&file, "").unwrap();
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o600);
        assert!(!is_program(&file));
        mode(0o700);
        assert!(is_program(&file));
    }

    #[test]
    fn what_is_no_folder_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert_eq!(look_at_folder(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&file, "").unwrap();
        assert_eq!(look_at_folder(&file).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
