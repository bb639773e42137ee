//! What a device shows beside its key: that the machine is the organisation's, and that nobody has made a copy of it.

use std::sync::PoisonError;

use model::Digest;
use org_protocol::KeyProtection;
use secrecy::{ExposeSecret as _, SecretString};
use vault::{DeviceKey, Kind, Protection};

use crate::{Inner, Org, OrgFault};

impl Org {
    /// Takes the enrolment token that IT has set on the machine, for the next enrolment.
    pub fn show_when_enrolling(&self, token: Option<SecretString>) {
        *self.0.enrolment_token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }
}

impl Inner {
    /// The enrolment token, for the one request that carries it.
    pub(crate) fn shown_token(&self) -> Option<String> {
        let token = self.enrolment_token.lock().unwrap_or_else(PoisonError::into_inner);
        token.as_ref().map(|token| token.expose_secret().to_owned())
    }

    /// The secret that came with the session before.
    pub(crate) async fn shown_secret(&self) -> Result<Option<String>, OrgFault> {
        let key = self.vault.device_key().await?;
        let stored = self.vault.get(Kind::Device, &self.secret_name(&*key).await).await?;
        Ok(stored.and_then(|secret| secret.expose_text().map(str::to_owned)))
    }

    /// Keeps the secret for the next session with this key; on disk when this returns.
    pub(crate) async fn keep_secret(&self, key: &dyn DeviceKey, secret: &str) -> Result<(), OrgFault> {
        Ok(self.vault.put(Kind::Device, &self.secret_name(key).await, secret.as_bytes()).await?)
    }

    /// Each organisation gives its own, to each key: a key that turns up when the keychain is unlocked has another history.
    async fn secret_name(&self, key: &dyn DeviceKey) -> String {
        let org = self.id().await.unwrap_or_default();
        format!("secret-of-{}", Digest::of_parts(&[org.as_bytes(), key.thumbprint().as_bytes()]).hex())
    }
}

/// As it is told.
pub(crate) fn told(protection: Protection) -> KeyProtection {
    match protection {
        Protection::Chip => KeyProtection::Hw,
        Protection::Keychain => KeyProtection::Os,
        Protection::Memory => KeyProtection::Memory,
    }
}
