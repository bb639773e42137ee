//! Proof Key for Code Exchange (RFC 7636): method S256 only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Digest;
use subtle::ConstantTimeEq as _;

/// An S256 code challenge: the SHA-256 of the verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Challenge(Digest);

/// Why a challenge is refused. `plain`, or no method (which means `plain`), is a downgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChallengeFault {
    #[error("code_challenge is required")]
    Absent,
    #[error("code_challenge_method must be S256")]
    Method,
    #[error("code_challenge must be 43 characters of base64url")]
    Form,
}

impl Challenge {
    pub(crate) fn parse(challenge: Option<&str>, method: Option<&str>) -> Result<Self, ChallengeFault> {
        let text = challenge.ok_or(ChallengeFault::Absent)?;
        if method != Some("S256") {
            return Err(ChallengeFault::Method);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ChallengeFault::Form)?;
        bytes.try_into().map(|bytes| Self(Digest::from_bytes(bytes))).map_err(|_| ChallengeFault::Form)
    }

    /// Whether `verifier` is well formed (RFC 7636, section 4.1) and the one that the challenge was made from.
    pub(crate) fn is_met_by(&self, verifier: &str) -> bool {
        let formed = (43..=128).contains(&verifier.len())
            && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        let digest = Digest::of(verifier.as_bytes());
        formed && bool::from(self.0.as_bytes().ct_eq(digest.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc_is_met() {
        let challenge = Challenge::parse(Some(CHALLENGE), Some("S256")).unwrap();
        assert!(challenge.is_met_by(VERIFIER), "RFC 7636, appendix B");
    }

    #[test]
    fn another_or_malformed_verifier_is_not() {
        let challenge = Challenge::parse(Some(CHALLENGE), Some("S256")).unwrap();
        let wrong = [
            CHALLENGE,
            "",
            "short",
            &VERIFIER[..42],
            &format!("{VERIFIER}="),
            &"a".repeat(129),
            &VERIFIER.to_uppercase(),
        ];
        for verifier in wrong {
            assert!(!challenge.is_met_by(verifier), "{verifier}");
        }
        let short = Challenge(Digest::of(b"short"));
        assert!(!short.is_met_by("short"), "a verifier has at least 43 characters, even if the digest fits");
    }

    #[test]
    fn downgrades_are_refused() {
        use ChallengeFault::*;
        for (challenge, method, fault) in [
            (None, Some("S256"), Absent),
            (None, None, Absent),
            (Some(CHALLENGE), None, Method),
            (Some(CHALLENGE), Some("plain"), Method),
            (Some(CHALLENGE), Some("s256"), Method),
            (Some(CHALLENGE), Some("S256 "), Method),
            (Some(CHALLENGE), Some("S512"), Method),
            (Some("short"), Some("S256"), Form),
            (Some(&CHALLENGE[..42]), Some("S256"), Form),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="), Some("S256"), Form),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"), Some("S256"), Form),
        ] {
            assert_eq!(Challenge::parse(challenge, method), Err(fault), "{challenge:?} {method:?}");
        }
    }
}
