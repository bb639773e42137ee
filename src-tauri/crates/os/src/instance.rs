//! One process owns a home directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use model::{Advice, ForPerson};

/// The proof that this process owns a home directory. Dropping it, or the process's end in any way, gives it up.
#[derive(Debug)]
pub struct InstanceLock {
    // Held open: the kernel ties the lock to it.
    _file: File,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockFault {
    /// Another process has it.
    #[error("another process owns this home directory (pid {})", pid.map_or_else(|| "unknown".to_owned(), |p| p.to_string()))]
    Held {
        /// The owner, where it can be read.
        pid: Option<u32>,
    },
    /// The lock file cannot be made or locked.
    #[error("the lock file cannot be used")]
    File(#[source] io::Error),
}

impl ForPerson for LockFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Held { .. } => Advice::new(
                "instance-running",
                "Deskgate is already running for this user.",
                "Only one instance can own its data.",
                "Use the one that runs, or quit it first.",
            ),
            Self::File(fault) => Advice::new(
                "home-unusable",
                format!("Deskgate cannot use its data directory: {fault}."),
                "It cannot start without one.",
                "Check the directory's owner, its permissions and the free space.",
            ),
        }
    }
}

/// Takes the exclusive lock whose file is at `path` and writes this process's id into it. Does not wait.
///
/// # Errors
/// [`LockFault::Held`] where another process has it, [`LockFault::File`] where the file cannot be used.
pub fn lock_instance(path: &Path) -> Result<InstanceLock, LockFault> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(LockFault::File)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(LockFault::Held { pid: holder(&mut file) }),
        Err(TryLockError::Error(fault)) => return Err(LockFault::File(fault)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(LockFault::File)?;
    Ok(InstanceLock { _file: file })
}

/// Who owns the home directory whose lock file is at `path`, without taking it: `None` where nobody does, `Some(None)` where
/// somebody does who cannot be named. Nothing is made or written. Whoever starts in the same moment may find it taken, so this is
/// for when a person asks.
pub fn holder_of_instance(path: &Path) -> Option<Option<u32>> {
    let mut file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_learns_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = lock_instance(&path).unwrap();
        match lock_instance(&path) {
            Err(LockFault::Held { pid }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(lock);
        lock_instance(&path).unwrap();
    }

    #[test]
    fn the_owner_is_named_without_taking_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(holder_of_instance(&path), None);
        assert!(!path.exists(), "looking makes nothing");
        let lock = lock_instance(&path).unwrap();
        assert_eq!(holder_of_instance(&path), Some(Some(std::process::id())));
        drop(lock);
        assert_eq!(holder_of_instance(&path), None);
        lock_instance(&path).unwrap();
    }

    #[test]
    fn a_stale_file_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::fs::write(&path, "999999999 left by a crash").unwrap();
        lock_instance(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn an_unusable_place_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let fault = lock_instance(&dir.path().join("missing/lock")).unwrap_err();
        assert!(matches!(fault, LockFault::File(_)), "{fault:?}");
        assert_eq!(fault.advice().code, "home-unusable");
    }
}
