//! The vault's directory before it is opened: its id, which names the keychain entry, and files without their key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::store::Store;

const ID_FILE: &str = "id";
const ID_PREFIX: &str = "deskgate-vault:1:";

/// A directory that is ready to be opened.
pub(crate) struct Home {
    /// Distinguishes this vault's key from that of another on the same keychain.
    pub(crate) id: String,
    /// Whether a key was used here before.
    pub(crate) holds_sealed_files: bool,
    /// Where earlier sealed files were set aside, if nothing can open them any more.
    pub(crate) lost: Option<PathBuf>,
}

impl Home {
    /// Makes the directory and its id, or reads it. Without an id there is no way to the key of sealed files.
    pub(crate) fn prepare(dir: &Path) -> io::Result<Self> {
        os::create_private_dir(dir)?;
        let holds_sealed_files = Store::holds_sealed_files(dir)?;
        match read_id(dir)? {
            Some(id) => Ok(Self { id, holds_sealed_files, lost: None }),
            None if holds_sealed_files => Self::start_afresh(dir),
            None => Ok(Self { id: make_id(dir)?, holds_sealed_files, lost: None }),
        }
    }

    /// Sets the whole directory aside and starts another with another id.
    pub(crate) fn start_afresh(dir: &Path) -> io::Result<Self> {
        let lost = Some(os::set_aside(dir)?);
        os::create_private_dir(dir)?;
        Ok(Self { id: make_id(dir)?, holds_sealed_files: false, lost })
    }
}

/// The ids of the vault in `dir` and of those that were set aside beside it, as far as they can be read.
pub(crate) fn ids(dir: &Path) -> Vec<String> {
    let Some(above) = dir.parent() else { return Vec::new() };
    let beside = fs::read_dir(above).into_iter().flatten().flatten().map(|entry| entry.path());
    let ours = beside.filter(|path| path == dir || os::is_set_aside(path, dir));
    ours.filter_map(|path| read_id(&path).ok().flatten()).collect()
}

fn read_id(dir: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(dir.join(ID_FILE)) {
        Ok(text) => Ok(text
            .trim_end()
            .strip_prefix(ID_PREFIX)
            .and_then(|id| Uuid::parse_str(id).ok())
            .map(|id| id.to_string())),
        Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

fn make_id(dir: &Path) -> io::Result<String> {
    let id = Uuid::now_v7().to_string();
    os::write_durable(&dir.join(ID_FILE), format!("{ID_PREFIX}{id}\n").as_bytes())?;
    Ok(id)
}
