//! Reading what a process uses, and what the disk takes for one record.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::load::quantile;
use crate::PeerFault;

/// The time that all threads of a process have spent on a processor, by the scheduler's nanosecond account
/// (proc(5), `schedstat`).
///
/// # Errors
/// If the process is gone.
pub(super) fn cpu_time(process: u32) -> Result<Duration, PeerFault> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += text.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(Duration::from_nanos(total))
}

/// The memory that a process holds in RAM, in KiB (proc(5), `VmRSS`).
///
/// # Errors
/// If the process is gone.
pub(super) fn resident(process: u32) -> Result<u64, PeerFault> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    count(&text, "VmRSS:").ok_or_else(|| PeerFault::answer("memory", "VmRSS is missing"))
}

/// The memory that a process and everything that it started hold in RAM, in KiB: what they share with others is divided among all
/// of those (proc(5), `smaps_rollup`, `Pss`).
///
/// # Errors
/// If the process is gone.
pub(super) fn held_together(process: u32) -> Result<u64, PeerFault> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let own = count(&text, "Pss:").ok_or_else(|| PeerFault::answer("memory", "Pss is missing"))?;
    // One that has just ended holds nothing.
    Ok(own + started_by(process)?.into_iter().filter_map(|child| held_together(child).ok()).sum::<u64>())
}

/// How often the threads of a process, and of everything that it started, have given the processor up by themselves since they
/// began: each time something woke them (proc(5), `voluntary_ctxt_switches`).
///
/// # Errors
/// If the process is gone.
pub(super) fn wakes(process: u32) -> Result<u64, PeerFault> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("status"))?;
        total += count(&text, "voluntary_ctxt_switches:").unwrap_or_default();
    }
    Ok(total + started_by(process)?.into_iter().filter_map(|child| wakes(child).ok()).sum::<u64>())
}

/// The number behind a name that begins a line.
fn count(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn started_by(process: u32) -> Result<Vec<u32>, PeerFault> {
    let mut children = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("children"))?;
        children.extend(text.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    Ok(children)
}

/// What the disk takes for one record, asked as the journal asks it: a file of a segment's length, filled with zeros and
/// synced beforehand, opened anew; then each record is written behind the last one and followed by fdatasync. The blocks
/// are there and the length does not change, so that a sync has data to write and nothing else.
///
/// The time in which the disk was done and other programs held the processors does not count. On a busy machine it is
/// many times that of the disk, and whoever asks without a pause waits longest.
#[derive(Debug)]
pub(super) struct SyncProbe {
    path: PathBuf,
    file: File,
    record: Vec<u8>,
    /// How many records still fit.
    room: usize,
}

/// The length of a journal's segments, bytes.
const SEGMENT: usize = 1024 * 1024;

impl SyncProbe {
    /// Prepares the file in `folder` for records of `size` bytes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn prepare(folder: &Path, size: usize) -> Result<Self, PeerFault> {
        let path = folder.join("sync-probe");
        let mut file = File::create(&path)?;
        std::io::copy(&mut std::io::repeat(0).take(SEGMENT as u64), &mut file)?;
        file.sync_data()?;
        let file = OpenOptions::new().write(true).open(&path)?;
        Ok(Self { path, file, record: vec![b'x'; size], room: SEGMENT / size.max(1) })
    }

    /// The median time of writing and syncing `times` records, one after the other.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn ask(&mut self, times: usize) -> Result<Duration, PeerFault> {
        let mut taken = Vec::with_capacity(times);
        for _ in 0..times {
            if self.room == 0 {
                self.file.seek(SeekFrom::Start(0))?;
                self.room = SEGMENT / self.record.len().max(1);
            }
            let (start, kept_waiting) = (Instant::now(), waited_for_processor()?);
            self.file.write_all(&self.record)?;
            self.file.sync_data()?;
            let kept_waiting = waited_for_processor()?.saturating_sub(kept_waiting);
            taken.push(start.elapsed().saturating_sub(kept_waiting));
            self.room -= 1;
        }
        taken.sort_unstable();
        Ok(quantile(&taken, 0.5))
    }
}

/// The time that this thread has spent ready to run and without a processor (proc(5), `schedstat`).
fn waited_for_processor() -> Result<Duration, PeerFault> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let field = text.split_whitespace().nth(1).and_then(|field| field.parse().ok());
    field.map(Duration::from_nanos).ok_or_else(|| PeerFault::answer("waiting", "schedstat has no run delay"))
}

impl Drop for SyncProbe {
    fn drop(&mut self) {
        // Its folder goes soon, too.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The bytes that were written to the files under a folder. A log that fills its files with zeros beforehand, to make
/// syncing cheap, counts without them.
///
/// # Errors
/// If the folder cannot be read.
pub(super) fn written(folder: &Path) -> Result<usize, PeerFault> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.metadata()?.is_dir() {
            total += written(&entry.path())?;
        } else {
            let bytes = std::fs::read(entry.path())?;
            total += bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_processor_and_memory() {
        let before = cpu_time(std::process::id()).expect("readable");
        let mut sum = 0_u64;
        while cpu_time(std::process::id()).expect("readable") < before + Duration::from_millis(5) {
            sum = sum.wrapping_add(1);
        }
        assert!(sum > 0);
        assert!(resident(std::process::id()).expect("readable") > 100);
    }

    #[test]
    fn a_sync_takes_time_and_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut probe = SyncProbe::prepare(folder.path(), 400).expect("prepared");
        assert!(probe.ask(3).expect("written") > Duration::ZERO);
        assert_eq!(written(folder.path()).expect("readable"), 1200);
        drop(probe);
        assert_eq!(written(folder.path()).expect("readable"), 0);
    }

    #[test]
    fn a_probe_never_grows_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut probe = SyncProbe::prepare(folder.path(), SEGMENT / 2 - 1).expect("prepared");
        probe.ask(5).expect("written");
        let length = std::fs::metadata(folder.path().join("sync-probe")).expect("there").len();
        assert_eq!(length, SEGMENT as u64);
    }

    #[test]
    fn zeros_that_fill_a_file_up_do_not_count() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("inner")).expect("made");
        std::fs::write(folder.path().join("inner/a"), b"ab\0c\0\0\0").expect("written");
        std::fs::write(folder.path().join("b"), b"\0\0").expect("written");
        assert_eq!(written(folder.path()).expect("readable"), 4);
    }
}
