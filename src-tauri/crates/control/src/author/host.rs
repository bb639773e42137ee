//! Publishing to a folder from which any static host serves, by the rules that desktops follow.
//!
//! Nothing is ever removed there: a desktop that fetched the manifest before still finds the bundle that it names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use model::{Advice, ForPerson as _, Timestamp};
use org_protocol::{Content, Envelope};

use super::files::replace;
use super::sign::{Documents, MANIFEST_PATH, root_path};
use crate::publication::{Published, believed, issued, walked, with_manifest};

/// Held while somebody publishes to a folder.
const TURN: &str = ".publishing";

/// Why nothing was published to a folder.
#[derive(Debug, thiserror::Error)]
pub enum HostFault {
    /// Desktops would not believe it, or not after what lies there.
    #[error("{0}")]
    Refused(Advice),
    /// What lies there began with other root documents.
    #[error(
        "{} is another one than was signed with: the folder serves another organisation, or one whose root keys were made anew; desktops that trust it would take nothing from here any more", path.display()
    )]
    Foreign {
        /// The root document there.
        path: PathBuf,
    },
    /// What lies there has come further.
    #[error("{} was not signed with; sign again with all root documents", path.display())]
    OlderRoots {
        /// The root document there that is missing here.
        path: PathBuf,
    },
    /// What lies there cannot be judged, so it is not known whether this is newer.
    #[error("what lies in {} is not believed, so it cannot be told whether this is newer: {reason}; if nobody uses it, publish to an empty folder", folder.display())]
    There {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
    /// Somebody else is publishing.
    #[error("somebody else is publishing to {} right now; try again", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Publishes to `folder`: root documents first, then bundles, the manifest last, each in one step. Whoever fetches meanwhile finds
/// every bundle that a manifest names. Nothing is written unless all of it is believed, and is newer than what lies there.
///
/// # Errors
/// A [`HostFault`]. Nothing was written unless it is [`HostFault::File`], and even then the manifest is the one before.
pub fn publish_to(documents: &Documents, folder: &Path, now: Timestamp) -> Result<Published, HostFault> {
    let Documents(documents) = documents;
    let refused = |fault: crate::publication::PublishFault| HostFault::Refused(fault.advice());
    let trust = walked(None, documents, now).map_err(refused)?;
    let (live, kept) = believed(&trust, documents, now).map_err(refused)?;
    std::fs::create_dir_all(folder).map_err(file(folder))?;
    let _turn = turn(folder)?;
    let there = read_there(folder)?;
    same_roots(&there, &kept, folder)?;
    if there.contains_key(MANIFEST_PATH) {
        let unbelieved = |fault: crate::publication::PublishFault| HostFault::There {
            folder: folder.to_owned(),
            reason: fault.to_string(),
        };
        // What lies there may have expired, which is when a new one is needed most: it is judged as of when it was issued.
        let then = issued(&there).map_err(unbelieved)?;
        let known = walked(None, &there, then).map_err(unbelieved)?;
        let known = with_manifest(&known, &there, then).map_err(unbelieved)?;
        let known = walked(Some(known), documents, now).map_err(refused)?;
        with_manifest(&known, documents, now).map_err(refused)?;
    }
    write(&kept, folder)?;
    Ok(live.published())
}

/// The content of a signed folder, and what it is. It is believed as of when it was issued, from its own root document on.
///
/// # Errors
/// What is missing or not to be believed.
pub fn signed_content(documents: &Documents) -> Result<(Published, Content), HostFault> {
    let Documents(documents) = documents;
    let live = issued(documents)
        .and_then(|then| believed(&walked(None, documents, then)?, documents, then))
        .map_err(|fault| HostFault::Refused(fault.advice()))?
        .0;
    Ok((live.published(), live.content().clone()))
}

fn turn(folder: &Path) -> Result<File, HostFault> {
    let path = folder.join(TURN);
    let turn = File::create(&path).map_err(file(&path))?;
    match turn.try_lock() {
        Ok(()) => Ok(turn),
        Err(std::fs::TryLockError::WouldBlock) => Err(HostFault::Busy { folder: folder.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(HostFault::File { path, source }),
    }
}

/// Root documents and manifest that lie there.
fn read_there(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, HostFault> {
    let mut there = BTreeMap::new();
    let mut read = |path: String| {
        let full = folder.join(&path);
        match std::fs::read(&full) {
            Ok(bytes) => {
                there.insert(path, bytes);
                Ok(true)
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(HostFault::File { path: full, source }),
        }
    };
    read(MANIFEST_PATH.to_owned())?;
    for version in 1.. {
        if !read(root_path(version))? {
            break;
        }
    }
    Ok(there)
}

/// Desktops walk from the root document that they know: none there may become another one, and none may be missing here.
fn same_roots(
    there: &BTreeMap<String, Vec<u8>>,
    kept: &BTreeMap<String, Vec<u8>>,
    folder: &Path,
) -> Result<(), HostFault> {
    let payload =
        |bytes: &[u8]| Envelope::parse(bytes).and_then(|envelope| envelope.unverified_payload()).ok();
    for (path, old) in there.iter().filter(|(path, _)| *path != MANIFEST_PATH) {
        let full = folder.join(path);
        match kept.get(path) {
            None => return Err(HostFault::OlderRoots { path: full }),
            Some(new) if payload(new) != payload(old) => return Err(HostFault::Foreign { path: full }),
            Some(_) => {}
        }
    }
    Ok(())
}

fn write(kept: &BTreeMap<String, Vec<u8>>, folder: &Path) -> Result<(), HostFault> {
    let first = |path: &str| (path == MANIFEST_PATH, !path.starts_with("v1/root/"));
    let mut ordered: Vec<(&String, &Vec<u8>)> = kept.iter().collect();
    ordered.sort_by_key(|(path, _)| first(path));
    for (path, bytes) in ordered {
        let path = folder.join(path);
        if std::fs::read(&path).is_ok_and(|there| there == *bytes) {
            continue;
        }
        replace(&path, bytes).map_err(file(&path))?;
    }
    Ok(())
}

fn file(path: &Path) -> impl Fn(io::Error) -> HostFault {
    let path = path.to_owned();
    move |source| HostFault::File { path: path.clone(), source }
}

#[cfg(test)]
mod tests;
