//! What is published: the signed documents, believed by the rules that desktops follow, and the policy compiled from
//! them.
//!
//! A publication that is refused changes nothing; one that is accepted takes effect at once, and calls under way finish
//! on the policy that they began with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::{Advice, ConnectorId, DeviceId, Digest, ForPerson, Timestamp, ToolName};
use org_protocol::{
    BundleRef, Content, Envelope, EventKind, Freshness, InGrace, PublicKey, Ratchet, Refusal, Root,
    RootFingerprint, TrustState, newest_readable,
};
use policy::{Policy, PolicyFault, PolicyVersion};

mod left_behind;
mod signatures;

pub(crate) use left_behind::LeftBehind;

use crate::author::{MANIFEST_PATH, bundle_path, read_manifest, root_path};
use crate::store::{Store, StoreFault};

/// What is in force.
#[derive(Debug)]
pub(crate) struct Live {
    trust: TrustState,
    content: Content,
    policy: Policy,
    digest: Digest,
    /// What is in force on the desktops of each stage of a rollout, in its order.
    stages: Vec<Live>,
}

/// Publishes, and knows what is published.
#[derive(Debug)]
pub(crate) struct Publication {
    store: Store,
    receipt_key: PublicKey,
    /// The issuer that this server is where people sign in by SAML.
    issuer: String,
    live: RwLock<Option<Arc<Live>>>,
    /// Publications are one after the other.
    turn: tokio::sync::Mutex<()>,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Published {
    /// The organisation.
    pub org: String,
    /// The manifest's epoch.
    pub epoch: u64,
    /// The manifest's version.
    pub version: u64,
    /// The bundle's digest.
    pub bundle: Digest,
    /// What desktops pin.
    pub fingerprint: RootFingerprint,
    /// When the manifest expires.
    pub expires: Timestamp,
    /// When the root document expires: nothing new can be published under it then. What is older does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_expires: Option<Timestamp>,
    /// The stages of a rollout that is under way; `bundle` is what the other desktops have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollout: Vec<PublishedStage>,
    /// Bundles that no desktop may use any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub revoked: BTreeSet<Digest>,
}

/// A stage of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PublishedStage {
    /// How many of 10,000 desktops are in it.
    pub share: u32,
    /// What they have.
    pub bundle: Digest,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishFault {
    /// A document that must be there is not.
    #[error("{0} is missing")]
    Missing(String),
    /// A document is not believed.
    #[error("{path}: {refusal}")]
    Refused {
        /// The document.
        path: String,
        /// Why.
        refusal: Refusal,
    },
    /// Desktops have a newer one.
    #[error(
        "version {version} of epoch {epoch} was published before the database was restored, and this is older"
    )]
    Older {
        /// The newest manifest's epoch.
        epoch: u64,
        /// And its version.
        version: u64,
    },
    /// The policies do not compile.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Policy(Vec<PolicyFault>),
    /// Desktops would not believe this server's receipts.
    #[error("the root document does not name this server's receipt key {0}")]
    ReceiptKey(Digest),
    /// Desktops would look for the sign-in elsewhere.
    #[error(
        "identity_provider.issuer is {named}, but people sign in by SAML through this server, which is {own}"
    )]
    Issuer {
        /// What the content names.
        named: url::Url,
        /// What this server is.
        own: String,
    },
    /// Who signs in, enrols or administers is verified before it is known whose policy holds.
    #[error(
        "a stage of the rollout has another identity_provider, enrolment or administrators than the rest; this server can obey one only"
    )]
    StageProvider,
    /// Desktops would be left without a policy that they can read.
    #[error("{0}")]
    LeftBehind(LeftBehind),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl ForPerson for PublishFault {
    fn advice(&self) -> Advice {
        let (code, todo) = match self {
            Self::Missing(_) => ("publish-missing", "Sign the folder again with `bundle sign`."),
            Self::Refused { refusal, .. } => (refusal.code(), "Sign the folder again with the right keys."),
            Self::Older { .. } => (
                "publish-older",
                "Publish the folder that was signed last, or sign the next version after it.",
            ),
            Self::Policy(_) => ("policy-refused", "Correct the policies and sign the folder again."),
            Self::ReceiptKey(_) => {
                ("publish-receipt-key", "Make a root document that lists the receipt key of this server.")
            }
            Self::Issuer { .. } => (
                "publish-issuer",
                "Name this server's public URL as identity_provider.issuer and sign the folder again.",
            ),
            Self::StageProvider => {
                ("publish-stage-provider", "Change these for all at once, without --rollout.")
            }
            Self::LeftBehind(_) => (
                "publish-left-behind",
                "Update Deskgate there first, or leave out the keys that `bundle check` names. `--leave-behind` publishes all the same: \
                 those desktops obey their last policy until it expires, and then permit nothing.",
            ),
            Self::Store(_) => ("server-fault", "See the server's log."),
        };
        Advice::new(code, format!("Nothing was published: {self}."), "What was published before stays.", todo)
    }
}

impl Publication {
    /// Takes up what was published. What is stored but not to be believed any more is left alone and said; nothing is
    /// in force then.
    pub(crate) async fn open(
        store: Store,
        receipt_key: PublicKey,
        issuer: String,
    ) -> Result<Self, StoreFault> {
        let (live, turn) = (RwLock::default(), tokio::sync::Mutex::default());
        let publication = Self { store, receipt_key, issuer, live, turn };
        publication.take_up().await?;
        Ok(publication)
    }

    /// Takes up what another control plane has published.
    pub(crate) async fn refresh(&self) -> Result<(), StoreFault> {
        let _turn = self.turn.lock().await;
        self.take_up().await
    }

    async fn take_up(&self) -> Result<(), StoreFault> {
        let ratchet = match self.store.ratchet().await {
            Ok(Some(ratchet)) => ratchet,
            Ok(None) => return Ok(()),
            // What a newer control plane has written must not keep from desktops what else there is to tell.
            Err(fault @ StoreFault::Unreadable { .. }) => {
                tracing::error!(%fault, "what was published is not in force here");
                return Ok(());
            }
            Err(fault) => return Err(fault),
        };
        if self.live().is_some_and(|live| *live.trust.ratchet() == ratchet) {
            return Ok(());
        }
        match self.resume(ratchet).await? {
            Ok(live) if self.is_new_enough(&live) => self.put_in_force(live),
            Ok(_) => tracing::error!(
                "a newer policy was published before the database was restored: nothing is in force until it is published again"
            ),
            Err(fault) => tracing::error!(%fault, "what was published is not in force: publish again"),
        }
        Ok(())
    }

    /// What is in force.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Publishes documents, given by their path below the configuration URL.
    ///
    /// The first publication is believed as it comes, from whoever may use the administrators' socket; from then on the
    /// organisation's own keys decide.
    pub(crate) async fn publish(
        &self,
        documents: &BTreeMap<String, Vec<u8>>,
        leave_behind: bool,
        now: Timestamp,
    ) -> Result<(Published, LeftBehind), PublishFault> {
        let _turn = self.turn.lock().await;
        self.take_up().await?;
        let before = self.store.ratchet().await?;
        let trust = self.trusted(before.as_ref(), documents, now).await?;
        if !trust.root().receipt_keys().contains(&self.receipt_key) {
            return Err(PublishFault::ReceiptKey(self.receipt_key.id()));
        }
        let (live, kept) = believed(&trust, documents, now)?;
        if !self.is_new_enough(&live) {
            let (epoch, version) = self.store.epoch().manifest;
            return Err(PublishFault::Older { epoch, version });
        }
        let provider = &live.content.org.identity_provider;
        if provider.saml.is_some() && !crate::op::is_issuer(&self.issuer, provider) {
            return Err(PublishFault::Issuer { named: provider.issuer.clone(), own: self.issuer.clone() });
        }
        let left = LeftBehind::by(live.trust.applied(), &self.store.devices().await?, now);
        if !left.is_empty() && !leave_behind {
            return Err(PublishFault::LeftBehind(left));
        }
        let published = live.published();
        let event = EventKind::BundleUpdated { epoch: published.epoch, version: published.version };
        self.store.publish(&kept, (before.as_ref(), live.trust.ratchet()), &event, now).await?;
        self.put_in_force(live);
        Ok((published, left))
    }

    /// Trust after walking all root documents that are new.
    async fn trusted(
        &self,
        stored: Option<&Ratchet>,
        documents: &BTreeMap<String, Vec<u8>>,
        now: Timestamp,
    ) -> Result<TrustState, PublishFault> {
        let known = match self.live() {
            Some(live) if stored == Some(live.trust.ratchet()) => Some(live.trust.clone()),
            // What is stored may be of no use here, but it is what must not be set back.
            Some(_) | None => self.stored_trust().await?,
        };
        walked(known, documents, now)
    }

    /// The trust that is stored, when its bundle cannot be used.
    async fn stored_trust(&self) -> Result<Option<TrustState>, PublishFault> {
        let Some(ratchet) = self.store.ratchet().await? else { return Ok(None) };
        let path = root_path(ratchet.root_version());
        let envelope = self.stored(&path).await?;
        let (trust, _) = TrustState::resume(ratchet, &envelope, None).map_err(refused(&path))?;
        Ok(Some(trust))
    }

    async fn resume(&self, ratchet: Ratchet) -> Result<Result<Live, PublishFault>, StoreFault> {
        match self.resumed(ratchet).await {
            Err(PublishFault::Store(fault)) => Err(fault),
            outcome => Ok(outcome),
        }
    }

    async fn resumed(&self, ratchet: Ratchet) -> Result<Live, PublishFault> {
        let root = root_path(ratchet.root_version());
        let envelope = self.stored(&root).await?;
        let bundle = ratchet.applied_bundle().ok_or_else(|| PublishFault::Missing("a bundle".to_owned()))?;
        let bundle = self.stored(&bundle_path(bundle)).await?;
        let manifest = self.stored(MANIFEST_PATH).await?;
        let (trust, content) =
            TrustState::resume(ratchet, &envelope, Some((&manifest, &bundle))).map_err(refused(&root))?;
        let paths: Vec<String> = staged_bundles(&trust).map(|(_, _, bundle)| bundle.path.clone()).collect();
        let mut staged = BTreeMap::new();
        for path in paths {
            let bytes = self.stored(&path).await?;
            staged.insert(path, bytes);
        }
        compiled(trust, content.ok_or_else(|| PublishFault::Missing("a bundle".to_owned()))?, &staged)
    }

    async fn stored(&self, path: &str) -> Result<Vec<u8>, PublishFault> {
        let document = self.store.document(path).await?;
        document.map(|(_, bytes)| bytes).ok_or_else(|| PublishFault::Missing(path.to_owned()))
    }

    /// Whether the manifest is at least as new as the newest that was published before the database was restored.
    fn is_new_enough(&self, live: &Live) -> bool {
        let published = live.published();
        (published.epoch, published.version) >= self.store.epoch().manifest
    }

    fn put_in_force(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(live));
    }
}

impl Live {
    /// What is in force on a desktop: of its stage where a rollout is under way, and of nobody else's.
    pub(crate) fn of(&self, device: DeviceId) -> &Self {
        let rollout = self.trust.applied().and_then(|manifest| manifest.rollout.as_ref());
        let stage = rollout.and_then(|rollout| rollout.stage_of(device)).and_then(|at| self.stages.get(at));
        stage.unwrap_or(self)
    }

    /// What is in force on any desktop.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.stages)
    }

    /// What IT decided.
    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// The policy.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether the connector has a tool of this name.
    pub(crate) fn knows_tool(&self, connector: &ConnectorId, tool: &ToolName) -> bool {
        let pinned = self.content.tools.get(connector).into_iter().flat_map(|tools| &tools.0);
        pinned
            .into_iter()
            .any(|definition| crate::author::tool_name(definition).as_deref() == Some(tool.as_str()))
    }

    /// How current it is.
    pub(crate) fn freshness(&self, now: Timestamp) -> Freshness {
        let hours = u64::from(self.content.org.offline.grace_hours);
        self.trust.freshness(now, Duration::from_secs(hours.saturating_mul(3600)))
    }

    /// Whether it is still to be obeyed for a connector.
    pub(crate) fn serves(&self, connector: &ConnectorId, now: Timestamp) -> bool {
        match self.freshness(now) {
            Freshness::Fresh { .. } => true,
            Freshness::Grace { .. } => {
                let spec = self.content.connectors.get(connector);
                spec.is_none_or(|spec| spec.in_grace() == InGrace::Use)
            }
            Freshness::Nothing
            | Freshness::Expired { .. }
            | Freshness::ClockBehind { .. }
            | Freshness::Revoked => false,
        }
    }

    /// What administrators and desktops may know of it.
    pub(crate) fn published(&self) -> Published {
        let manifest = self.trust.applied();
        Published {
            org: self.content.org.id.clone(),
            epoch: manifest.map_or(0, |manifest| manifest.epoch),
            version: manifest.map_or(0, |manifest| manifest.version),
            bundle: self.digest,
            fingerprint: self.trust.root().fingerprint(),
            expires: manifest.map_or(Timestamp::from_micros(0), |manifest| manifest.expires),
            root_expires: Some(self.trust.root().expires),
            rollout: staged_bundles(&self.trust)
                .map(|(share, _, bundle)| PublishedStage { share, bundle: bundle.sha256 })
                .collect(),
            revoked: manifest.map(|manifest| manifest.revoked_digests.clone()).unwrap_or_default(),
        }
    }
}

/// Trust from what is known on, or else from the first of the root documents, after walking all that are new.
pub(crate) fn walked(
    known: Option<TrustState>,
    documents: &BTreeMap<String, Vec<u8>>,
    now: Timestamp,
) -> Result<TrustState, PublishFault> {
    let mut trust = match known {
        Some(trust) => trust,
        None => {
            let path = root_path(1);
            let envelope = document(documents, &path)?;
            let fingerprint = fingerprint(envelope).map_err(refused(&path))?;
            TrustState::begin(fingerprint, envelope, now).map_err(refused(&path))?
        }
    };
    loop {
        let path = root_path(trust.root().version.saturating_add(1));
        let Some(envelope) = documents.get(&path) else { return Ok(trust) };
        trust = trust.accept_root(envelope, now).map_err(refused(&path))?;
    }
}

/// Trust that has taken the manifest.
pub(crate) fn with_manifest(
    trust: &TrustState,
    documents: &BTreeMap<String, Vec<u8>>,
    now: Timestamp,
) -> Result<TrustState, PublishFault> {
    let manifest = document(documents, MANIFEST_PATH)?;
    trust.accept_manifest(manifest, now).map_err(refused(MANIFEST_PATH))
}

/// A publication by the rules that desktops follow: what is in force by it, and the documents that belong to it.
pub(crate) fn believed(
    trust: &TrustState,
    documents: &BTreeMap<String, Vec<u8>>,
    now: Timestamp,
) -> Result<(Live, BTreeMap<String, Vec<u8>>), PublishFault> {
    let trust = with_manifest(trust, documents, now)?;
    let kept = named_documents(&trust, documents)?;
    let (trust, content) = apply(&trust, documents)?;
    Ok((compiled(trust, content, &kept)?, kept))
}

/// When the manifest says that it was issued: what is not believed any more because it has expired was believed then.
pub(crate) fn issued(documents: &BTreeMap<String, Vec<u8>>) -> Result<Timestamp, PublishFault> {
    let envelope = document(documents, MANIFEST_PATH)?;
    let manifest = read_manifest(envelope).map_err(Refusal::ManifestJson).map_err(refused(MANIFEST_PATH))?;
    Ok(manifest.issued)
}

fn document<'d>(documents: &'d BTreeMap<String, Vec<u8>>, path: &str) -> Result<&'d [u8], PublishFault> {
    documents.get(path).map(Vec::as_slice).ok_or_else(|| PublishFault::Missing(path.to_owned()))
}

fn refused(path: &str) -> impl Fn(Refusal) -> PublishFault {
    move |refusal| PublishFault::Refused { path: path.to_owned(), refusal }
}

fn fingerprint(envelope: &[u8]) -> Result<RootFingerprint, Refusal> {
    Ok(Root::parse(&Envelope::parse(envelope)?.unverified_payload()?)?.fingerprint())
}

/// The documents to store: root documents, the manifest, and every bundle that it names — each there, and each what the
/// manifest says. Nothing else is stored or served.
fn named_documents(
    trust: &TrustState,
    documents: &BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<String, Vec<u8>>, PublishFault> {
    let mut kept = BTreeMap::new();
    for version in 1..=trust.root().version {
        if let Some(envelope) = documents.get(&root_path(version)) {
            kept.insert(root_path(version), envelope.clone());
        }
    }
    kept.insert(MANIFEST_PATH.to_owned(), document(documents, MANIFEST_PATH)?.to_vec());
    for (_, bundle) in trust.newest().into_iter().flat_map(|manifest| manifest.all_bundles()) {
        let path = bundle_path(bundle.sha256);
        if bundle.path != path {
            return Err(PublishFault::Missing(path));
        }
        let bytes = document(documents, &path)?;
        let found = Digest::of(bytes);
        if found != bundle.sha256 {
            let refusal = Refusal::BundleDigest { expected: bundle.sha256, found };
            return Err(PublishFault::Refused { path, refusal });
        }
        kept.insert(path, bytes.to_vec());
    }
    Ok(kept)
}

fn apply(
    trust: &TrustState,
    documents: &BTreeMap<String, Vec<u8>>,
) -> Result<(TrustState, Content), PublishFault> {
    let manifest_refused = refused(MANIFEST_PATH);
    match trust.wanted(None).map_err(&manifest_refused)? {
        Some(bundle) => {
            let bytes = document(documents, &bundle.path)?;
            trust.accept_bundle(None, bytes).map_err(refused(&bundle.path))
        }
        // The very manifest that is in force: its bundle is among the documents.
        None => {
            let digest =
                trust.applied_digest().ok_or_else(|| PublishFault::Missing("a bundle".to_owned()))?;
            let path = bundle_path(digest);
            trust.accept_bundle(None, document(documents, &path)?).map_err(refused(&path))
        }
    }
}

/// The bundle of each stage that this program reads: the stage's share, the format, and the bundle. [`compiled`] refuses a stage that
/// has none.
fn staged_bundles(trust: &TrustState) -> impl Iterator<Item = (u32, u32, &BundleRef)> {
    let rollout = trust.applied().and_then(|manifest| manifest.rollout.as_ref());
    rollout.into_iter().flat_map(|rollout| &rollout.stages).filter_map(|stage| {
        let (format, bundle) = newest_readable(&stage.bundles)?;
        Some((stage.share, format, bundle))
    })
}

/// What is in force by applied documents: for all, and in each stage of a rollout, whose bundles are among `staged`.
fn compiled(
    trust: TrustState,
    content: Content,
    staged: &BTreeMap<String, Vec<u8>>,
) -> Result<Live, PublishFault> {
    let digest = trust.applied_digest().ok_or_else(|| PublishFault::Missing("a bundle".to_owned()))?;
    let stages =
        trust.applied().and_then(|manifest| manifest.rollout.as_ref()).map(|rollout| &rollout.stages);
    for stage in stages.into_iter().flatten() {
        if newest_readable(&stage.bundles).is_none() {
            let formats = stage.bundles.keys().copied().collect();
            return Err(refused(MANIFEST_PATH)(Refusal::NoReadableBundle { formats }));
        }
    }
    let stages = staged_bundles(&trust).map(|(_, format, bundle)| {
        let bytes = document(staged, &bundle.path)?;
        let staged = trust.named_content(format, bundle, bytes).map_err(refused(&bundle.path))?;
        // What holds for this server itself, and for who signs in to it, cannot be two things.
        let own = |content: &Content| {
            let org = &content.org;
            (org.identity_provider.clone(), org.administrators.clone(), org.enrolment)
        };
        if own(&staged) != own(&content) {
            return Err(PublishFault::StageProvider);
        }
        in_force(trust.clone(), staged, bundle.sha256, Vec::new())
    });
    let stages = stages.collect::<Result<_, _>>()?;
    in_force(trust, content, digest, stages)
}

fn in_force(
    trust: TrustState,
    content: Content,
    digest: Digest,
    stages: Vec<Live>,
) -> Result<Live, PublishFault> {
    let version = trust.applied().map_or(0, |manifest| manifest.version);
    let version = PolicyVersion { label: format!("{} {version}", content.org.id), digest };
    let input = crate::author::policy_input(&content, version);
    let policy = Policy::compile(input).map_err(PublishFault::Policy)?;
    Ok(Live { trust, content, policy, digest, stages })
}

#[cfg(test)]
mod tests;
