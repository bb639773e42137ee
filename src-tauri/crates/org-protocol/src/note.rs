//! Signed notes (C2SP `signed-note`): a few lines of text with Ed25519 signatures below, which other programs check, too.
//!
//! No library: the one there is rests on an `ed25519-dalek` of its own, and the format is a page long.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Digest;

use crate::{PublicKey, SigningKey};

/// The signature type of Ed25519.
const ED25519: u8 = 1;

/// What begins a line with a signature: an em dash and a space.
const SIGNATURE: &str = "\u{2014} ";

/// Why a text is no note, no key, or not signed by this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// Not a verifier key: `NAME+HASH+KEY`.
    #[error("not a verifier key (NAME+HASH+KEY)")]
    Key,
    /// Not a name of a key: it is empty, or has white space or a plus sign.
    #[error("not a name that a key may have")]
    Name,
    /// The text has no signature below an empty line.
    #[error("not a signed note")]
    Malformed,
    /// No signature below is by this key.
    #[error("it is not signed by {0}")]
    Unsigned(String),
}

/// Who signs notes: a name and a public key. Written `NAME+HASH+KEY`, the hash in hexadecimal digits and the key in Base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    key: PublicKey,
}

impl NoteKey {
    /// The key of this name.
    ///
    /// # Errors
    /// [`NoteFault::Name`].
    pub fn new(name: &str, key: PublicKey) -> Result<Self, NoteFault> {
        let is_good = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+');
        if is_good { Ok(Self { name: name.to_owned(), key }) } else { Err(NoteFault::Name) }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn typed(&self) -> [u8; 33] {
        let mut bytes = [ED25519; 33];
        bytes[1..].copy_from_slice(&self.key.to_bytes());
        bytes
    }

    /// Which key signed, in four bytes: a hint that collides where somebody wants it to.
    fn hint(&self) -> [u8; 4] {
        let mut text = format!("{}\n", self.name).into_bytes();
        text.extend(self.typed());
        let digest = Digest::of(&text);
        let mut hint = [0; 4];
        hint.copy_from_slice(&digest.as_bytes()[..4]);
        hint
    }

    /// The note's text, which ends with a line end, where one of its signatures is by this key.
    ///
    /// # Errors
    /// [`NoteFault::Malformed`], [`NoteFault::Unsigned`].
    pub fn open<'n>(&self, note: &'n str) -> Result<&'n str, NoteFault> {
        let (text, signatures) = split(note).ok_or(NoteFault::Malformed)?;
        let is_ours = |line: &str| {
            let (name, signature) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
            let bytes = STANDARD.decode(signature).ok()?;
            let (hint, signature) = bytes.split_first_chunk::<4>()?;
            let is_named = name == self.name && *hint == self.hint();
            (is_named && self.key.verifies(text.as_bytes(), signature)).then_some(())
        };
        let signed = signatures.lines().any(|line| is_ours(line).is_some());
        if signed { Ok(text) } else { Err(NoteFault::Unsigned(self.name.clone())) }
    }
}

impl std::fmt::Display for NoteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{}+{}", self.name, hex::encode(self.hint()), STANDARD.encode(self.typed()))
    }
}

impl std::str::FromStr for NoteKey {
    type Err = NoteFault;

    fn from_str(written: &str) -> Result<Self, NoteFault> {
        let (name, rest) = written.split_once('+').ok_or(NoteFault::Key)?;
        let (hint, key) = rest.split_once('+').ok_or(NoteFault::Key)?;
        let bytes = STANDARD.decode(key).map_err(|_| NoteFault::Key)?;
        let (&[ED25519, ref key @ ..], []) = bytes.split_first_chunk::<33>().ok_or(NoteFault::Key)? else {
            return Err(NoteFault::Key);
        };
        let key = PublicKey::from_bytes(key).map_err(|_| NoteFault::Key)?;
        let key = Self::new(name, key)?;
        if hex::encode(key.hint()) == hint { Ok(key) } else { Err(NoteFault::Key) }
    }
}

/// Signs a text that ends with a line end, as the key of this name.
///
/// # Errors
/// [`NoteFault::Name`]; [`NoteFault::Malformed`] where the text has another end or an empty line, so that two texts might be read of it.
pub fn sign_note(text: &str, name: &str, key: &SigningKey) -> Result<String, NoteFault> {
    if !text.ends_with('\n') || text.contains("\n\n") {
        return Err(NoteFault::Malformed);
    }
    let public = NoteKey::new(name, key.public())?;
    let mut signature = public.hint().to_vec();
    signature.extend(key.sign(text.as_bytes()));
    Ok(format!("{text}\n{SIGNATURE}{name} {}\n", STANDARD.encode(signature)))
}

/// The text, and the lines of signatures. Nothing is checked.
fn split(note: &str) -> Option<(&str, &str)> {
    let at = note.rfind("\n\n")?;
    let (text, signatures) = note.split_at(at + 1);
    let signatures = signatures.get(1..)?;
    (signatures.ends_with('\n') && signatures.lines().all(|line| line.starts_with(SIGNATURE)))
        .then_some((text, signatures))
}

/// What a note says, whoever signed it.
///
/// # Errors
/// [`NoteFault::Malformed`].
pub fn unverified_note(note: &str) -> Result<&str, NoteFault> {
    split(note).map(|(text, _)| text).ok_or(NoteFault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the Go package golang.org/x/mod/sumdb/note, which C2SP's text refers to.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
         then you don't know what your problem is.\n\n\
         \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn what_others_signed_is_read() {
        let key: NoteKey = KEY.parse().unwrap();
        assert_eq!(key.to_string(), KEY);
        assert!(key.open(NOTE).unwrap().ends_with("your problem is.\n"));
    }

    #[test]
    fn what_was_changed_is_not_read() {
        let key: NoteKey = KEY.parse().unwrap();
        for (from, to) in
            [("answer", "cause"), ("x08go", "x08gp"), ("— Peter", "- Peter"), ("Neumann x", "Neuman x")]
        {
            assert!(key.open(&NOTE.replace(from, to)).is_err(), "{to}");
        }
        assert_eq!(KEY.replace("c74f20a3", "c74f20a4").parse::<NoteKey>(), Err(NoteFault::Key));
    }

    #[test]
    fn what_is_signed_here_is_read_with_its_key_and_no_other() {
        let keys = [1, 2].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let [ours, other] = keys.each_ref().map(|key| NoteKey::new("here", key.public()).unwrap());
        let note = sign_note("one\ntwo\n", "here", &keys[0]).unwrap();
        assert_eq!(ours.open(&note).unwrap(), "one\ntwo\n");
        assert_eq!(other.open(&note), Err(NoteFault::Unsigned("here".to_owned())));
        assert_eq!(unverified_note(&note).unwrap(), "one\ntwo\n");
        assert_eq!(sign_note("one\n\ntwo\n", "here", &keys[0]), Err(NoteFault::Malformed));
    }
}
