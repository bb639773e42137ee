//! The control plane's signed acknowledgement that it has stored a chain up to a record.

use model::{DeviceId, Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::dsse::{DsseFault, Envelope};
use crate::key::{PublicKey, SigningKey};
use crate::record::Head;

/// The payload type of a receipt's envelope.
pub const RECEIPT_TYPE: &str = "application/vnd.deskgate.receipt+json";

/// The format version of receipts that this program writes and reads.
pub const RECEIPT_FORMAT: u32 = 1;

/// What the control plane states: every record of the epoch up to `seq` is stored, and the last has the digest `head`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The format version: [`RECEIPT_FORMAT`].
    pub format: u32,
    /// The organisation's id.
    pub org: String,
    /// The device.
    pub device: DeviceId,
    /// The epoch.
    pub epoch: u64,
    /// The last stored record.
    pub seq: u64,
    /// Its digest.
    pub head: Digest,
    /// The control plane's clock when it had stored it.
    pub stored_at: Timestamp,
}

impl Receipt {
    /// The head of the stored chain.
    pub fn head(&self) -> Head {
        Head { epoch: self.epoch, seq: self.seq, digest: self.head }
    }
}

/// A receipt in its envelope (DSSE with Ed25519). Nothing in it is believed before [`verify_receipt`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignedReceipt(Envelope);

/// Why a receipt is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// The envelope is not one, or is not signed by an accepted key.
    #[error("the receipt's signature is not good")]
    Signature(#[source] DsseFault),
    /// The payload is not a receipt.
    #[error("the receipt cannot be read: {0}")]
    Unreadable(String),
    /// A format version that is not known here.
    #[error("the receipt has format {0}, which this version cannot read")]
    Format(u32),
}

impl SignedReceipt {
    /// Signs a receipt.
    ///
    /// # Errors
    /// [`ReceiptFault::Unreadable`] where the JSON writer fails.
    pub fn sign(receipt: &Receipt, key: &SigningKey) -> Result<Self, ReceiptFault> {
        let payload =
            serde_json::to_vec(receipt).map_err(|fault| ReceiptFault::Unreadable(fault.to_string()))?;
        Ok(Self(Envelope::sign(RECEIPT_TYPE, &payload, &[key])))
    }

    /// Reads the JSON of an envelope.
    ///
    /// # Errors
    /// [`ReceiptFault::Signature`] where it is none.
    pub fn parse(json: &[u8]) -> Result<Self, ReceiptFault> {
        Envelope::parse(json).map(Self).map_err(ReceiptFault::Signature)
    }

    /// What the receipt says before its signature is checked: for showing, and for offline checks that have no key.
    ///
    /// # Errors
    /// A [`ReceiptFault`] where it says nothing that can be read.
    pub fn unverified(&self) -> Result<Receipt, ReceiptFault> {
        read(&self.0.unverified_payload().map_err(ReceiptFault::Signature)?)
    }
}

/// The receipt, once one of `keys` has signed it.
///
/// # Errors
/// A [`ReceiptFault`] that names what is wrong.
pub fn verify_receipt<'k>(
    signed: &SignedReceipt,
    keys: impl IntoIterator<Item = &'k PublicKey>,
) -> Result<Receipt, ReceiptFault> {
    read(&signed.0.verified(RECEIPT_TYPE, keys, 1).map_err(ReceiptFault::Signature)?)
}

#[derive(Deserialize)]
struct OnlyFormat {
    format: u32,
}

fn read(payload: &[u8]) -> Result<Receipt, ReceiptFault> {
    let unreadable = |fault: serde_json::Error| ReceiptFault::Unreadable(fault.to_string());
    let OnlyFormat { format } = serde_json::from_slice(payload).map_err(unreadable)?;
    if format != RECEIPT_FORMAT {
        return Err(ReceiptFault::Format(format));
    }
    serde_json::from_slice(payload).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> Receipt {
        Receipt {
            format: RECEIPT_FORMAT,
            org: "example".to_owned(),
            device: "01939a5e-0000-7000-8000-000000000001".parse().unwrap(),
            epoch: 1,
            seq: 5,
            head: Digest::of(b"record"),
            stored_at: Timestamp::from_seconds(1_795_442_400),
        }
    }

    #[test]
    fn only_the_signer_s_key_accepts_it() {
        let (key, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let signed = SignedReceipt::sign(&receipt(), &key).unwrap();
        let sent = serde_json::to_vec(&signed).unwrap();
        let received = SignedReceipt::parse(&sent).unwrap();
        assert_eq!(verify_receipt(&received, &[other.public(), key.public()]), Ok(receipt()));
        assert!(matches!(verify_receipt(&received, &[other.public()]), Err(ReceiptFault::Signature(_))));
        assert!(matches!(verify_receipt(&received, &[]), Err(ReceiptFault::Signature(_))));
    }

    #[test]
    fn a_changed_receipt_is_refused() {
        let key = SigningKey::from_seed(&[1; 32]);
        let good = SignedReceipt::sign(&receipt(), &key).unwrap();
        let further =
            SignedReceipt::sign(&Receipt { seq: 6, ..receipt() }, &SigningKey::from_seed(&[2; 32])).unwrap();
        let forged = SignedReceipt(Envelope { payload: further.0.payload, ..good.0 });
        assert!(matches!(verify_receipt(&forged, &[key.public()]), Err(ReceiptFault::Signature(_))));
    }

    #[test]
    fn a_later_format_and_another_type_are_refused() {
        let key = SigningKey::from_seed(&[1; 32]);
        let later = SignedReceipt::sign(&Receipt { format: 2, ..receipt() }, &key).unwrap();
        assert_eq!(verify_receipt(&later, &[key.public()]), Err(ReceiptFault::Format(2)));
        let payload = serde_json::to_vec(&receipt()).unwrap();
        let other =
            SignedReceipt(Envelope::sign("application/vnd.deskgate.manifest+json", &payload, &[&key]));
        assert!(matches!(verify_receipt(&other, &[key.public()]), Err(ReceiptFault::Signature(_))));
    }
}
