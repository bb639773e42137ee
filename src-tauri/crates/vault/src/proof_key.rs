//! Keys that something is bound to: this installation, or a token. P-256, because that is what hardware can hold.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::DhP256HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Generate as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::SecretBytes;

/// Proves possession of what is bound to it (RFC 9449).
#[derive(Clone)]
pub struct ProofKey(Arc<SigningKey>);

impl ProofKey {
    /// A fresh key.
    pub fn generate() -> Self {
        Self(Arc::new(SigningKey::generate()))
    }

    /// Reads what [`Self::to_secret`] wrote; `None` if it is no key.
    pub fn from_secret(secret: &SecretBytes) -> Option<Self> {
        // Exactly 32 bytes: `from_slice` would fill up shorter ones.
        let scalar = <&[u8; 32]>::try_from(secret.expose_secret()).ok()?;
        SigningKey::from_bytes(scalar.into()).ok().map(|key| Self(Arc::new(key)))
    }

    /// The private key, to be sealed.
    pub fn to_secret(&self) -> SecretBytes {
        SecretBytes::from(self.0.to_bytes().as_slice())
    }

    /// An ES256 signature over `message`: ECDSA with P-256 and SHA-256, `r` and `s` in 32 bytes each (RFC 7518,
    /// section 3.4), deterministic (RFC 6979).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.0.sign(message);
        signature.to_bytes().into()
    }

    /// Opens what somebody sealed to this key: HPKE in base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM (RFC
    /// 9180). `None` where it was sealed to another key, or for other words.
    pub fn open(
        &self,
        encapsulated: &[u8],
        sealed: &[u8],
        info: &[u8],
        associated: &[u8],
    ) -> Option<SecretBytes> {
        let encapsulated = <DhP256HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).ok()?;
        let scalar = Zeroizing::new(self.0.to_bytes());
        let private = <DhP256HkdfSha256 as Kem>::PrivateKey::from_bytes(scalar.as_slice()).ok()?;
        let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
            &OpModeR::Base,
            &private,
            &encapsulated,
            info,
            sealed,
            associated,
        );
        opened.ok().map(SecretBytes::from)
    }

    /// The public key as a JSON Web Key with its required members only (RFC 7517; RFC 7518, section 6.2.1).
    pub fn public_jwk(&self) -> serde_json::Value {
        let (x, y) = self.coordinates();
        serde_json::json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
    }

    /// The public key's thumbprint (RFC 7638 with SHA-256), base64url without padding.
    pub fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        thumbprint(&x, &y)
    }

    fn coordinates(&self) -> (String, String) {
        let point = self.0.verifying_key().as_affine().to_sec1_point(false);
        // Uncompressed: 0x04, then 32 bytes of x and 32 of y (SEC 1, section 2.3.3).
        let (x, y) = point.as_bytes()[1..].split_at(32);
        (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
    }
}

impl std::fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProofKey({})", self.thumbprint())
    }
}

// RFC 7638, section 3: the required members in alphabetical order, without blanks.
fn thumbprint(x: &str, y: &str) -> String {
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier as _;

    use super::*;

    // RFC 6979, appendix A.2.5.
    const SECRET: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";

    fn known() -> ProofKey {
        ProofKey::from_secret(&SecretBytes::from(hex::decode(SECRET).unwrap())).unwrap()
    }

    #[test]
    fn the_signature_is_the_one_in_rfc_6979() {
        assert_eq!(
            hex::encode(known().sign(b"sample")),
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
        );
    }

    #[test]
    fn the_public_key_is_the_one_in_rfc_6979() {
        let jwk = known().public_jwk();
        let member = |name: &str| hex::encode(URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap());
        assert_eq!(member("x"), "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6");
        assert_eq!(member("y"), "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
        assert_eq!(jwk.as_object().unwrap().len(), 4, "nothing but the public members");
    }

    #[test]
    fn the_thumbprint_is_the_one_in_rfc_9449() {
        // The key of section 4.1 and its thumbprint in section 6.1.
        assert_eq!(
            thumbprint(
                "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
                "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"
            ),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        );
    }

    #[test]
    fn a_fresh_key_signs_verifiably_and_survives_the_vault() {
        let key = ProofKey::generate();
        let again = ProofKey::from_secret(&key.to_secret()).unwrap();
        let signature = Signature::from_slice(&again.sign(b"message")).unwrap();
        let public: &VerifyingKey = key.0.verifying_key();
        assert!(public.verify(b"message", &signature).is_ok());
        assert!(public.verify(b"another", &signature).is_err());
        assert_eq!(format!("{key:?}"), format!("ProofKey({})", again.thumbprint()));
        assert_ne!(key.thumbprint(), ProofKey::generate().thumbprint());
    }

    // RFC 9180, appendix A.3.1 (DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM) has no vector for AES-256-GCM; what is sealed
    // here by the same crate is opened, and nothing else is.
    #[test]
    fn what_was_sealed_to_the_key_is_opened_with_the_same_words_only() {
        use hpke::Serializable as _;
        let (key, other) = (ProofKey::generate(), ProofKey::generate());
        let point = key.0.verifying_key().as_affine().to_sec1_point(false);
        let public = <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(point.as_bytes()).unwrap();
        let (encapsulated, sealed) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
            &hpke::OpModeS::Base,
            &public,
            b"info",
            b"a secret",
            b"terms",
        )
        .unwrap();
        let encapsulated = encapsulated.to_bytes();
        let open = |key: &ProofKey, info: &[u8], terms: &[u8]| key.open(&encapsulated, &sealed, info, terms);
        assert_eq!(open(&key, b"info", b"terms").unwrap().expose_secret(), b"a secret");
        assert!(open(&other, b"info", b"terms").is_none(), "another device");
        assert!(open(&key, b"info", b"other terms").is_none(), "another lease");
        assert!(open(&key, b"else", b"terms").is_none(), "another purpose");
        assert!(key.open(&encapsulated[1..], &sealed, b"info", b"terms").is_none());
        assert!(key.open(&encapsulated, &sealed[1..], b"info", b"terms").is_none());
    }

    #[test]
    fn what_is_no_scalar_is_no_key() {
        assert!(ProofKey::from_secret(&SecretBytes::from(vec![0; 32])).is_none());
        assert!(ProofKey::from_secret(&SecretBytes::from(vec![1; 31])).is_none());
    }
}
