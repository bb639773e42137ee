//! The key by which the organisation knows this installation, wherever it is kept.

use std::sync::Arc;

use crate::{ProofKey, SecretBytes, VaultFault};

/// What keeps a device's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// A chip that does not give it away: a TPM, a Secure Enclave.
    Chip,
    /// It is sealed, and the keychain holds the key to that.
    Keychain,
    /// Nothing: it ends with the program.
    Memory,
}

/// Holds a P-256 key and does with it what a device's key is for; the key itself is nobody's business. The vault's own lies among its
/// other secrets. A TPM or a Secure Enclave can hold one as well: both sign (ECDSA) and agree (ECDH), and nothing more is needed.
///
/// A chip takes its time, so these are called where something may wait.
pub trait DeviceKey: Send + Sync + std::fmt::Debug {
    /// What keeps it now.
    fn protection(&self) -> Protection;

    /// The public key as a JSON Web Key with its required members only (RFC 7517; RFC 7518, section 6.2.1).
    fn public_jwk(&self) -> serde_json::Value;

    /// The public key's thumbprint (RFC 7638 with SHA-256), base64url without padding.
    fn thumbprint(&self) -> String;

    /// An ES256 signature over `message`: ECDSA with P-256 and SHA-256, `r` and `s` in 32 bytes each (RFC 7518, section 3.4).
    ///
    /// # Errors
    /// [`VaultFault::DeviceKey`] where the key is out of reach.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], VaultFault>;

    /// Opens what somebody sealed to this key: HPKE in base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM (RFC
    /// 9180). `None` where it was sealed to another key, or for other words.
    ///
    /// # Errors
    /// [`VaultFault::DeviceKey`] where the key is out of reach.
    fn open(
        &self,
        encapsulated: &[u8],
        sealed: &[u8],
        info: &[u8],
        associated: &[u8],
    ) -> Result<Option<SecretBytes>, VaultFault>;
}

/// The vault's own.
#[derive(Debug)]
struct Own {
    key: ProofKey,
    protection: Protection,
}

pub(crate) fn own(key: ProofKey, durable: bool) -> Arc<dyn DeviceKey> {
    let protection = if durable { Protection::Keychain } else { Protection::Memory };
    Arc::new(Own { key, protection })
}

impl DeviceKey for Own {
    fn protection(&self) -> Protection {
        self.protection
    }

    fn public_jwk(&self) -> serde_json::Value {
        self.key.public_jwk()
    }

    fn thumbprint(&self) -> String {
        self.key.thumbprint()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], VaultFault> {
        Ok(self.key.sign(message))
    }

    fn open(
        &self,
        encapsulated: &[u8],
        sealed: &[u8],
        info: &[u8],
        associated: &[u8],
    ) -> Result<Option<SecretBytes>, VaultFault> {
        Ok(self.key.open(encapsulated, sealed, info, associated))
    }
}
