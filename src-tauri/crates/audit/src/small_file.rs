//! The small files of JSON beside the segments: each is written whole, and carries a format version.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct OnlyFormat {
    format: u32,
}

/// Reads a file of this format; `None` where there is none. The fault is for people.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, format: u32) -> Result<Option<T>, String> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault.to_string()),
    };
    let found: OnlyFormat = serde_json::from_slice(&text).map_err(|fault| fault.to_string())?;
    if found.format != format {
        return Err(format!("it has format {}, which this version cannot read", found.format));
    }
    serde_json::from_slice(&text).map(Some).map_err(|fault| fault.to_string())
}
