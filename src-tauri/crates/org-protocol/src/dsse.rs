//! Signed envelopes: DSSE v1 (<https://github.com/secure-systems-lab/dsse>) with Ed25519 and nothing else.
//!
//! The payload type is bound into the signature, and no algorithm is named in the envelope, so none can be negotiated.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use crate::key::{KeyId, PublicKey, SigningKey};

/// The most signatures that an envelope may carry; more are refused before any is checked.
pub const MOST_SIGNATURES: usize = 32;

/// A payload with its signatures, as JSON has it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// What the payload is.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The payload in base64.
    pub payload: String,
    /// The signatures over type and payload.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// A hint at the key, which nothing is decided by.
    #[serde(default)]
    pub keyid: String,
    /// The signature in base64.
    pub sig: String,
}

/// Why an envelope is not what it claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseFault {
    /// Not the JSON of an envelope.
    #[error("not a signed envelope: {0}")]
    Json(String),
    /// The payload is not base64.
    #[error("the envelope's payload is not base64")]
    Payload,
    /// The payload is of another type than expected here.
    #[error("the envelope holds {found:?}, not {expected:?}")]
    PayloadType {
        /// What was expected.
        expected: &'static str,
        /// What the envelope says.
        found: String,
    },
    /// More than [`MOST_SIGNATURES`].
    #[error("the envelope has {0} signatures, more than {MOST_SIGNATURES}")]
    TooMany(usize),
    /// Fewer distinct, accepted keys have signed than must.
    #[error("{valid} of {needed} needed signatures are valid")]
    TooFewSignatures {
        /// Distinct accepted keys that have signed.
        valid: usize,
        /// How many must have.
        needed: usize,
    },
}

impl Envelope {
    /// Signs `payload`.
    pub fn sign(payload_type: &str, payload: &[u8], keys: &[&SigningKey]) -> Self {
        let mut envelope = Self {
            payload_type: payload_type.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: Vec::new(),
        };
        let message = pae(payload_type, payload);
        envelope.signatures.extend(keys.iter().map(|key| signature(key, &message)));
        envelope
    }

    /// Adds one more signature, as the next holder of a key does in a ceremony. Replaces an earlier one of the same key.
    ///
    /// # Errors
    /// [`DsseFault::Payload`] where the payload is not base64.
    pub fn add_signature(&mut self, key: &SigningKey) -> Result<(), DsseFault> {
        let message = pae(&self.payload_type, &self.unverified_payload()?);
        let added = signature(key, &message);
        self.signatures.retain(|have| have.keyid != added.keyid);
        self.signatures.push(added);
        Ok(())
    }

    /// Reads the JSON of an envelope. Nothing in it is trusted by that.
    ///
    /// # Errors
    /// [`DsseFault::Json`].
    pub fn parse(json: &[u8]) -> Result<Self, DsseFault> {
        serde_json::from_slice(json).map_err(|fault| DsseFault::Json(fault.to_string()))
    }

    /// The envelope's JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The payload before any signature is checked: for showing and for adding signatures only.
    ///
    /// # Errors
    /// [`DsseFault::Payload`].
    pub fn unverified_payload(&self) -> Result<Vec<u8>, DsseFault> {
        decode(&self.payload).ok_or(DsseFault::Payload)
    }

    /// The payload, once at least `threshold` distinct keys among `keys` have signed it as a `payload_type`.
    ///
    /// # Errors
    /// A [`DsseFault`] that names what is wrong. A threshold of zero is never met.
    pub fn verified<'k>(
        &self,
        payload_type: &'static str,
        keys: impl IntoIterator<Item = &'k PublicKey>,
        threshold: usize,
    ) -> Result<Vec<u8>, DsseFault> {
        if self.payload_type != payload_type {
            return Err(DsseFault::PayloadType { expected: payload_type, found: self.payload_type.clone() });
        }
        if self.signatures.len() > MOST_SIGNATURES {
            return Err(DsseFault::TooMany(self.signatures.len()));
        }
        let payload = self.unverified_payload()?;
        let valid = self.signers(&pae(payload_type, &payload), keys).len();
        if threshold == 0 || valid < threshold {
            return Err(DsseFault::TooFewSignatures { valid, needed: threshold.max(1) });
        }
        Ok(payload)
    }

    fn signers<'k>(&self, message: &[u8], keys: impl IntoIterator<Item = &'k PublicKey>) -> BTreeSet<KeyId> {
        let signatures: Vec<Vec<u8>> = self.signatures.iter().filter_map(|one| decode(&one.sig)).collect();
        keys.into_iter()
            .filter(|key| signatures.iter().any(|signature| key.verifies(message, signature)))
            .map(PublicKey::id)
            .collect()
    }
}

fn signature(key: &SigningKey, message: &[u8]) -> EnvelopeSignature {
    EnvelopeSignature { keyid: key.public().id().to_string(), sig: STANDARD.encode(key.sign(message)) }
}

/// The pre-authentication encoding (DSSE protocol, "Signature Definition"): the bytes that are signed.
pub(crate) fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// DSSE readers accept both alphabets.
fn decode(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet::STANDARD, config)
        .decode(text)
        .or_else(|_| GeneralPurpose::new(&alphabet::URL_SAFE, config).decode(text))
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIND: &str = "application/vnd.deskgate.test+json";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    #[test]
    fn pae_is_the_specification_s_example() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn an_envelope_of_another_implementation_is_accepted() {
        // securesystemslib 1.6.0, `Envelope` signed by `CryptoSigner` with the key whose seed is 32 times 0x01. Its key
        // ids are its own.
        let envelope = Envelope::parse(
            br#"{"payload": "eyJhIjoiw6kifQ==", "payloadType": "application/vnd.deskgate.test+json", "signatures": [{"keyid": "7ab6b86cb2c9684b0ddc10896153aa2595decf4d4327a5ff1a8ab7422c828b12", "sig": "v7B98GtzUUgPftAJY75HNcw01hDIqfyadfF4mXxvpdADExjLeP0DRd5UDFmWx5zqKwE16dO76rZCP7pdygENBg=="}]}"#,
        )
        .expect("reads");
        assert_eq!(envelope.verified(KIND, &[key(1).public()], 1), Ok("{\"a\":\"é\"}".as_bytes().to_vec()));
        assert!(envelope.verified(KIND, &[key(2).public()], 1).is_err());
    }

    #[test]
    fn k_of_n_counts_distinct_accepted_keys() {
        let (a, b, stranger) = (key(1), key(2), key(3));
        let keys = [a.public(), b.public()];
        let two = Envelope::sign(KIND, b"{}", &[&a, &b]);
        assert_eq!(two.verified(KIND, &keys, 2), Ok(b"{}".to_vec()));

        let too_few = |envelope: &Envelope, valid| {
            assert_eq!(
                envelope.verified(KIND, &keys, 2),
                Err(DsseFault::TooFewSignatures { valid, needed: 2 })
            );
        };
        too_few(&Envelope::sign(KIND, b"{}", &[&a]), 1);
        too_few(&Envelope::sign(KIND, b"{}", &[&a, &a]), 1);
        too_few(&Envelope::sign(KIND, b"{}", &[&a, &stranger]), 1);
        too_few(&Envelope::sign(KIND, b"{}", &[]), 0);
    }

    #[test]
    fn a_key_listed_twice_counts_once() {
        let a = key(1);
        let envelope = Envelope::sign(KIND, b"{}", &[&a]);
        assert_eq!(
            envelope.verified(KIND, &[a.public(), a.public()], 2),
            Err(DsseFault::TooFewSignatures { valid: 1, needed: 2 })
        );
    }

    #[test]
    fn the_type_is_bound() {
        let a = key(1);
        let mut envelope = Envelope::sign("application/other", b"{}", &[&a]);
        assert_eq!(
            envelope.verified(KIND, &[a.public()], 1),
            Err(DsseFault::PayloadType { expected: KIND, found: "application/other".to_owned() })
        );
        envelope.payload_type = KIND.to_owned();
        assert_eq!(
            envelope.verified(KIND, &[a.public()], 1),
            Err(DsseFault::TooFewSignatures { valid: 0, needed: 1 }),
            "renaming the type does not help"
        );
    }

    #[test]
    fn a_threshold_of_zero_and_a_flood_of_signatures_are_refused() {
        let a = key(1);
        let envelope = Envelope::sign(KIND, b"{}", &[&a]);
        assert_eq!(
            envelope.verified(KIND, &[a.public()], 0),
            Err(DsseFault::TooFewSignatures { valid: 1, needed: 1 })
        );
        let keys = vec![&a; MOST_SIGNATURES + 1];
        assert_eq!(
            Envelope::sign(KIND, b"{}", &keys).verified(KIND, &[a.public()], 1),
            Err(DsseFault::TooMany(MOST_SIGNATURES + 1))
        );
    }

    #[test]
    fn signatures_are_added_one_by_one() {
        let (a, b) = (key(1), key(2));
        let mut envelope = Envelope::sign(KIND, b"{}", &[&a]);
        envelope.add_signature(&b).expect("adds");
        envelope.add_signature(&b).expect("replaces");
        assert_eq!(envelope, Envelope::sign(KIND, b"{}", &[&a, &b]));
        assert_eq!(Envelope::parse(&envelope.to_json()), Ok(envelope));
    }

    proptest! {
        // Signatures are slow in debug builds.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_single_flipped_bit_is_accepted(at in 0usize..64, bit in 0u8..8, payload in prop::collection::vec(any::<u8>(), 1..64)) {
            let a = key(1);
            let mut envelope = Envelope::sign(KIND, &payload, &[&a]);
            let mut signature = decode(&envelope.signatures[0].sig).expect("base64");
            signature[at] ^= 1 << bit;
            envelope.signatures[0].sig = STANDARD.encode(&signature);
            prop_assert!(envelope.verified(KIND, &[a.public()], 1).is_err());

            let mut altered = payload.clone();
            let index = at % altered.len();
            altered[index] ^= 1 << bit;
            let mut envelope = Envelope::sign(KIND, &payload, &[&a]);
            envelope.payload = STANDARD.encode(&altered);
            prop_assert!(envelope.verified(KIND, &[a.public()], 1).is_err());
        }
    }
}
