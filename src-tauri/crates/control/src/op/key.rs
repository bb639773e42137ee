//! The key that signs ID tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Digest;
use org_protocol::SigningKey;
use serde_json::{Value, json};

use crate::sealing::MasterKey;

/// An Ed25519 key (RFC 8037). It is derived from the master key, so it lies nowhere; with another master key it is another.
pub(crate) struct TokenKey(SigningKey);

/// What the key is derived for; its end is the version.
const PURPOSE: &[u8] = b"deskgate/control/id-token/v1";

impl TokenKey {
    /// The key that belongs to a master key.
    pub(crate) fn of(master: &MasterKey) -> Self {
        Self(SigningKey::from_seed(Digest::as_bytes(&master.derived(PURPOSE))))
    }

    /// Its public half as JSON Web Key (RFC 8037, section 2).
    pub(crate) fn jwk(&self) -> Value {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": self.id(),
            "x": URL_SAFE_NO_PAD.encode(self.0.public().to_bytes()),
        })
    }

    /// Claims as a signed token (RFC 7519; RFC 7515, section 7.1).
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.id() });
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn id(&self) -> String {
        self.0.public().id().to_string()
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKey({})", self.id())
    }
}
