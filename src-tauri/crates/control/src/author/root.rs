//! The ceremony of a root document: planned once, signed by one key holder after the other.

use std::fmt;

use model::Timestamp;
use org_protocol::{
    DsseFault, Envelope, KeyId, PublicKey, ROOT_FORMAT, ROOT_TYPE, Role, Roles, Root, RootFault,
    RootFingerprint, SigningKey,
};

/// What a new root document shall say.
#[derive(Debug, Clone)]
pub struct RootPlan {
    /// The organisation's id.
    pub org: String,
    /// The document before it, where there is one; the new one is its next version.
    pub previous: Option<Root>,
    /// The keys of the root role.
    pub root_keys: Vec<PublicKey>,
    /// How many of them must sign.
    pub threshold: usize,
    /// The keys of the manifest role; one of them signs.
    pub manifest_keys: Vec<PublicKey>,
    /// The keys of the receipts role.
    pub receipt_keys: Vec<PublicKey>,
    /// Whether manifests begin a new epoch: after a manifest key was stolen.
    pub new_epoch: bool,
    /// When the document expires.
    pub expires: Timestamp,
}

/// Makes a root document and signs it with the keys at hand; more are added with [`add_signature`].
///
/// # Errors
/// A [`RootFault`] where thresholds and keys do not fit.
pub fn new_root(plan: &RootPlan, keys: &[SigningKey]) -> Result<Envelope, RootFault> {
    let role =
        |threshold, keys: &[PublicKey]| Role { threshold, keys: keys.iter().map(PublicKey::id).collect() };
    let (version, epoch) = plan.previous.as_ref().map_or((1, 1), |previous| {
        (previous.version.saturating_add(1), previous.epoch.saturating_add(u64::from(plan.new_epoch)))
    });
    let all = [&plan.root_keys, &plan.manifest_keys, &plan.receipt_keys];
    let root = Root {
        format: ROOT_FORMAT,
        org: plan.org.clone(),
        version,
        epoch,
        expires: plan.expires,
        keys: all.into_iter().flatten().map(|key| (key.id(), key.clone())).collect(),
        roles: Roles {
            root: role(plan.threshold, &plan.root_keys),
            manifest: role(1, &plan.manifest_keys),
            receipts: role(1, &plan.receipt_keys),
        },
    }
    .checked()?;
    let payload = serde_json::to_vec(&root).map_err(|fault| RootFault::Json(fault.to_string()))?;
    let keys: Vec<&SigningKey> = keys.iter().collect();
    Ok(Envelope::sign(ROOT_TYPE, &payload, &keys))
}

/// Adds a key holder's signature.
///
/// # Errors
/// A [`DsseFault`] where the envelope is none.
pub fn add_signature(envelope: &mut Envelope, key: &SigningKey) -> Result<(), DsseFault> {
    envelope.add_signature(key)
}

/// A root document in short: what it says, who has signed it, what to pin.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RootSummary {
    /// The organisation's id.
    pub org: String,
    /// Counts the root documents, from 1.
    pub version: u64,
    /// Which epoch manifests must be of.
    pub epoch: u64,
    /// When it stops vouching for new manifests.
    pub expires: Timestamp,
    /// What desktops pin.
    pub fingerprint: RootFingerprint,
    /// How many root keys have signed it.
    pub signed: usize,
    /// How many root keys there are.
    pub root_keys: usize,
    /// How many of them must sign.
    pub threshold: usize,
}

impl fmt::Display for RootSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "organisation  {}", self.org)?;
        writeln!(f, "version       {}", self.version)?;
        writeln!(f, "epoch         {}", self.epoch)?;
        writeln!(f, "expires       {}", self.expires)?;
        writeln!(f, "fingerprint   {}", self.fingerprint)?;
        let Self { signed, root_keys, threshold, .. } = self;
        write!(f, "signed        by {signed} of {root_keys} root keys; {threshold} are needed")?;
        if self.version > 1 { f.write_str(", and those of the version before") } else { Ok(()) }
    }
}

/// Tells a root document in short.
///
/// # Errors
/// A [`RootFault`] where it is none.
pub fn describe_root(envelope: &Envelope) -> Result<RootSummary, RootFault> {
    let payload = envelope.unverified_payload().map_err(|fault| RootFault::Json(fault.to_string()))?;
    let root = Root::parse(&payload)?;
    let signed = envelope
        .signatures
        .iter()
        .filter(|one| {
            one.keyid.parse::<KeyId>().is_ok_and(|id| {
                root.roles.root.keys.contains(&id)
                    && root.keys.get(&id).is_some_and(|key| envelope.verified(ROOT_TYPE, [key], 1).is_ok())
            })
        })
        .count();
    Ok(RootSummary {
        fingerprint: root.fingerprint(),
        signed,
        root_keys: root.roles.root.keys.len(),
        threshold: root.roles.root.threshold,
        org: root.org,
        version: root.version,
        epoch: root.epoch,
        expires: root.expires,
    })
}

#[cfg(test)]
mod tests {
    use org_protocol::TrustState;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn plan(previous: Option<Root>) -> RootPlan {
        RootPlan {
            org: "acme".to_owned(),
            previous,
            root_keys: vec![key(1).public(), key(2).public()],
            threshold: 2,
            manifest_keys: vec![key(3).public()],
            receipt_keys: vec![key(4).public()],
            new_epoch: false,
            expires: Timestamp::from_seconds(1_900_000_000),
        }
    }

    fn read(envelope: &Envelope) -> Root {
        Root::parse(&envelope.unverified_payload().expect("base64")).expect("a root")
    }

    #[test]
    fn two_holders_sign_one_after_the_other() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let mut envelope = new_root(&plan(None), &[key(1)]).expect("makes");
        let fingerprint = read(&envelope).fingerprint();
        assert!(TrustState::begin(fingerprint, &envelope.to_json(), now).is_err(), "one is too few");
        add_signature(&mut envelope, &key(2)).expect("signs");
        assert!(TrustState::begin(fingerprint, &envelope.to_json(), now).is_ok());
        let text = describe_root(&envelope).expect("describes").to_string();
        assert!(text.contains("by 2 of 2 root keys") && text.contains(&fingerprint.to_string()), "{text}");
    }

    #[test]
    fn a_new_version_and_a_new_epoch() {
        let one = read(&new_root(&plan(None), &[]).expect("makes"));
        let two = read(&new_root(&plan(Some(one.clone())), &[]).expect("makes"));
        assert_eq!((two.version, two.epoch), (2, 1));
        let cure = RootPlan { new_epoch: true, ..plan(Some(one)) };
        assert_eq!(read(&new_root(&cure, &[]).expect("makes")).epoch, 2);
    }

    #[test]
    fn an_impossible_threshold_is_refused() {
        let plan = RootPlan { threshold: 3, ..plan(None) };
        assert_eq!(
            new_root(&plan, &[]).map(|_| ()),
            Err(RootFault::Threshold { role: "root", threshold: 3, keys: 2 })
        );
    }
}
