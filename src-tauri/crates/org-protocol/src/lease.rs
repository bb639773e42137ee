//! Leases: a shared credential lent to one device for minutes, sealed to its key and signed by the control plane.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{ConnectorId, CredentialId, DeviceId, LeaseId, ServerId, Subject, Timestamp};
use serde::{Deserialize, Serialize};

use crate::dsse::{DsseFault, Envelope};
use crate::key::{PublicKey, SigningKey};
use crate::trust::CLOCK_SKEW;

/// The format version of these messages.
pub const LEASE_FORMAT: u32 = 1;
/// Where leases are asked for and renewed, relative to the configuration URL.
pub const LEASES_PATH: &str = "v1/leases";
/// The DSSE payload type of a lease.
pub const LEASE_TYPE: &str = "application/vnd.deskgate.lease.v1+json";
/// The `info` of its sealing (HPKE, RFC 9180, section 5.1).
pub const LEASE_INFO: &[u8] = b"deskgate/lease/v1";
/// The longest that a secret may be lent without being asked for again.
pub const LONGEST_LEASE: Duration = Duration::from_secs(3600);

/// Asks for a lease, or for more time of one. Proved with the device key, to which the secret is sealed.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// The format version: [`LEASE_FORMAT`].
    #[cfg_attr(feature = "schema", schemars(extend("enum" = [1])))]
    pub format: u32,
    /// The connector that is to hold the secret.
    pub connector: ConnectorId,
    /// The credential that the device's own policy permits.
    pub credential: CredentialId,
    /// The virtual server that it is used through.
    pub server: ServerId,
    /// The assistant's client identifier, as the device knows it.
    pub client_id: String,
    /// The assistant's name, as it claims.
    pub client_name: String,
    /// The full path of the assistant's program, where the device could tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The lease that is to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<LeaseId>,
}

/// What is lent to whom, and for how long. The sealed secret is bound to every word of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseTerms {
    /// The format version: [`LEASE_FORMAT`].
    pub format: u32,
    /// The lease. It keeps its id when it is renewed.
    pub id: LeaseId,
    /// The organisation's id.
    pub org: String,
    /// Who says who the person is.
    pub issuer: String,
    /// The person.
    pub subject: String,
    /// The device.
    pub device: DeviceId,
    /// The connector that may hold it.
    pub connector: ConnectorId,
    /// The credential.
    pub credential: CredentialId,
    /// Counts the credential's secrets: another one is another secret.
    pub version: u64,
    /// When it was lent, or renewed.
    pub issued: Timestamp,
    /// When its use ends.
    pub expires: Timestamp,
}

/// A lease with the secret that it lends, readable to the device alone (HPKE base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256
/// and AES-256-GCM).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The terms.
    pub terms: LeaseTerms,
    /// The encapsulated key, in base64url.
    enc: String,
    /// The sealed secret, in base64url.
    ct: String,
}

/// What a lease has to be good for.
#[derive(Debug, Clone, Copy)]
pub struct LeaseWanted<'a> {
    /// The organisation's id.
    pub org: &'a str,
    /// The person.
    pub subject: &'a Subject,
    /// This device.
    pub device: DeviceId,
    /// The connector.
    pub connector: &'a ConnectorId,
    /// The credential.
    pub credential: &'a CredentialId,
    /// The lease that is to go on.
    pub renews: Option<LeaseId>,
}

/// Why a lease is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseFault {
    /// It is not signed by the organisation's control plane.
    #[error("the lease's signature is not good")]
    Signature(#[source] DsseFault),
    /// The payload is no lease.
    #[error("the lease cannot be read: {0}")]
    Unreadable(String),
    /// A format version that is not known here.
    #[error("the lease has format {0}, which this version cannot read")]
    Format(u32),
    /// It is another's, or for something else.
    #[error("the lease is for another {0}")]
    Another(&'static str),
    /// It was taken back before it was here.
    #[error("the lease was taken back")]
    TakenBack,
    /// It is over, not yet begun, or lent for too long.
    #[error("the lease holds from {issued} to {expires}, this clock shows {now}")]
    Time {
        /// When it was lent.
        issued: Timestamp,
        /// When it ends.
        expires: Timestamp,
        /// This device's clock.
        now: Timestamp,
    },
}

impl LeaseTerms {
    /// The associated data of the sealing: the terms as JSON, in the order of their fields.
    pub fn associated_data(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Lease {
    /// Puts a sealed secret beside its terms.
    pub fn new(terms: LeaseTerms, encapsulated: &[u8], sealed: &[u8]) -> Self {
        Self { terms, enc: URL_SAFE_NO_PAD.encode(encapsulated), ct: URL_SAFE_NO_PAD.encode(sealed) }
    }

    /// Signs it: the sealing says to whom it is readable, and not by whom it was made.
    ///
    /// # Errors
    /// [`LeaseFault::Unreadable`] where the JSON writer fails.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, LeaseFault> {
        let payload = serde_json::to_vec(self).map_err(unreadable)?;
        Ok(Envelope::sign(LEASE_TYPE, &payload, &[key]).to_json())
    }

    /// Reads a lease that one of `keys` has signed, if it is what was asked for and holds now.
    ///
    /// # Errors
    /// The first [`LeaseFault`] found.
    pub fn verified<'k>(
        envelope: &[u8],
        keys: impl IntoIterator<Item = &'k PublicKey>,
        wanted: &LeaseWanted<'_>,
        now: Timestamp,
    ) -> Result<Self, LeaseFault> {
        let envelope = Envelope::parse(envelope).map_err(LeaseFault::Signature)?;
        let payload = envelope.verified(LEASE_TYPE, keys, 1).map_err(LeaseFault::Signature)?;
        let lease: Self = serde_json::from_slice(&payload).map_err(unreadable)?;
        lease.terms.check(wanted, now)?;
        Ok(lease)
    }

    /// The encapsulated key and the sealed secret.
    ///
    /// # Errors
    /// [`LeaseFault::Unreadable`].
    pub fn sealed(&self) -> Result<(Vec<u8>, Vec<u8>), LeaseFault> {
        let decode = |text: &str| {
            URL_SAFE_NO_PAD.decode(text).map_err(|fault| LeaseFault::Unreadable(fault.to_string()))
        };
        Ok((decode(&self.enc)?, decode(&self.ct)?))
    }
}

impl LeaseTerms {
    fn check(&self, wanted: &LeaseWanted<'_>, now: Timestamp) -> Result<(), LeaseFault> {
        if self.format != LEASE_FORMAT {
            return Err(LeaseFault::Format(self.format));
        }
        let is_same = [
            ("organisation", self.org == wanted.org),
            ("person", (&self.issuer, &self.subject) == (&wanted.subject.issuer, &wanted.subject.subject)),
            ("device", self.device == wanted.device),
            ("connector", self.connector == *wanted.connector),
            ("credential", self.credential == *wanted.credential),
            ("lease", wanted.renews.is_none_or(|id| id == self.id)),
        ];
        if let Some((what, _)) = is_same.into_iter().find(|(_, same)| !same) {
            return Err(LeaseFault::Another(what));
        }
        let Self { issued, expires, .. } = *self;
        let is_good =
            issued <= now.plus(CLOCK_SKEW) && now < expires && expires.since(issued) <= LONGEST_LEASE;
        if is_good { Ok(()) } else { Err(LeaseFault::Time { issued, expires, now }) }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({:?})", self.terms)
    }
}

fn unreadable(fault: serde_json::Error) -> LeaseFault {
    LeaseFault::Unreadable(fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn key() -> SigningKey {
        SigningKey::from_seed(&[3; 32])
    }

    fn terms() -> LeaseTerms {
        LeaseTerms {
            format: LEASE_FORMAT,
            id: LeaseId::new(),
            org: "acme".to_owned(),
            issuer: Subject::local("ann").issuer,
            subject: "ann".to_owned(),
            device: DeviceId::new(),
            connector: "warehouse".parse().expect("an id"),
            credential: "analyst".parse().expect("an id"),
            version: 1,
            issued: NOW,
            expires: NOW.plus(Duration::from_secs(300)),
        }
    }

    fn read(signed: &[u8], terms: &LeaseTerms, now: Timestamp) -> Result<Lease, LeaseFault> {
        let subject = Subject::local("ann");
        let wanted = LeaseWanted {
            org: "acme",
            subject: &subject,
            device: terms.device,
            connector: &terms.connector,
            credential: &terms.credential,
            renews: None,
        };
        Lease::verified(signed, &[key().public()], &wanted, now)
    }

    #[test]
    fn a_lease_is_read_back_by_whom_it_is_for() {
        let terms = terms();
        let signed = Lease::new(terms.clone(), b"enc", b"ct").sign(&key()).expect("signs");
        let lease = read(&signed, &terms, NOW).expect("good");
        assert_eq!(lease.sealed(), Ok((b"enc".to_vec(), b"ct".to_vec())));
        assert!(!format!("{lease:?}").contains(&lease.ct));
    }

    #[test]
    fn every_other_lease_is_refused() {
        let good = terms();
        let verdict = |terms: LeaseTerms, now: Timestamp| {
            let signed = Lease::new(terms, b"", b"").sign(&key()).expect("signs");
            read(&signed, &good, now).expect_err("refused")
        };
        let another = |change: fn(&mut LeaseTerms)| {
            let mut terms = good.clone();
            change(&mut terms);
            verdict(terms, NOW)
        };
        assert_eq!(another(|terms| terms.org = "other".to_owned()), LeaseFault::Another("organisation"));
        assert_eq!(another(|terms| terms.subject = "bob".to_owned()), LeaseFault::Another("person"));
        assert_eq!(another(|terms| terms.issuer = "x".to_owned()), LeaseFault::Another("person"));
        assert_eq!(another(|terms| terms.device = DeviceId::new()), LeaseFault::Another("device"));
        let other = |terms: &mut LeaseTerms| terms.connector = "mail".parse().expect("an id");
        assert_eq!(another(other), LeaseFault::Another("connector"));
        let other = |terms: &mut LeaseTerms| terms.credential = "finance".parse().expect("an id");
        assert_eq!(another(other), LeaseFault::Another("credential"));
        assert_eq!(another(|terms| terms.format = 2), LeaseFault::Format(2));
        let too_long = |terms: &mut LeaseTerms| terms.expires = NOW.plus(Duration::from_secs(3601));
        assert!(matches!(another(too_long), LeaseFault::Time { .. }));
        assert!(matches!(verdict(good.clone(), good.expires), LeaseFault::Time { .. }), "it is over");
        let before = Timestamp::from_seconds(NOW.seconds() - 3600);
        assert!(matches!(verdict(good.clone(), before), LeaseFault::Time { .. }), "not yet begun");
        let forged =
            Lease::new(good.clone(), b"", b"").sign(&SigningKey::from_seed(&[4; 32])).expect("signs");
        assert!(matches!(read(&forged, &good, NOW), Err(LeaseFault::Signature(_))));
    }
}
