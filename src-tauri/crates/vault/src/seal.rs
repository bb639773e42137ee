//! The one root key, the keys derived from it, and the format of a sealed file.
//!
//! A sealed file is `dgvault`, the format version (1 byte), the generation (8 bytes, big endian), a random nonce
//! (24 bytes) and the XChaCha20-Poly1305 ciphertext. Kind, name, format and generation are authenticated with it, so
//! that no sealed file can stand in for another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, Generate as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::SecretBytes;

const MAGIC: &[u8; 7] = b"dgvault";
const FORMAT: u8 = 1;
const HEADER: usize = MAGIC.len() + 1 + 8 + 24;
const ENTRY: &str = "deskgate-vault-key:1:";

/// The key that only the keychain holds at rest.
pub(crate) struct RootKey(Zeroizing<[u8; 32]>);

impl RootKey {
    pub(crate) fn generate() -> Self {
        Self(Zeroizing::new(chacha20poly1305::Key::generate().into()))
    }

    /// Reads the keychain entry; `None` where it is not ours or of another format.
    pub(crate) fn from_entry(entry: &SecretBytes) -> Option<Self> {
        let encoded = entry.expose_text()?.strip_prefix(ENTRY)?;
        let decoded = Zeroizing::new(STANDARD.decode(encoded).ok()?);
        Some(Self(Zeroizing::new(decoded.as_slice().try_into().ok()?)))
    }

    pub(crate) fn to_entry(&self) -> SecretBytes {
        // Room for all of it: growing would leave a copy behind.
        let mut entry = String::with_capacity(ENTRY.len() + 44);
        entry.push_str(ENTRY);
        STANDARD.encode_string(*self.0, &mut entry);
        entry.into()
    }

    /// A key for one purpose (HKDF-SHA256, RFC 5869).
    pub(crate) fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        #[expect(clippy::expect_used, reason = "RFC 5869 allows up to 255 * 32 bytes")]
        Hkdf::<Sha256>::new(None, &*self.0)
            .expand_multi_info(&[b"deskgate vault 1 ", purpose.as_bytes()], &mut *key)
            .expect("32 bytes are a valid length");
        key
    }

    fn cipher(&self, place: &Place<'_>) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.derive(&format!("seal {}", place.kind))).into())
    }

    /// Seals `plain` for one place and generation.
    pub(crate) fn seal(&self, place: &Place<'_>, generation: u64, plain: &[u8]) -> Vec<u8> {
        let nonce = XNonce::generate();
        let payload = Payload { msg: plain, aad: &place.bound(FORMAT, generation) };
        #[expect(clippy::expect_used, reason = "the limit is 256 GiB")]
        let sealed = self.cipher(place).encrypt(&nonce, payload).expect("records are small");
        let mut file = Vec::with_capacity(HEADER + sealed.len());
        file.extend_from_slice(MAGIC);
        file.push(FORMAT);
        file.extend_from_slice(&generation.to_be_bytes());
        file.extend_from_slice(&nonce);
        file.extend_from_slice(&sealed);
        file
    }

    /// Opens what [`RootKey::seal`] made for the same place; gives the generation and the plain bytes.
    pub(crate) fn open(&self, place: &Place<'_>, file: &[u8]) -> Option<(u64, Zeroizing<Vec<u8>>)> {
        let rest = file.strip_prefix(MAGIC)?.strip_prefix(&[FORMAT])?;
        let (generation, rest) = rest.split_first_chunk::<8>()?;
        let (nonce, sealed) = rest.split_first_chunk::<24>()?;
        let generation = u64::from_be_bytes(*generation);
        let payload = Payload { msg: sealed, aad: &place.bound(FORMAT, generation) };
        let plain = self.cipher(place).decrypt(&XNonce::from(*nonce), payload).ok()?;
        Some((generation, Zeroizing::new(plain)))
    }
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(..)")
    }
}

/// Where a sealed file belongs: its kind's name and its own.
pub(crate) struct Place<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
}

impl Place<'_> {
    // Neither part can hold a bar: kinds are fixed words and names are hexadecimal digits.
    fn bound(&self, format: u8, generation: u64) -> Vec<u8> {
        format!("{}|{}|{format}|{generation}", self.kind, self.name).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place<'static> = Place { kind: "grant", name: "00" };

    #[test]
    fn the_keychain_entry_is_read_back() {
        let root = RootKey::generate();
        let again = RootKey::from_entry(&root.to_entry()).unwrap();
        assert_eq!(*again.0, *root.0);
        for other in
            ["", "deskgate-vault-key:2:AAAA", "deskgate-vault-key:1:AAAA", "deskgate-vault-key:1:***"]
        {
            assert!(RootKey::from_entry(&SecretBytes::from(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn keys_differ_by_purpose_and_by_root() {
        let (one, two) = (RootKey::generate(), RootKey::generate());
        assert_ne!(one.derive("a"), one.derive("b"));
        assert_ne!(one.derive("a"), two.derive("a"));
        assert_eq!(one.derive("a"), one.derive("a"));
    }

    #[test]
    fn a_sealed_file_opens_at_its_own_place_only() {
        let root = RootKey::generate();
        let file = root.seal(&PLACE, 7, b"secret");
        assert_eq!(root.open(&PLACE, &file), Some((7, Zeroizing::new(b"secret".to_vec()))));
        assert_eq!(root.open(&Place { kind: "client", ..PLACE }, &file), None);
        assert_eq!(root.open(&Place { name: "01", ..PLACE }, &file), None);
        assert_eq!(RootKey::generate().open(&PLACE, &file), None);
    }

    proptest! {
        #[test]
        fn any_changed_or_missing_byte_is_noticed(plain: Vec<u8>, at: prop::sample::Index, bit in 0..8_u32) {
            let root = RootKey::generate();
            let file = root.seal(&PLACE, 1, &plain);
            let mut changed = file.clone();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            prop_assert_eq!(root.open(&PLACE, &changed), None);
            prop_assert_eq!(root.open(&PLACE, &file[..at]), None);
            prop_assert!(!contains(&file, &plain), "the secret lies open in the file");
        }
    }

    fn contains(file: &[u8], plain: &[u8]) -> bool {
        plain.len() >= 8 && file.windows(plain.len()).any(|window| window == plain)
    }
}
