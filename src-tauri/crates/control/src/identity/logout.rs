//! Logout tokens: how the identity provider says that somebody's session there has ended (OpenID Connect Back-Channel
//! Logout 1.0, sections 2.4 and 2.6).

use std::time::Duration;

use claims::SID_LIMIT;
use model::{Digest, Timestamp};
use org_protocol::{CLOCK_SKEW, IdentityProvider};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::jws::{Jws, Signed};
use super::{FRESH, IMPATIENCE, IdentityFault, Verifier};

/// How long after it was issued a logout token is obeyed, beside [`CLOCK_SKEW`]. It is sent at once; none is kept.
pub(crate) const LOGOUT_LIFE: Duration = Duration::from_secs(600);
/// The longest logout token, in characters.
const TOKEN_LIMIT: usize = 8 * 1024;
/// The longest identifier within, in bytes.
const TEXT_LIMIT: usize = 255;
/// The type that a logout token should state (section 2.4), and the one that others state in its place.
const KINDS: [&str; 2] = ["logout+jwt", "jwt"];
/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Why a logout token is not obeyed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogoutFault {
    /// No signed token at all, or none that an asymmetric algorithm signed.
    #[error("the logout token cannot be read")]
    Unreadable,
    /// Another kind of token.
    #[error("the logout token is of the type {0:?}")]
    Kind(String),
    /// A claim is missing, or has another form.
    #[error("the logout token's claims cannot be read: {0}")]
    Claims(String),
    /// Another provider's.
    #[error("the logout token is of another issuer")]
    Issuer,
    /// For another client, or for others beside this one.
    #[error("the logout token is for another client")]
    Audience,
    /// From the future, too old, or expired.
    #[error("the logout token was issued at {0} or has expired")]
    Time(Timestamp),
    /// Not about the end of a session, or something else besides.
    #[error("the logout token is not about a logout")]
    NotALogout,
    /// It says neither whose nor which session.
    #[error("the logout token names nobody")]
    Nobody,
    /// The provider did not sign it.
    #[error("the logout token's signature is not the provider's")]
    Signature,
    /// The provider's keys are not there.
    #[error(transparent)]
    Provider(#[from] IdentityFault),
}

/// A verified logout token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogoutToken {
    /// Who says it, as they write themselves.
    pub issuer: String,
    /// Whose sessions end.
    pub subject: Option<String>,
    /// Which session ends.
    pub sid: Option<String>,
    /// When the provider said it, by its own clock.
    pub issued: Timestamp,
    /// Names the token, so that it is obeyed once.
    pub id: Digest,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    iat: Seconds,
    exp: Option<Seconds>,
    jti: String,
    events: Map<String, Value>,
    sub: Option<String>,
    sid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    nonce: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Seconds since 1970, whole or not (RFC 7519, section 2: `NumericDate`).
struct Seconds(i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and such a time is refused")]
        let whole = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64));
        whole.map(Self).ok_or_else(|| serde::de::Error::custom("no time"))
    }
}

/// That a claim is there, whatever it says.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl Verifier {
    /// Verifies a logout token of the provider. What costs nothing is looked at first, so that nobody but the provider can
    /// make the server work or ask for keys.
    ///
    /// # Errors
    /// A [`LogoutFault`].
    pub(crate) async fn verify_logout(
        &self,
        provider: &IdentityProvider,
        token: &str,
        now: Timestamp,
    ) -> Result<LogoutToken, LogoutFault> {
        if token.len() > TOKEN_LIMIT {
            return Err(LogoutFault::Unreadable);
        }
        let jws = Jws::read(token).ok_or(LogoutFault::Unreadable)?;
        if let Some(kind) = jws.kind()
            && !KINDS.contains(&kind.as_str())
        {
            return Err(LogoutFault::Kind(kind));
        }
        let claims: Claims =
            serde_json::from_slice(&jws.payload).map_err(|fault| LogoutFault::Claims(fault.to_string()))?;
        let token = claims.checked(&provider.client_id, now)?;

        let metadata = self.metadata(provider, now, FRESH).await?;
        if token.issuer != metadata.issuer().as_str() {
            return Err(LogoutFault::Issuer);
        }
        let signed = match jws.signed_by(metadata.jwks()) {
            Signed::NoKey => jws.signed_by(self.metadata(provider, now, IMPATIENCE).await?.jwks()),
            signed @ (Signed::Yes | Signed::No) => signed,
        };
        if signed == Signed::Yes { Ok(token) } else { Err(LogoutFault::Signature) }
    }
}

impl Claims {
    fn checked(self, client_id: &str, now: Timestamp) -> Result<LogoutToken, LogoutFault> {
        let audience = match &self.aud {
            Audience::One(audience) => std::slice::from_ref(audience),
            Audience::Several(audiences) => audiences,
        };
        if audience.len() != 1 || !audience.iter().all(|audience| audience == client_id) {
            return Err(LogoutFault::Audience);
        }
        let issued = Timestamp::from_seconds(self.iat.0);
        let expired = |exp: &Seconds| Timestamp::from_seconds(exp.0).plus(CLOCK_SKEW) <= now;
        if issued > now.plus(CLOCK_SKEW)
            || now.since(issued) > LOGOUT_LIFE + CLOCK_SKEW
            || self.exp.as_ref().is_some_and(expired)
        {
            return Err(LogoutFault::Time(issued));
        }
        if self.nonce || !self.events.get(EVENT).is_some_and(Value::is_object) {
            return Err(LogoutFault::NotALogout);
        }
        let usable = |text: &str, limit: usize| !text.is_empty() && text.len() <= limit;
        let named = |text: &Option<String>, limit| text.as_ref().is_none_or(|text| usable(text, limit));
        if !usable(&self.jti, TEXT_LIMIT) || !named(&self.sub, TEXT_LIMIT) || !named(&self.sid, SID_LIMIT) {
            return Err(LogoutFault::Claims("an identifier is empty or too long".to_owned()));
        }
        if self.sub.is_none() && self.sid.is_none() {
            return Err(LogoutFault::Nobody);
        }
        let id = Digest::of_parts(&[self.iss.as_bytes(), self.jti.as_bytes()]);
        Ok(LogoutToken { issuer: self.iss, subject: self.sub, sid: self.sid, issued, id })
    }
}

#[cfg(test)]
mod tests;
