//! An organisation for this crate's tests: keys, a signed folder, and changes to it.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;
use org_protocol::{Content, SigningKey};

use crate::author::{Documents, MANIFEST_PATH, RootPlan, SignPlan, new_root, sign};

/// An organisation that signs.
pub(crate) struct TestOrg {
    pub(crate) root: SigningKey,
    pub(crate) manifest: SigningKey,
    pub(crate) receipts: SigningKey,
    pub(crate) now: Timestamp,
    /// How many percent of the desktops take the next version.
    pub(crate) rollout: Option<u32>,
    last: BTreeMap<String, Vec<u8>>,
}

impl TestOrg {
    pub(crate) fn new(now: Timestamp) -> Self {
        let key = |seed| SigningKey::from_seed(&[seed; 32]);
        Self { root: key(1), manifest: key(2), receipts: key(3), now, rollout: None, last: BTreeMap::new() }
    }

    /// The next version of the organisation's documents.
    pub(crate) fn signed(&mut self, content: &Content) -> BTreeMap<String, Vec<u8>> {
        let root = RootPlan {
            org: content.org.id.clone(),
            previous: None,
            root_keys: vec![self.root.public()],
            threshold: 1,
            manifest_keys: vec![self.manifest.public()],
            receipt_keys: vec![self.receipts.public()],
            new_epoch: false,
            expires: self.now.plus(Duration::from_secs(365 * 86_400)),
        };
        let root = new_root(&root, std::slice::from_ref(&self.root)).expect("a root");
        let plan = SignPlan {
            roots: vec![root.to_json()],
            previous: self.last.get(MANIFEST_PATH).cloned(),
            rollout: self.rollout,
            revoke: std::collections::BTreeSet::new(),
            valid_for: Duration::from_secs(7 * 86_400),
            key: self.manifest.clone(),
            now: self.now,
        };
        let Documents(documents) = sign(content, &plan).expect("signs");
        // Those who are in no stage stay on bundles from before.
        let mut named = std::mem::take(&mut self.last);
        named.extend(documents);
        self.last.clone_from(&named);
        named
    }
}

/// The content of the example organisation.
pub(crate) fn example() -> Content {
    let dir = tempfile::tempdir().expect("a directory");
    let org = dir.path().join("org");
    crate::author::init(&org, "example").expect("writes the example");
    crate::author::check(&org).map_err(|faults| faults[0].to_string()).expect("the example is good")
}
