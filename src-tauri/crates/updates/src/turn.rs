//! The right to install, which one program has at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::installing::InstallFault;

/// The right to install: between two that install at once, the earlier version could come last. It ends when this is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "it is locked as long as it is open")] File);

impl Turn {
    /// Takes it by locking a file in a folder of root's, which stays there. Waits for nobody.
    ///
    /// # Errors
    /// [`InstallFault::Busy`] where another has it, [`InstallFault::Folder`] where the file cannot be used.
    pub fn take(path: &Path) -> Result<Self, InstallFault> {
        let fault = |source| InstallFault::Folder { path: path.to_owned(), source };
        let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let mut how = OpenOptions::new();
        how.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let file = how.open(path).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(InstallFault::Busy),
            Err(TryLockError::Error(source)) => Err(fault(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_installs_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("update.lock");
        let first = Turn::take(&path).expect("the first");
        assert!(matches!(Turn::take(&path), Err(InstallFault::Busy)));
        drop(first);
        Turn::take(&path).expect("after it ended");
    }
}
