//! What was removed from the journal because it was no longer needed: up to where, and who had it.
//!
//! This is on disk before anything is removed, so that a history without its beginning can be told from one whose
//! beginning somebody cut off. It carries a keyed digest as the head file does.

use std::path::{Path, PathBuf};

use model::{DeviceId, Timestamp};
use org_protocol::{Head, Receipt, SignedReceipt, to_one_line};
use serde::{Deserialize, Serialize};

use crate::fault::JournalFault;
use crate::head_file::{key_name, keyed};
use crate::small_file;

const PRUNED_FORMAT: u32 = 1;

/// How far one epoch was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pruned {
    /// The last record that was removed.
    pub(crate) end: Head,
    /// When.
    pub(crate) at: Timestamp,
    /// The organisation's word that it has them; none for records that nobody signs for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<SignedReceipt>,
    /// When a collector had said that it has them; only where nobody signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) collected: Option<Timestamp>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    device: DeviceId,
    epochs: Vec<Pruned>,
    key: String,
    mac: String,
}

impl Pruned {
    /// Why nobody can have removed these records rightfully; in words.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let receipt = self.receipt.as_ref()?;
        let covers = |receipt: Receipt| receipt.epoch == self.end.epoch && receipt.seq >= self.end.seq;
        match receipt.unverified() {
            Ok(receipt) if covers(receipt.clone()) => None,
            Ok(_) => Some("they were removed, and the receipt beside is for others".to_owned()),
            Err(fault) => Some(format!("they were removed, and the receipt beside is none: {fault}")),
        }
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("pruned.json")
}

/// What was removed, each epoch once. The keyed digest is not checked. The fault is for people.
pub(crate) fn read(dir: &Path) -> Result<Vec<Pruned>, String> {
    Ok(read_file(dir)?.map(|written| written.epochs).unwrap_or_default())
}

/// As [`read`], and moves a file out of the way that this program did not write.
pub(crate) fn read_or_set_aside(dir: &Path, key: &[u8; 32]) -> Result<Option<PathBuf>, JournalFault> {
    let good = match read_file(dir) {
        Ok(None) => true,
        // Of another key nothing can be said: the vault was reset.
        Ok(Some(written)) => written.key != key_name(key) || mac(&written, key)? == written.mac,
        Err(_) => false,
    };
    if good {
        return Ok(None);
    }
    let path = path(dir);
    os::set_aside(&path).map(Some).map_err(|fault| JournalFault::storage(path, fault))
}

/// How far one epoch was removed.
pub(crate) fn of_epoch(dir: &Path, epoch: u64) -> Option<Head> {
    let pruned = read(dir).ok()?;
    pruned.into_iter().map(|pruned| pruned.end).find(|end| end.epoch == epoch)
}

/// Writes what was removed up to now and is about to be removed, durably. Blocks for the disk.
pub(crate) fn write(
    dir: &Path,
    device: DeviceId,
    epochs: Vec<Pruned>,
    mac_key: &[u8; 32],
) -> Result<(), JournalFault> {
    let mut written =
        Written { format: PRUNED_FORMAT, device, epochs, key: key_name(mac_key), mac: String::new() };
    written.mac = mac(&written, mac_key)?;
    let text = to_one_line(&written).map_err(|fault| JournalFault::Encoding(fault.to_string()))?;
    let path = path(dir);
    os::write_durable(&path, text.as_bytes()).map_err(|fault| JournalFault::storage(path, fault))
}

fn read_file(dir: &Path) -> Result<Option<Written>, String> {
    small_file::read(&path(dir), PRUNED_FORMAT)
}

fn mac(written: &Written, mac_key: &[u8; 32]) -> Result<String, JournalFault> {
    let unsigned = Written { mac: String::new(), ..written.clone() };
    let text = to_one_line(&unsigned).map_err(|fault| JournalFault::Encoding(fault.to_string()))?;
    Ok(keyed(mac_key, b"pruned", text.as_bytes()))
}
