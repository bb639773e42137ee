//! Who could not follow a publication: desktops for which it has no bundle in a format that they read.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use model::Timestamp;
use org_protocol::Manifest;

use crate::store::Device;

/// Who was not seen for so long is not waited for.
const IN_USE: Duration = Duration::from_secs(90 * 86_400);
/// So many versions are told at most.
const MOST_TOLD: usize = 3;

/// The desktops in use that would have no bundle that they can read: how many of each version of Deskgate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LeftBehind(BTreeMap<Version, usize>);

impl LeftBehind {
    /// Those whom a manifest leaves behind, each judged by the stage of a rollout that it is in.
    pub(super) fn by(manifest: Option<&Manifest>, devices: &[Device], now: Timestamp) -> Self {
        let mut left = BTreeMap::new();
        let Some(manifest) = manifest else { return Self(left) };
        let in_use = |device: &&Device| device.revoked_at.is_none() && now.since(device.seen_at) < IN_USE;
        for device in devices.iter().filter(in_use) {
            let bundles = manifest.bundles_for(Some(device.id));
            if !bundles.keys().any(|format| device.content_formats.contains(format)) {
                *left.entry(Version::of(&device.app_version)).or_default() += 1;
            }
        }
        Self(left)
    }

    /// Whether everybody can follow.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(left) = self;
        match left.values().sum::<usize>() {
            1 => f.write_str("1 desktop in use would have no bundle that it can read")?,
            count => write!(f, "{count} desktops in use would have no bundle that they can read")?,
        }
        for (place, (Version { text, .. }, count)) in left.iter().take(MOST_TOLD).enumerate() {
            let before = if place == 0 { ": " } else { ", " };
            write!(f, "{before}{count} with Deskgate {text:?}")?;
        }
        if left.len() > MOST_TOLD { f.write_str(", and newer ones") } else { Ok(()) }
    }
}

/// A version as a desktop says it, in the order of its numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    numbers: Vec<u64>,
    text: String,
}

impl Version {
    fn of(text: &str) -> Self {
        let numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok());
        Self { numbers: numbers.collect(), text: text.to_owned() }
    }
}
