//! The few file operations that the writer needs, behind a trait so that tests can count them and make them fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// Where segments are written. All calls block for the disk.
pub(crate) trait Storage: Send + Sync {
    /// Makes a file of `length` zero bytes, replacing what has the name. Once that is synced, writing over the zeros needs
    /// no new blocks, and a sync has only data to write.
    fn prepare(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Opens a file for writing from `offset` on.
    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn SegmentFile>>;

    /// Gives a prepared file its final name, durably.
    fn adopt(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Cuts a file to `length`, durably.
    fn cut(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Removes a file, durably.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub(crate) trait SegmentFile: Send {
    /// Writes all of `bytes` after what was written before.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything written is on the disk itself.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system.
pub(crate) struct Disk;

impl Storage for Disk {
    fn prepare(&self, path: &Path, length: u64) -> io::Result<()> {
        fill(path, length).inspect_err(|_| {
            // Half a file is of no use, and takes what little room there is.
            let _ = std::fs::remove_file(path);
        })
    }

    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn SegmentFile>> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }

    fn adopt(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)?;
        match to.parent() {
            #[cfg(unix)]
            Some(dir) => File::open(dir)?.sync_all(),
            #[cfg(not(unix))]
            Some(_) => Ok(()),
            None => Ok(()),
        }
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        os::remove_durable(path)
    }
}

fn fill(path: &Path, length: u64) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    io::copy(&mut io::repeat(0).take(length), &mut file).map(drop)
}

impl SegmentFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
