//! Opening sled and beginning anew: whatever it does wrong, including panics and never returning, costs only its content.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use sled::{Config, Db, Mode};

/// What became of the content when the cache was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// It is as it was left, or this is the first time.
    Opened,
    /// It could not be used and was begun anew: its owners fill it again.
    Rebuilt {
        /// What was wrong, for the log and the audit.
        why: String,
        /// Where the damaged store is now, if anything was left of it. Only the latest one is kept.
        aside: Option<PathBuf>,
    },
    /// It cannot even be begun anew: nothing is kept.
    Disabled {
        /// What is wrong.
        why: String,
    },
}

const MARK: &[u8] = b"format";
const FORMAT: &[u8] = b"1";
const CAPACITY: u64 = 16 * 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(10);
const LOCK_ATTEMPTS: u32 = 300;

/// Opens the store in `dir` or begins it anew.
pub(crate) fn open(dir: &Path) -> (Option<Db>, Recovery) {
    let existed = dir.join("db").exists();
    match attempt(dir, existed) {
        Ok(db) => (Some(db), Recovery::Opened),
        Err(Fault::InUse(why)) => (None, Recovery::Disabled { why }),
        Err(Fault::Damaged(why)) => begin_anew(dir, why),
    }
}

/// Moves the store aside and begins another.
pub(crate) fn begin_anew(dir: &Path, why: String) -> (Option<Db>, Recovery) {
    tracing::warn!(%why, "the cache is begun anew");
    let opened = set_aside(dir).map_err(|fault| Fault::Damaged(fault.to_string())).and_then(|aside| {
        let db = attempt(dir, false)?;
        Ok((db, aside))
    });
    match opened {
        Ok((db, aside)) => (Some(db), Recovery::Rebuilt { why, aside }),
        Err(Fault::Damaged(why) | Fault::InUse(why)) => {
            tracing::warn!(%why, "the cache cannot be used");
            (None, Recovery::Disabled { why })
        }
    }
}

/// Ends sled, which writes what it has buffered.
pub(crate) fn close(db: Option<Db>) {
    if let Err(why) = guarded(|| {
        drop(db);
        Ok(())
    }) {
        tracing::warn!(%why, "the cache did not close cleanly");
    }
}

/// Calls sled. A panic in it is as good as an error.
pub(crate) fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(fault)) => Err(fault.to_string()),
        Err(_) => Err("sled panicked".to_owned()),
    }
}

enum Fault {
    /// Another handle has it open; nothing is wrong with it.
    InUse(String),
    Damaged(String),
}

fn attempt(dir: &Path, existed: bool) -> Result<Db, Fault> {
    os::create_private_dir(dir).map_err(|fault| Fault::Damaged(fault.to_string()))?;
    for left in (0..LOCK_ATTEMPTS).rev() {
        match within_deadline(dir, existed) {
            // A handle that was just dropped may still be finishing in the background.
            Err(why) if why.contains("could not acquire lock") => {
                if left == 0 {
                    return Err(Fault::InUse(why));
                }
                std::thread::sleep(LOCK_PAUSE);
            }
            other => return other.map_err(Fault::Damaged),
        }
    }
    Err(Fault::InUse("no attempt was made".to_owned()))
}

// On a damaged store sled may also spin for ever: then its thread is left behind.
fn within_deadline(dir: &Path, existed: bool) -> Result<Db, String> {
    let (answer, opened) = mpsc::channel();
    let dir = dir.to_owned();
    std::thread::Builder::new()
        .name("cache".to_owned())
        .spawn(move || answer.send(guarded(|| checked(&dir, existed)).and_then(|checked| checked)))
        .map_err(|fault| fault.to_string())?;
    opened.recv_timeout(DEADLINE).unwrap_or_else(|fault| Err(format!("sled did not open in time: {fault}")))
}

// A store of ours always has its mark; a damaged one may open silently empty.
fn checked(dir: &Path, existed: bool) -> sled::Result<Result<Db, String>> {
    let db = Config::new()
        .path(dir)
        .mode(Mode::HighThroughput)
        .cache_capacity(CAPACITY)
        .use_compression(false)
        .flush_every_ms(None)
        .open()?;
    match db.get(MARK)? {
        Some(mark) if mark == FORMAT => Ok(Ok(db)),
        Some(mark) => Ok(Err(format!("it has another format: {}", String::from_utf8_lossy(&mark)))),
        None if existed => Ok(Err("its content is gone".to_owned())),
        None => {
            db.insert(MARK, FORMAT)?;
            db.flush()?;
            Ok(Ok(db))
        }
    }
}

fn set_aside(dir: &Path) -> io::Result<Option<PathBuf>> {
    if !dir.try_exists()? {
        return Ok(None);
    }
    let mut aside = dir.as_os_str().to_owned();
    aside.push(".damaged-1");
    match fs::remove_dir_all(&aside) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        Ok(()) | Err(_) => {}
    }
    os::set_aside(dir).map(Some)
}
