//! Whether a token is the provider's, for us, and of now.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Subject, Timestamp};
use openidconnect::core::{
    CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IssuerUrl, Nonce,
    SignatureVerificationError,
};
use org_protocol::{CLOCK_SKEW, IdentityProvider};
use serde_json::{Map, Value};

use crate::subject::{Read, subject};

/// The only signature algorithms that are believed, whatever the provider's metadata says: those by which nobody but the
/// provider can sign.
pub const ALGORITHMS: [CoreJwsSigningAlgorithm; 10] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EcdsaP521Sha512,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The longest name of a session at the provider, in bytes.
pub const SID_LIMIT: usize = 255;

/// The longest ID token, in characters.
const TOKEN_LIMIT: usize = 64 * 1024;
/// The claim that makes a token a statement about an event (RFC 8417, section 2.2), which no ID token is.
const EVENTS: &str = "events";
/// The provider's own session (OpenID Connect Back-Channel Logout 1.0, section 2.1).
const SID: &str = "sid";
/// The domain that somebody's account belongs to, at Google.
const HOSTED_DOMAIN: &str = "hd";

/// All claims as they are written, also those that OpenID Connect gives a meaning to.
pub(crate) type Payload = Map<String, Value>;

/// Whose token is believed.
#[derive(Debug)]
pub struct Verifier<'a> {
    /// The provider as IT describes it.
    pub provider: &'a IdentityProvider,
    /// Its issuer identifier as the provider itself writes it.
    pub issuer: &'a IssuerUrl,
    /// The keys that it signs with.
    pub keys: &'a CoreJsonWebKeySet,
    /// The time.
    pub now: Timestamp,
}

/// Which nonce the token must have.
#[derive(Debug, Clone, Copy)]
pub enum NonceRule<'a> {
    /// Exactly this one: a sign-in that sent it.
    Is(&'a str),
    /// None, or this one: perhaps a renewal (OpenID Connect Core 1.0, section 12.2).
    AbsentOr(Option<&'a str>),
}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who it is.
    pub subject: Subject,
    /// When it was issued, by the provider's clock.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When the person authenticated, where that is said.
    pub authenticated: Option<Timestamp>,
    /// The nonce; it fits the rule.
    pub nonce: Option<String>,
    /// The provider's own session, where it is named.
    pub sid: Option<String>,
    /// The declared claims that are there with another type, and so are none.
    pub misfits: BTreeSet<String>,
    /// That the groups are not in the token, if so.
    pub groups_elsewhere: Option<Elsewhere>,
}

/// The groups are not in the token, which says so; they are too many, for instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The person's name in Entra's directory (the claim `oid`), by which an answer from there is recognised as theirs.
    pub object_id: Option<String>,
}

/// Why a token says nothing about anybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not an ID token at all.
    #[error("it cannot be read")]
    Unreadable,
    /// None of the keys that were given could have signed it; the provider may have new ones.
    #[error("no key of the provider signed it")]
    NoKey,
    /// Its nonce does not fit the rule.
    #[error("it has another nonce, or none")]
    Nonce,
    /// It is from the future.
    #[error("it was issued at {0}, which is yet to come")]
    FromTheFuture(Timestamp),
    /// It was issued together with another access token.
    #[error("the access token's digest is another")]
    AccessToken,
    /// It is a statement about an event.
    #[error("it is about an event")]
    Event,
    /// The name of the provider's session could not be compared with another.
    #[error("its sid is none")]
    Sid,
    /// More groups than are read; leaving some out could permit what a rule about them forbids.
    #[error("it names more than {0} groups")]
    TooManyGroups(usize),
    /// It is of somebody from another domain, or of nobody's.
    #[error("it is not of the domain {0}")]
    HostedDomain(String),
    /// Signature, issuer, audience or expiry is wrong.
    #[error("{0}")]
    Refused(String),
}

impl Verifier<'_> {
    /// Verifies signature, algorithm, issuer, audience, time and nonce; and the access token's digest where there is an
    /// access token and the ID token speaks of it (section 3.1.3.6). Clocks may be off by [`CLOCK_SKEW`].
    ///
    /// # Errors
    /// A [`TokenFault`].
    pub fn verify(
        &self,
        id_token: &str,
        access: Option<&str>,
        nonce: NonceRule<'_>,
    ) -> Result<Verified, TokenFault> {
        if id_token.len() > TOKEN_LIMIT {
            return Err(TokenFault::Unreadable);
        }
        let token: CoreIdToken = id_token.parse().map_err(|_| TokenFault::Unreadable)?;
        let now = Duration::from_micros(u64::try_from(self.now.micros()).unwrap_or(0));
        let lenient = SystemTime::UNIX_EPOCH + now.saturating_sub(CLOCK_SKEW);
        let verifier = CoreIdTokenVerifier::new_public_client(
            ClientId::new(self.provider.client_id.clone()),
            self.issuer.clone(),
            self.keys.clone(),
        )
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || lenient.into());
        let mut fitting = true;
        let rule = |found: Option<&Nonce>| {
            fitting = nonce.fits(found);
            if fitting { Ok(()) } else { Err(String::new()) }
        };
        let claims = match token.claims(&verifier, rule) {
            Ok(claims) => claims,
            Err(_) if !fitting => return Err(TokenFault::Nonce),
            Err(fault) => return Err(refused(&fault)),
        };
        if let (Some(said), Some(access)) = (claims.access_token_hash(), access) {
            let key = token.signing_key(&verifier).map_err(|_| TokenFault::AccessToken)?;
            let algorithm = token.signing_alg().map_err(|_| TokenFault::AccessToken)?;
            let access = AccessToken::new(access.to_owned());
            if AccessTokenHash::from_token(&access, algorithm, key).ok().as_ref() != Some(said) {
                return Err(TokenFault::AccessToken);
            }
        }
        self.read(claims, &payload(id_token).ok_or(TokenFault::Unreadable)?)
    }

    fn read(&self, claims: &CoreIdTokenClaims, payload: &Payload) -> Result<Verified, TokenFault> {
        let issued = Timestamp::from_seconds(claims.issue_time().timestamp());
        if issued > self.now.plus(CLOCK_SKEW) {
            return Err(TokenFault::FromTheFuture(issued));
        }
        // A logout token that came without a type of its own.
        if payload.contains_key(EVENTS) {
            return Err(TokenFault::Event);
        }
        if let Some(domain) = &self.provider.hosted_domain
            && payload.get(HOSTED_DOMAIN).and_then(Value::as_str) != Some(domain)
        {
            return Err(TokenFault::HostedDomain(domain.clone()));
        }
        let Read { subject, misfits, groups_elsewhere } = subject(claims, payload, self.provider)?;
        Ok(Verified {
            subject,
            issued,
            expires: Timestamp::from_micros(claims.expiration().timestamp_micros()),
            authenticated: claims.auth_time().map(|at| Timestamp::from_seconds(at.timestamp())),
            nonce: claims.nonce().map(|nonce| nonce.secret().clone()),
            sid: sid(payload)?,
            misfits,
            groups_elsewhere,
        })
    }
}

impl NonceRule<'_> {
    fn fits(self, found: Option<&Nonce>) -> bool {
        let found = found.map(|nonce| nonce.secret().as_str());
        match self {
            Self::Is(expected) => found == Some(expected),
            Self::AbsentOr(expected) => found.is_none() || found == expected,
        }
    }
}

/// The claims of a token whose signature was verified.
fn payload(id_token: &str) -> Option<Payload> {
    let bytes = URL_SAFE_NO_PAD.decode(id_token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// A name that cannot be compared could not be ended, so it is none.
fn sid(payload: &Payload) -> Result<Option<String>, TokenFault> {
    let Some(said) = payload.get(SID) else { return Ok(None) };
    let sid = said.as_str().filter(|sid| !sid.is_empty() && sid.len() <= SID_LIMIT);
    sid.map(|sid| Some(sid.to_owned())).ok_or(TokenFault::Sid)
}

fn refused(fault: &ClaimsVerificationError) -> TokenFault {
    if *fault == ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) {
        TokenFault::NoKey
    } else {
        TokenFault::Refused(model::with_causes(fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewed_token_may_lack_the_nonce_but_not_have_another() {
        let other = Nonce::new("other".to_owned());
        let same = Nonce::new("n".to_owned());
        assert!(NonceRule::Is("n").fits(Some(&same)));
        assert!(!NonceRule::Is("n").fits(Some(&other)));
        assert!(!NonceRule::Is("n").fits(None));
        assert!(NonceRule::AbsentOr(Some("n")).fits(None));
        assert!(NonceRule::AbsentOr(Some("n")).fits(Some(&same)));
        assert!(!NonceRule::AbsentOr(Some("n")).fits(Some(&other)));
        assert!(!NonceRule::AbsentOr(None).fits(Some(&other)));
    }
}
