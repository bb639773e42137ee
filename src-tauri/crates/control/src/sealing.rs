//! Sealing shared secrets, and diagnostics that devices sent, at rest (XChaCha20-Poly1305): each under a key of its own, which is sealed under the master key, which is in no
//! database. The master key is in a file or the environment, or in a file that only Vault's transit engine opens.
//!
//! Seals are bound to the credential's id and version, or to the request that was answered, so that sealed bytes cannot be put in
//! another's place.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use model::{CredentialId, DeviceId, Digest};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::author::KeyFileFault;
use crate::credential::{StoredSource, TransitKey, WrappedKey};
use crate::store::{SealedCredential, SealedDiagnostics};

/// The environment variable that may hold the master key in base64.
pub const MASTER_KEY_VARIABLE: &str = "DESKGATE_MASTER_KEY";
/// The format versions of sealed bytes, their first one: a secret, and a source of secrets with what opens it. Neither can be put in the
/// other's place.
const SECRET: u8 = 3;
const SOURCE: u8 = 4;
/// The same of diagnostics.
const DIAGNOSTICS: u8 = 5;
/// The same as they were sealed before, by the master key itself; still read.
const BARE_SECRET: u8 = 1;
const BARE_SOURCE: u8 = 2;
/// The length of a nonce (XChaCha20-Poly1305).
const NONCE: usize = 24;
/// The length of a key that is sealed: the key, and the seal's tag.
const SEALED_KEY: usize = 32 + 16;

/// The key that seals secrets.
pub struct MasterKey {
    cipher: XChaCha20Poly1305,
    bytes: Zeroizing<[u8; 32]>,
}

/// What was sealed.
pub(crate) enum Opened {
    /// A secret.
    Secret(SecretString),
    /// Where a secret comes from.
    Source(Box<StoredSource>),
}

/// Why a secret was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealFault {
    /// The master key is not 32 bytes in base64.
    #[error("the master key is not 32 bytes in base64; make one with `key master`")]
    MasterKey,
    /// No master key was given.
    #[error("no master key was given: use --master-key or {MASTER_KEY_VARIABLE}; make one with `key master`")]
    NoMasterKey,
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileFault),
    /// What wraps it does not open it, or make it.
    #[error("the master key is wrapped by a transit engine: {0}")]
    Transit(String),
    /// Nobody is known at what wraps it.
    #[error("the transit engine asks for a token: use --vault-token or VAULT_TOKEN")]
    NoToken,
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The sealed bytes are of a format that is not known here.
    #[error("the sealed secret is of a format that this version cannot read")]
    Format,
    /// Another master key sealed it, or it was altered.
    #[error("the sealed secret does not open: another master key sealed it, or it was altered")]
    Opening,
}

impl MasterKey {
    /// Takes the key from a file, or else from the environment. One that is wrapped is opened by its engine, with the token in the file
    /// `token`, or else in the environment.
    ///
    /// # Errors
    /// A [`SealFault`].
    pub async fn load(file: Option<&Path>, token: Option<&Path>) -> Result<Self, SealFault> {
        let text = match file {
            Some(path) => crate::author::read_private(path)?,
            None => std::env::var(MASTER_KEY_VARIABLE).map_err(|_| SealFault::NoMasterKey)?,
        };
        let text = Zeroizing::new(text);
        match WrappedKey::parse(&text) {
            Some(wrapped) => {
                let opened = wrapped.opened(vault_token(token)?).await;
                Self::parse(&opened.map_err(|fault| SealFault::Transit(fault.to_string()))?)
            }
            None => Self::parse(&text),
        }
    }

    /// Has a transit engine make a key, and writes it to a file as only the engine opens it.
    ///
    /// # Errors
    /// A [`SealFault`]; an existing file is left alone.
    pub async fn create_wrapped(path: &Path, by: TransitKey, token: Option<&Path>) -> Result<(), SealFault> {
        refuse_existing(path)?;
        let wrapped = by.new_key(vault_token(token)?).await;
        let wrapped = wrapped.map_err(|fault| SealFault::Transit(fault.to_string()))?;
        let text = serde_json::to_string_pretty(&wrapped).map_err(|_| SealFault::Format)? + "\n";
        written(path, text.as_bytes())
    }

    /// Reads the key's text form.
    ///
    /// # Errors
    /// [`SealFault::MasterKey`].
    pub fn parse(text: &str) -> Result<Self, SealFault> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| SealFault::MasterKey)?);
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| SealFault::MasterKey)?;
        Ok(Self { cipher: cipher(&bytes), bytes: Zeroizing::new(bytes) })
    }

    /// A key for another purpose: the digest of the purpose and this key, which is uniformly random.
    pub(crate) fn derived(&self, purpose: &[u8]) -> Digest {
        Digest::of_parts(&[purpose, self.bytes.as_slice()])
    }

    /// Makes a key and writes its text form to a file that only its owner may read.
    ///
    /// # Errors
    /// A [`SealFault`]; an existing file is left alone.
    pub fn create(path: &Path) -> Result<(), SealFault> {
        refuse_existing(path)?;
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(SealFault::Random)?;
        let text = Zeroizing::new(STANDARD.encode(bytes.as_slice()) + "\n");
        written(path, text.as_bytes())
    }

    /// Seals a secret as the given version of a credential.
    ///
    /// # Errors
    /// A [`SealFault`].
    pub fn seal(
        &self,
        id: &CredentialId,
        version: u64,
        secret: &SecretString,
    ) -> Result<SealedCredential, SealFault> {
        let bound = bound_to(SECRET, id, version);
        let sealed = self.sealed(SECRET, &bound, secret.expose_secret().as_bytes())?;
        Ok(SealedCredential { version, sealed, source: None })
    }

    /// Seals a source of secrets, with what opens it, as the given version of a credential.
    ///
    /// # Errors
    /// A [`SealFault`].
    pub(crate) fn seal_source(
        &self,
        id: &CredentialId,
        version: u64,
        source: &StoredSource,
    ) -> Result<SealedCredential, SealFault> {
        let json = Zeroizing::new(serde_json::to_vec(source).map_err(|_| SealFault::Format)?);
        let sealed = self.sealed(SOURCE, &bound_to(SOURCE, id, version), &json)?;
        Ok(SealedCredential { version, sealed, source: Some(source.spec.to_string()) })
    }

    /// Seals what a device sent in answer to a request.
    ///
    /// # Errors
    /// A [`SealFault`].
    pub(crate) fn seal_diagnostics(
        &self,
        of: (u64, DeviceId),
        archive: &[u8],
    ) -> Result<SealedDiagnostics, SealFault> {
        let sha256 = Digest::of(archive);
        let bytes = u64::try_from(archive.len()).map_err(|_| SealFault::Format)?;
        let sealed = self.sealed(DIAGNOSTICS, &answer_to(of, &sha256), archive)?;
        Ok(SealedDiagnostics { sha256, bytes, sealed })
    }

    /// Opens it again.
    ///
    /// # Errors
    /// A [`SealFault`].
    pub(crate) fn open_diagnostics(
        &self,
        of: (u64, DeviceId),
        kept: &SealedDiagnostics,
    ) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        match kept.sealed.split_first() {
            Some((&DIAGNOSTICS, rest)) => self.opened(rest, &answer_to(of, &kept.sha256)),
            Some(_) | None => Err(SealFault::Format),
        }
    }

    fn sealed(&self, format: u8, bound: &[u8], text: &[u8]) -> Result<Vec<u8>, SealFault> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(SealFault::Random)?;
        let sealed_key = enclosed(&self.cipher, key.as_slice(), bound)?;
        let sealed = enclosed(&cipher(&key), text, bound)?;
        Ok([&[format], sealed_key.as_slice(), &sealed].concat())
    }

    fn opened(&self, sealed: &[u8], bound: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        let (key, rest) = sealed.split_at_checked(NONCE + SEALED_KEY).ok_or(SealFault::Format)?;
        let key = disclosed(&self.cipher, key, bound)?;
        let key = <&[u8; 32]>::try_from(key.as_slice()).map_err(|_| SealFault::Format)?;
        disclosed(&cipher(key), rest, bound)
    }

    /// Opens what was sealed.
    ///
    /// # Errors
    /// A [`SealFault`].
    pub(crate) fn open(&self, id: &CredentialId, credential: &SealedCredential) -> Result<Opened, SealFault> {
        let (format, rest) = credential.sealed.split_first().ok_or(SealFault::Format)?;
        let bound = bound_to(*format, id, credential.version);
        let opened = match *format {
            BARE_SECRET | BARE_SOURCE => disclosed(&self.cipher, rest, &bound)?,
            SECRET | SOURCE => self.opened(rest, &bound)?,
            _ => return Err(SealFault::Format),
        };
        if matches!(*format, SOURCE | BARE_SOURCE) {
            return serde_json::from_slice(&opened)
                .map(|stored| Opened::Source(Box::new(stored)))
                .map_err(|_| SealFault::Format);
        }
        let text = std::str::from_utf8(&opened).map_err(|_| SealFault::Format)?;
        Ok(Opened::Secret(SecretString::from(text)))
    }
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// A nonce, and the sealed text.
fn enclosed(cipher: &XChaCha20Poly1305, text: &[u8], bound: &[u8]) -> Result<Vec<u8>, SealFault> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(SealFault::Random)?;
    let payload = Payload { msg: text, aad: bound };
    let sealed = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealFault::Opening)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn disclosed(
    cipher: &XChaCha20Poly1305,
    sealed: &[u8],
    bound: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealFault> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(SealFault::Format)?;
    let payload = Payload { msg: sealed, aad: bound };
    cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| SealFault::Opening)
}

fn refuse_existing(path: &Path) -> Result<(), SealFault> {
    if path.exists() { Err(KeyFileFault::Exists { path: path.to_owned() }.into()) } else { Ok(()) }
}

fn written(path: &Path, text: &[u8]) -> Result<(), SealFault> {
    os::write_durable(path, text)
        .map_err(|source| KeyFileFault::File { path: path.to_owned(), source }.into())
}

/// The token for Vault, in a file that only its owner may read, or in the variable that Vault's own program takes.
fn vault_token(file: Option<&Path>) -> Result<SecretString, SealFault> {
    let text = match file {
        Some(path) => crate::author::read_private(path)?,
        None => std::env::var("VAULT_TOKEN").map_err(|_| SealFault::NoToken)?,
    };
    let text = Zeroizing::new(text);
    if text.trim().is_empty() { Err(SealFault::NoToken) } else { Ok(SecretString::from(text.trim())) }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

fn bound_to(format: u8, id: &CredentialId, version: u64) -> Vec<u8> {
    format!("deskgate/credential/v{format}\0{id}\0{version}").into_bytes()
}

fn answer_to((request, device): (u64, DeviceId), sha256: &Digest) -> Vec<u8> {
    format!("deskgate/diagnostics/v{DIAGNOSTICS}\0{request}\0{device}\0{sha256}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> MasterKey {
        MasterKey::parse(&STANDARD.encode([seed; 32])).expect("a key")
    }

    fn id(text: &str) -> CredentialId {
        text.parse().expect("an id")
    }

    #[test]
    fn what_is_sealed_opens_only_in_its_place() {
        let sealed = key(1).seal(&id("a"), 1, &SecretString::from("pässword")).expect("seals");
        assert!(!String::from_utf8_lossy(&sealed.sealed).contains("ssword"));
        let Opened::Secret(secret) = key(1).open(&id("a"), &sealed).expect("opens") else {
            panic!("a source")
        };
        assert_eq!(secret.expose_secret(), "pässword");
        let mut source = sealed.clone();
        source.sealed[0] = SOURCE;
        assert!(matches!(key(1).open(&id("a"), &source), Err(SealFault::Opening)), "a secret is no source");

        assert!(matches!(key(1).open(&id("b"), &sealed), Err(SealFault::Opening)), "another credential");
        let later = SealedCredential { version: 2, ..sealed.clone() };
        assert!(matches!(key(1).open(&id("a"), &later), Err(SealFault::Opening)), "another version");
        assert!(matches!(key(2).open(&id("a"), &sealed), Err(SealFault::Opening)), "another key");
        let mut altered = sealed.clone();
        *altered.sealed.last_mut().expect("bytes") ^= 1;
        assert!(matches!(key(1).open(&id("a"), &altered), Err(SealFault::Opening)));
        let newer = SealedCredential { sealed: vec![5; 160], ..sealed.clone() };
        assert!(matches!(key(1).open(&id("a"), &newer), Err(SealFault::Format)));
        let cut = SealedCredential { sealed: vec![1; 5], ..sealed };
        assert!(matches!(key(1).open(&id("a"), &cut), Err(SealFault::Format)));
    }

    #[test]
    fn what_was_sealed_before_keys_had_keys_of_their_own_still_opens() {
        let bound = bound_to(BARE_SECRET, &id("a"), 1);
        let bare = enclosed(&key(1).cipher, b"an old secret", &bound).expect("seals");
        let sealed = [&[BARE_SECRET], bare.as_slice()].concat();
        let stored = SealedCredential { version: 1, sealed, source: None };
        let Opened::Secret(secret) = key(1).open(&id("a"), &stored).expect("opens") else {
            panic!("a source")
        };
        assert_eq!(secret.expose_secret(), "an old secret");
        let mut raised = stored;
        raised.sealed[0] = SECRET;
        assert!(key(1).open(&id("a"), &raised).is_err(), "and is nothing else");
    }

    #[test]
    fn diagnostics_open_only_as_the_answer_that_they_were() {
        let of = (3, DeviceId::new());
        let kept = key(1).seal_diagnostics(of, b"what a device sent").expect("seals");
        assert_eq!((kept.sha256, kept.bytes), (Digest::of(b"what a device sent"), 18));
        assert!(!String::from_utf8_lossy(&kept.sealed).contains("device"));
        assert_eq!(key(1).open_diagnostics(of, &kept).expect("opens").as_slice(), b"what a device sent");
        let opens = |key: MasterKey, of, kept: &SealedDiagnostics| key.open_diagnostics(of, kept).is_ok();
        assert!(!opens(key(2), of, &kept), "another key");
        assert!(!opens(key(1), (4, of.1), &kept), "another request");
        assert!(!opens(key(1), (3, DeviceId::new()), &kept), "another device");
        let other = SealedDiagnostics { sha256: Digest::of(b""), ..kept.clone() };
        assert!(!opens(key(1), of, &other), "another digest");
        let mut altered = kept.clone();
        *altered.sealed.last_mut().expect("bytes") ^= 1;
        assert!(!opens(key(1), of, &altered));
        let later = SealedDiagnostics { sealed: vec![6; 200], ..kept };
        assert!(matches!(key(1).open_diagnostics(of, &later), Err(SealFault::Format)));
    }

    #[tokio::test]
    async fn the_key_s_file_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("master");
        MasterKey::create(&path).expect("makes");
        MasterKey::load(Some(&path), None).await.expect("reads");
        assert!(matches!(MasterKey::create(&path), Err(SealFault::File(KeyFileFault::Exists { .. }))));
        assert!(matches!(MasterKey::parse("c2hvcnQ="), Err(SealFault::MasterKey)));
    }
}
