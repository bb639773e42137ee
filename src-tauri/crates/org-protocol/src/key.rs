//! Ed25519 keys (RFC 8032) of the organisation: who may sign root documents, manifests and receipts.

use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};
use ed25519_dalek::{Signature, Signer};
use model::Digest;
use serde::{Deserialize, Serialize};

/// A public key's id: the SHA-256 of its 32 bytes. It cannot be chosen, so two keys never share one.
pub type KeyId = Digest;

/// Why bytes or text are not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The scheme is not `ed25519`.
    #[error("the key's scheme is {0:?}, not ed25519")]
    Scheme(String),
    /// Not 32 bytes in hexadecimal digits, or not a point that RFC 8032 allows.
    #[error("the public key is not 32 bytes of Ed25519 in hexadecimal digits")]
    Public,
    /// Not a PKCS #8 private key in PEM form (RFC 8410).
    #[error("not an Ed25519 private key in PKCS #8 PEM form")]
    Private,
}

/// A public key. Written `{"scheme":"ed25519","public":"<64 hexadecimal digits>"}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WrittenKey", try_from = "WrittenKey")]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    scheme: String,
    public: String,
}

impl PublicKey {
    /// Takes the 32 bytes of a public key.
    ///
    /// # Errors
    /// [`KeyFault::Public`] where they are no usable point; small-order points are not usable.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyFault> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyFault::Public)?;
        if key.is_weak() { Err(KeyFault::Public) } else { Ok(Self(key)) }
    }

    /// The 32 bytes of the key.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        Digest::of(self.0.as_bytes())
    }

    /// Whether `signature` is this key's over `message`. Strict: no malleable form is accepted.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        self.0.verify_strict(message, &signature).is_ok()
    }
}

impl From<PublicKey> for WrittenKey {
    fn from(key: PublicKey) -> Self {
        Self { scheme: "ed25519".to_owned(), public: hex::encode(key.0.as_bytes()) }
    }
}

impl TryFrom<WrittenKey> for PublicKey {
    type Error = KeyFault;

    fn try_from(written: WrittenKey) -> Result<Self, KeyFault> {
        if written.scheme != "ed25519" {
            return Err(KeyFault::Scheme(written.scheme));
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(&written.public, &mut bytes).map_err(|_| KeyFault::Public)?;
        Self::from_bytes(&bytes)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// A private key. Its `Debug` shows the public half only; it is erased when dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a 32-byte seed, which must come from the operating system's random source.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Reads PKCS #8 in PEM form (RFC 8410).
    ///
    /// # Errors
    /// [`KeyFault::Private`].
    pub fn from_pem(text: &str) -> Result<Self, KeyFault> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(text).map(Self).map_err(|_| KeyFault::Private)
    }

    /// Writes PKCS #8 in PEM form (RFC 8410). The text is as secret as the key.
    ///
    /// # Errors
    /// [`KeyFault::Private`] where the encoding fails.
    pub fn to_pem(&self) -> Result<String, KeyFault> {
        // Without the public half (RFC 8410, section 7): OpenSSL, and what is built on it, reads no other form.
        let bytes = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let pem = bytes.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyFault::Private)?;
        Ok(pem.as_str().to_owned())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        let key = SigningKey::from_seed(&[7; 32]);
        let pem = key.to_pem().expect("encodes");
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert_eq!(SigningKey::from_pem(&pem).expect("reads").public(), key.public());
        let json = serde_json::to_string(&key.public()).expect("writes");
        assert_eq!(serde_json::from_str::<PublicKey>(&json).expect("reads"), key.public());
    }

    #[test]
    fn other_schemes_and_broken_keys_are_refused() {
        let read = |scheme: &str, public: &str| {
            PublicKey::try_from(WrittenKey { scheme: scheme.to_owned(), public: public.to_owned() })
        };
        assert_eq!(read("rsa", &"00".repeat(32)), Err(KeyFault::Scheme("rsa".to_owned())));
        assert_eq!(read("ed25519", "00"), Err(KeyFault::Public));
        assert_eq!(read("ed25519", &format!("01{}", "00".repeat(31))), Err(KeyFault::Public), "small order");
    }

    #[test]
    fn debug_shows_no_private_half() {
        let key = SigningKey::from_seed(&[7; 32]);
        assert!(!format!("{key:?}").contains(&hex::encode([7; 32])));
    }
}
