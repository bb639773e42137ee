//! The last good signed documents on disk.
//!
//! Each file is named by what it is, so that new ones never overwrite those that the ratchet still names. The ratchet
//! in the vault decides which are current; manifests and bundles that it does not name are removed after it was stored.
//! Root documents stay: they are few, and the pinned one says whose documents these are.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use model::Digest;
use org_protocol::Ratchet;

/// The folder of the documents.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    dir: PathBuf,
}

/// A document's name on disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl Name {
    /// A root document, by its version.
    pub(crate) fn root(version: u64) -> Self {
        Self(format!("root-{version}.json"))
    }

    /// A manifest, by the digest of its payload.
    pub(crate) fn manifest(payload: Digest) -> Self {
        Self(format!("manifest-{}.json", payload.hex()))
    }

    /// A bundle, by its digest.
    pub(crate) fn bundle(digest: Digest) -> Self {
        Self(format!("bundle-{}.json", digest.hex()))
    }
}

impl Files {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Stores a document; on disk when this returns. The disk is waited for beside the runtime: calls do not wait for it.
    pub(crate) async fn write(&self, name: Name, bytes: Vec<u8>) -> io::Result<()> {
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || {
            os::create_private_dir(&dir)?;
            os::write_durable(&dir.join(&name.0), &bytes)
        });
        written.await.map_err(io::Error::other)?
    }

    /// A stored document.
    pub(crate) fn read(&self, name: &Name) -> io::Result<Vec<u8>> {
        std::fs::read(self.dir.join(&name.0))
    }

    /// The stored root documents, in no order.
    pub(crate) fn roots(&self) -> Vec<Vec<u8>> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        let roots = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("root-"));
        roots.filter_map(|entry| std::fs::read(entry.path()).ok()).collect()
    }

    /// Removes the manifests and bundles that the ratchet does not name. What cannot be removed does no harm.
    pub(crate) fn prune(&self, ratchet: &Ratchet) {
        let mut kept: BTreeSet<Name> = BTreeSet::new();
        kept.extend(ratchet.applied_manifest().map(Name::manifest));
        kept.extend(ratchet.applied_bundle().map(Name::bundle));
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return };
        for entry in entries.filter_map(Result::ok) {
            let name = Name(entry.file_name().to_string_lossy().into_owned());
            let ours = ["manifest-", "bundle-"].iter().any(|prefix| name.0.starts_with(prefix));
            if ours && !kept.contains(&name) && std::fs::remove_file(entry.path()).is_err() {
                tracing::debug!(name = name.0, "an old document stays");
            }
        }
    }

    /// Puts everything aside under another name, for whoever wants to know what happened to it.
    pub(crate) fn set_aside(&self) -> io::Result<Option<PathBuf>> {
        if self.dir.exists() { os::set_aside(&self.dir).map(Some) } else { Ok(None) }
    }
}
