//! Whose keys have signed what is published: for whoever asks afterwards.

use org_protocol::{Envelope, KeyId, MANIFEST_TYPE, ROOT_TYPE};

use super::{Publication, PublishFault};
use crate::author::{MANIFEST_PATH, root_path};

/// The keys whose signatures are good.
pub(crate) struct Signatures {
    /// The version of the root document.
    pub(crate) root_version: u64,
    /// Of the root role, below the root document.
    pub(crate) root: Vec<KeyId>,
    /// Of the manifest role, below the manifest.
    pub(crate) manifest: Vec<KeyId>,
}

impl Publication {
    /// Whose keys have signed what is in force.
    ///
    /// # Errors
    /// A [`PublishFault`] where nothing is, or it is not stored.
    pub(crate) async fn signatures(&self) -> Result<Signatures, PublishFault> {
        let live = self.live().ok_or_else(|| PublishFault::Missing(MANIFEST_PATH.to_owned()))?;
        let root = live.trust.root();
        let of = async |path: &str| {
            let bytes = self.stored(path).await?;
            Envelope::parse(&bytes).map_err(|_| PublishFault::Missing(path.to_owned()))
        };
        let manifest = of(MANIFEST_PATH).await?;
        let document = of(&root_path(root.version)).await?;
        Ok(Signatures {
            root_version: root.version,
            root: root.signers(&root.roles.root, ROOT_TYPE, &document),
            manifest: root.signers(&root.roles.manifest, MANIFEST_TYPE, &manifest),
        })
    }
}
