//! Verifies an ID token (OpenID Connect Core 1.0, section 3.1.3.7) and reads who it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use model::{Subject, Timestamp};
use openidconnect::core::{
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, ClaimsVerificationError, ClientId, IdToken,
    IdTokenClaims, IssuerUrl, Nonce,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::FaultKind;

/// The only algorithms that are believed, whatever the provider's metadata says: asymmetric ones.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// How far this machine's clock may be off.
const SKEW: Duration = Duration::from_secs(60);

/// Most groups that are taken, and the longest name of one in bytes.
const MOST_GROUPS: usize = 2000;
const LONGEST_GROUP: usize = 512;

/// Claims beyond those of OpenID Connect.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OtherClaims(BTreeMap<String, serde_json::Value>);

impl AdditionalClaims for OtherClaims {}

type Token =
    IdToken<OtherClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Claims = IdTokenClaims<OtherClaims, CoreGenderClaim>;

/// Whose token is believed, and what it is read for.
pub(super) struct Verifier<'a> {
    pub(super) issuer: &'a IssuerUrl,
    pub(super) client_id: &'a str,
    pub(super) keys: &'a CoreJsonWebKeySet,
    pub(super) groups_claim: &'a str,
    pub(super) now: Timestamp,
}

/// Which nonce the token must have.
#[derive(Clone, Copy)]
pub(super) enum NonceRule<'a> {
    /// Exactly this one: a sign-in that sent it.
    Is(&'a str),
    /// None, or this one: a renewal (OpenID Connect Core 1.0, section 12.2).
    AbsentOr(Option<&'a str>),
}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) subject: Subject,
    pub(super) expires: Timestamp,
    pub(super) nonce: Option<String>,
}

impl Verifier<'_> {
    /// Verifies signature, algorithm, issuer, audience, time, nonce, and the access token's digest where there is one.
    pub(super) fn verify(
        &self,
        id_token: &SecretString,
        access: &SecretString,
        nonce: NonceRule<'_>,
    ) -> Result<Verified, FaultKind> {
        let token: Token = id_token
            .expose_secret()
            .parse()
            .map_err(|_| FaultKind::Mismatch("the ID token cannot be read".to_owned()))?;
        let lenient = SystemTime::UNIX_EPOCH
            + Duration::from_micros(u64::try_from(self.now.micros()).unwrap_or(0)).saturating_sub(SKEW);
        let verifier = CoreIdTokenVerifier::new_public_client(
            ClientId::new(self.client_id.to_owned()),
            self.issuer.clone(),
            self.keys.clone(),
        )
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || lenient.into());
        let claims = token.claims(&verifier, |found: Option<&Nonce>| fits(nonce, found)).map_err(refused)?;
        if let Some(said) = claims.access_token_hash() {
            let digest = token.signing_key(&verifier).map_err(|_| mismatch("the access token's digest"))?;
            let algorithm = token.signing_alg().map_err(|_| mismatch("the access token's digest"))?;
            let access = AccessToken::new(access.expose_secret().to_owned());
            if AccessTokenHash::from_token(&access, algorithm, digest).ok().as_ref() != Some(said) {
                return Err(mismatch("the access token's digest"));
            }
        }
        Ok(Verified {
            subject: self.subject(claims),
            expires: Timestamp::from_micros(claims.expiration().timestamp_micros()),
            nonce: claims.nonce().map(|nonce| nonce.secret().clone()),
        })
    }

    fn subject(&self, claims: &Claims) -> Subject {
        let unverified = claims.email_verified() == Some(false);
        Subject {
            issuer: claims.issuer().as_str().to_owned(),
            subject: claims.subject().as_str().to_owned(),
            email: claims.email().filter(|_| !unverified).map(|email| email.as_str().to_owned()),
            name: claims
                .name()
                .and_then(|names| names.get(None))
                .map(|name| name.as_str().to_owned())
                .or_else(|| claims.preferred_username().map(|name| name.as_str().to_owned())),
            groups: groups(claims.additional_claims().0.get(self.groups_claim)),
            attributes: BTreeMap::new(),
        }
    }
}

/// The groups: an array of texts, or one text. Anything else is no group.
fn groups(claim: Option<&serde_json::Value>) -> BTreeSet<String> {
    let texts: Vec<&str> = match claim {
        Some(serde_json::Value::Array(values)) => {
            values.iter().filter_map(serde_json::Value::as_str).collect()
        }
        Some(serde_json::Value::String(text)) => vec![text],
        Some(
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Object(_),
        )
        | None => vec![],
    };
    texts
        .into_iter()
        .filter(|group| !group.is_empty() && group.len() <= LONGEST_GROUP)
        .take(MOST_GROUPS)
        .map(str::to_owned)
        .collect()
}

fn fits(rule: NonceRule<'_>, found: Option<&Nonce>) -> Result<(), String> {
    let found = found.map(|nonce| nonce.secret().as_str());
    let good = match rule {
        NonceRule::Is(expected) => found == Some(expected),
        NonceRule::AbsentOr(expected) => found.is_none() || found == expected,
    };
    if good { Ok(()) } else { Err("another nonce".to_owned()) }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a mapping of errors")]
fn refused(fault: ClaimsVerificationError) -> FaultKind {
    let why = std::error::Error::source(&fault).map(|source| format!(": {source}")).unwrap_or_default();
    FaultKind::Mismatch(format!("the ID token: {fault}{why}"))
}

fn mismatch(what: &str) -> FaultKind {
    FaultKind::Mismatch(what.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_texts_and_nothing_else() {
        let read = |value: serde_json::Value| groups(Some(&value)).into_iter().collect::<Vec<_>>();
        assert_eq!(read(json!(["eng", "ops", "eng"])), ["eng", "ops"]);
        assert_eq!(read(json!("eng")), ["eng"]);
        assert_eq!(read(json!(["eng", 1, null, "", { "name": "x" }])), ["eng"]);
        assert!(read(json!({ "eng": true })).is_empty());
        assert!(read(json!(["x".repeat(513)])).is_empty());
        assert!(groups(None).is_empty());
    }

    #[test]
    fn a_renewed_token_may_lack_the_nonce_but_not_have_another() {
        let other = Nonce::new("other".to_owned());
        let same = Nonce::new("n".to_owned());
        assert!(fits(NonceRule::Is("n"), Some(&same)).is_ok());
        assert!(fits(NonceRule::Is("n"), Some(&other)).is_err());
        assert!(fits(NonceRule::Is("n"), None).is_err());
        assert!(fits(NonceRule::AbsentOr(Some("n")), None).is_ok());
        assert!(fits(NonceRule::AbsentOr(Some("n")), Some(&same)).is_ok());
        assert!(fits(NonceRule::AbsentOr(Some("n")), Some(&other)).is_err());
        assert!(fits(NonceRule::AbsentOr(None), Some(&other)).is_err());
    }
}
