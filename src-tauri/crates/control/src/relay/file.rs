//! Files of NDJSON, one a day (UTC) by when records came here: OCSF events, for whoever fetches files. They are on disk when they count as
//! passed on; whoever keeps them removes them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::sink::{Batch, SinkFault, io};

/// The folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Result<Self, SinkFault> {
        os::create_private_dir(&path)
            .map_err(|source| SinkFault::Io { what: format!("{} cannot be made", path.display()), source })?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn take(&self, batch: Batch<'_>) -> Result<(), SinkFault> {
        let day: String = batch.observed.to_string().chars().take("2026-01-31".len()).collect();
        let path = self.path.join(format!("deskgate-{day}.ndjson"));
        let lines: String = batch
            .records
            .iter()
            .map(|record| format!("{}\n", ::audit::siem::ocsf(record, batch.org)))
            .collect();
        let what = format!("{} cannot be written", path.display());
        let written = tokio::task::spawn_blocking(move || append(&path, &lines)).await;
        written.map_err(io::Error::other).flatten().map_err(io(what))
    }
}

/// Appends whole lines: what a crash left half written is written again, and so is taken off.
fn append(path: &Path, lines: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
    let length = whole_lines(&mut file)?;
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    file.write_all(lines.as_bytes())?;
    file.sync_data()?;
    // The name as well, where the file is new.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// How long the file is up to the end of its last whole line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    const PIECE: u64 = 64 * 1024;
    let mut end = file.metadata()?.len();
    while end > 0 {
        let begin = end.saturating_sub(PIECE);
        let mut piece = Vec::new();
        file.seek(SeekFrom::Start(begin))?;
        io::Read::by_ref(file).take(end - begin).read_to_end(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_by_half_is_taken_off() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("records.ndjson");
        append(&path, "{\"a\":1}\n").expect("writes");
        append(&path, "{\"b\":2}\n").expect("writes");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "{\"a\":1}\n{\"b\":2}\n");
        let long = format!("{{\"a\":1}}\n{{\"half\":\"{}", "x".repeat(200_000));
        std::fs::write(&path, long).expect("writes");
        append(&path, "{\"c\":3}\n").expect("writes");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "{\"a\":1}\n{\"c\":3}\n");
        std::fs::write(&path, "no line").expect("writes");
        append(&path, "{\"d\":4}\n").expect("writes");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "{\"d\":4}\n");
    }
}
