//! Signing the content of an earlier bundle again, as a new version: versions only grow, so this is how desktops go back.
//!
//! What comes back was signed before, by a key that is still trusted: content that merely lies in the folder is not taken.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use model::{Digest, Timestamp};
use org_protocol::{Content, Envelope, MANIFEST_FORMAT, MANIFEST_TYPE, Manifest, Root, newest_readable};
use serde::Serialize;

use super::compile::compile;
use super::difference::{Difference, differences};
use super::sign::{Documents, KEPT, MANIFEST_PATH, SignFault, SignPlan, bundle_path, read_roots, sign};

/// What was signed by going back.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollback {
    /// The new version.
    pub documents: Documents,
    /// What its manifest says.
    pub signed: Signing,
    /// The signing whose content it has again.
    pub content_of: Signing,
    /// What becomes of what was signed last.
    pub differences: Vec<Difference>,
}

/// A signing, as its manifest tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Signing {
    /// The manifest's epoch.
    pub epoch: u64,
    /// The manifest's version.
    pub version: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// Its bundle.
    pub bundle: Digest,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum RollbackFault {
    /// It cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignFault),
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No signature says that it was ever signed.
    #[error(
        "no manifest in {} that a key of the newest root document has signed names bundle {digest}, so nothing shows that it was ever in force; check the earlier state of the authored folder out and sign that", folder.display()
    )]
    NeverSigned {
        /// The bundle.
        digest: Digest,
        /// The folder.
        folder: PathBuf,
    },
    /// It is what there is.
    #[error("bundle {0} is what was signed last; name an earlier one")]
    Current(Digest),
    /// Desktops refuse it.
    #[error("bundle {0} was revoked, and desktops would refuse it; sign a content without its fault")]
    Revoked(Digest),
    /// The file holds something else.
    #[error("{} is not the bundle that was signed: it has digest {found}", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: Digest,
    },
    /// It is no content that this version could publish.
    #[error("bundle {digest} cannot be published any more: {reason}")]
    Content {
        /// The bundle.
        digest: Digest,
        /// Why.
        reason: String,
    },
}

/// Signs the content of the earlier bundle with this digest, which lies in the signed `folder`, as the version after the one there.
/// The plan's `previous` is not used: the folder says it.
///
/// # Errors
/// A [`RollbackFault`].
pub fn rollback(folder: &Path, digest: Digest, plan: &SignPlan) -> Result<Rollback, RollbackFault> {
    let root = read_roots(&plan.roots, &mut BTreeMap::new())?;
    let last_path = folder.join(MANIFEST_PATH);
    let last_envelope = read(&last_path)?;
    let never = || RollbackFault::NeverSigned { digest, folder: folder.to_owned() };
    let last = signed_by(&root, &last_envelope).ok_or_else(never)?;
    if last.revoked_digests.contains(&digest) {
        return Err(RollbackFault::Revoked(digest));
    }
    // While a rollout is on, going back to what the others stay on ends it, as does going on to what its stage has.
    if last.rollout.is_none() && names(&last, digest) {
        return Err(RollbackFault::Current(digest));
    }
    let earlier = kept(folder)?
        .iter()
        .chain([&last_envelope])
        .filter_map(|envelope| signed_by(&root, envelope))
        .filter(|manifest| names(manifest, digest))
        .max_by_key(|manifest| (manifest.epoch, manifest.version))
        .ok_or_else(never)?;
    let content = content(folder, digest)?;
    let documents =
        sign(&content, &SignPlan { previous: Some(last_envelope), rollout: Some(100), ..plan.clone() })?;
    let signed = documents.0.get(MANIFEST_PATH).and_then(|envelope| signed_by(&root, envelope));
    let signed = signed.and_then(|manifest| signing(&manifest)).ok_or_else(never)?;
    let before = signing(&last).ok_or_else(never)?.bundle;
    Ok(Rollback {
        differences: differences(&read_content(folder, before)?, &content),
        content_of: Signing { bundle: digest, ..signing(&earlier).ok_or_else(never)? },
        signed,
        documents,
    })
}

/// The bundles with the content of one that was signed into the folder: in every format, so that none of them is left.
///
/// # Errors
/// [`RollbackFault::NeverSigned`] where nothing shows that it was ever in force.
pub fn in_every_format(
    folder: &Path,
    digest: Digest,
    roots: &[Vec<u8>],
) -> Result<BTreeSet<Digest>, RollbackFault> {
    let root = read_roots(roots, &mut BTreeMap::new())?;
    let mut envelopes = kept(folder)?;
    envelopes.push(read(&folder.join(MANIFEST_PATH))?);
    let mut found = BTreeSet::new();
    for manifest in envelopes.iter().filter_map(|envelope| signed_by(&root, envelope)) {
        let stages = manifest.rollout.iter().flat_map(|rollout| &rollout.stages).map(|stage| &stage.bundles);
        for bundles in std::iter::once(&manifest.bundles).chain(stages) {
            if bundles.values().any(|bundle| bundle.sha256 == digest) {
                found.extend(bundles.values().map(|bundle| bundle.sha256));
            }
        }
    }
    if found.is_empty() {
        return Err(RollbackFault::NeverSigned { digest, folder: folder.to_owned() });
    }
    Ok(found)
}

/// The manifest, if it is one of the organisation's that a key of its newest root document has signed.
fn signed_by(root: &Root, envelope: &[u8]) -> Option<Manifest> {
    let envelope = Envelope::parse(envelope).ok()?;
    let payload = root.verified(&root.roles.manifest, MANIFEST_TYPE, &envelope).ok()?;
    let manifest: Manifest = serde_json::from_slice(&payload).ok()?;
    (manifest.format == MANIFEST_FORMAT && manifest.org == root.org).then_some(manifest)
}

fn names(manifest: &Manifest, digest: Digest) -> bool {
    manifest.all_bundles().any(|(_, bundle)| bundle.sha256 == digest)
}

fn signing(manifest: &Manifest) -> Option<Signing> {
    let Manifest { epoch, version, issued, bundles, .. } = manifest;
    let bundle = newest_readable(bundles)?.1.sha256;
    Some(Signing { epoch: *epoch, version: *version, issued: *issued, bundle })
}

/// The manifests in whose place later ones came.
fn kept(folder: &Path) -> Result<Vec<Vec<u8>>, RollbackFault> {
    let path = folder.join(KEPT);
    let entries = match std::fs::read_dir(&path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|source| RollbackFault::File { path: path.clone(), source })?,
    };
    entries
        .map(|entry| match entry {
            Ok(entry) => read(&entry.path()),
            Err(source) => Err(RollbackFault::File { path: path.clone(), source }),
        })
        .collect()
}

/// The content of a bundle, held to its digest and to everything that is checked before a publication.
fn content(folder: &Path, digest: Digest) -> Result<Content, RollbackFault> {
    let content = read_content(folder, digest)?;
    let refused = |reason: String| RollbackFault::Content { digest, reason };
    let content = content.checked().map_err(|fault| refused(fault.to_string()))?;
    compile(&content)
        .map_err(|faults| refused(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
    Ok(content)
}

fn read_content(folder: &Path, digest: Digest) -> Result<Content, RollbackFault> {
    let path = folder.join(bundle_path(digest));
    let bytes = read(&path)?;
    let found = Digest::of(&bytes);
    if found != digest {
        return Err(RollbackFault::Altered { path, found });
    }
    serde_json::from_slice(&bytes)
        .map_err(|fault| RollbackFault::Content { digest, reason: fault.to_string() })
}

fn read(path: &Path) -> Result<Vec<u8>, RollbackFault> {
    std::fs::read(path).map_err(|source| RollbackFault::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use org_protocol::{SigningKey, TrustState};

    use super::*;
    use crate::author::{RootPlan, new_root};
    use crate::testing_org::example;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn root_plan(manifest_key: u8) -> RootPlan {
        RootPlan {
            org: "example".to_owned(),
            previous: None,
            root_keys: vec![key(1).public()],
            threshold: 1,
            manifest_keys: vec![key(manifest_key).public()],
            receipt_keys: vec![key(3).public()],
            new_epoch: false,
            expires: NOW.plus(Duration::from_secs(86_400)),
        }
    }

    fn plan() -> SignPlan {
        let root = new_root(&root_plan(2), &[key(1)]).expect("makes a root");
        let valid_for = Duration::from_secs(3600);
        let roots = vec![root.to_json()];
        let (rollout, revoke) = (None, BTreeSet::new());
        SignPlan { roots, previous: None, rollout, revoke, valid_for, key: key(2), now: NOW }
    }

    /// Signs contents with these names one after the other into one folder, and returns their bundles' digests.
    fn signed(folder: &Path, names: &[&str]) -> Vec<Digest> {
        let sign_one = |name: &&str| {
            let mut content = example();
            (*name).clone_into(&mut content.org.name);
            let previous = std::fs::read(folder.join(MANIFEST_PATH)).ok();
            let documents = sign(&content, &SignPlan { previous, ..plan() }).expect("signs");
            documents.write(folder).expect("writes");
            Digest::of(&serde_json::to_vec(&content).expect("JSON"))
        };
        names.iter().map(sign_one).collect()
    }

    #[test]
    fn an_earlier_content_comes_back_as_a_new_version_that_desktops_take() {
        let dir = tempfile::tempdir().expect("a directory");
        let digests = signed(dir.path(), &["One", "Two", "Three"]);
        let read = |path: &str| std::fs::read(dir.path().join(path)).expect("is there");
        let root = read("v1/root/1.json");
        let payload = Envelope::parse(&root).and_then(|envelope| envelope.unverified_payload());
        let fingerprint = Root::parse(&payload.expect("a payload")).expect("a root").fingerprint();
        let desktop = TrustState::begin(fingerprint, &root, NOW).expect("begins");
        let desktop = desktop.accept_manifest(&read(MANIFEST_PATH), NOW).expect("accepts");

        let back = rollback(dir.path(), digests[0], &plan()).expect("signs");
        assert_eq!((back.signed.version, back.content_of.version), (4, 1));
        assert_eq!((back.signed.bundle, back.content_of.bundle), (digests[0], digests[0]));
        let told: Vec<String> = back.differences.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["organisation example is changed\n    name: \"Three\" becomes \"One\""]);
        back.documents.write(dir.path()).expect("writes");
        let desktop = desktop.accept_manifest(&read(MANIFEST_PATH), NOW).expect("accepts");
        let bundle = desktop.wanted(None).expect("readable").expect("new");
        let (_, content) = desktop.accept_bundle(None, &read(&bundle.path)).expect("applies");
        assert_eq!(content.org.name, "One");
        assert!(rollback(dir.path(), digests[2], &plan()).is_ok(), "and forth again");
    }

    #[test]
    fn only_what_was_signed_by_a_trusted_key_comes_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let digests = signed(dir.path(), &["One", "Two"]);
        let back =
            |digest, plan: &SignPlan| rollback(dir.path(), digest, plan).map(|back| back.signed.version);
        assert!(matches!(back(digests[1], &plan()), Err(RollbackFault::Current(_))));

        // A content that somebody put there, with the right name.
        let mut content = example();
        "Planted".clone_into(&mut content.org.name);
        let bytes = serde_json::to_vec(&content).expect("JSON");
        let planted = Digest::of(&bytes);
        std::fs::write(dir.path().join(bundle_path(planted)), &bytes).expect("writes");
        assert!(matches!(back(planted, &plan()), Err(RollbackFault::NeverSigned { .. })));
        // And with a manifest, of a key that is not trusted.
        let stranger = new_root(&root_plan(9), &[key(1)]).expect("makes a root");
        let theirs = SignPlan { roots: vec![stranger.to_json()], key: key(9), ..plan() };
        let Documents(documents) = sign(&content, &theirs).expect("signs");
        std::fs::write(dir.path().join(KEPT).join("1-9.json"), &documents[MANIFEST_PATH]).expect("writes");
        assert!(matches!(back(planted, &plan()), Err(RollbackFault::NeverSigned { .. })));

        // What was signed, altered afterwards.
        let path = dir.path().join(bundle_path(digests[0]));
        let good = std::fs::read(&path).expect("reads");
        std::fs::write(&path, &bytes).expect("writes");
        assert!(matches!(back(digests[0], &plan()), Err(RollbackFault::Altered { .. })));
        std::fs::write(&path, good).expect("writes");
        assert_eq!(back(digests[0], &plan()).expect("signs"), 3);
    }
}
