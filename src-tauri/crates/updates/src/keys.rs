//! The publisher's keys.

use minisign_verify::{PublicKey, Signature};

/// The keys that are compiled into the program: base64 of minisign's public keys, with blanks between them where a later key is already
/// known. Nothing at run time puts others in their place.
const COMPILED: Option<&str> = option_env!("DESKGATE_UPDATE_KEY");

/// The keys of which one must have signed a release.
#[derive(Debug, Clone)]
pub struct Keys(Vec<PublicKey>);

/// A text is not the base64 of minisign public keys.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the text {0:?} is not the base64 of a minisign public key")]
pub struct KeysFault(String);

impl Keys {
    /// The keys that count for the program: those that are compiled in. A debug build, which nobody is given, takes others from its
    /// environment, so that updates can be tried with a key of the moment.
    pub fn of_program() -> Self {
        #[cfg(debug_assertions)]
        if let Some(keys) =
            std::env::var("DESKGATE_DEBUG_UPDATE_KEY").ok().and_then(|text| Self::of(&text).ok())
        {
            return keys;
        }
        Self::compiled()
    }

    /// The keys that are compiled in. None where it was built without, or with what is no key: then no release is believed.
    fn compiled() -> Self {
        COMPILED.and_then(|text| Self::of(text).ok()).unwrap_or(Self(Vec::new()))
    }

    /// The keys in a text, with blanks between them.
    ///
    /// # Errors
    /// [`KeysFault`] for the first that is none.
    pub fn of(text: &str) -> Result<Self, KeysFault> {
        let key = |text: &str| PublicKey::from_base64(text).map_err(|_| KeysFault(text.to_owned()));
        text.split_whitespace().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none, so that nothing can be verified.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the keys has signed these bytes, in minisign's present form only.
    pub(crate) fn have_signed(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.0.iter().any(|key| key.verify(bytes, signature, false).is_ok())
    }
}
