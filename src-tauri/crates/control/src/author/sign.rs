//! From the authored folder to what desktops fetch: root documents, manifest and bundle in the layout of the
//! configuration URL.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Digest, Timestamp};
use org_protocol::{
    BUNDLE_LIMIT, BundleRef, CONTENT_FORMAT, Content, DsseFault, Envelope, MANIFEST_FORMAT, MANIFEST_TYPE,
    Manifest, Rollout, Root, RootFault, SigningKey, Stage,
};

use super::files::replace;

/// A percent of the desktops, as a share of 10,000.
const HUNDREDTH: u32 = 100;

/// How to sign.
#[derive(Debug, Clone)]
pub struct SignPlan {
    /// All root documents from the first on, as envelopes.
    pub roots: Vec<Vec<u8>>,
    /// The manifest of the publication before, as an envelope.
    pub previous: Option<Vec<u8>>,
    /// A stage of so many percent of the desktops takes the new bundles; the others stay on those of the publication before. Without it,
    /// and with 100, all take the new ones.
    pub rollout: Option<u32>,
    /// Bundles that no desktop may use any more, beside those that the publication before revoked.
    pub revoke: BTreeSet<Digest>,
    /// How long desktops may rely on the manifest.
    pub valid_for: Duration,
    /// The manifest key.
    pub key: SigningKey,
    /// The time of signing.
    pub now: Timestamp,
}

/// What a publication consists of: paths relative to the configuration URL, and their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Documents(pub BTreeMap<String, Vec<u8>>);

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignFault {
    /// There is no root document.
    #[error("there is no root document; make one with `root new`")]
    NoRoot,
    /// A root document cannot be read.
    #[error(transparent)]
    Root(#[from] RootFault),
    /// An envelope cannot be read.
    #[error(transparent)]
    Envelope(#[from] DsseFault),
    /// The root documents are not one line of versions from 1.
    #[error("root version {expected} is missing; version {found} was found in its place")]
    RootGap {
        /// The version that should be there.
        expected: u64,
        /// What was found.
        found: u64,
    },
    /// The folder is another organisation's.
    #[error("the folder is of organisation {folder:?}, the root document of {root:?}")]
    WrongOrg {
        /// The folder's.
        folder: String,
        /// The root document's.
        root: String,
    },
    /// The key has no part in the manifest role.
    #[error("the key is not one of the root document's manifest keys")]
    WrongKey,
    /// The manifest before cannot be read.
    #[error("the manifest before cannot be read: {0}")]
    Previous(String),
    /// The bundle is too large.
    #[error("the bundle has {0} bytes, more than {BUNDLE_LIMIT}")]
    TooLarge(u64),
    /// Whoever signs has to say what becomes of the rollout.
    #[error(
        "a rollout to {0} % of the desktops is under way; say --rollout with {0} or more to go on with it, or 100 to end it with this content for all"
    )]
    RolloutUnderWay(u32),
    /// A device that has the new bundle would fall back.
    #[error(
        "the rollout has reached {reached} % of the desktops, and {asked} % would take some of them back; to take all back, use `bundle rollback`"
    )]
    RolloutFalls {
        /// What it has reached.
        reached: u32,
        /// What was asked for.
        asked: u32,
    },
    /// There is nothing for the others to stay on.
    #[error(
        "nothing was signed before, so there is nothing for the other desktops to stay on; sign without --rollout"
    )]
    NothingToStayOn,
    /// Desktops refuse a manifest that names what it revokes.
    #[error(
        "bundle {0} is revoked, and this would name it again: change the content, or, where the other desktops of a rollout stay on it, end the rollout"
    )]
    NamesRevoked(Digest),
    /// The content cannot be written as JSON.
    #[error("the bundle cannot be written: {0}")]
    Content(String),
}

/// Signs a checked content: one bundle for each format in which all of it can be said.
///
/// # Errors
/// A [`SignFault`].
pub fn sign(content: &Content, plan: &SignPlan) -> Result<Documents, SignFault> {
    let mut documents = BTreeMap::new();
    let root = read_roots(&plan.roots, &mut documents)?;
    if content.org.id != root.org {
        return Err(SignFault::WrongOrg { folder: content.org.id.clone(), root: root.org });
    }
    if !root.roles.manifest.keys.contains(&plan.key.public().id()) {
        return Err(SignFault::WrongKey);
    }
    let before = plan.previous.as_deref().map(read_manifest).transpose().map_err(SignFault::Previous)?;
    let signed = bundles(content, &mut documents)?;
    let (bundles, rollout) = staged(signed, before.as_ref(), plan.rollout)?;
    let revoked_before = before.as_ref().map(|before| before.revoked_digests.clone());
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        org: root.org.clone(),
        epoch: root.epoch,
        version: next_version(before.as_ref(), root.epoch),
        issued: plan.now,
        expires: plan.now.plus(plan.valid_for),
        bundles,
        rollout,
        revoked_digests: revoked_before.unwrap_or_default().union(&plan.revoke).copied().collect(),
    };
    let is_revoked = |bundle: &BundleRef| manifest.revoked_digests.contains(&bundle.sha256);
    if let Some((_, named)) = manifest.all_bundles().find(|(_, bundle)| is_revoked(bundle)) {
        return Err(SignFault::NamesRevoked(named.sha256));
    }
    let payload = serde_json::to_vec(&manifest).map_err(|fault| SignFault::Content(fault.to_string()))?;
    let envelope = Envelope::sign(MANIFEST_TYPE, &payload, &[&plan.key]);
    documents.insert(MANIFEST_PATH.to_owned(), envelope.to_json());
    Ok(Documents(documents))
}

/// Who takes which bundles: everybody the new ones, or a stage of some percent.
fn staged(
    signed: BTreeMap<u32, BundleRef>,
    before: Option<&Manifest>,
    percent: Option<u32>,
) -> Result<(BTreeMap<u32, BundleRef>, Option<Rollout>), SignFault> {
    let running = before.and_then(|before| before.rollout.as_ref());
    let reached =
        running.map(|rollout| rollout.stages.iter().map(|stage| stage.share).max().unwrap_or_default());
    let asked = match (percent, reached) {
        (Some(percent), _) if percent >= 100 => return Ok((signed, None)),
        (None, None) => return Ok((signed, None)),
        (None, Some(reached)) => return Err(SignFault::RolloutUnderWay(reached / HUNDREDTH)),
        (Some(asked), _) => asked,
    };
    if let Some(reached) = reached.filter(|reached| *reached > asked * HUNDREDTH) {
        return Err(SignFault::RolloutFalls { reached: reached / HUNDREDTH, asked });
    }
    let before = before.ok_or(SignFault::NothingToStayOn)?;
    // The same devices go first until the rollout ends, and others at the next one.
    let salt = match running {
        Some(rollout) => rollout.salt.clone(),
        None => {
            let new = signed.values().map(|bundle| bundle.sha256.hex()).collect::<String>();
            Digest::of_parts(&[b"deskgate/salt/v1", before.version.to_string().as_bytes(), new.as_bytes()])
                .hex()
        }
    };
    let stages = vec![Stage { share: asked * HUNDREDTH, bundles: signed }];
    Ok((before.bundles.clone(), Some(Rollout { salt, stages })))
}

/// One bundle for each format from the lowest on in which the whole content can be said, also as documents.
fn bundles(
    content: &Content,
    documents: &mut BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<u32, BundleRef>, SignFault> {
    let one = |format| {
        let content = Content { format, ..content.clone() };
        let bundle = serde_json::to_vec(&content).map_err(|fault| SignFault::Content(fault.to_string()))?;
        let size = bundle.len() as u64;
        if size > BUNDLE_LIMIT {
            return Err(SignFault::TooLarge(size));
        }
        let sha256 = Digest::of(&bundle);
        let path = bundle_path(sha256);
        documents.insert(path.clone(), bundle);
        Ok((format, BundleRef { sha256, size, path }))
    };
    (content.lowest_format()..=CONTENT_FORMAT).map(one).collect()
}

/// Where the manifest lies.
pub(crate) const MANIFEST_PATH: &str = "v1/manifest.json";

/// Where a root document lies.
pub(crate) fn root_path(version: u64) -> String {
    format!("v1/root/{version}.json")
}

/// Where a bundle lies.
pub(crate) fn bundle_path(digest: Digest) -> String {
    format!("v1/bundles/{}.json", digest.hex())
}

/// Where manifests are kept in whose place later ones came: they show which bundles were signed. Desktops never ask for them.
pub(super) const KEPT: &str = "signed";

/// Keeps the manifest that another one is about to take the place of. What is none is nothing to keep.
fn keep(folder: &Path) -> Result<(), (PathBuf, std::io::Error)> {
    let Ok(envelope) = std::fs::read(folder.join(MANIFEST_PATH)) else { return Ok(()) };
    let Ok(Manifest { epoch, version, .. }) = read_manifest(&envelope) else { return Ok(()) };
    let path = folder.join(KEPT).join(format!("{epoch}-{version}.json"));
    replace(&path, &envelope).map_err(|fault| (path, fault))
}

impl Documents {
    /// Writes the documents below `folder`; the manifest comes last, so that what it names is already there. The one that was
    /// there is kept beside, for [`super::rollback`].
    ///
    /// # Errors
    /// The path and what the system said.
    pub fn write(&self, folder: &Path) -> Result<(), (PathBuf, std::io::Error)> {
        keep(folder)?;
        let (manifest, rest): (Vec<_>, Vec<_>) = self.0.iter().partition(|(path, _)| *path == MANIFEST_PATH);
        for (path, bytes) in rest.into_iter().chain(manifest) {
            let path = folder.join(path);
            replace(&path, bytes).map_err(|fault| (path, fault))?;
        }
        Ok(())
    }

    /// Reads the documents below `folder`: all root documents, the manifest and the bundles that it names.
    ///
    /// # Errors
    /// The path and what the system said.
    pub fn read(folder: &Path) -> Result<Self, (PathBuf, std::io::Error)> {
        let mut documents = BTreeMap::new();
        let mut read = |path: String| {
            let full = folder.join(&path);
            let bytes = std::fs::read(&full).map_err(|fault| (full, fault))?;
            documents.insert(path.clone(), bytes);
            Ok(path)
        };
        for version in 1.. {
            match read(root_path(version)) {
                Ok(_) => {}
                Err((_, fault)) if version > 1 && fault.kind() == std::io::ErrorKind::NotFound => break,
                Err(fault) => return Err(fault),
            }
        }
        let manifest = read(MANIFEST_PATH.to_owned())?;
        let named = named_bundles(documents.get(&manifest).map_or(&[], Vec::as_slice));
        for path in named {
            let full = folder.join(&path);
            let bytes = std::fs::read(&full).map_err(|fault| (full, fault))?;
            documents.insert(path, bytes);
        }
        Ok(Self(documents))
    }
}

fn named_bundles(envelope: &[u8]) -> Vec<String> {
    read_manifest(envelope)
        .map(|manifest| manifest.all_bundles().map(|(_, bundle)| bundle.path.clone()).collect())
        .unwrap_or_default()
}

pub(super) fn read_roots(
    envelopes: &[Vec<u8>],
    documents: &mut BTreeMap<String, Vec<u8>>,
) -> Result<Root, SignFault> {
    let mut last = None;
    for (expected, bytes) in (1..).zip(envelopes) {
        let root = Root::parse(&Envelope::parse(bytes)?.unverified_payload()?)?;
        if root.version != expected {
            return Err(SignFault::RootGap { expected, found: root.version });
        }
        root.verified(&root.roles.root, org_protocol::ROOT_TYPE, &Envelope::parse(bytes)?)?;
        documents.insert(root_path(expected), bytes.clone());
        last = Some(root);
    }
    last.ok_or(SignFault::NoRoot)
}

fn next_version(before: Option<&Manifest>, epoch: u64) -> u64 {
    before.filter(|before| before.epoch == epoch).map_or(1, |before| before.version.saturating_add(1))
}

/// A manifest without a look at its signatures.
pub(crate) fn read_manifest(envelope: &[u8]) -> Result<Manifest, String> {
    let payload = Envelope::parse(envelope).and_then(|envelope| envelope.unverified_payload());
    let payload = payload.map_err(|fault| fault.to_string())?;
    serde_json::from_slice(&payload).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use org_protocol::TrustState;

    use super::*;
    use crate::author::{RootPlan, check, init, new_root};

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn content() -> Content {
        let dir = tempfile::tempdir().expect("a directory");
        let org = dir.path().join("org");
        init(&org, "example").expect("writes the example");
        check(&org).map_err(|faults| faults[0].to_string()).expect("the example is good")
    }

    fn plan(org: &str) -> SignPlan {
        let root = RootPlan {
            org: org.to_owned(),
            previous: None,
            root_keys: vec![key(1).public()],
            threshold: 1,
            manifest_keys: vec![key(2).public()],
            receipt_keys: vec![key(3).public()],
            new_epoch: false,
            expires: NOW.plus(Duration::from_secs(86_400)),
        };
        let envelope = new_root(&root, &[key(1)]).expect("makes a root");
        SignPlan {
            roots: vec![envelope.to_json()],
            previous: None,
            rollout: None,
            revoke: BTreeSet::new(),
            valid_for: Duration::from_secs(3600),
            key: key(2),
            now: NOW,
        }
    }

    #[test]
    fn what_is_signed_is_believed() {
        let plan = plan("example");
        let documents = sign(&content(), &plan).expect("signs");
        let root = Root::parse(
            &Envelope::parse(&plan.roots[0]).and_then(|e| e.unverified_payload()).expect("an envelope"),
        )
        .expect("a root");
        let state = TrustState::begin(root.fingerprint(), &plan.roots[0], NOW).expect("begins");
        let state = state.accept_manifest(&documents.0[MANIFEST_PATH], NOW).expect("accepts");
        let wanted = state.wanted(None).expect("readable").expect("new");
        let (_, applied) = state.accept_bundle(None, &documents.0[&wanted.path]).expect("applies");
        assert_eq!(applied.org.id, "example");
    }

    #[test]
    fn one_bundle_is_signed_for_each_format_that_says_it_all() {
        let documents = sign(&content(), &plan("example")).expect("signs");
        let manifest = read_manifest(&documents.0[MANIFEST_PATH]).expect("a manifest");
        let formats = manifest.bundles.iter().map(|(format, bundle)| {
            let content: Content = serde_json::from_slice(&documents.0[&bundle.path]).expect("a content");
            let format_of_file = content.format;
            assert!(content.checked().is_ok());
            (*format, format_of_file)
        });
        assert_eq!(formats.collect::<Vec<_>>(), [(1, 1), (2, 2)]);
    }

    #[test]
    fn versions_count_up_and_the_folder_is_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = plan("example");
        let one = sign(&content(), &first).expect("signs");
        one.write(dir.path()).expect("writes");
        assert_eq!(Documents::read(dir.path()).expect("reads"), one);
        let second = SignPlan { previous: Some(one.0[MANIFEST_PATH].clone()), ..first };
        let two = sign(&content(), &second).expect("signs");
        let version = |documents: &Documents| read_manifest(&documents.0[MANIFEST_PATH]).map(|m| m.version);
        assert_eq!((version(&one), version(&two)), (Ok(1), Ok(2)));
    }

    /// A plan that goes on from documents.
    fn after(before: &Documents, rollout: Option<u32>) -> SignPlan {
        SignPlan { previous: Some(before.0[MANIFEST_PATH].clone()), rollout, ..plan("example") }
    }

    fn manifest(documents: &Documents) -> Manifest {
        read_manifest(&documents.0[MANIFEST_PATH]).expect("a manifest")
    }

    fn renamed(name: &str) -> Content {
        let mut content = content();
        name.clone_into(&mut content.org.name);
        content
    }

    #[test]
    fn a_rollout_begins_grows_and_ends_and_takes_nobody_back() {
        let old = sign(&content(), &plan("example")).expect("signs");
        let tenth = sign(&renamed("New"), &after(&old, Some(10))).expect("signs");
        assert_eq!(manifest(&tenth).bundles, manifest(&old).bundles, "the others stay");
        let half = sign(&renamed("Newer"), &after(&tenth, Some(50))).expect("signs");
        let (first, second) = (manifest(&tenth).rollout.expect("on"), manifest(&half).rollout.expect("on"));
        assert_eq!(first.salt, second.salt, "the same desktops go first");
        assert_eq!((first.stages[0].share, second.stages[0].share), (1_000, 5_000));
        assert_eq!(manifest(&half).bundles, manifest(&old).bundles);

        let again = |rollout| {
            sign(&renamed("Newer"), &after(&half, rollout)).map(|_| ()).map_err(|fault| fault.to_string())
        };
        assert!(
            again(None).expect_err("unsaid").starts_with("a rollout to 50 % of the desktops is under way")
        );
        assert!(again(Some(49)).expect_err("falls").contains("reached 50 %"));
        assert_eq!(again(Some(50)), Ok(()), "renewed");
        let all = manifest(&sign(&renamed("Newer"), &after(&half, Some(100))).expect("signs"));
        assert_eq!((all.rollout, all.bundles), (None, second.stages[0].bundles.clone()));

        let alone = SignPlan { rollout: Some(10), ..plan("example") };
        assert!(matches!(sign(&content(), &alone), Err(SignFault::NothingToStayOn)));
        let next = sign(&renamed("Next"), &after(&old, Some(10))).expect("signs");
        assert_ne!(manifest(&next).rollout.expect("on").salt, first.salt, "others go first at another");
    }

    #[test]
    fn what_is_revoked_stays_so_and_is_never_named() {
        let old = sign(&content(), &plan("example")).expect("signs");
        let revoked: BTreeSet<Digest> = manifest(&old).bundles.values().map(|bundle| bundle.sha256).collect();
        let revoking = SignPlan { revoke: revoked.clone(), ..after(&old, None) };
        assert!(matches!(sign(&content(), &revoking), Err(SignFault::NamesRevoked(_))));
        let on_it = SignPlan { rollout: Some(10), ..revoking.clone() };
        assert!(matches!(sign(&renamed("New"), &on_it), Err(SignFault::NamesRevoked(_))));
        let new = sign(&renamed("New"), &revoking).expect("signs");
        assert_eq!(manifest(&new).revoked_digests, revoked);
        let later = sign(&renamed("Later"), &after(&new, None)).expect("signs");
        assert_eq!(manifest(&later).revoked_digests, revoked, "not forgotten");
    }

    #[test]
    fn wrong_org_wrong_key_and_a_missing_root_are_refused() {
        assert!(matches!(sign(&content(), &plan("acme")), Err(SignFault::WrongOrg { .. })));
        let wrong = SignPlan { key: key(9), ..plan("example") };
        assert!(matches!(sign(&content(), &wrong), Err(SignFault::WrongKey)));
        let none = SignPlan { roots: Vec::new(), ..plan("example") };
        assert!(matches!(sign(&content(), &none), Err(SignFault::NoRoot)));
    }
}
