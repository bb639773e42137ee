//! A log on disk that never takes more than it may: it begins anew when it is full, and what was before is kept in a few
//! files beside it, the oldest of which goes.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The log. Lines are written whole: a file ends with a line, and so does one that was cut off by a crash, from the next start on.
/// Each file belongs to its owner only (0600).
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    /// The most bytes of one file.
    most: u64,
    /// How many files there are at most, the one that is written among them.
    files: u32,
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    file: File,
    size: u64,
}

impl RotatingFile {
    /// The log at `path`, of `files` files of at most `most` bytes each. A folder that is missing is made, for its owner only.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(path: impl Into<PathBuf>, most: u64, files: u32) -> io::Result<Self> {
        let path = path.into();
        if let Some(folder) = path.parent() {
            crate::create_private_dir(folder)?;
        }
        let mut current = Current::append(&path)?;
        if current.size > 0 {
            // Where a crash cut a line off, the next one stands by itself.
            current.end_line(&path)?;
        }
        Ok(Self { path, most, files, current: Mutex::new(Some(current)) })
    }

    /// The files that are there, the newest first.
    pub fn kept(path: &Path, files: u32) -> Vec<PathBuf> {
        (0..files).map(|age| aged(path, age)).filter(|file| file.is_file()).collect()
    }

    /// Writes a line, or several. A disk that takes nothing is nobody's business here: what is logged is lost, and the program goes on.
    pub fn append(&self, lines: &[u8]) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let full =
            current.as_ref().is_some_and(|it| it.size > 0 && it.size.saturating_add(length) > self.most);
        if full {
            *current = None;
        }
        if current.is_none() {
            *current = self.begin(full).ok();
        }
        let Some(open) = current.as_mut() else { return };
        match open.file.write_all(lines) {
            Ok(()) => open.size = open.size.saturating_add(length),
            // Tried again from the beginning with the next line.
            Err(_) => *current = None,
        }
    }

    /// Opens the file that is written; those before grow older by one where it begins `anew`.
    fn begin(&self, anew: bool) -> io::Result<Current> {
        if anew {
            let oldest = self.files.saturating_sub(1);
            for age in (0..oldest).rev() {
                match fs::rename(aged(&self.path, age), aged(&self.path, age + 1)) {
                    Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
                    Ok(()) | Err(_) => {}
                }
            }
            if oldest == 0 {
                fs::remove_file(&self.path)?;
            }
        }
        Current::append(&self.path)
    }
}

impl Current {
    fn append(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let about = file.metadata()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            if about.permissions().mode() & 0o077 != 0 {
                file.set_permissions(fs::Permissions::from_mode(0o600))?;
            }
        }
        Ok(Self { size: about.len(), file })
    }

    fn end_line(&mut self, path: &Path) -> io::Result<()> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let mut last = [0_u8];
        let mut reading = File::open(path)?;
        reading.seek(SeekFrom::End(-1))?;
        reading.read_exact(&mut last)?;
        if last != *b"\n" {
            self.file.write_all(b"\n")?;
            self.size = self.size.saturating_add(1);
        }
        Ok(())
    }
}

/// `deskgate.log`, `deskgate.log.1`, and so on.
fn aged(path: &Path, age: u32) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path.as_os_str());
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn it_never_takes_more_than_it_may_and_the_newest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/deskgate.log");
        let log = RotatingFile::open(&path, 100, 3).unwrap();
        for number in 0..200 {
            log.append(format!("line {number:04}\n").as_bytes());
        }
        let kept = RotatingFile::kept(&path, 3);
        assert_eq!(kept.len(), 3);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 3, "nothing else is left");
        for file in &kept {
            assert!(fs::metadata(file).unwrap().len() <= 100);
            assert!(text(file).lines().all(|line| line.len() == 9), "lines are whole: {}", text(file));
        }
        let all: String = kept.iter().rev().map(|file| text(file)).collect();
        assert!(all.ends_with("line 0199\n"));
        let numbers: Vec<u32> = all.lines().map(|line| line[5..].parse().unwrap()).collect();
        assert!(numbers.windows(2).all(|two| two[0] + 1 == two[1]), "none is missing between: {numbers:?}");
    }

    #[test]
    fn it_goes_on_after_a_start_and_after_a_line_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deskgate.log");
        RotatingFile::open(&path, 1000, 2).unwrap().append(b"one\ntw");
        RotatingFile::open(&path, 1000, 2).unwrap().append(b"three\n");
        assert_eq!(text(&path), "one\ntw\nthree\n");
        let log = RotatingFile::open(&path, 10, 1).unwrap();
        log.append(b"four\n");
        assert_eq!(text(&path), "four\n", "with one file, what was before goes");
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/deskgate.log");
        let log = RotatingFile::open(&path, 20, 2).unwrap();
        log.append(b"0123456789012345\n");
        log.append(b"0123456789012345\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            RotatingFile::kept(&path, 2).iter().map(|it| mode(it)).collect::<Vec<_>>(),
            [0o600, 0o600]
        );
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }
}
