//! SHA-256 digests, written `sha256:<hex>`.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest (FIPS 180-4).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String", extend("pattern" = "^sha256:[0-9a-f]{64}$")))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest([u8; 32]);

/// What the text form begins with.
const PREFIX: &str = "sha256:";

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestFault {
    /// The text does not begin with `sha256:`.
    #[error("a digest begins with sha256:")]
    Algorithm,
    /// What follows is not 64 hexadecimal digits.
    #[error("a digest has 64 hexadecimal digits")]
    Hex,
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of all that can be read.
    ///
    /// # Errors
    /// Whatever reading gives.
    pub fn of_all(mut from: impl std::io::Read) -> std::io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut part = vec![0; 64 * 1024];
        loop {
            match from.read(&mut part)? {
                0 => return Ok(Self(hasher.finalize().into())),
                read => hasher.update(part.get(..read).unwrap_or_default()),
            }
        }
    }

    /// The digest of several parts, each preceded by its length, so that no two part lists collide.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Takes 32 bytes that are already a digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The bare hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Hands out the text form without allocating: every record of a call has several.
    fn with_text<T>(&self, take: impl FnOnce(&str) -> T) -> T {
        let mut text = [0; PREFIX.len() + 64];
        let (prefix, digits) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        // Twice as many digits as bytes, so this cannot fail.
        let _fits = hex::encode_to_slice(self.0, digits);
        take(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.with_text(|text| f.pad(text))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = DigestFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix(PREFIX).ok_or(DigestFault::Algorithm)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| DigestFault::Hex)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestFault;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_read_back() {
        let digest = Digest::of(b"abc");
        assert_eq!(
            digest.to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "FIPS 180-4 example"
        );
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("md5:00".parse::<Digest>(), Err(DigestFault::Algorithm));
        assert_eq!("sha256:zz".parse::<Digest>(), Err(DigestFault::Hex));
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(Digest::of_parts(&[b"ab", b"c"]), Digest::of_parts(&[b"a", b"bc"]));
    }
}
