//! Files that survive a crash, readable by their owner only.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::crash::{Step, reached};

const LEFTOVER: &str = ".deskgate-tmp-";
const ASIDE: &str = ".damaged-";

/// Replaces the file at `path` as a whole: after a crash it holds the old or the new bytes, never a mixture, and the new
/// ones once this has returned. The file belongs to its owner only (0600). Blocks for the disk.
///
/// # Errors
/// Whatever the file system says. The old file is then still there unless renaming succeeded and only the last sync of
/// the directory failed; no temporary file stays behind.
pub fn write_durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, None)
}

/// Replaces a file of somebody else's as [`write_durable`] does, but keeps what it is: its permissions, and where `path` is a
/// symbolic link, the link. Blocks for the disk.
///
/// # Errors
/// Whatever the file system says; there is no file to replace among it. The old file is then still there.
pub fn replace_durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(path)?;
    let permissions = fs::metadata(&target)?.permissions();
    write_with(&target, bytes, Some(permissions))
}

fn write_with(path: &Path, bytes: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    reached(path, Step::Begun);
    let dir = parent(path)?;
    let temporary = Temporary::beside(dir);
    let mut file = temporary.create()?;
    file.write_all(bytes)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    reached(path, Step::Written);
    file.sync_all()?;
    drop(file);
    reached(path, Step::Synced);
    fs::rename(&temporary.0, path)?;
    reached(path, Step::Renamed);
    sync_dir(dir)?;
    reached(path, Step::Durable);
    Ok(())
}

/// Removes the file at `path`, durably. A file that is not there counts as removed. Blocks for the disk.
///
/// # Errors
/// Whatever the file system says.
pub fn remove_durable(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_dir(parent(path)?),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Moves a damaged file or directory out of the way, to `<name>.damaged-<n>` beside it, with the first `n` that is free.
///
/// # Errors
/// Whatever the file system says.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let dir = parent(path)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    for n in 1_u32.. {
        let mut aside = OsString::from(name);
        aside.push(format!("{ASIDE}{n}"));
        let aside = dir.join(aside);
        if !aside.try_exists()? {
            fs::rename(path, &aside)?;
            sync_dir(dir)?;
            return Ok(aside);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Whether [`set_aside`] has given something this name that was at `original` before.
pub fn is_set_aside(name: &Path, original: &Path) -> bool {
    let (Some(of), Some(now)) = (original.file_name(), name.file_name()) else { return false };
    let (Some(of), Some(now)) = (of.to_str(), now.to_str()) else { return false };
    let number = now.strip_prefix(of).and_then(|rest| rest.strip_prefix(ASIDE));
    name.parent() == original.parent() && number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Makes a directory, and those above it, that only its owner may enter (0700); an existing one is closed to others.
///
/// # Errors
/// Whatever the file system says, and [`io::ErrorKind::NotADirectory`] where something else has the name.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

/// Whether a file name is that of a temporary file that a crash left behind; its owner may remove it at start.
pub fn is_leftover(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(LEFTOVER))
}

struct Temporary(PathBuf);

impl Temporary {
    fn beside(dir: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(dir.join(format!("{LEFTOVER}{}-{count}", std::process::id())))
    }

    fn create(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&self.0) {
            // A leftover of an earlier process that had the same id.
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&self.0)?;
                options.open(&self.0)
            }
            other => other,
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a successful rename there is nothing left; after a failure this is all that can be done.
        let _ = fs::remove_file(&self.0);
    }
}

fn parent(path: &Path) -> io::Result<&Path> {
    match path.parent() {
        Some(dir) if dir.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(dir) => Ok(dir),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(unix)]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

// Elsewhere a directory cannot be opened for a sync; renaming is as durable as the file system makes it.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature on every platform")]
fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_belongs_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        write_durable(&path, b"first").unwrap();
        write_durable(&path, b"second, longer").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second, longer");
        assert_eq!(names(dir.path()), ["record"], "no temporary file stays");
        #[cfg(unix)]
        assert_eq!(mode(&path), 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_somebody_elses_keeps_its_permissions_and_a_link_to_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, b"first").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        replace_durable(&link, b"second").unwrap();
        assert_eq!((fs::read(&file).unwrap(), mode(&file)), (b"second".to_vec(), 0o644));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(replace_durable(&dir.path().join("none"), b"x").is_err(), "there is nothing to replace");
        assert_eq!(names(dir.path()), ["file", "link"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_state_and_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let occupied = dir.path().join("record");
        fs::create_dir_all(occupied.join("inside")).unwrap();
        assert!(write_durable(&occupied, b"bytes").is_err(), "a directory cannot be replaced by a file");
        assert_eq!(names(dir.path()), ["record"]);
        assert_eq!(names(&occupied), ["inside"]);
    }

    #[test]
    fn removing_twice_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        write_durable(&path, b"x").unwrap();
        remove_durable(&path).unwrap();
        remove_durable(&path).unwrap();
        assert_eq!(names(dir.path()), Vec::<String>::new());
    }

    #[test]
    fn what_is_set_aside_never_replaces_what_was_set_aside_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        for text in ["one", "two"] {
            fs::write(&path, text).unwrap();
            set_aside(&path).unwrap();
        }
        assert_eq!(names(dir.path()), ["record.damaged-1", "record.damaged-2"]);
        assert_eq!(fs::read(dir.path().join("record.damaged-1")).unwrap(), b"one");
        let aside = |name: &str| is_set_aside(&dir.path().join(name), &path);
        assert!(aside("record.damaged-1") && aside("record.damaged-12"));
        assert!(!aside("record") && !aside("record.damaged-") && !aside("records.damaged-1"));
    }

    #[cfg(unix)]
    #[test]
    fn private_directories_are_closed_to_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        create_private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&dir.path().join("a")), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        create_private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o700, "an open one is closed");
        fs::write(dir.path().join("file"), b"").unwrap();
        assert!(create_private_dir(&dir.path().join("file")).is_err());
    }

    #[test]
    fn leftovers_are_known_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let temporary = Temporary::beside(dir.path());
        assert!(is_leftover(temporary.0.file_name().unwrap()));
        assert!(!is_leftover(std::ffi::OsStr::new("record")));
    }
}
