//! Backups of what a control plane knows, and beginning again from one.

use std::io;
use std::path::{Path, PathBuf};

use model::Timestamp;
use os::LockFault;

use crate::serve::REVOCATIONS;
use crate::store::{self, BackupFault, Database, Restored, Saved};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreFault {
    /// The backup or the database.
    #[error(transparent)]
    Backup(#[from] BackupFault),
    /// A control plane runs on the data directory.
    #[error(transparent)]
    Lock(#[from] LockFault),
    /// The data directory cannot be used.
    #[error("{} cannot be used: {source}", path.display())]
    Data {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody says what was taken away from whom since the backup was made.
    #[error(
        "nothing says what was revoked after the backup was made: give each control plane's file with --revocations, or, where all of them are lost, --without-revocations; then revoke once more what you remember"
    )]
    NoRevocations,
}

/// How to restore.
#[derive(Debug)]
pub struct RestorePlan {
    /// The data directory of the control plane that will serve it.
    pub data: PathBuf,
    /// An empty database.
    pub database: Database,
    /// The backup.
    pub file: PathBuf,
    /// The files of revocations of all control planes; the one in the data directory where none is given.
    pub revocations: Vec<PathBuf>,
    /// Whether to go on without any.
    pub without_revocations: bool,
}

/// Writes everything that the database has, as it is now, to a new file that only its owner may read. Control planes serve on meanwhile.
///
/// # Errors
/// A [`BackupFault`]; there is no file then.
pub async fn backup(database: &Database, file: &Path, now: Timestamp) -> Result<Saved, BackupFault> {
    store::save(database, file, now).await
}

/// Puts a backup into an empty database and takes away once more what was taken away since. Sessions, leases and proofs from before are
/// not good any more.
///
/// # Errors
/// A [`RestoreFault`].
pub async fn restore(plan: &RestorePlan, now: Timestamp) -> Result<Restored, RestoreFault> {
    let data = |source| RestoreFault::Data { path: plan.data.clone(), source };
    os::create_private_dir(&plan.data).map_err(data)?;
    let _lock = os::lock_instance(&plan.data.join("lock"))?;
    let restored = restore_locked(plan, now).await;
    // Whatever came of it, the files are there.
    if let Err(fault) = give(&plan.data) {
        tracing::warn!(%fault, "what root has made in the data directory still belongs to root");
    }
    restored
}

async fn restore_locked(plan: &RestorePlan, now: Timestamp) -> Result<Restored, RestoreFault> {
    let mut logs = plan.revocations.clone();
    let own = plan.data.join(REVOCATIONS);
    if own.exists() && !logs.contains(&own) {
        logs.push(own);
    }
    if logs.is_empty() && !plan.without_revocations {
        return Err(RestoreFault::NoRevocations);
    }
    let logs = (!plan.without_revocations).then_some(logs.as_slice());
    Ok(store::restore(&plan.database, &plan.file, logs, now).await?)
}

/// What is made in the data directory by restoring.
#[cfg(unix)]
const MADE: [&str; 5] =
    ["lock", "control.lock", "control.sqlite", "control.sqlite-shm", "control.sqlite-wal"];

/// Gives what root has made to the directory's owner: root restores for a service that runs as another user. By open files, since that user
/// may put something else behind a name meanwhile; what has a second name elsewhere is not given away.
#[cfg(unix)]
fn give(folder: &Path) -> io::Result<()> {
    use rustix::fs::{FileType, Mode, OFlags, fchown, fstat, open, openat};

    let us = rustix::process::geteuid();
    if !us.is_root() {
        return Ok(());
    }
    let folder = open(folder, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let owner = fstat(&folder)?;
    let (user, group) = (rustix::fs::Uid::from_raw(owner.st_uid), rustix::fs::Gid::from_raw(owner.st_gid));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for name in MADE {
        let file = match openat(&folder, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => continue,
            Err(fault) => return Err(fault.into()),
        };
        let about = fstat(&file)?;
        let is_ours = about.st_uid == us.as_raw() && about.st_nlink == 1;
        if is_ours && FileType::from_raw_mode(about.st_mode).is_file() {
            fchown(&file, Some(user), Some(group))?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn give(_folder: &Path) -> io::Result<()> {
    Ok(())
}
