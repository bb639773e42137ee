//! The root document: which keys speak for an organisation. Signed by k of n keys that are kept offline.
//!
//! Version N+1 is signed by the thresholds of N and of N+1, so that trust is walked version by version and a key that
//! was lost or stolen leaves the chain without anybody touching a desktop.

use std::collections::{BTreeMap, BTreeSet};

use model::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::dsse::{DsseFault, Envelope};
use crate::key::{KeyId, PublicKey};

/// The DSSE payload type of a root document.
pub const ROOT_TYPE: &str = "application/vnd.deskgate.root.v1+json";
/// The format version of [`Root`] that this program writes and reads.
pub const ROOT_FORMAT: u32 = 1;
/// The largest envelope of a root document, in bytes.
pub const ROOT_LIMIT: usize = 256 * 1024;
/// The most keys in one role.
const MOST_KEYS: usize = 32;

/// What a person or a managed setting pins: the root role's keys and threshold.
pub type RootFingerprint = Digest;

/// Which keys speak for an organisation, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The format version: [`ROOT_FORMAT`].
    pub format: u32,
    /// The organisation's id.
    pub org: String,
    /// Counts the root documents, from 1.
    pub version: u64,
    /// Which epoch manifests must be of. A new epoch restarts their versions: it cures a stolen manifest key that
    /// signed an absurdly high one. Never falls.
    pub epoch: u64,
    /// When this document stops vouching for new manifests.
    pub expires: Timestamp,
    /// The keys by id.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// Who may do what.
    pub roles: Roles,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Signs root documents. Kept offline.
    pub root: Role,
    /// Signs manifests. Kept online.
    pub manifest: Role,
    /// Signs receipts for stored audit records. Kept online, by the control plane.
    pub receipts: Role,
}

/// A number of keys of which so many must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// How many distinct keys must sign.
    pub threshold: usize,
    /// Which keys may.
    pub keys: BTreeSet<KeyId>,
}

/// What is wrong with a root document, beyond its signatures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootFault {
    /// Not the JSON of a root document, or with a key that is not understood.
    #[error("the root document cannot be read: {0}")]
    Json(String),
    /// A format version that is not known here.
    #[error("the root document has format {0}, which this version cannot read")]
    Format(u32),
    /// The version is zero.
    #[error("root versions begin with 1")]
    Version,
    /// A key is listed under an id that is not its own.
    #[error("the key listed as {listed} is {is}")]
    KeyId {
        /// The id that it is listed under.
        listed: KeyId,
        /// Its own id.
        is: KeyId,
    },
    /// A role names a key that is not listed.
    #[error("the {role} role names key {key}, which is not listed")]
    UnknownKey {
        /// The role.
        role: &'static str,
        /// The missing key.
        key: KeyId,
    },
    /// A role's threshold is zero or more than it has keys, or it has too many keys.
    #[error("the {role} role asks for {threshold} of {keys} keys")]
    Threshold {
        /// The role.
        role: &'static str,
        /// The threshold.
        threshold: usize,
        /// How many keys it has.
        keys: usize,
    },
}

impl Root {
    /// Reads the payload of a root document and checks what types alone cannot.
    ///
    /// # Errors
    /// The first [`RootFault`] found.
    pub fn parse(payload: &[u8]) -> Result<Self, RootFault> {
        let root: Self =
            serde_json::from_slice(payload).map_err(|fault| RootFault::Json(fault.to_string()))?;
        root.checked()
    }

    /// Checks formats, keys and thresholds.
    ///
    /// # Errors
    /// The first [`RootFault`] found.
    pub fn checked(self) -> Result<Self, RootFault> {
        if self.format != ROOT_FORMAT {
            return Err(RootFault::Format(self.format));
        }
        if self.version == 0 {
            return Err(RootFault::Version);
        }
        for (listed, key) in &self.keys {
            if *listed != key.id() {
                return Err(RootFault::KeyId { listed: *listed, is: key.id() });
            }
        }
        for (name, role) in self.named_roles() {
            if let Some(key) = role.keys.iter().find(|key| !self.keys.contains_key(key)) {
                return Err(RootFault::UnknownKey { role: name, key: *key });
            }
            let (threshold, keys) = (role.threshold, role.keys.len());
            if threshold == 0 || threshold > keys || keys > MOST_KEYS {
                return Err(RootFault::Threshold { role: name, threshold, keys });
            }
        }
        Ok(self)
    }

    /// What to pin: a digest of the organisation, the root role's threshold and its keys. It stays the same over
    /// documents that change neither.
    pub fn fingerprint(&self) -> RootFingerprint {
        let threshold = self.roles.root.threshold.to_string();
        let mut parts: Vec<&[u8]> = vec![b"deskgate/root/v1", self.org.as_bytes(), threshold.as_bytes()];
        parts.extend(self.roles.root.keys.iter().map(|key| key.as_bytes().as_slice()));
        Digest::of_parts(&parts)
    }

    /// The keys of the receipts role.
    pub fn receipt_keys(&self) -> Vec<PublicKey> {
        self.role_keys(&self.roles.receipts).cloned().collect()
    }

    /// The envelope's payload, once enough of a role's keys have signed it.
    ///
    /// # Errors
    /// As [`Envelope::verified`].
    pub fn verified(
        &self,
        role: &Role,
        payload_type: &'static str,
        envelope: &Envelope,
    ) -> Result<Vec<u8>, DsseFault> {
        envelope.verified(payload_type, self.role_keys(role), role.threshold)
    }

    /// Which of a role's keys have signed the envelope.
    pub fn signers(&self, role: &Role, payload_type: &'static str, envelope: &Envelope) -> Vec<KeyId> {
        let has_signed = |key: &&PublicKey| envelope.verified(payload_type, [*key], 1).is_ok();
        self.role_keys(role).filter(has_signed).map(PublicKey::id).collect()
    }

    fn role_keys(&self, role: &Role) -> impl Iterator<Item = &PublicKey> {
        role.keys.iter().filter_map(|key| self.keys.get(key))
    }

    fn named_roles(&self) -> [(&'static str, &Role); 3] {
        [("root", &self.roles.root), ("manifest", &self.roles.manifest), ("receipts", &self.roles.receipts)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    fn root() -> Root {
        let key = SigningKey::from_seed(&[1; 32]).public();
        let role = Role { threshold: 1, keys: [key.id()].into() };
        Root {
            format: ROOT_FORMAT,
            org: "acme".to_owned(),
            version: 1,
            epoch: 1,
            expires: Timestamp::from_seconds(0),
            keys: [(key.id(), key)].into(),
            roles: Roles { root: role.clone(), manifest: role.clone(), receipts: role },
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        let id = *root().keys.keys().next().expect("one key");
        let stranger = SigningKey::from_seed(&[2; 32]).public().id();
        let refused = |change: fn(&mut Root)| {
            let mut changed = root();
            change(&mut changed);
            changed.checked()
        };

        assert_eq!(root().checked(), Ok(root()));
        assert_eq!(refused(|root| root.format = 2), Err(RootFault::Format(2)));
        assert_eq!(refused(|root| root.version = 0), Err(RootFault::Version));
        assert_eq!(
            refused(|root| root.roles.manifest.threshold = 0),
            Err(RootFault::Threshold { role: "manifest", threshold: 0, keys: 1 })
        );
        assert_eq!(
            refused(|root| root.roles.receipts.threshold = 2),
            Err(RootFault::Threshold { role: "receipts", threshold: 2, keys: 1 })
        );
        let mut unknown = root();
        unknown.roles.root.keys.insert(stranger);
        assert_eq!(unknown.checked(), Err(RootFault::UnknownKey { role: "root", key: stranger }));
        let mut renamed = root();
        let key = renamed.keys.remove(&id).expect("there");
        renamed.keys.insert(stranger, key);
        assert_eq!(renamed.checked(), Err(RootFault::KeyId { listed: stranger, is: id }));
    }

    #[test]
    fn an_unknown_key_refuses_the_document() {
        let mut json = serde_json::to_value(root()).expect("writes");
        json["surprise"] = true.into();
        assert!(matches!(Root::parse(json.to_string().as_bytes()), Err(RootFault::Json(_))));
    }

    #[test]
    fn the_fingerprint_names_organisation_threshold_and_root_keys_only() {
        let mut later = root();
        later.version = 9;
        later.epoch = 4;
        assert_eq!(later.fingerprint(), root().fingerprint());
        let mut other = root();
        other.org = "acme2".to_owned();
        assert_ne!(other.fingerprint(), root().fingerprint());
        let mut weaker = root();
        weaker.roles.root.threshold = 0;
        assert_ne!(weaker.fingerprint(), root().fingerprint());
    }
}
