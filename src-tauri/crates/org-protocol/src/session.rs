//! Enrolling a device and opening a session: what goes over the wire, and how an ID token is bound to a device key.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{DeviceId, Subject, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The format version of these messages.
pub const SESSION_FORMAT: u32 = 1;
/// Where a device is enrolled, relative to the configuration URL.
pub const ENROL_PATH: &str = "v1/enrol";
/// Where a session is opened and renewed (`POST`) and ended (`DELETE`), relative to the configuration URL.
pub const SESSION_PATH: &str = "v1/session";

/// The code with which a session is refused because its sign-in was ended: only a new sign-in opens one.
pub const SIGN_IN_ENDED: &str = "sign-in-revoked";
/// The code with which a session is refused because the ID token is not bound to the device's key: made for another, or
/// renewed without its nonce. Only a new sign-in opens one.
pub const ID_TOKEN_NOT_BOUND: &str = "id-token-not-bound";
/// The code with which everything is refused to a device whose key another one holds as well.
pub const DEVICE_SUSPENDED: &str = "device-suspended";
/// The code with which everything is refused to a device that was revoked.
pub const DEVICE_REVOKED: &str = "device-revoked";

/// The random half of a session nonce: 32 bytes, written in base64url.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("pattern" = "^[A-Za-z0-9_-]{43}$")))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct NonceSeed([u8; 32]);

/// The text is not 32 bytes in base64url.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the nonce's random part is not 32 bytes in base64url")]
pub struct NonceSeedFault;

impl NonceSeed {
    /// Takes 32 bytes from the operating system's random source.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The nonce to ask the identity provider for (OpenID Connect Core 1.0, section 3.1.2.1):
    /// base64url(SHA-256("deskgate/session/v1" ‖ thumbprint ‖ random)). An ID token with it is of use only to whoever
    /// holds the device key with that thumbprint (RFC 7638).
    pub fn nonce(&self, thumbprint: &str) -> String {
        self.bound(b"deskgate/session/v1", thumbprint)
    }

    /// As [`NonceSeed::nonce`], for whoever administers: base64url(SHA-256("deskgate/administration/v1" ‖ thumbprint ‖ random)). A
    /// desktop's ID token opens no administrator's session, nor the other way round.
    pub fn administration_nonce(&self, thumbprint: &str) -> String {
        self.bound(b"deskgate/administration/v1", thumbprint)
    }

    fn bound(&self, purpose: &[u8], thumbprint: &str) -> String {
        let mut hasher = Sha256::new();
        hasher.update(purpose);
        hasher.update(thumbprint.as_bytes());
        hasher.update(self.0);
        URL_SAFE_NO_PAD.encode(hasher.finalize())
    }
}

impl From<NonceSeed> for String {
    fn from(seed: NonceSeed) -> Self {
        URL_SAFE_NO_PAD.encode(seed.0)
    }
}

impl TryFrom<String> for NonceSeed {
    type Error = NonceSeedFault;

    fn try_from(text: String) -> Result<Self, NonceSeedFault> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NonceSeedFault)?;
        bytes.try_into().map(Self).map_err(|_| NonceSeedFault)
    }
}

impl std::fmt::Debug for NonceSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NonceSeed(..)")
    }
}

/// Asks to know a device. Proved with the device key; enrolling the same key again changes nothing.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The format version: [`SESSION_FORMAT`].
    #[cfg_attr(feature = "schema", schemars(extend("enum" = [1])))]
    pub format: u32,
    /// The ID token of the person who enrols it, with the nonce that binds the device key.
    pub id_token: String,
    /// The random half of that nonce.
    pub nonce_seed: NonceSeed,
    /// The id under which the device keeps its records so far. It keeps it, unless another device has it.
    pub id: DeviceId,
    /// The device, as people know it.
    pub device: DeviceDescription,
    /// What keeps its key, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_protection: Option<KeyProtection>,
    /// What shows that the machine is the organisation's, where IT has set that on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment_token: Option<String>,
}

/// What keeps a device's key. Told by the device and shown to administrators; nothing is decided by it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyProtection {
    /// A chip that does not give it away: TPM, Secure Enclave.
    Hw,
    /// It is sealed; the operating system's keychain holds the key to that.
    Os,
    /// A file that only the user may read.
    File,
    /// Nothing: it ends with the program, as the keychain is out of reach.
    Memory,
}

impl KeyProtection {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hw => "hw",
            Self::Os => "os",
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

/// How a device describes itself. Shown to administrators; nothing that anybody may do is decided by it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceDescription {
    /// Its name.
    pub name: String,
    /// Its operating system.
    pub platform: String,
    /// The version of Deskgate on it.
    pub app_version: String,
    /// The formats of a bundle that it reads ([`crate::READABLE_FORMATS`]): nothing is published that it could not follow. Who
    /// does not say it reads the first.
    #[serde(default = "first_format")]
    pub content_formats: BTreeSet<u32>,
}

fn first_format() -> BTreeSet<u32> {
    [1].into()
}

/// The device is known.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolAnswer {
    /// The format version: [`SESSION_FORMAT`].
    pub format: u32,
    /// The device's id from now on; for a key that was enrolled before, the id that it got then.
    pub device: DeviceId,
}

/// Asks for a session. Proved with the key of an enrolled device.
///
/// Providers may leave the nonce out of an ID token that they issue on a refresh (OpenID Connect Core 1.0, section
/// 12.2); such a token renews a session that the same device holds for the same person, and opens none.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// The format version: [`SESSION_FORMAT`].
    #[cfg_attr(feature = "schema", schemars(extend("enum" = [1])))]
    pub format: u32,
    /// The person's ID token.
    pub id_token: String,
    /// The random half of its nonce.
    pub nonce_seed: NonceSeed,
    /// The access token that came with it, lent where the ID token says that the person's groups are in the provider's
    /// directory instead: the control plane then asks there itself, since it takes no groups on a desktop's word. It is
    /// used once and not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// The device as it is now: Deskgate on it may be another version than when it was enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceDescription>,
    /// The secret that came with the session before ([`SessionAnswer::next_secret`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A session. The token is bound to the device key and of no use without it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAnswer {
    /// The format version: [`SESSION_FORMAT`].
    pub format: u32,
    /// The session token.
    pub token: String,
    /// When it ends.
    pub expires: Timestamp,
    /// The device.
    pub device: DeviceId,
    /// The person, as the organisation verified them.
    pub subject: Subject,
    /// What the device shows when it opens its next session, and has to keep before it uses this one. Of two that hold one key
    /// only one can: that is how a copy is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_secret: Option<String>,
}

impl std::fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnrolRequest({:?})", self.device)
    }
}

impl std::fmt::Debug for SessionRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionRequest(..)")
    }
}

impl std::fmt::Debug for SessionAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionAnswer({}, {}, until {})", self.device, self.subject.label(), self.expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nonce_depends_on_key_and_random_part() {
        let seed = NonceSeed::from_bytes([1; 32]);
        assert_eq!(seed.nonce("a"), seed.nonce("a"));
        assert_ne!(seed.nonce("a"), seed.nonce("b"));
        assert_ne!(seed.nonce("a"), NonceSeed::from_bytes([2; 32]).nonce("a"));
        assert_ne!(seed.nonce("a"), seed.administration_nonce("a"));
    }

    #[test]
    fn a_seed_is_read_back_and_has_a_fixed_length() {
        let seed = NonceSeed::from_bytes([9; 32]);
        let text = String::from(seed.clone());
        assert_eq!(NonceSeed::try_from(text), Ok(seed));
        assert_eq!(NonceSeed::try_from("AAAA".to_owned()), Err(NonceSeedFault));
        assert_eq!(NonceSeed::try_from("?".to_owned()), Err(NonceSeedFault));
    }

    #[test]
    fn debug_shows_no_token() {
        let request = SessionRequest {
            format: SESSION_FORMAT,
            id_token: "secret".to_owned(),
            nonce_seed: NonceSeed::from_bytes([0; 32]),
            access_token: Some("secret".to_owned()),
            secret: Some("secret".to_owned()),
            device: None,
        };
        assert!(!format!("{request:?}").contains("secret"));
    }
}
