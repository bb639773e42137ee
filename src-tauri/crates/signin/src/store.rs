//! Where tokens rest: the vault, seen as little of as is needed, so that its failure can be shown in tests.

use model::{BoxFuture, ForPerson as _};
use vault::{Kind, SecretBytes, Vault, VaultFault};

use crate::FaultKind;

/// Sealed records by kind and key.
pub trait SecretStore: Send + Sync {
    /// Stores durably: when this returns, the record survives a crash.
    fn put<'a>(
        &'a self,
        kind: Kind,
        key: &'a str,
        value: &'a SecretBytes,
    ) -> BoxFuture<'a, Result<(), FaultKind>>;

    /// Reads back. A record that was damaged is no record: the person signs in again.
    fn fetch<'a>(&'a self, kind: Kind, key: &'a str)
    -> BoxFuture<'a, Result<Option<SecretBytes>, FaultKind>>;

    /// Removes durably.
    fn remove<'a>(&'a self, kind: Kind, key: &'a str) -> BoxFuture<'a, Result<(), FaultKind>>;
}

impl SecretStore for Vault {
    fn put<'a>(
        &'a self,
        kind: Kind,
        key: &'a str,
        value: &'a SecretBytes,
    ) -> BoxFuture<'a, Result<(), FaultKind>> {
        Box::pin(async move { Vault::put(self, kind, key, value.expose_secret()).await.map_err(fault) })
    }

    fn fetch<'a>(
        &'a self,
        kind: Kind,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<SecretBytes>, FaultKind>> {
        Box::pin(async move {
            match self.get(kind, key).await {
                Ok(found) => Ok(found),
                Err(VaultFault::Damaged { .. }) => {
                    tracing::warn!(%kind, "a stored record was damaged; it is as if it were not there");
                    Ok(None)
                }
                Err(other) => Err(fault(other)),
            }
        })
    }

    fn remove<'a>(&'a self, kind: Kind, key: &'a str) -> BoxFuture<'a, Result<(), FaultKind>> {
        Box::pin(async move { self.delete(kind, key).await.map_err(fault) })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a mapping of errors")]
fn fault(fault: VaultFault) -> FaultKind {
    FaultKind::Vault(fault.advice())
}

/// Reads a record's JSON. What cannot be read, or is of a format that this version does not know, counts as absent.
pub fn unseal<T: serde::de::DeserializeOwned>(bytes: &SecretBytes) -> Option<T> {
    let read = serde_json::from_slice(bytes.expose_secret());
    if let Err(fault) = &read {
        // The position only: the text may hold a secret.
        tracing::warn!(line = fault.line(), column = fault.column(), "a stored record cannot be read");
    }
    read.ok()
}

/// Writes a record's JSON.
///
/// # Errors
/// [`FaultKind::Internal`] if it cannot be written as JSON.
pub fn seal<T: serde::Serialize>(record: &T) -> Result<SecretBytes, FaultKind> {
    let bytes =
        serde_json::to_vec(record).map_err(|_| FaultKind::Internal("a record is no JSON".to_owned()))?;
    Ok(bytes.into())
}

/// For `#[serde(with = "sealed_text")]`: a secret within a record that is sealed as a whole. Nowhere else.
pub mod sealed_text {
    use secrecy::{ExposeSecret as _, SecretString};
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes the secret in the clear, into what will be sealed.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose_secret())
    }

    /// Reads it back.
    ///
    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
        String::deserialize(deserializer).map(SecretString::from)
    }

    /// The same for a secret that may be absent.
    pub mod option {
        use secrecy::{ExposeSecret as _, SecretString};
        use serde::{Deserialize as _, Deserializer, Serializer};

        /// Writes the secret in the clear, into what will be sealed.
        ///
        /// # Errors
        /// The serializer's.
        pub fn serialize<S: Serializer>(
            secret: &Option<SecretString>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match secret {
                Some(secret) => serializer.serialize_some(secret.expose_secret()),
                None => serializer.serialize_none(),
            }
        }

        /// Reads it back.
        ///
        /// # Errors
        /// The deserializer's.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<SecretString>, D::Error> {
            Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
        }
    }
}
