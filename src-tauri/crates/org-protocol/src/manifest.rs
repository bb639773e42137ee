//! The manifest: the small, often renewed document that says which bundle is current. Signed by an online key.

use std::collections::{BTreeMap, BTreeSet};

use model::{DeviceId, Digest, Timestamp};
use serde::{Deserialize, Serialize};

/// The DSSE payload type of a manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.deskgate.manifest.v1+json";
/// The format version of [`Manifest`] that this program writes and reads.
pub const MANIFEST_FORMAT: u32 = 1;
/// The largest envelope of a manifest, in bytes.
pub const MANIFEST_LIMIT: usize = 256 * 1024;
/// The largest bundle, in bytes.
pub const BUNDLE_LIMIT: u64 = 16 * 1024 * 1024;

/// Which bundle is current, and for how long that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format version: [`MANIFEST_FORMAT`].
    pub format: u32,
    /// The organisation's id.
    pub org: String,
    /// The epoch that the root document asks for.
    pub epoch: u64,
    /// Counts the manifests of an epoch; a later one is higher, also when only the expiry was renewed.
    pub version: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// Until when it may be relied on.
    pub expires: Timestamp,
    /// The bundle by content format version, so that an old desktop is never frozen by a new field.
    pub bundles: BTreeMap<u32, BundleRef>,
    /// A staged rollout: some devices take other bundles already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Digests of bundles that must not be used any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub revoked_digests: BTreeSet<Digest>,
}

/// A bundle, named by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleRef {
    /// The digest of the bundle's bytes.
    pub sha256: Digest,
    /// Its size in bytes, exactly.
    pub size: u64,
    /// Where it lies, relative to the configuration URL.
    pub path: String,
}

/// A staged rollout. Which stage a device is in follows from its id alone, so nobody can be singled out unseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Mixed into the choice, so that it is not always the same devices that go first.
    pub salt: String,
    /// The stages; a device takes the first whose share it falls into.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// How many of 10,000 devices take this stage's bundles.
    pub share: u32,
    /// The bundle by content format version.
    pub bundles: BTreeMap<u32, BundleRef>,
}

/// How many buckets a rollout knows.
const BUCKETS: u64 = 10_000;

impl Manifest {
    /// The bundles that `device` takes. A device that is not enrolled is in no stage.
    pub fn bundles_for(&self, device: Option<DeviceId>) -> &BTreeMap<u32, BundleRef> {
        let stage = self.rollout.as_ref().zip(device).and_then(|(rollout, device)| {
            let at = rollout.stage_of(device)?;
            rollout.stages.get(at)
        });
        stage.map_or(&self.bundles, |stage| &stage.bundles)
    }

    /// Every bundle that the manifest names.
    pub fn all_bundles(&self) -> impl Iterator<Item = (u32, &BundleRef)> {
        let stages = self.rollout.iter().flat_map(|rollout| &rollout.stages).map(|stage| &stage.bundles);
        std::iter::once(&self.bundles).chain(stages).flatten().map(|(format, bundle)| (*format, bundle))
    }
}

impl Rollout {
    /// Which of the stages a device is in, counted from zero: the first whose share it falls into. A device that is in one stays in it
    /// when its share grows and the salt stays.
    pub fn stage_of(&self, device: DeviceId) -> Option<usize> {
        let bucket = self.bucket(device);
        self.stages.iter().position(|stage| bucket < u64::from(stage.share))
    }

    /// The device's bucket, 0 to 9,999: the first eight bytes of SHA-256 over salt and device id.
    fn bucket(&self, device: DeviceId) -> u64 {
        let digest =
            Digest::of_parts(&[b"deskgate/rollout/v1", self.salt.as_bytes(), device.to_string().as_bytes()]);
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_bytes()[..8]);
        u64::from_be_bytes(first) % BUCKETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> BTreeMap<u32, BundleRef> {
        let sha256 = Digest::of(text.as_bytes());
        [(1, BundleRef { sha256, size: 1, path: text.to_owned() })].into()
    }

    fn manifest(share: u32) -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT,
            org: "acme".to_owned(),
            epoch: 1,
            version: 1,
            issued: Timestamp::from_seconds(0),
            expires: Timestamp::from_seconds(1),
            bundles: reference("old"),
            rollout: Some(Rollout {
                salt: "s".to_owned(),
                stages: vec![Stage { share, bundles: reference("new") }],
            }),
            revoked_digests: BTreeSet::new(),
        }
    }

    #[test]
    fn a_rollout_reaches_its_share_of_devices_and_no_unknown_one() {
        let devices: Vec<DeviceId> = std::iter::repeat_with(DeviceId::new).take(2_000).collect();
        let reached = |share| {
            let manifest = manifest(share);
            devices.iter().filter(|device| manifest.bundles_for(Some(**device)) == &reference("new")).count()
        };
        assert_eq!(reached(0), 0);
        assert_eq!(reached(10_000), 2_000);
        let tenth = reached(1_000);
        assert!((120..=280).contains(&tenth), "10 % of 2,000 devices, found {tenth}");
        assert_eq!(manifest(10_000).bundles_for(None), &reference("old"));
    }

    #[test]
    fn a_device_that_is_in_a_stage_stays_in_it_when_the_share_grows() {
        let devices: Vec<DeviceId> = std::iter::repeat_with(DeviceId::new).take(500).collect();
        let is_in =
            |share, device| manifest(share).rollout.and_then(|rollout| rollout.stage_of(device)).is_some();
        for (smaller, larger) in [(100, 200), (200, 5_000), (5_000, 9_900)] {
            assert!(devices.iter().all(|device| !is_in(smaller, *device) || is_in(larger, *device)));
        }
    }

    #[test]
    fn every_named_bundle_is_listed() {
        let manifest = manifest(1);
        let paths: Vec<&str> = manifest.all_bundles().map(|(_, bundle)| bundle.path.as_str()).collect();
        assert_eq!(paths, ["old", "new"]);
    }
}
