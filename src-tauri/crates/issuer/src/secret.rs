//! Random secrets that leave the issuer once. Only their digests stay.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Digest;

const ACCESS: &str = "dga_";
const REFRESH: &str = "dgr_";
const CODE: &str = "dgc_";
const CLIENT: &str = "dg-client-";

/// The system's random source failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the random source failed")]
pub(crate) struct RandomFault;

/// A text that must not be logged or kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// An access token: `dga_` and 256 random bits.
    pub(crate) fn access() -> Result<Self, RandomFault> {
        Ok(Self(format!("{ACCESS}{}", URL_SAFE_NO_PAD.encode(random::<32>()?))))
    }

    /// An authorization code: `dgc_` and 256 random bits.
    pub(crate) fn code() -> Result<Self, RandomFault> {
        Ok(Self(format!("{CODE}{}", URL_SAFE_NO_PAD.encode(random::<32>()?))))
    }

    /// A refresh token of a family: `dgr_`, the family's 128 bits, and 256 random bits.
    ///
    /// The family travels in the token so that a spent one, however old, is recognised without a list of spent ones.
    pub(crate) fn refresh(family: &FamilyHandle) -> Result<Self, RandomFault> {
        let secret = random::<32>()?;
        Ok(Self(format!("{REFRESH}{}", URL_SAFE_NO_PAD.encode([&family.0[..], &secret].concat()))))
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The text, for the one answer that carries it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What all refresh tokens of one grant have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FamilyHandle([u8; 16]);

impl FamilyHandle {
    pub(crate) fn fresh() -> Result<Self, RandomFault> {
        random().map(Self)
    }

    /// The family that a refresh token claims to be of.
    pub(crate) fn of_refresh(token: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(REFRESH)?).ok()?;
        let (family, secret) = bytes.split_first_chunk::<16>()?;
        (secret.len() == 32).then_some(Self(*family))
    }

    /// The name under which the grant is kept. A digest, so that the name alone makes no token of the family.
    pub(crate) fn id(&self) -> FamilyId {
        FamilyId(Digest::of(&self.0))
    }
}

/// Names a grant with all its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FamilyId(Digest);

impl FamilyId {
    pub(crate) fn key(&self) -> String {
        self.0.hex()
    }

    pub(crate) fn of_key(key: &str) -> Option<Self> {
        format!("sha256:{key}").parse().ok().map(Self)
    }
}

/// The id of a new client: public, and hard to guess.
pub(crate) fn client_id() -> Result<String, RandomFault> {
    Ok(format!("{CLIENT}{}", URL_SAFE_NO_PAD.encode(random::<16>()?)))
}

/// Whether a text has the form of an access token.
pub(crate) fn is_access(token: &str) -> bool {
    token.starts_with(ACCESS) && token.len() == ACCESS.len() + 43
}

fn random<const N: usize>() -> Result<[u8; N], RandomFault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| RandomFault)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_names_its_family() {
        let family = FamilyHandle::fresh().unwrap();
        let token = Secret::refresh(&family).unwrap();
        assert!(FamilyHandle::of_refresh(token.reveal()) == Some(family));
        assert!(FamilyId::of_key(&family.id().key()) == Some(family.id()));
        for bad in ["", "dgr_", "dgr_AAAA", "dga_AAAA", &token.reveal()[1..], &format!("{}A", token.reveal())]
        {
            assert!(FamilyHandle::of_refresh(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn secrets_differ_and_do_not_show_in_debug() {
        let (one, two) = (Secret::access().unwrap(), Secret::access().unwrap());
        assert_ne!(one, two);
        assert!(is_access(one.reveal()));
        assert_eq!(format!("{one:?}"), "Secret(..)");
    }
}
