//! The checkpoint, beside the journal's directory: a signed note that says what the chain's last record is.
//!
//! Each record carries the digest of the one before, and each epoch names the end of the one before, so one signature covers the whole
//! history. Whoever has the public key, which the journal's first record names and the organisation receives with it, can
//! tell on another machine and without any secret whether the history was written anew.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{DeviceId, Digest, Timestamp};
use org_protocol::{Head, NoteFault, NoteKey, SigningKey, sign_note, unverified_note};

use crate::fault::JournalFault;
use crate::head_file::{beside, keyed_bytes};

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) device: DeviceId,
    pub(crate) head: Head,
    pub(crate) at: Timestamp,
}

/// The checkpoint of a journal directory: `<dir>.checkpoint`.
pub(crate) fn path(dir: &Path) -> PathBuf {
    beside(dir, ".checkpoint")
}

fn signing_key(mac_key: &[u8; 32]) -> SigningKey {
    SigningKey::from_seed(&keyed_bytes(mac_key, b"checkpoint", b""))
}

fn name(device: DeviceId) -> String {
    format!("deskgate-journal/{device}")
}

/// Whose signature this device's checkpoints have.
pub(crate) fn key(device: DeviceId, mac_key: &[u8; 32]) -> Result<NoteKey, JournalFault> {
    NoteKey::new(&name(device), signing_key(mac_key).public()).map_err(encoding)
}

/// Writes the checkpoint. Blocks for the disk.
pub(crate) fn write(
    dir: &Path,
    device: DeviceId,
    head: Head,
    at: Timestamp,
    mac_key: &[u8; 32],
) -> Result<(), JournalFault> {
    let text = Checkpoint { device, head, at }.text();
    let note = sign_note(&text, &name(device), &signing_key(mac_key)).map_err(encoding)?;
    let path = path(dir);
    os::write_durable(&path, note.as_bytes()).map_err(|fault| JournalFault::storage(path, fault))
}

/// The checkpoint's note as it lies there. The fault is for people.
pub(crate) fn read(dir: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path(dir)) {
        Ok(note) => Ok(Some(note)),
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault.to_string()),
    }
}

impl Checkpoint {
    /// Origin, position and digest as in a log's checkpoint (C2SP `tlog-checkpoint`); then the time.
    fn text(&self) -> String {
        let Self { device, head, at } = self;
        let digest = STANDARD.encode(head.digest.as_bytes());
        format!("{}/{}\n{}\n{digest}\n{at}\n", name(*device), head.epoch, head.seq)
    }

    /// What a note says; who signed it is not looked at.
    pub(crate) fn of_note(note: &str) -> Result<Self, String> {
        let text = unverified_note(note).map_err(|fault| fault.to_string())?;
        Self::of_text(text).ok_or_else(|| "it does not say what a checkpoint says".to_owned())
    }

    fn of_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (device, epoch) = lines.next()?.strip_prefix("deskgate-journal/")?.split_once('/')?;
        let seq = lines.next()?.parse().ok()?;
        let digest: [u8; 32] = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
        let at = lines.next()?.parse().ok()?;
        let head = Head { epoch: epoch.parse().ok()?, seq, digest: Digest::from_bytes(digest) };
        let read = Self { device: device.parse().ok()?, head, at };
        // One text for one checkpoint, so that what is signed is what was read.
        (read.text() == text).then_some(read)
    }
}

fn encoding(fault: NoteFault) -> JournalFault {
    JournalFault::Encoding(fault.to_string())
}

/// Whether a key is named as this device's.
pub(crate) fn is_of(key: &NoteKey, device: DeviceId) -> bool {
    key.name() == name(device)
}
