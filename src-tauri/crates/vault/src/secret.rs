//! Bytes that must not be seen.

use secrecy::{ExposeSecret as _, SecretBox};
use subtle::ConstantTimeEq as _;

/// A secret in memory: wiped when dropped, never printed, never serialized, compared in constant time. Copies that other
/// libraries make of what [`SecretBytes::expose_secret`] lends are not wiped.
pub struct SecretBytes(SecretBox<Vec<u8>>);

impl SecretBytes {
    /// Lends the bytes. Whoever calls this must not let them reach a log, an error or a file.
    pub fn expose_secret(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// Lends the bytes as text; `None` where they are not UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(self.expose_secret()).ok()
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }
}

impl From<String> for SecretBytes {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&[u8]> for SecretBytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<&str> for SecretBytes {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl Clone for SecretBytes {
    fn clone(&self) -> Self {
        self.expose_secret().into()
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.expose_secret().ct_eq(other.expose_secret()).into()
    }
}

impl Eq for SecretBytes {}

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_lent_and_never_printed() {
        let secret = SecretBytes::from("hunter2");
        assert_eq!(secret, secret.clone());
        assert_ne!(secret, SecretBytes::from("hunter3"));
        assert_ne!(secret, SecretBytes::from("hunter"));
        assert_eq!(secret.expose_text(), Some("hunter2"));
        assert_eq!(SecretBytes::from(vec![0xff]).expose_text(), None);
        assert_eq!(format!("{secret:?}"), "SecretBytes(..)");
    }
}
