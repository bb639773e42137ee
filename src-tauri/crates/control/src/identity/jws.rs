//! Reads a signed token (RFC 7515, compact form) and finds the key that signed it. What it says is for whoever asked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeySet};
use serde::Deserialize;

use claims::ALGORITHMS;

/// A token whose signature is not yet verified.
pub(super) struct Jws<'a> {
    header: Header,
    /// What was signed.
    signed: &'a [u8],
    pub(super) payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: CoreJwsSigningAlgorithm,
    kid: Option<String>,
    typ: Option<String>,
    /// Extensions that must be understood (RFC 7515, section 4.1.11). None is.
    crit: Option<serde::de::IgnoredAny>,
}

/// Whose signature it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signed {
    /// One of the keys'.
    Yes,
    /// None of the keys could have made it.
    NoKey,
    /// Not that of the key that it names.
    No,
}

impl<'a> Jws<'a> {
    /// `None` for anything but three parts with a header that is understood and names an asymmetric algorithm: what the
    /// header carries besides (`jwk`, `jku`, `x5c`) is not looked at.
    pub(super) fn read(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let header: Header = serde_json::from_slice(&part(header)?).ok()?;
        if header.crit.is_some() || !ALGORITHMS.contains(&header.alg) {
            return None;
        }
        Some(Self { header, signed: signed.as_bytes(), payload: part(payload)?, signature: part(signature)? })
    }

    /// The type that the header states (RFC 8725, section 3.11), in small letters and without `application/`.
    pub(super) fn kind(&self) -> Option<String> {
        let typ = self.header.typ.as_ref()?.to_ascii_lowercase();
        Some(typ.strip_prefix("application/").map(str::to_owned).unwrap_or(typ))
    }

    /// Whether one of these keys signed it: the one that the header names, or any where it names none.
    pub(super) fn signed_by(&self, keys: &JsonWebKeySet<CoreJsonWebKey>) -> Signed {
        let mut outcome = Signed::NoKey;
        let named = |key: &&CoreJsonWebKey| match &self.header.kid {
            Some(kid) => key.key_id().is_some_and(|id| id.as_str() == kid),
            None => true,
        };
        for key in keys.keys().iter().filter(named) {
            // This looks at the key's type and use first: no key serves for another algorithm than its own.
            match key.verify_signature(&self.header.alg, self.signed, &self.signature) {
                Ok(()) => return Signed::Yes,
                Err(_) => outcome = Signed::No,
            }
        }
        outcome
    }
}
