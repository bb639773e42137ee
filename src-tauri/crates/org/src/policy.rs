//! The organisation's policy on this device: fetched, verified, and kept.
//!
//! Fetching and applying are two steps, so that whoever compiles the policy in between can still say no; then the last
//! good one stays, and the refused one is not fetched again.

use std::time::Duration;

use model::{Advice, DeviceId, Digest, ForPerson as _, Timestamp};
use org_protocol::{
    BUNDLE_LIMIT, Content, Freshness, MANIFEST_LIMIT, Manifest, PublicKey, ROOT_LIMIT, Ratchet, Refusal,
    TrustState,
};
use os::Again;
use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use vault::Kind;

use crate::backoff::Backoff;
use crate::files::Name;
use crate::wire::{body, read, refused};
use crate::{Inner, Org, OrgFault};

/// The ratchet's key in the vault.
const RATCHET: &str = "org";
/// The longest time between two looks for what is new.
const POLL: Duration = Duration::from_secs(60);
/// How many root documents are looked through for the pinned one.
const MOST_ROOTS: u64 = 64;

/// What is believed, and what is needed to go on.
#[derive(Default)]
pub(crate) struct Held {
    trust: Option<TrustState>,
    /// The tag of the manifest that was seen last.
    tag: Option<HeaderValue>,
    /// The envelope of the manifest that was seen last.
    manifest: Vec<u8>,
    /// The bundle that the owner did not want, under the manifest that named it.
    rejected: Option<(Digest, u64)>,
}

/// A policy that is in force.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What IT decided.
    pub content: Content,
    /// The bundle's digest: the policy version that records name.
    pub digest: Digest,
    /// How people call it, such as `acme 7`.
    pub label: String,
}

/// A verified policy that is not in force yet.
#[derive(Debug)]
pub struct Candidate {
    applied: Applied,
    trust: TrustState,
    manifest: Vec<u8>,
    bundle: Vec<u8>,
}

impl Candidate {
    /// What it would be in force as.
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Whether the content is the one in force already, so that only its validity was renewed.
    pub fn is_renewal(&self, of: &Applied) -> bool {
        self.applied.digest == of.digest
    }
}

/// What fetching found.
#[derive(Debug)]
pub enum Fetched {
    /// Nothing new.
    Unchanged,
    /// Another policy, or the same with a longer validity: to be applied or rejected.
    New(Box<Candidate>),
}

impl Org {
    /// Takes up the policy that was in force when the program ended. Documents that were altered or cannot be read are
    /// set aside and told; nothing is in force then until something is fetched.
    ///
    /// # Errors
    /// The words for the person, with nothing in force.
    pub async fn resume(&self) -> Result<Option<Applied>, Advice> {
        let mut held = self.0.held.lock().await;
        self.0.recall_meeting().await;
        self.0.age.resume(&self.0.vault, &*self.0.clock).await;
        let resumed = self.0.resumed().await;
        match resumed {
            Ok(Some((trust, content))) => {
                self.0.know_keys(&trust);
                let applied = content.and_then(|content| applied(&trust, content));
                held.trust = Some(trust);
                Ok(applied)
            }
            Ok(None) => Ok(None),
            Err(fault) => {
                tracing::warn!(%fault, "the stored policy is not taken up");
                // A fault of the vault says nothing against the documents.
                if matches!(fault, OrgFault::Document(_))
                    && let Err(fault) = self.0.files.set_aside()
                {
                    tracing::warn!(%fault, "the stored policy is not set aside");
                }
                Err(fault.advice())
            }
        }
    }

    /// The organisation's id, once a root document of it was believed; also where the documents beside it are damaged,
    /// or where the vault, whose keychain may be locked, has nothing of it.
    pub async fn id(&self) -> Option<String> {
        self.0.id().await
    }

    /// Has whatever waits between two attempts, such as for the event stream, try at once.
    pub fn again(&self) -> &Again {
        &self.0.again
    }

    /// How long to wait before asking again for what is new: about a minute, and never all devices at once.
    pub fn poll_pause() -> Duration {
        Backoff::new(POLL, POLL).next()
    }

    /// Asks the central URL for what is new.
    ///
    /// # Errors
    /// An [`OrgFault`]; what is in force stays.
    pub async fn fetch(&self) -> Result<Fetched, OrgFault> {
        let mut held = self.0.held.lock().await;
        let now = self.0.clock.now();
        let before = match held.trust.clone() {
            Some(trust) => trust,
            None => self.0.begin(now).await?,
        };
        let trust = self.0.walk(before, now).await?;
        held.trust = Some(trust.clone());
        self.0.know_keys(&trust);
        let trust = self.0.newest_manifest(&mut held, trust, now).await?;
        let device = Some(self.device());
        let Some(wanted) = trust.wanted(device)? else { return Ok(Fetched::Unchanged) };
        let version = trust.newest().map_or(0, |manifest| manifest.version);
        if held.rejected == Some((wanted.sha256, version)) {
            return Ok(Fetched::Unchanged);
        }
        let bundle = self.0.bundle(&trust, &wanted).await?;
        let (trust, content) = trust.accept_bundle(device, &bundle)?;
        let manifest = held.manifest.clone();
        let applied = applied(&trust, content).ok_or(OrgFault::Document(Refusal::NoManifest))?;
        Ok(Fetched::New(Box::new(Candidate { applied, trust, manifest, bundle })))
    }

    /// Puts a candidate in force; on disk when this returns.
    ///
    /// # Errors
    /// [`OrgFault::Superseded`] where a newer one was seen meanwhile, [`OrgFault::Disk`] or [`OrgFault::Vault`]; what was
    /// in force stays.
    pub async fn apply(&self, candidate: Candidate) -> Result<Applied, OrgFault> {
        let Candidate { applied, trust, manifest, bundle } = candidate;
        let mut held = self.0.held.lock().await;
        // The ratchet never goes back to an older manifest than was seen.
        if held.trust.as_ref().map(TrustState::newest) != Some(trust.newest()) {
            return Err(OrgFault::Superseded);
        }
        let ratchet = trust.ratchet();
        if let Some(digest) = ratchet.applied_manifest() {
            self.0.files.write(Name::manifest(digest), manifest).await?;
        }
        self.0.files.write(Name::bundle(applied.digest), bundle).await?;
        self.0.store(ratchet).await?;
        // Else the ratchet of an earlier run, which the vault cannot show now, may name other documents.
        if self.0.vault.is_durable() {
            self.0.files.prune(ratchet);
        }
        self.0.know_keys(&trust);
        held.trust = Some(trust);
        Ok(applied)
    }

    /// Does not want a candidate: its policies do not compile, for one. It is not fetched again under its manifest.
    pub async fn reject(&self, candidate: Candidate) {
        let version = candidate.trust.applied().map_or(0, |manifest| manifest.version);
        self.0.held.lock().await.rejected = Some((candidate.applied.digest, version));
    }

    /// How current the policy in force is, given the grace that it allows. Setting the clock back makes it no younger.
    pub async fn freshness(&self, grace: Duration) -> Freshness {
        let held = self.0.held.lock().await;
        let Some(trust) = &held.trust else { return Freshness::Nothing };
        let Inner { age, vault, clock, .. } = &*self.0;
        age.keep(vault, &**clock).await;
        // Whether the clock is behind what the organisation has signed, the clock itself has to say.
        match trust.freshness(clock.now(), grace) {
            behind @ Freshness::ClockBehind { .. } => behind,
            Freshness::Nothing
            | Freshness::Fresh { .. }
            | Freshness::Grace { .. }
            | Freshness::Expired { .. }
            | Freshness::Revoked => trust.freshness(age.now(&**clock), grace),
        }
    }

    /// By how much the clock was set back since the organisation was last heard of anew; nothing where it was not.
    pub fn clock_set_back(&self) -> Option<Duration> {
        self.0.age.set_back(&*self.0.clock)
    }

    /// The time by which the policy ages.
    pub fn aged(&self) -> Timestamp {
        self.0.age.now(&*self.0.clock)
    }

    /// The keys whose receipts are good, as they change.
    pub fn receipt_keys(&self) -> tokio::sync::watch::Receiver<Vec<PublicKey>> {
        self.0.receipt_keys.subscribe()
    }

    /// This device, as the organisation knows it or will: that nobody is signed in takes it out of no rollout.
    fn device(&self) -> DeviceId {
        self.0.session.borrow().as_ref().map_or(self.0.device, |session| session.device)
    }
}

impl Inner {
    /// The organisation's id, as far as it is known.
    pub(crate) async fn id(&self) -> Option<String> {
        let held = self.held.lock().await;
        if let Some(trust) = &held.trust {
            return Some(trust.ratchet().org().to_owned());
        }
        match self.stored_ratchet().await {
            Ok(Some(ratchet)) => Some(ratchet.org().to_owned()),
            Ok(None) | Err(_) => self.id_on_disk(),
        }
    }

    async fn resumed(&self) -> Result<Option<(TrustState, Option<Content>)>, OrgFault> {
        let Some(ratchet) = self.stored_ratchet().await? else { return Ok(None) };
        let missing = |document: &'static str| move |_| OrgFault::Document(Refusal::Altered { document });
        let root = self.files.read(&Name::root(ratchet.root_version())).map_err(missing("root document"))?;
        let documents = match (ratchet.applied_manifest(), ratchet.applied_bundle()) {
            (Some(manifest), Some(bundle)) => {
                let manifest = self.files.read(&Name::manifest(manifest)).map_err(missing("manifest"))?;
                let bundle = self.files.read(&Name::bundle(bundle)).map_err(missing("bundle"))?;
                Some((manifest, bundle))
            }
            (None, _) | (_, None) => None,
        };
        let documents = documents.as_ref().map(|(manifest, bundle)| (manifest.as_slice(), bundle.as_slice()));
        Ok(Some(TrustState::resume(ratchet, &root, documents)?))
    }

    /// What must not move backwards, as it was when the program ended; none of another fingerprint.
    async fn stored_ratchet(&self) -> Result<Option<Ratchet>, OrgFault> {
        let Some(stored) = self.vault.get(Kind::Ratchet, RATCHET).await? else { return Ok(None) };
        let ratchet: Ratchet = serde_json::from_slice(stored.expose_secret())
            .map_err(|fault| OrgFault::Unusable(format!("the stored trust state: {fault}")))?;
        if Some(ratchet.anchor()) != self.fingerprint() {
            tracing::info!("another fingerprint is pinned; the policy before is given up");
            return Ok(None);
        }
        Ok(Some(ratchet))
    }

    /// The id in a root document on disk that has the pinned fingerprint: it is as good as one that is fetched.
    fn id_on_disk(&self) -> Option<String> {
        let (now, fingerprint) = (self.clock.now(), self.fingerprint()?);
        let begun = |envelope: &Vec<u8>| TrustState::begin(fingerprint, envelope, now).ok();
        self.files.roots().iter().find_map(begun).map(|trust| trust.ratchet().org().to_owned())
    }

    /// The stored ratchet; one that nobody can read any more is given up.
    async fn usable_ratchet(&self) -> Result<Option<Ratchet>, OrgFault> {
        match self.stored_ratchet().await {
            Err(fault @ OrgFault::Unusable(_)) => {
                tracing::warn!(%fault, "trust begins anew");
                Ok(None)
            }
            outcome => outcome,
        }
    }

    /// The beginning of trust: the root document whose fingerprint was pinned. It need not be the first. Where only the
    /// documents were lost, what must not move backwards does not.
    async fn begin(&self, now: Timestamp) -> Result<TrustState, OrgFault> {
        let before = self.usable_ratchet().await?;
        self.recall_meeting().await;
        let mut refusal = None;
        for version in 1..=MOST_ROOTS {
            let Some(envelope) = self.root(version).await? else { break };
            let fingerprint = self.recognised(&envelope).await?;
            let begun = match before.clone() {
                Some(ratchet) => TrustState::begin_again(ratchet, &envelope, now),
                None => TrustState::begin(fingerprint, &envelope, now),
            };
            match begun {
                Ok(trust) => {
                    self.files.write(Name::root(version), envelope).await?;
                    self.store(trust.ratchet()).await?;
                    return Ok(trust);
                }
                Err(other) => refusal = Some(other),
            }
        }
        Err(refusal
            .map_or_else(|| OrgFault::Unusable("it has no root document".to_owned()), OrgFault::Document))
    }

    /// Walks the root documents that are new, at least to the newest that was known before.
    async fn walk(&self, mut trust: TrustState, now: Timestamp) -> Result<TrustState, OrgFault> {
        while let Some(envelope) = self.root(trust.root().version.saturating_add(1)).await? {
            trust = trust.accept_root(&envelope, now)?;
            self.files.write(Name::root(trust.root().version), envelope).await?;
            self.store(trust.ratchet()).await?;
        }
        trust.check_root()?;
        Ok(trust)
    }

    async fn root(&self, version: u64) -> Result<Option<Vec<u8>>, OrgFault> {
        let request = self.wire.get(&format!("v1/root/{version}.json"))?;
        let answer = self.wire.send(request).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(body(answer, ROOT_LIMIT).await?.to_vec()))
    }

    async fn newest_manifest(
        &self,
        held: &mut Held,
        trust: TrustState,
        now: Timestamp,
    ) -> Result<TrustState, OrgFault> {
        let mut request = self.wire.get("v1/manifest.json")?;
        // Without a manifest of this run there is nothing that the tag could stand for.
        if let Some(tag) = held.tag.clone().filter(|_| trust.newest().is_some()) {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let answer = self.wire.send(request).await?;
        let status = answer.status();
        if status == StatusCode::NOT_MODIFIED {
            return Ok(trust);
        }
        let tag = answer.headers().get(ETAG).cloned();
        let envelope = read(answer, MANIFEST_LIMIT).await?;
        if !status.is_success() {
            return Err(refused(status, &envelope));
        }
        let next = trust.accept_manifest(&envelope, now)?;
        if next.ratchet() != trust.ratchet() {
            self.store(next.ratchet()).await?;
            // Signed anew, and shown for the first time. What anybody can show again says nothing of the time.
            self.age.contact(&*self.clock);
        }
        held.tag = tag;
        held.manifest = envelope.to_vec();
        held.trust = Some(next.clone());
        Ok(next)
    }

    /// The bundle that a manifest names; from disk where it is in force already.
    async fn bundle(
        &self,
        trust: &TrustState,
        wanted: &org_protocol::BundleRef,
    ) -> Result<Vec<u8>, OrgFault> {
        if trust.applied_digest() == Some(wanted.sha256)
            && let Ok(bytes) = self.files.read(&Name::bundle(wanted.sha256))
            && Digest::of(&bytes) == wanted.sha256
        {
            return Ok(bytes);
        }
        let limit = usize::try_from(wanted.size.min(BUNDLE_LIMIT)).unwrap_or(usize::MAX);
        let answer = self.wire.send(self.wire.get(&wanted.path)?).await?;
        Ok(body(answer, limit).await?.to_vec())
    }

    async fn store(&self, ratchet: &Ratchet) -> Result<(), OrgFault> {
        let json = serde_json::to_vec(ratchet).map_err(|fault| OrgFault::Unusable(fault.to_string()))?;
        Ok(self.vault.put(Kind::Ratchet, RATCHET, &json).await?)
    }

    fn know_keys(&self, trust: &TrustState) {
        let keys = trust.root().receipt_keys();
        self.receipt_keys.send_if_modified(|known| {
            let changed = *known != keys;
            *known = keys;
            changed
        });
    }
}

fn applied(trust: &TrustState, content: Content) -> Option<Applied> {
    let version = trust.applied().map(|manifest: &Manifest| manifest.version)?;
    let label = format!("{} {version}", content.org.id);
    Some(Applied { content, digest: trust.applied_digest()?, label })
}
