//! The places of records that are kept whatever receipts say, because the organisation does not have them: it refused them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fault::JournalFault;
use crate::journal::Position;
use crate::small_file;

const KEPT_FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    /// Epoch and position of each.
    places: Vec<(u64, u64)>,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("kept.json")
}

/// The places. What cannot be read keeps everything: the fault is for people.
pub(crate) fn read(dir: &Path) -> Result<Vec<Position>, String> {
    let written: Option<Written> = small_file::read(&path(dir), KEPT_FORMAT)?;
    let places = written.into_iter().flat_map(|written| written.places);
    Ok(places.map(|(epoch, seq)| Position { epoch, seq }).collect())
}

/// Keeps one more, durably. Blocks for the disk.
pub(crate) fn keep(dir: &Path, place: Position) -> Result<(), JournalFault> {
    let mut places = read(dir).map_err(JournalFault::Encoding)?;
    if places.contains(&place) {
        return Ok(());
    }
    places.push(place);
    let places = places.into_iter().map(|place| (place.epoch, place.seq)).collect();
    let text = serde_json::to_vec(&Written { format: KEPT_FORMAT, places })
        .map_err(|fault| JournalFault::Encoding(fault.to_string()))?;
    let path = path(dir);
    os::write_durable(&path, &text).map_err(|fault| JournalFault::storage(path, fault))
}
