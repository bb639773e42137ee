//! Reading what a process uses, and what the disk takes for one record.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;
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
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let field = line.and_then(|line| line.split_whitespace().next()).and_then(|field| field.parse().ok());
    field.ok_or_else(|| PeerFault::answer("memory", "VmRSS is missing"))
}

/// The median time of writing `size` bytes one after the other into a file in `folder` and waiting until they are on the
/// disk. The file has its length beforehand, as a journal's has: what is measured is the least that durability costs.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn sync_time(folder: &Path, size: usize, times: usize) -> Result<Duration, PeerFault> {
    let path = folder.join("sync-probe");
    let mut file = File::create(&path)?;
    file.write_all(&vec![0; size * times])?;
    file.sync_all()?;
    file.rewind()?;
    let record = vec![b'x'; size];
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let start = Instant::now();
        file.write_all(&record)?;
        file.sync_data()?;
        taken.push(start.elapsed());
    }
    std::fs::remove_file(&path)?;
    taken.sort_unstable();
    Ok(quantile(&taken, 0.5))
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
        assert!(sync_time(folder.path(), 400, 3).expect("written") > Duration::ZERO);
        assert_eq!(written(folder.path()).expect("readable"), 0);
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
