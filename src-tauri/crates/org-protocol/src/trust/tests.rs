//! Every way in which a document can be refused, by name.

mod rotation;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

mod formats;

use super::*;
use crate::content::CONTENT_FORMAT;
use crate::dsse::DsseFault;
use crate::key::SigningKey;
use crate::manifest::{Rollout, Stage};
use crate::root::{ROOT_FORMAT, Role, Roles, RootFault};
use crate::{ContentFault, OrgSettings};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// An organisation with two offline root keys, both needed, and one manifest key.
struct Org {
    root_keys: Vec<SigningKey>,
    manifest_key: SigningKey,
    root: Root,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

impl Org {
    fn new() -> Self {
        Self::with_keys("acme", vec![key(1), key(2)], key(10))
    }

    fn with_keys(org: &str, root_keys: Vec<SigningKey>, manifest_key: SigningKey) -> Self {
        let receipts = key(20);
        let role = |threshold, keys: &[SigningKey]| Role {
            threshold,
            keys: keys.iter().map(|key| key.public().id()).collect(),
        };
        let roles = Roles {
            root: role(root_keys.len(), &root_keys),
            manifest: role(1, std::slice::from_ref(&manifest_key)),
            receipts: role(1, std::slice::from_ref(&receipts)),
        };
        let keys = root_keys
            .iter()
            .chain([&manifest_key, &receipts])
            .map(|key| (key.public().id(), key.public()))
            .collect();
        let root = Root {
            format: ROOT_FORMAT,
            org: org.to_owned(),
            version: 1,
            epoch: 1,
            expires: NOW.plus(365 * DAY),
            keys,
            roles,
        };
        Self { root_keys, manifest_key, root }
    }

    fn root_envelope(&self) -> Vec<u8> {
        sign_root(&self.root, &self.root_keys)
    }

    fn manifest(&self, version: u64, bundle: &[u8]) -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT,
            org: self.root.org.clone(),
            epoch: self.root.epoch,
            version,
            issued: NOW,
            expires: NOW.plus(7 * DAY),
            bundles: [(CONTENT_FORMAT, reference(bundle))].into(),
            rollout: None,
            revoked_digests: BTreeSet::new(),
        }
    }

    fn signed(&self, manifest: &Manifest) -> Vec<u8> {
        sign_manifest(manifest, &self.manifest_key)
    }

    fn begun(&self) -> TrustState {
        TrustState::begin(self.root.fingerprint(), &self.root_envelope(), NOW).expect("begins")
    }

    /// The state in which `bundle` is applied by manifest 5.
    fn applied(&self, bundle: &[u8]) -> TrustState {
        let seen =
            self.begun().accept_manifest(&self.signed(&self.manifest(5, bundle)), NOW).expect("accepts");
        seen.accept_bundle(None, bundle).expect("applies").0
    }
}

fn sign_root(root: &Root, keys: &[SigningKey]) -> Vec<u8> {
    let keys: Vec<&SigningKey> = keys.iter().collect();
    Envelope::sign(ROOT_TYPE, &serde_json::to_vec(root).expect("JSON"), &keys).to_json()
}

fn sign_manifest(manifest: &Manifest, key: &SigningKey) -> Vec<u8> {
    Envelope::sign(MANIFEST_TYPE, &serde_json::to_vec(manifest).expect("JSON"), &[key]).to_json()
}

fn reference(bundle: &[u8]) -> BundleRef {
    let sha256 = Digest::of(bundle);
    BundleRef { sha256, size: bundle.len() as u64, path: format!("v1/bundles/{}.json", sha256.hex()) }
}

fn content(org: &str, name: &str) -> Content {
    Content {
        format: CONTENT_FORMAT,
        org: OrgSettings {
            id: org.to_owned(),
            name: name.to_owned(),
            support_url: None,
            identity_provider: serde_json::from_value(
                serde_json::json!({"issuer": "https://idp.acme.test", "client_id": "deskgate"}),
            )
            .expect("an identity provider"),
            sign_in_surface: crate::SignInSurface::Auto,
            sign_in_hosts: std::collections::BTreeSet::new(),
            offline: crate::OfflineRules::default(),
            enrolment: crate::EnrolmentRules::default(),
            audit: crate::AuditSettings::default(),
            payload: crate::PayloadSettings::default(),
            limits: Vec::new(),
            client_metadata_url: None,
            assistants: BTreeMap::new(),
            administrators: Default::default(),
            updates: None,
        },
        connectors: BTreeMap::new(),
        servers: BTreeMap::new(),
        policies: BTreeMap::new(),
        tools: BTreeMap::new(),
        definitions: BTreeMap::new(),
    }
}

fn bundle(name: &str) -> Vec<u8> {
    serde_json::to_vec(&content("acme", name)).expect("JSON")
}

#[test]
fn a_good_chain_is_applied() {
    let org = Org::new();
    let bundle = bundle("one");
    let seen = org.begun().accept_manifest(&org.signed(&org.manifest(1, &bundle)), NOW).expect("accepts");
    assert_eq!(seen.wanted(None), Ok(Some(reference(&bundle))));
    let (state, content) = seen.accept_bundle(None, &bundle).expect("applies");
    assert_eq!(content.org.name, "one");
    assert_eq!(state.wanted(None), Ok(None), "nothing more to fetch");
    assert_eq!(state.applied_digest(), Some(Digest::of(&bundle)));
}

#[test]
fn wrong_fingerprint() {
    let org = Org::new();
    let stranger = Org::with_keys("acme", vec![key(3), key(4)], key(11));
    assert_eq!(
        TrustState::begin(org.root.fingerprint(), &stranger.root_envelope(), NOW),
        Err(Refusal::Fingerprint { pinned: org.root.fingerprint(), found: stranger.root.fingerprint() })
    );
}

#[test]
fn too_few_root_signatures() {
    let org = Org::new();
    let envelope = sign_root(&org.root, &org.root_keys[..1]);
    assert_eq!(
        TrustState::begin(org.root.fingerprint(), &envelope, NOW),
        Err(Refusal::Envelope(DsseFault::TooFewSignatures { valid: 1, needed: 2 }))
    );
}

#[test]
fn wrong_manifest_key() {
    let org = Org::new();
    let manifest = org.manifest(1, b"x");
    for signer in [key(99), org.root_keys[0].clone(), key(20)] {
        assert_eq!(
            org.begun().accept_manifest(&sign_manifest(&manifest, &signer), NOW),
            Err(Refusal::Envelope(DsseFault::TooFewSignatures { valid: 0, needed: 1 })),
            "neither a stranger nor another role's key signs manifests"
        );
    }
}

#[test]
fn a_root_document_is_no_manifest() {
    let org = Org::new();
    assert_eq!(
        org.begun().accept_manifest(&org.root_envelope(), NOW),
        Err(Refusal::Envelope(DsseFault::PayloadType {
            expected: MANIFEST_TYPE,
            found: ROOT_TYPE.to_owned()
        }))
    );
}

#[test]
fn wrong_org() {
    let org = Org::new();
    let wrong = Err(Refusal::WrongOrg { expected: "acme".to_owned(), found: "evil".to_owned() });
    let manifest = Manifest { org: "evil".to_owned(), ..org.manifest(1, b"x") };
    assert_eq!(org.begun().accept_manifest(&org.signed(&manifest), NOW), wrong);
    let root = Root { org: "evil".to_owned(), version: 2, ..org.root.clone() };
    assert_eq!(org.begun().accept_root(&sign_root(&root, &org.root_keys), NOW), wrong);

    let foreign = serde_json::to_vec(&content("evil", "x")).expect("JSON");
    let seen = org.begun().accept_manifest(&org.signed(&org.manifest(1, &foreign)), NOW).expect("accepts");
    assert_eq!(seen.accept_bundle(None, &foreign).map(|(state, _)| state), wrong);
}

#[test]
fn rollback() {
    let org = Org::new();
    let state = org.applied(&bundle("five"));
    assert_eq!(
        state.accept_manifest(&org.signed(&org.manifest(4, b"x")), NOW),
        Err(Refusal::Rollback { seen: 5, found: 4 })
    );
}

#[test]
fn rollback_after_a_restart() {
    let org = Org::new();
    let bundle = bundle("five");
    let before = org.applied(&bundle);
    let manifest = org.signed(&org.manifest(5, &bundle));
    let (state, content) =
        TrustState::resume(before.ratchet().clone(), &org.root_envelope(), Some((&manifest, &bundle)))
            .expect("resumes");
    assert_eq!(content.map(|content| content.org.name), Some("five".to_owned()));
    assert_eq!(
        state.accept_manifest(&org.signed(&org.manifest(4, b"x")), NOW),
        Err(Refusal::Rollback { seen: 5, found: 4 })
    );
}

#[test]
fn rollback_after_the_documents_were_lost() {
    let org = Org::new();
    let bundle = bundle("five");
    let before = org.applied(&bundle);
    let begun =
        TrustState::begin_again(before.ratchet().clone(), &org.root_envelope(), NOW).expect("begins again");
    assert_eq!((begun.applied(), begun.applied_digest()), (None, None));
    assert_eq!(
        begun.accept_manifest(&org.signed(&org.manifest(4, b"x")), NOW),
        Err(Refusal::Rollback { seen: 5, found: 4 })
    );
    let seen = begun.accept_manifest(&org.signed(&org.manifest(5, &bundle)), NOW).expect("the same again");
    assert_eq!(seen.wanted(None), Ok(Some(reference(&bundle))), "it is not here any more");
    assert_eq!(seen.accept_bundle(None, &bundle).map(|(state, _)| state), Ok(before));
}

#[test]
fn what_was_lost_begins_again_as_it_first_began() {
    let org = Org::new();
    let ratchet = org.applied(&bundle("five")).ratchet().clone();
    let stranger = Org::with_keys("acme", vec![key(3), key(4)], key(11));
    assert_eq!(
        TrustState::begin_again(ratchet.clone(), &stranger.root_envelope(), NOW),
        Err(Refusal::Fingerprint { pinned: org.root.fingerprint(), found: stranger.root.fingerprint() })
    );
    let past = Timestamp::from_seconds(NOW.seconds() - 301);
    assert_eq!(
        TrustState::begin_again(ratchet.clone(), &org.root_envelope(), past),
        Err(Refusal::ClockBehind { known: NOW, now: past })
    );
    let newer = Ratchet { format: 2, ..ratchet };
    assert_eq!(TrustState::begin_again(newer, &org.root_envelope(), NOW), Err(Refusal::RatchetFormat(2)));
}

#[test]
fn two_manifests_of_one_version() {
    let org = Org::new();
    let state = org.applied(&bundle("five"));
    assert_eq!(
        state.accept_manifest(&org.signed(&org.manifest(5, b"other")), NOW),
        Err(Refusal::TwoOfOneVersion { version: 5 })
    );
}

#[test]
fn the_same_manifest_again_changes_nothing() {
    let org = Org::new();
    let bundle = bundle("five");
    let state = org.applied(&bundle);
    assert_eq!(state.accept_manifest(&org.signed(&org.manifest(5, &bundle)), NOW), Ok(state));
}

#[test]
fn freeze() {
    let org = Org::new();
    let late = NOW.plus(8 * DAY);
    assert_eq!(
        org.begun().accept_manifest(&org.signed(&org.manifest(1, b"x")), late),
        Err(Refusal::Expired { at: NOW.plus(7 * DAY) })
    );
}

#[test]
fn expired_root() {
    let org = Org::new();
    let late = NOW.plus(366 * DAY);
    let manifest = Manifest { issued: late, expires: late.plus(DAY), ..org.manifest(1, b"x") };
    assert_eq!(
        org.begun().accept_manifest(&org.signed(&manifest), late),
        Err(Refusal::RootExpired { at: org.root.expires })
    );
}

#[test]
fn issued_after_the_clock() {
    let org = Org::new();
    let issued = NOW.plus(CLOCK_SKEW).plus(Duration::from_secs(1));
    let manifest = Manifest { issued, ..org.manifest(1, b"x") };
    assert_eq!(
        org.begun().accept_manifest(&org.signed(&manifest), NOW),
        Err(Refusal::IssuedInFuture { issued, now: NOW })
    );
}

#[test]
fn clock_behind() {
    let org = Org::new();
    let state = org.applied(&bundle("five"));
    let past = Timestamp::from_seconds(NOW.seconds() - 301);
    let behind = Err(Refusal::ClockBehind { known: NOW, now: past });
    assert_eq!(state.accept_manifest(&org.signed(&org.manifest(6, b"x")), past), behind);
    let root = Root { version: 2, ..org.root.clone() };
    assert_eq!(state.accept_root(&sign_root(&root, &org.root_keys), past), behind);
    assert_eq!(state.freshness(past, DAY), Freshness::ClockBehind { known: NOW });
}

#[test]
fn a_clock_before_the_program_was_made() {
    let org = Org::new();
    let epoch = Timestamp::from_seconds(0);
    assert_eq!(
        TrustState::begin(org.root.fingerprint(), &org.root_envelope(), epoch),
        Err(Refusal::ClockBehind { known: EARLIEST, now: epoch })
    );
    assert_eq!(EARLIEST.to_string(), "2026-11-01T00:00:00.000000Z");
}

#[test]
fn mix_and_match() {
    let org = Org::new();
    let (one, two) = (bundle("one"), bundle("two"));
    let seen = org.begun().accept_manifest(&org.signed(&org.manifest(1, &one)), NOW).expect("accepts");
    assert_eq!(
        seen.accept_bundle(None, &two).map(|(state, _)| state),
        Err(Refusal::BundleDigest { expected: Digest::of(&one), found: Digest::of(&two) })
    );
}

#[test]
fn truncated_and_padded() {
    let org = Org::new();
    let good = bundle("one");
    let seen = org.begun().accept_manifest(&org.signed(&org.manifest(1, &good)), NOW).expect("accepts");
    let size = good.len() as u64;
    let refused = |bytes: &[u8]| seen.accept_bundle(None, bytes).map(|(state, _)| state);
    assert_eq!(
        refused(&good[..good.len() - 1]),
        Err(Refusal::BundleSize { expected: size, found: size - 1 })
    );
    assert_eq!(
        refused(&[good.as_slice(), b" "].concat()),
        Err(Refusal::BundleSize { expected: size, found: size + 1 })
    );
    let envelope = org.signed(&org.manifest(2, &good));
    assert!(matches!(
        seen.accept_manifest(&envelope[..envelope.len() - 1], NOW),
        Err(Refusal::Envelope(DsseFault::Json(_)))
    ));
}

#[test]
fn fifty_mebibytes() {
    let org = Org::new();
    let size = 50 * 1024 * 1024;
    let huge = BundleRef { size, ..reference(b"x") };
    let manifest = Manifest { bundles: [(CONTENT_FORMAT, huge)].into(), ..org.manifest(1, b"x") };
    let seen = org.begun().accept_manifest(&org.signed(&manifest), NOW).expect("accepts");
    let too_large = Refusal::TooLarge { size, limit: BUNDLE_LIMIT };
    assert_eq!(seen.wanted(None), Err(too_large.clone()));
    let bytes = vec![b' '; usize::try_from(size).expect("fits")];
    assert_eq!(seen.accept_bundle(None, &bytes).map(|(state, _)| state), Err(too_large));
    assert!(matches!(seen.accept_manifest(&bytes, NOW), Err(Refusal::TooLarge { .. })));
    assert!(matches!(seen.accept_root(&bytes, NOW), Err(Refusal::TooLarge { .. })));
}

#[test]
fn unknown_key_and_unknown_format() {
    let org = Org::new();
    let sign = |json: &serde_json::Value| {
        Envelope::sign(MANIFEST_TYPE, json.to_string().as_bytes(), &[&org.manifest_key]).to_json()
    };
    let mut json = serde_json::to_value(org.manifest(1, b"x")).expect("JSON");
    json["surprise"] = true.into();
    assert!(matches!(org.begun().accept_manifest(&sign(&json), NOW), Err(Refusal::ManifestJson(_))));
    let newer = Manifest { format: 2, ..org.manifest(1, b"x") };
    assert_eq!(org.begun().accept_manifest(&org.signed(&newer), NOW), Err(Refusal::ManifestFormat(2)));
    let newer = Root { format: 2, ..org.root.clone() };
    assert_eq!(
        TrustState::begin(newer.fingerprint(), &sign_root(&newer, &org.root_keys), NOW),
        Err(Refusal::Root(RootFault::Format(2)))
    );
}

#[test]
fn unreadable_content() {
    let org = Org::new();
    let refused = |json: serde_json::Value| {
        let bytes = json.to_string().into_bytes();
        let seen = org.begun().accept_manifest(&org.signed(&org.manifest(1, &bytes)), NOW).expect("accepts");
        seen.accept_bundle(None, &bytes).map(|(state, _)| state)
    };
    let good = serde_json::to_value(content("acme", "x")).expect("JSON");
    let mut unknown = good.clone();
    unknown["org"]["surprise"] = true.into();
    assert!(matches!(refused(unknown), Err(Refusal::ContentJson(_))));
    let mut newer = good;
    newer["format"] = 9.into();
    assert_eq!(refused(newer), Err(Refusal::Content(ContentFault::Format(9))));
}

#[test]
fn no_bundle_that_this_version_reads() {
    let org = Org::new();
    let manifest = Manifest { bundles: [(9, reference(b"x"))].into(), ..org.manifest(1, b"x") };
    let seen = org.begun().accept_manifest(&org.signed(&manifest), NOW).expect("accepts");
    let unreadable = Refusal::NoReadableBundle { formats: vec![9] };
    assert_eq!(seen.wanted(None), Err(unreadable.clone()));
    assert_eq!(seen.accept_bundle(None, b"x").map(|(state, _)| state), Err(unreadable));
}

#[test]
fn a_bundle_before_any_manifest() {
    let org = Org::new();
    assert_eq!(org.begun().wanted(None), Ok(None));
    assert_eq!(org.begun().accept_bundle(None, b"x").map(|(state, _)| state), Err(Refusal::NoManifest));
}

#[test]
fn a_revoked_bundle_is_neither_taken_nor_kept() {
    let org = Org::new();
    let old = bundle("old");
    let state = org.applied(&old);
    let names_revoked = Manifest { revoked_digests: [Digest::of(&old)].into(), ..org.manifest(6, &old) };
    assert_eq!(
        state.accept_manifest(&org.signed(&names_revoked), NOW),
        Err(Refusal::NamesRevoked { digest: Digest::of(&old) })
    );
    let revoking = Manifest { revoked_digests: [Digest::of(&old)].into(), ..org.manifest(6, &bundle("new")) };
    let state = state.accept_manifest(&org.signed(&revoking), NOW).expect("accepts");
    assert_eq!(state.freshness(NOW, DAY), Freshness::Revoked);
    let (resumed, _) = TrustState::resume(
        state.ratchet().clone(),
        &org.root_envelope(),
        Some((&org.signed(&org.manifest(5, &old)), &old)),
    )
    .expect("resumes");
    assert_eq!(resumed.freshness(NOW, DAY), Freshness::Revoked, "also after a restart");
}

#[test]
fn documents_altered_on_disk() {
    let org = Org::new();
    let good = bundle("five");
    let ratchet = org.applied(&good).ratchet().clone();
    let manifest = org.signed(&org.manifest(5, &good));
    let resumed = |root: &[u8], manifest: &[u8], bundle: &[u8]| {
        TrustState::resume(ratchet.clone(), root, Some((manifest, bundle))).map(|(state, _)| state)
    };
    let altered = |document| Err(Refusal::Altered { document });

    let other_root = sign_root(&Root { expires: NOW, ..org.root.clone() }, &org.root_keys);
    assert_eq!(resumed(&other_root, &manifest, &good), altered("root document"));
    let other_manifest = org.signed(&org.manifest(9, &good));
    assert_eq!(resumed(&org.root_envelope(), &other_manifest, &good), altered("manifest"));
    assert_eq!(resumed(&org.root_envelope(), &manifest, &bundle("six")), altered("bundle"));
}

#[test]
fn a_later_ratchet_is_not_guessed_at() {
    let org = Org::new();
    let ratchet = Ratchet { format: 2, ..org.begun().ratchet().clone() };
    assert_eq!(
        TrustState::resume(ratchet, &org.root_envelope(), None).map(|(state, _)| state),
        Err(Refusal::RatchetFormat(2))
    );
}

#[test]
fn fresh_then_grace_then_expired() {
    let org = Org::new();
    let state = org.applied(&bundle("five"));
    let expires = NOW.plus(7 * DAY);
    let end = expires.plus(DAY);
    assert_eq!(org.begun().freshness(NOW, DAY), Freshness::Nothing);
    assert_eq!(state.freshness(NOW, DAY), Freshness::Fresh { until: expires });
    assert_eq!(state.freshness(expires, DAY), Freshness::Grace { until: end });
    assert_eq!(state.freshness(end, DAY), Freshness::Expired { since: end });
}

#[test]
fn a_broken_bundle_keeps_the_old_one_and_the_ratchet_moves_on() {
    let org = Org::new();
    let old = bundle("old");
    let state = org.applied(&old);
    let seen = state.accept_manifest(&org.signed(&org.manifest(6, b"broken")), NOW).expect("accepts");
    assert!(seen.accept_bundle(None, b"broken").is_err());
    assert_eq!(seen.applied_digest(), Some(Digest::of(&old)));
    let manifest = org.signed(&org.manifest(5, &old));
    let (resumed, content) =
        TrustState::resume(seen.ratchet().clone(), &org.root_envelope(), Some((&manifest, &old)))
            .expect("resumes with the old bundle");
    assert_eq!(content.map(|content| content.org.name), Some("old".to_owned()));
    assert_eq!(resumed.accept_manifest(&manifest, NOW), Err(Refusal::Rollback { seen: 6, found: 5 }));
}

#[test]
fn a_staged_rollout_reaches_enrolled_devices() {
    let org = Org::new();
    let (old, new) = (bundle("old"), bundle("new"));
    let stage = Stage { share: 10_000, bundles: [(CONTENT_FORMAT, reference(&new))].into() };
    let rollout = Some(Rollout { salt: "s".to_owned(), stages: vec![stage] });
    let manifest = Manifest { rollout, ..org.manifest(1, &old) };
    let seen = org.begun().accept_manifest(&org.signed(&manifest), NOW).expect("accepts");
    let device = Some(DeviceId::new());
    assert_eq!(seen.wanted(device), Ok(Some(reference(&new))));
    assert_eq!(seen.wanted(None), Ok(Some(reference(&old))));
    assert!(seen.accept_bundle(device, &new).is_ok());
    assert!(seen.accept_bundle(None, &new).is_err());
}

#[test]
fn the_ratchet_is_read_back() {
    let ratchet = Org::new().applied(&bundle("five")).ratchet().clone();
    let json = serde_json::to_string(&ratchet).expect("writes");
    assert_eq!(serde_json::from_str::<Ratchet>(&json).expect("reads"), ratchet);
}

#[test]
fn every_refusal_speaks_to_a_person() {
    use model::ForPerson as _;
    let advice = Refusal::Rollback { seen: 2, found: 1 }.advice();
    assert_eq!(advice.code, "bundle-rollback");
    assert!(!advice.happened.is_empty() && !advice.todo.is_empty());
}

proptest! {
    // Signatures are slow in debug builds; the law has few shapes.
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever order manifests come in, the version that is believed never falls.
    #[test]
    fn versions_never_fall(versions in prop::collection::vec(1u64..8, 1..12)) {
        let org = Org::new();
        let mut state = org.begun();
        let mut highest = 0;
        for version in versions {
            let offered = org.signed(&org.manifest(version, b"x"));
            match state.accept_manifest(&offered, NOW) {
                Ok(next) => { prop_assert!(version >= highest); highest = version; state = next; }
                Err(refusal) => {
                    prop_assert_eq!(refusal, Refusal::Rollback { seen: highest, found: version });
                }
            }
        }
    }
}
