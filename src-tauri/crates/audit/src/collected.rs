//! How far a device has delivered its records to a collector itself, where nobody signs for them.

use std::path::{Path, PathBuf};

use model::{DeviceId, Timestamp};
use org_protocol::Head;
use serde::{Deserialize, Serialize};

use crate::fault::JournalFault;
use crate::small_file;

const COLLECTED_FORMAT: u32 = 1;

/// For how many days it is remembered what was collected by when: records may stay for 90 days after it.
const LONGEST_KEPT: i64 = 91;

/// A collector has said that it has everything of a chain up to here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Collected {
    pub(crate) device: DeviceId,
    pub(crate) org: String,
    pub(crate) head: Head,
    pub(crate) at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    collected: Vec<Collected>,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("collected.json")
}

/// What was collected: the last of each chain, and the last of each day before. The fault is for people.
pub(crate) fn read(dir: &Path) -> Result<Vec<Collected>, String> {
    let written: Option<Written> = small_file::read(&path(dir), COLLECTED_FORMAT)?;
    Ok(written.map(|written| written.collected).unwrap_or_default())
}

/// As [`read`], and moves a file that cannot be read out of the way: then everything is delivered again.
pub(crate) fn read_or_set_aside(dir: &Path) -> Result<Vec<Collected>, JournalFault> {
    read(dir).or_else(|fault| {
        tracing::warn!(fault, "how far records were collected cannot be read; they are delivered again");
        let path = path(dir);
        os::set_aside(&path).map(|_| Vec::new()).map_err(|fault| JournalFault::storage(path, fault))
    })
}

/// Keeps one more, durably. Blocks for the disk.
pub(crate) fn keep(dir: &Path, new: Collected) -> Result<(), JournalFault> {
    let day = |at: Timestamp| at.seconds().div_euclid(24 * 60 * 60);
    let mut kept = read_or_set_aside(dir)?;
    kept.retain(|old| {
        let same = (old.device, &old.org, old.head.epoch) == (new.device, &new.org, new.head.epoch);
        day(old.at) + LONGEST_KEPT > day(new.at) && !(same && day(old.at) == day(new.at))
    });
    kept.push(new);
    let written = Written { format: COLLECTED_FORMAT, collected: kept };
    let text = serde_json::to_vec(&written).map_err(|fault| JournalFault::Encoding(fault.to_string()))?;
    let path = path(dir);
    os::write_durable(&path, &text).map_err(|fault| JournalFault::storage(path, fault))
}
