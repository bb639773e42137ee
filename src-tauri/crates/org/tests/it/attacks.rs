//! Attacks on what is signed, each by its name in the specification of TUF, at a desktop that fetches over HTTP from a host that serves
//! whatever it likes. The host has all keys that each attack supposes stolen, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control::author::{RootPlan, new_root};
use control::testing::ServedOrg;
use model::{Digest, Timestamp};
use org::{Anchor, Fetched, OrgFault};
use org_protocol::{
    BundleRef, Content, DsseFault, Envelope, Freshness, MANIFEST_FORMAT, MANIFEST_TYPE, Manifest, Refusal,
    Root, SigningKey,
};
use os::{Clock as _, SystemClock};

use crate::harness::{Asked, Desktop, StandIn, until};

const MANIFEST: &str = "v1/manifest.json";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// A manifest of version `version` that names `bundle`, for a day.
fn manifest(version: u64, bundle: &[u8]) -> Manifest {
    let sha256 = Digest::of(bundle);
    let path = format!("v1/bundles/{}.json", sha256.hex());
    let reference = BundleRef { sha256, size: bundle.len() as u64, path };
    Manifest {
        format: MANIFEST_FORMAT,
        org: "acme".to_owned(),
        epoch: 1,
        version,
        issued: now(),
        expires: now().plus(Duration::from_secs(86_400)),
        bundles: [(1, reference)].into(),
        rollout: None,
        revoked_digests: BTreeSet::new(),
    }
}

fn signed(manifest: &Manifest, by: &SigningKey) -> Vec<u8> {
    Envelope::sign(MANIFEST_TYPE, &serde_json::to_vec(manifest).expect("JSON"), &[by]).to_json()
}

/// A root document: `root_keys` are its keys, all of which must sign; `signers` did.
fn root(
    previous: Option<&Root>,
    root_keys: &[u8],
    manifest_key: u8,
    signers: &[u8],
    new_epoch: bool,
) -> Envelope {
    let plan = RootPlan {
        org: "acme".to_owned(),
        previous: previous.cloned(),
        root_keys: root_keys.iter().map(|seed| key(*seed).public()).collect(),
        threshold: root_keys.len(),
        manifest_keys: vec![key(manifest_key).public()],
        receipt_keys: vec![key(3).public()],
        new_epoch,
        expires: now().plus(Duration::from_secs(365 * 86_400)),
    };
    let signers: Vec<SigningKey> = signers.iter().map(|seed| key(*seed)).collect();
    new_root(&plan, &signers).expect("a root document")
}

fn read_root(envelope: &Envelope) -> Root {
    Root::parse(&envelope.unverified_payload().expect("a payload")).expect("a root document")
}

/// A host that serves what it is told to, and a desktop that obeys policy "Two", the second of two.
struct Attack {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    host: StandIn,
    desktop: Desktop,
    root: Root,
    /// Contents named "One", "Two" and "Six", of one length.
    bundles: [Vec<u8>; 3],
    first: Vec<u8>,
}

impl Attack {
    async fn new() -> Self {
        Self::with(manifest).await
    }

    /// The policy in force came with a manifest of version 2 that `made` makes.
    async fn with(made: impl Fn(u64, &[u8]) -> Manifest) -> Self {
        let mut org = ServedOrg::unpublished(None).await;
        let documents = org.signed(|_| ());
        let any = documents.iter().find(|(path, _)| path.starts_with("v1/bundles/")).expect("a bundle").1;
        let content: Content = serde_json::from_slice(any).expect("a content");
        let bundle = |name: &str| {
            let mut content = content.clone();
            (content.format, content.org.name) = (1, name.to_owned());
            serde_json::to_vec(&content).expect("JSON")
        };
        let bundles = ["One", "Two", "Six"].map(bundle);
        let envelope = root(None, &[1], 2, &[1], false);
        let files = Arc::new(Mutex::new(BTreeMap::new()));
        let serve = Arc::clone(&files);
        let host = StandIn::new(move |Asked { what, .. }| {
            let path = what.trim_start_matches("GET /").to_owned();
            let found = serve.lock().expect("not poisoned").get(&path).cloned();
            async move {
                found.map_or((404, String::new()), |bytes: Vec<u8>| {
                    (200, String::from_utf8(bytes).expect("text"))
                })
            }
        })
        .await;
        let first = signed(&manifest(1, &bundles[0]), &key(2));
        let root = read_root(&envelope);
        let desktop = Desktop::pointed(host.url.clone(), root.fingerprint()).await;
        let attack = Self { files, host, desktop, root, bundles, first };
        attack.serves("v1/root/1.json", envelope.to_json());
        for bundle in &attack.bundles {
            attack.serves_bundle(bundle);
        }
        attack.serves(MANIFEST, attack.first.clone());
        attack.desktop.update().await.expect("the first is taken").expect("new");
        let second = made(2, &attack.bundles[1]);
        attack.serves(MANIFEST, signed(&second, &key(2)));
        attack.desktop.update().await.expect("the second is taken").expect("new");
        attack
    }

    fn serves(&self, path: &str, bytes: Vec<u8>) {
        self.files.lock().expect("not poisoned").insert(path.to_owned(), bytes);
    }

    fn serves_bundle(&self, bundle: &[u8]) {
        self.serves(&format!("v1/bundles/{}.json", Digest::of(bundle).hex()), bundle.to_vec());
    }

    /// The desktop refuses what is served, and obeys what it obeyed before, also after a restart.
    async fn refused(self) -> OrgFault {
        let fault = self.desktop.update().await.expect_err("refused");
        assert!(
            matches!(self.desktop.org.freshness(Duration::ZERO).await, Freshness::Fresh { .. }),
            "{fault}"
        );
        let again = self.desktop.repointed(self.host.url.clone(), self.root.fingerprint()).await;
        let applied = again.org.resume().await.expect("taken up").expect("in force");
        assert_eq!(applied.digest, Digest::of(&self.bundles[1]), "{fault}");
        fault
    }

    async fn refused_for(self) -> Refusal {
        let fault = self.refused().await;
        let OrgFault::Document(refusal) = fault else { panic!("{fault:?}") };
        refusal
    }
}

#[tokio::test]
async fn attack_rollback() {
    let attack = Attack::new().await;
    attack.serves(MANIFEST, attack.first.clone());
    assert_eq!(attack.refused_for().await, Refusal::Rollback { seen: 2, found: 1 });
}

#[tokio::test]
async fn attack_freeze() {
    let short = |version, bundle: &[u8]| Manifest {
        expires: now().plus(Duration::from_secs(3)),
        ..manifest(version, bundle)
    };
    let attack = Attack::with(short).await;
    let org = &attack.desktop.org;
    until("the end of what is served again and again", async || {
        matches!(org.freshness(Duration::ZERO).await, Freshness::Expired { .. })
    })
    .await;
    let fault = attack.desktop.update().await.expect_err("refused");
    assert!(matches!(fault, OrgFault::Document(Refusal::Expired { .. })), "{fault:?}");
}

#[tokio::test]
async fn attack_fast_forward_is_cured_by_a_new_epoch() {
    let attack = Attack::new().await;
    // Whoever stole the manifest key would have nobody follow the organisation any more.
    attack.serves(MANIFEST, signed(&manifest(u64::MAX, &attack.bundles[1]), &key(2)));
    attack.desktop.update().await.expect("a valid signature");
    attack.serves(MANIFEST, signed(&manifest(3, &attack.bundles[2]), &key(2)));
    let fault = attack.desktop.update().await.expect_err("older");
    assert!(matches!(fault, OrgFault::Document(Refusal::Rollback { seen: u64::MAX, found: 3 })), "{fault:?}");

    let next = root(Some(&attack.root), &[1], 12, &[1], true);
    attack.serves("v1/root/2.json", next.to_json());
    let cured = Manifest { epoch: 2, ..manifest(1, &attack.bundles[2]) };
    attack.serves(MANIFEST, signed(&cured, &key(12)));
    let applied = attack.desktop.update().await.expect("taken").expect("new");
    assert_eq!(applied.content.org.name, "Six");
    attack.serves(MANIFEST, signed(&manifest(u64::MAX, &attack.bundles[0]), &key(2)));
    let fault = attack.desktop.update().await.expect_err("the stolen key is out");
    let too_few = Refusal::Envelope(DsseFault::TooFewSignatures { valid: 0, needed: 1 });
    assert!(matches!(fault, OrgFault::Document(refusal) if refusal == too_few));
}

#[tokio::test]
async fn attack_mix_and_match() {
    let attack = Attack::new().await;
    let third = manifest(3, &attack.bundles[2]);
    attack.serves(&third.bundles[&1].path, attack.bundles[0].clone());
    attack.serves(MANIFEST, signed(&third, &key(2)));
    let (expected, found) = (Digest::of(&attack.bundles[2]), Digest::of(&attack.bundles[0]));
    assert_eq!(attack.refused_for().await, Refusal::BundleDigest { expected, found });
}

#[tokio::test]
async fn attack_wrong_key() {
    let attack = Attack::new().await;
    // Neither a stranger's key nor one of another role.
    for seed in [9, 1, 3] {
        attack.serves(MANIFEST, signed(&manifest(3, &attack.bundles[2]), &key(seed)));
        let fault = attack.desktop.update().await.expect_err("refused");
        let too_few = Refusal::Envelope(DsseFault::TooFewSignatures { valid: 0, needed: 1 });
        assert!(matches!(fault, OrgFault::Document(refusal) if refusal == too_few), "key {seed}");
    }
    attack.refused_for().await;
}

#[tokio::test]
async fn attack_too_few_signatures() {
    let attack = Attack::new().await;
    let without = |signers: &[u8]| root(Some(&attack.root), &[1, 11], 12, signers, false).to_json();
    // The keys before and its own both have to sign, all of them.
    for signers in [&[1][..], &[11]] {
        attack.serves("v1/root/2.json", without(signers));
        let fault = attack.desktop.update().await.expect_err("refused");
        let reason =
            matches!(fault, OrgFault::Document(Refusal::Envelope(DsseFault::TooFewSignatures { .. })));
        assert!(reason, "{signers:?}: {fault:?}");
    }
    attack.refused_for().await;
}

#[tokio::test]
async fn attack_expired() {
    let attack = Attack::new().await;
    let past = Timestamp::from_seconds(now().seconds() - 60);
    let stale = Manifest { expires: past, ..manifest(3, &attack.bundles[2]) };
    attack.serves(MANIFEST, signed(&stale, &key(2)));
    assert_eq!(attack.refused_for().await, Refusal::Expired { at: past });
}

#[tokio::test]
async fn attack_truncated() {
    let attack = Attack::new().await;
    let mut cut = signed(&manifest(3, &attack.bundles[2]), &key(2));
    cut.truncate(cut.len() / 2);
    attack.serves(MANIFEST, cut);
    let refusal = attack.refused_for().await;
    assert!(matches!(refusal, Refusal::Envelope(DsseFault::Json(_))), "{refusal:?}");

    let attack = Attack::new().await;
    let third = manifest(3, &attack.bundles[2]);
    let (expected, found) = (third.bundles[&1].size, third.bundles[&1].size - 1);
    attack.serves(&third.bundles[&1].path, attack.bundles[2][1..].to_vec());
    attack.serves(MANIFEST, signed(&third, &key(2)));
    assert_eq!(attack.refused_for().await, Refusal::BundleSize { expected, found });
}

#[tokio::test]
async fn attack_fifty_mebibytes() {
    let flood = || vec![b' '; 50 * 1024 * 1024];
    for path in [MANIFEST, "v1/root/2.json"] {
        let attack = Attack::new().await;
        attack.serves(path, flood());
        let fault = attack.refused().await;
        assert!(matches!(&fault, OrgFault::Unusable(reason) if reason.contains("longer than")), "{fault:?}");
    }
    let attack = Attack::new().await;
    let third = manifest(3, &attack.bundles[2]);
    attack.serves(&third.bundles[&1].path, flood());
    attack.serves(MANIFEST, signed(&third, &key(2)));
    let fault = attack.refused().await;
    assert!(matches!(&fault, OrgFault::Unusable(reason) if reason.contains("longer than")), "{fault:?}");

    let attack = Attack::new().await;
    attack.serves(MANIFEST, signed(&manifest(3, &flood()), &key(2)));
    let refusal = attack.refused_for().await;
    assert!(matches!(refusal, Refusal::TooLarge { size: 52_428_800, .. }), "{refusal:?}");
}

#[tokio::test]
async fn attack_unknown_key() {
    let attack = Attack::new().await;
    let mut json = serde_json::to_value(manifest(3, &attack.bundles[2])).expect("JSON");
    json["surprise"] = true.into();
    let envelope = Envelope::sign(MANIFEST_TYPE, json.to_string().as_bytes(), &[&key(2)]);
    attack.serves(MANIFEST, envelope.to_json());
    let refusal = attack.refused_for().await;
    assert!(matches!(&refusal, Refusal::ManifestJson(reason) if reason.contains("surprise")), "{refusal:?}");

    let attack = Attack::new().await;
    let text = String::from_utf8(attack.bundles[2].clone()).expect("text");
    let odd = text.replacen("\"org\":{", "\"org\":{\"surprise\":true,", 1).into_bytes();
    attack.serves_bundle(&odd);
    attack.serves(MANIFEST, signed(&manifest(3, &odd), &key(2)));
    let refusal = attack.refused_for().await;
    assert!(matches!(&refusal, Refusal::ContentJson(reason) if reason.contains("surprise")), "{refusal:?}");
}

#[tokio::test]
async fn attack_broken_policy() {
    let attack = Attack::new().await;
    let mut content: Content = serde_json::from_slice(&attack.bundles[2]).expect("a content");
    content.policies.insert("policies/broken.cedar".to_owned(), "permit(".to_owned());
    let broken = serde_json::to_vec(&content).expect("JSON");
    attack.serves_bundle(&broken);
    attack.serves(MANIFEST, signed(&manifest(3, &broken), &key(2)));
    let fetched = attack.desktop.org.fetch().await.expect("well signed");
    let Fetched::New(candidate) = fetched else { panic!("{fetched:?}") };
    // Whoever compiles it refuses; it is not asked for again under this manifest.
    attack.desktop.org.reject(*candidate).await;
    let again = attack.desktop.org.fetch().await.expect("asks");
    assert!(matches!(again, Fetched::Unchanged), "{again:?}");
    let again = attack.desktop.repointed(attack.host.url.clone(), attack.root.fingerprint()).await;
    let applied = again.org.resume().await.expect("taken up").expect("in force");
    assert_eq!(applied.content.org.name, "Two");
}

#[tokio::test]
async fn attack_wrong_org() {
    let attack = Attack::new().await;
    let foreign = Manifest { org: "ajax".to_owned(), ..manifest(3, &attack.bundles[2]) };
    attack.serves(MANIFEST, signed(&foreign, &key(2)));
    let wrong = Refusal::WrongOrg { expected: "acme".to_owned(), found: "ajax".to_owned() };
    assert_eq!(attack.refused_for().await, wrong);

    let attack = Attack::new().await;
    let mut content: Content = serde_json::from_slice(&attack.bundles[2]).expect("a content");
    content.org.id = "ajax".to_owned();
    let foreign = serde_json::to_vec(&content).expect("JSON");
    attack.serves_bundle(&foreign);
    attack.serves(MANIFEST, signed(&manifest(3, &foreign), &key(2)));
    assert_eq!(attack.refused_for().await, wrong);
}

/// Whoever takes the address over does not take the organisation's place, though nobody had introduced that either.
#[tokio::test]
async fn attack_another_organisation_at_the_address_of_one_that_was_met() {
    let attack = Attack::new().await;
    let url = attack.host.url.clone();
    let desktop = Desktop::introduced(url.clone(), Anchor::FirstMet).await;
    desktop.update().await.expect("met").expect("new");
    let met = *desktop.org.meeting().borrow();
    let other = root(None, &[9], 9, &[9], false);
    attack.serves("v1/root/1.json", other.to_json());
    attack.serves(MANIFEST, signed(&manifest(3, &attack.bundles[2]), &key(9)));
    let desktop = desktop.reintroduced(url.clone(), Anchor::FirstMet).await;
    desktop.org.resume().await.expect("nothing is wrong").expect("in force");
    let fault = desktop.update().await.expect_err("refused");
    assert!(matches!(fault, OrgFault::Document(_)), "{fault:?}");
    // Nor where the documents are lost, and all that is left is who it was.
    std::fs::remove_dir_all(desktop.bundle_dir()).expect("removed");
    let desktop = desktop.reintroduced(url, Anchor::FirstMet).await;
    desktop.org.resume().await.expect_err("the documents are gone");
    let fault = desktop.update().await.expect_err("refused");
    let OrgFault::Document(Refusal::Fingerprint { pinned, found }) = fault else { panic!("{fault:?}") };
    assert_eq!((Some(pinned), found), (met.map(|met| met.fingerprint), read_root(&other).fingerprint()));
    assert_eq!(*desktop.org.meeting().borrow(), met);
}
