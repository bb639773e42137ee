//! What this server says of a person to others: a short-lived signed assertion (RFC 7519), to a connector beside the shared secret,
//! or to an authorization server in exchange for a token (RFC 8693).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Digest, Subject, Timestamp};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use crate::sealing::MasterKey;

/// Where the public key is, relative to the configuration URL.
pub(crate) const KEYS_PATH: &str = "v1/assertions/keys.json";
/// For how many seconds an assertion is good.
const LIFE: i64 = 60;
/// What the key is derived for; its end is the version.
const PURPOSE: &[u8] = b"deskgate/control/assertion/v1";

/// Signs assertions with a P-256 key (ES256; RFC 7518, section 3.4) that is derived from the master key.
pub(crate) struct Asserter {
    issuer: Url,
    key: Option<SigningKey>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    /// Who vouched for the person: `sub` is their identifier there.
    idp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    groups: &'a BTreeSet<String>,
}

impl Asserter {
    /// The one of a server with this configuration URL.
    pub(crate) fn new(issuer: Url, master: &MasterKey) -> Self {
        // One of 2^32 digests is no scalar; with such a master key nothing is asserted.
        let key = SigningKey::from_slice(Digest::as_bytes(&master.derived(PURPOSE))).ok();
        Self { issuer, key }
    }

    /// The public half as a set of JSON Web Keys (RFC 7517, section 5).
    pub(crate) fn keys(&self) -> Value {
        let keys: Vec<Value> = self.jwk().into_iter().collect();
        json!({ "keys": keys })
    }

    /// Says who somebody is, to this audience, for a minute. `None` where there are no random numbers, or no key.
    pub(crate) fn assert(&self, subject: &Subject, audience: &str, now: Timestamp) -> Option<SecretString> {
        let key = self.key.as_ref()?;
        let claims = Claims {
            iss: self.issuer.as_str(),
            sub: &subject.subject,
            aud: audience,
            iat: now.seconds(),
            exp: now.seconds().saturating_add(LIFE),
            jti: crate::secret::new_secret("").ok()?,
            idp: &subject.issuer,
            email: subject.email.as_deref(),
            groups: &subject.groups,
        };
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.id()? });
        let part = |json: String| URL_SAFE_NO_PAD.encode(json);
        let signed = format!("{}.{}", part(header.to_string()), part(serde_json::to_string(&claims).ok()?));
        let signature: Signature = key.sign(signed.as_bytes());
        Some(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))))
    }

    fn point(&self) -> Option<(String, String)> {
        let point = self.key.as_ref()?.verifying_key().to_sec1_point(false);
        Some((URL_SAFE_NO_PAD.encode(point.x()?), URL_SAFE_NO_PAD.encode(point.y()?)))
    }

    /// The key's thumbprint (RFC 7638).
    fn id(&self) -> Option<String> {
        let (x, y) = self.point()?;
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Some(URL_SAFE_NO_PAD.encode(Digest::as_bytes(&Digest::of(canonical.as_bytes()))))
    }

    fn jwk(&self) -> Option<Value> {
        let (x, y) = self.point()?;
        Some(
            json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id()?, "x": x, "y": y }),
        )
    }
}

/// Somebody, as this server says to others who they are.
#[derive(Clone, Copy)]
pub(crate) struct Assertion<'a> {
    /// The person.
    pub(crate) subject: &'a Subject,
    /// Signs it.
    pub(crate) by: &'a Asserter,
    /// When.
    pub(crate) now: Timestamp,
}

impl Assertion<'_> {
    /// To this audience.
    pub(crate) fn to(&self, audience: &str) -> Option<SecretString> {
        self.by.assert(self.subject, audience, self.now)
    }
}
