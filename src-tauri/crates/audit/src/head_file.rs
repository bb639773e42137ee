//! The head file, beside the journal's directory: the last record that was known a moment ago.
//!
//! It shows at the next start, or to `audit verify`, that the journal's end was cut off, that its directory was deleted,
//! or that an older copy was put back. It carries a keyed digest, so that only somebody with the vault's key can write a
//! fitting one.

use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use model::{DeviceId, Timestamp};
use org_protocol::{Head, to_one_line};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::fault::JournalFault;
use crate::small_file;

const HEAD_FORMAT: u32 = 1;

/// What the head file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadFile {
    format: u32,
    pub(crate) device: DeviceId,
    pub(crate) head: Head,
    pub(crate) at: Timestamp,
    /// Which key the digest was made with; not the key.
    key: String,
    mac: String,
}

/// How far a head file can be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Belief {
    /// There is none.
    Absent,
    /// It was written with this key.
    Good(HeadFile),
    /// It was written with another key: the vault was reset, or never kept one.
    OtherKey(HeadFile),
    /// It is not what this program wrote.
    Forged(String),
}

impl Belief {
    /// The head that can be relied on.
    pub(crate) fn good_head(&self) -> Option<Head> {
        match self {
            Self::Good(file) => Some(file.head),
            Self::Absent | Self::OtherKey(_) | Self::Forged(_) => None,
        }
    }
}

/// The head file of a journal directory: `<dir>.head`.
pub(crate) fn path(dir: &Path) -> PathBuf {
    beside(dir, ".head")
}

/// A file beside a journal directory, named after it.
pub(crate) fn beside(dir: &Path, extension: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(extension);
    dir.with_file_name(name)
}

/// Writes the head file. Blocks for the disk.
pub(crate) fn write(
    dir: &Path,
    device: DeviceId,
    head: Head,
    at: Timestamp,
    mac_key: &[u8; 32],
) -> Result<(), JournalFault> {
    let path = path(dir);
    let mut file =
        HeadFile { format: HEAD_FORMAT, device, head, at, key: key_name(mac_key), mac: String::new() };
    file.mac = mac(&file, mac_key)?;
    let text = to_one_line(&file).map_err(|fault| JournalFault::Encoding(fault.to_string()))?;
    os::write_durable(&path, text.as_bytes()).map_err(|fault| JournalFault::storage(path, fault))
}

/// Reads the head file without a key.
pub(crate) fn read(dir: &Path) -> Result<Option<HeadFile>, String> {
    small_file::read(&path(dir), HEAD_FORMAT)
}

/// Reads the head file and checks who wrote it.
pub(crate) fn believe(dir: &Path, mac_key: &[u8; 32]) -> Belief {
    match read(dir) {
        Ok(None) => Belief::Absent,
        Ok(Some(file)) if file.key != key_name(mac_key) => Belief::OtherKey(file),
        Ok(Some(file)) if mac(&file, mac_key).is_ok_and(|mac| mac == file.mac) => Belief::Good(file),
        Ok(Some(_)) => Belief::Forged("its keyed digest does not fit".to_owned()),
        Err(fault) => Belief::Forged(fault),
    }
}

fn mac(file: &HeadFile, mac_key: &[u8; 32]) -> Result<String, JournalFault> {
    let unsigned = HeadFile { mac: String::new(), ..file.clone() };
    let text = to_one_line(&unsigned).map_err(|fault| JournalFault::Encoding(fault.to_string()))?;
    Ok(keyed(mac_key, b"head", text.as_bytes()))
}

pub(crate) fn key_name(mac_key: &[u8; 32]) -> String {
    keyed(mac_key, b"key name", b"").chars().take(16).collect()
}

pub(crate) fn keyed(mac_key: &[u8; 32], purpose: &[u8], bytes: &[u8]) -> String {
    hex::encode(keyed_bytes(mac_key, purpose, bytes))
}

pub(crate) fn keyed_bytes(mac_key: &[u8; 32], purpose: &[u8], bytes: &[u8]) -> [u8; 32] {
    // A key shorter than the hash's block is filled up with zeros (RFC 2104, section 2).
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(mac_key) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(purpose);
    mac.update(&[0]);
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}
