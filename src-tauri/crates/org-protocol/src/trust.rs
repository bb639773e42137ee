//! What a desktop believes of an organisation: the state machine of TUF (<https://theupdateframework.github.io/specification/>)
//! with two documents. No IO and no clock.
//!
//! A state only moves forward. Whoever drives it persists [`Ratchet`] before acting on the state, and keeps the last
//! good documents; a document that is refused changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{DeviceId, Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::dsse::Envelope;
use crate::format::newest_readable;
use crate::manifest::{BUNDLE_LIMIT, BundleRef, MANIFEST_FORMAT, MANIFEST_LIMIT, MANIFEST_TYPE, Manifest};
use crate::refusal::Refusal;
use crate::root::{ROOT_LIMIT, ROOT_TYPE, Root, RootFingerprint};

/// How far two honest clocks may differ.
pub const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// No honest clock shows an earlier time than this: 2026-11-01T00:00:00Z.
const EARLIEST: Timestamp = Timestamp::from_seconds(1_793_491_200);
/// The format version of [`Ratchet`].
const RATCHET_FORMAT: u32 = 1;

/// What must never move backwards. Small; persisted where the machine's owner cannot set it back unseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratchet {
    format: u32,
    org: String,
    anchor: RootFingerprint,
    root: RootMark,
    seen: Option<ManifestMark>,
    applied: Option<AppliedMark>,
    revoked: BTreeSet<Digest>,
    clock_floor: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootMark {
    version: u64,
    digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestMark {
    epoch: u64,
    version: u64,
    digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppliedMark {
    manifest: ManifestMark,
    bundle: Digest,
}

/// What is believed of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustState {
    root: Root,
    ratchet: Ratchet,
    seen: Option<Manifest>,
    applied: Option<Manifest>,
}

/// How current the applied bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// No bundle was ever applied: nothing is exposed.
    Nothing,
    /// Within the manifest's validity.
    Fresh {
        /// Until when.
        until: Timestamp,
    },
    /// The manifest has expired; the organisation allows some time more.
    Grace {
        /// Until when.
        until: Timestamp,
    },
    /// Not even the grace is left.
    Expired {
        /// Since when.
        since: Timestamp,
    },
    /// This computer's clock is behind a time that is known to have passed, so no expiry can be judged.
    ClockBehind {
        /// The latest time known to have passed.
        known: Timestamp,
    },
    /// The organisation has revoked the applied bundle.
    Revoked,
}

impl TrustState {
    /// The fingerprint of a root document, which says that it is its own and no more: for a person to compare.
    ///
    /// # Errors
    /// A [`Refusal`] where it is no root document that its own keys have signed.
    pub fn fingerprint_of(envelope: &[u8]) -> Result<RootFingerprint, Refusal> {
        self_signed_root(envelope).map(|(root, _)| root.fingerprint())
    }

    /// Begins to trust an organisation: `envelope` is a root document whose root role is the one that was pinned, in
    /// the managed settings or by a person who compared the fingerprint.
    ///
    /// # Errors
    /// A [`Refusal`] that names why the document is not the beginning of trust.
    pub fn begin(anchor: RootFingerprint, envelope: &[u8], now: Timestamp) -> Result<Self, Refusal> {
        let (root, digest) = self_signed_root(envelope)?;
        if root.fingerprint() != anchor {
            return Err(Refusal::Fingerprint { pinned: anchor, found: root.fingerprint() });
        }
        let ratchet = Ratchet {
            format: RATCHET_FORMAT,
            org: root.org.clone(),
            anchor,
            root: RootMark { version: root.version, digest },
            seen: None,
            applied: None,
            revoked: BTreeSet::new(),
            clock_floor: EARLIEST,
        };
        ratchet.check_clock(now)?;
        Ok(Self { root, ratchet, seen: None, applied: None })
    }

    /// Begins again where the documents of a persisted state are lost: with the root document that was pinned, and with
    /// everything that must not move backwards. The root documents are walked again, and nothing else is taken before
    /// they reach the one that was known ([`Self::check_root`]). Nothing is applied then.
    ///
    /// # Errors
    /// As [`Self::begin`]; [`Refusal::RatchetFormat`] where the state is of another format.
    pub fn begin_again(ratchet: Ratchet, envelope: &[u8], now: Timestamp) -> Result<Self, Refusal> {
        if ratchet.format != RATCHET_FORMAT {
            return Err(Refusal::RatchetFormat(ratchet.format));
        }
        ratchet.check_clock(now)?;
        let begun = Self::begin(ratchet.anchor, envelope, now)?;
        // What was applied is never newer than what was seen, which is what order is judged by.
        Ok(Self { ratchet: Ratchet { applied: None, ..ratchet }, ..begun })
    }

    /// Takes up a persisted state. The documents are held to the digests in the ratchet, so what was accepted once is
    /// accepted again, even after it expired; what was altered on disk is not.
    ///
    /// # Errors
    /// A [`Refusal`] that names the document that is not the one that was accepted.
    pub fn resume(
        ratchet: Ratchet,
        root_envelope: &[u8],
        applied: Option<(&[u8], &[u8])>,
    ) -> Result<(Self, Option<Content>), Refusal> {
        if ratchet.format != RATCHET_FORMAT {
            return Err(Refusal::RatchetFormat(ratchet.format));
        }
        let (root, digest) = self_signed_root(root_envelope)?;
        if digest != ratchet.root.digest {
            return Err(Refusal::Altered { document: "root document" });
        }
        let mut state = Self { root, ratchet, seen: None, applied: None };
        let Some((mark, (manifest_envelope, bundle))) = state.ratchet.applied.clone().zip(applied) else {
            return Ok((state, None));
        };
        let manifest = parse_envelope(manifest_envelope, MANIFEST_LIMIT)?.unverified_payload()?;
        if Digest::of(&manifest) != mark.manifest.digest {
            return Err(Refusal::Altered { document: "manifest" });
        }
        if Digest::of(bundle) != mark.bundle {
            return Err(Refusal::Altered { document: "bundle" });
        }
        state.applied = Some(parse_manifest(&manifest)?);
        let content = parse_content(bundle, &state.ratchet.org)?;
        Ok((state, Some(content)))
    }

    /// Takes the next root document. Expiry is not judged here: an expired one may be a step to one that is not.
    ///
    /// # Errors
    /// A [`Refusal`]: not the next version, too few signatures by the keys before or by its own, another organisation.
    pub fn accept_root(&self, envelope: &[u8], now: Timestamp) -> Result<Self, Refusal> {
        self.ratchet.check_clock(now)?;
        let (root, digest) = self_signed_root(envelope)?;
        self.check_org(&root.org)?;
        let expected = self.root.version.saturating_add(1);
        if root.version != expected {
            return Err(Refusal::RootVersion { expected, found: root.version });
        }
        self.root.verified(&self.root.roles.root, ROOT_TYPE, &parse_envelope(envelope, ROOT_LIMIT)?)?;
        if root.epoch < self.root.epoch {
            return Err(Refusal::EpochRollback { seen: self.root.epoch, found: root.epoch });
        }
        let mut next = self.clone();
        if root.version >= self.ratchet.root.version {
            next.ratchet.root = RootMark { version: root.version, digest };
        }
        next.root = root;
        Ok(next)
    }

    /// Whether the newest root document is no older than the newest that was ever known.
    ///
    /// # Errors
    /// [`Refusal::RootRollback`] where it is older: somebody withholds those after it.
    pub fn check_root(&self) -> Result<(), Refusal> {
        let (seen, found) = (self.ratchet.root.version, self.root.version);
        if found < seen { Err(Refusal::RootRollback { seen, found }) } else { Ok(()) }
    }

    /// Takes a manifest. The same one again is accepted and changes nothing.
    ///
    /// # Errors
    /// A [`Refusal`] by name: an old root document, signatures, organisation, epoch, rollback, two manifests of one
    /// version, expiry, clock.
    pub fn accept_manifest(&self, envelope: &[u8], now: Timestamp) -> Result<Self, Refusal> {
        self.ratchet.check_clock(now)?;
        self.check_root()?;
        if self.root.expires <= now {
            return Err(Refusal::RootExpired { at: self.root.expires });
        }
        let envelope = parse_envelope(envelope, MANIFEST_LIMIT)?;
        let payload = self.root.verified(&self.root.roles.manifest, MANIFEST_TYPE, &envelope)?;
        let manifest = parse_manifest(&payload)?;
        self.check_org(&manifest.org)?;
        let mark =
            ManifestMark { epoch: manifest.epoch, version: manifest.version, digest: Digest::of(&payload) };
        self.check_order(&mark)?;
        check_times(&manifest, now)?;
        if let Some((_, bundle)) =
            manifest.all_bundles().find(|(_, bundle)| manifest.revoked_digests.contains(&bundle.sha256))
        {
            return Err(Refusal::NamesRevoked { digest: bundle.sha256 });
        }
        let mut next = self.clone();
        next.ratchet.clock_floor = next.ratchet.clock_floor.max(manifest.issued);
        next.ratchet.revoked.clone_from(&manifest.revoked_digests);
        next.ratchet.seen = Some(mark);
        next.seen = Some(manifest);
        Ok(next)
    }

    /// The bundle to fetch: what the latest manifest has for this device in the newest format that this program reads.
    /// `None` where that bundle is already applied under that manifest, or where no manifest was accepted.
    ///
    /// # Errors
    /// [`Refusal::NoReadableBundle`] or [`Refusal::TooLarge`].
    pub fn wanted(&self, device: Option<DeviceId>) -> Result<Option<BundleRef>, Refusal> {
        let (Some(manifest), Some(mark)) = (&self.seen, &self.ratchet.seen) else { return Ok(None) };
        let bundles = manifest.bundles_for(device);
        let (_, bundle) = newest_readable(bundles).ok_or_else(|| no_readable(bundles))?;
        if bundle.size > BUNDLE_LIMIT {
            return Err(Refusal::TooLarge { size: bundle.size, limit: BUNDLE_LIMIT });
        }
        let wanted = AppliedMark { manifest: mark.clone(), bundle: bundle.sha256 };
        Ok((self.ratchet.applied.as_ref() != Some(&wanted)).then(|| bundle.clone()))
    }

    /// Takes the bundle that [`Self::wanted`] named. Whoever then finds that its policies do not compile drops the new
    /// state and goes on with the old one.
    ///
    /// # Errors
    /// A [`Refusal`]: size, digest, content.
    pub fn accept_bundle(&self, device: Option<DeviceId>, bytes: &[u8]) -> Result<(Self, Content), Refusal> {
        let (Some(manifest), Some(mark)) = (&self.seen, &self.ratchet.seen) else {
            return Err(Refusal::NoManifest);
        };
        let bundles = manifest.bundles_for(device);
        let (format, bundle) = newest_readable(bundles).ok_or_else(|| no_readable(bundles))?;
        let content = self.named_content(format, bundle, bytes)?;
        let mut next = self.clone();
        next.ratchet.applied = Some(AppliedMark { manifest: mark.clone(), bundle: bundle.sha256 });
        next.applied = Some(manifest.clone());
        Ok((next, content))
    }

    /// The content of a bundle that a manifest names with this format.
    ///
    /// # Errors
    /// A [`Refusal`]: size, digest, content.
    pub fn named_content(&self, format: u32, bundle: &BundleRef, bytes: &[u8]) -> Result<Content, Refusal> {
        let size = bytes.len() as u64;
        if size > BUNDLE_LIMIT {
            return Err(Refusal::TooLarge { size, limit: BUNDLE_LIMIT });
        }
        if size != bundle.size {
            return Err(Refusal::BundleSize { expected: bundle.size, found: size });
        }
        let found = Digest::of(bytes);
        if found != bundle.sha256 {
            return Err(Refusal::BundleDigest { expected: bundle.sha256, found });
        }
        let content = parse_content(bytes, &self.ratchet.org)?;
        if content.format != format {
            return Err(Refusal::BundleFormat { expected: format, found: content.format });
        }
        Ok(content)
    }

    /// How current the applied bundle is, given the grace that it allows.
    pub fn freshness(&self, now: Timestamp, grace: Duration) -> Freshness {
        let (Some(manifest), Some(mark)) = (&self.applied, &self.ratchet.applied) else {
            return Freshness::Nothing;
        };
        if self.ratchet.revoked.contains(&mark.bundle) {
            return Freshness::Revoked;
        }
        if self.ratchet.check_clock(now).is_err() {
            return Freshness::ClockBehind { known: self.ratchet.clock_floor };
        }
        let end = manifest.expires.plus(grace);
        if now < manifest.expires {
            Freshness::Fresh { until: manifest.expires }
        } else if now < end {
            Freshness::Grace { until: end }
        } else {
            Freshness::Expired { since: end }
        }
    }

    /// What to persist.
    pub fn ratchet(&self) -> &Ratchet {
        &self.ratchet
    }

    /// The newest root document.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The applied manifest.
    pub fn applied(&self) -> Option<&Manifest> {
        self.applied.as_ref()
    }

    /// The newest manifest that was accepted in this run; its bundle may not be applied yet.
    pub fn newest(&self) -> Option<&Manifest> {
        self.seen.as_ref()
    }

    /// The digest of the applied bundle: the policy version that audit records name.
    pub fn applied_digest(&self) -> Option<Digest> {
        self.ratchet.applied.as_ref().map(|applied| applied.bundle)
    }

    fn check_org(&self, found: &str) -> Result<(), Refusal> {
        if self.ratchet.org == found {
            Ok(())
        } else {
            Err(Refusal::WrongOrg { expected: self.ratchet.org.clone(), found: found.to_owned() })
        }
    }

    fn check_order(&self, mark: &ManifestMark) -> Result<(), Refusal> {
        if mark.epoch != self.root.epoch {
            return Err(Refusal::WrongEpoch { expected: self.root.epoch, found: mark.epoch });
        }
        let Some(seen) = &self.ratchet.seen else { return Ok(()) };
        if (mark.epoch, mark.version) < (seen.epoch, seen.version) {
            return Err(Refusal::Rollback { seen: seen.version, found: mark.version });
        }
        if (mark.epoch, mark.version) == (seen.epoch, seen.version) && mark.digest != seen.digest {
            return Err(Refusal::TwoOfOneVersion { version: mark.version });
        }
        Ok(())
    }
}

impl Ratchet {
    /// The organisation.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// The fingerprint that trust began with.
    pub fn anchor(&self) -> RootFingerprint {
        self.anchor
    }

    /// The digest of the applied bundle.
    pub fn applied_bundle(&self) -> Option<Digest> {
        self.applied.as_ref().map(|applied| applied.bundle)
    }

    /// The digest of the applied manifest's payload.
    pub fn applied_manifest(&self) -> Option<Digest> {
        self.applied.as_ref().map(|applied| applied.manifest.digest)
    }

    /// The version of the newest root document.
    pub fn root_version(&self) -> u64 {
        self.root.version
    }

    fn check_clock(&self, now: Timestamp) -> Result<(), Refusal> {
        if now.plus(CLOCK_SKEW) < self.clock_floor {
            Err(Refusal::ClockBehind { known: self.clock_floor, now })
        } else {
            Ok(())
        }
    }
}

fn no_readable(bundles: &BTreeMap<u32, BundleRef>) -> Refusal {
    Refusal::NoReadableBundle { formats: bundles.keys().copied().collect() }
}

fn check_times(manifest: &Manifest, now: Timestamp) -> Result<(), Refusal> {
    if manifest.issued > now.plus(CLOCK_SKEW) {
        return Err(Refusal::IssuedInFuture { issued: manifest.issued, now });
    }
    if manifest.expires <= now {
        return Err(Refusal::Expired { at: manifest.expires });
    }
    Ok(())
}

fn self_signed_root(envelope: &[u8]) -> Result<(Root, Digest), Refusal> {
    let envelope = parse_envelope(envelope, ROOT_LIMIT)?;
    let root = Root::parse(&envelope.unverified_payload()?)?;
    let payload = root.verified(&root.roles.root, ROOT_TYPE, &envelope)?;
    Ok((root, Digest::of(&payload)))
}

fn parse_envelope(bytes: &[u8], limit: usize) -> Result<Envelope, Refusal> {
    if bytes.len() > limit {
        return Err(Refusal::TooLarge { size: bytes.len() as u64, limit: limit as u64 });
    }
    Ok(Envelope::parse(bytes)?)
}

fn parse_manifest(payload: &[u8]) -> Result<Manifest, Refusal> {
    let manifest: Manifest =
        serde_json::from_slice(payload).map_err(|fault| Refusal::ManifestJson(fault.to_string()))?;
    if manifest.format == MANIFEST_FORMAT {
        Ok(manifest)
    } else {
        Err(Refusal::ManifestFormat(manifest.format))
    }
}

fn parse_content(bytes: &[u8], org: &str) -> Result<Content, Refusal> {
    let content: Content =
        serde_json::from_slice(bytes).map_err(|fault| Refusal::ContentJson(fault.to_string()))?;
    let content = content.checked()?;
    if content.org.id == org {
        Ok(content)
    } else {
        Err(Refusal::WrongOrg { expected: org.to_owned(), found: content.org.id })
    }
}

#[cfg(test)]
mod tests;
