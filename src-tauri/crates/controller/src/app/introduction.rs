//! A person says that an organisation which nobody introduced is theirs: in the window, or over the local socket.

use std::sync::Arc;

use model::Advice;
use org_protocol::RootFingerprint;

use super::membership::SignIn;

/// Takes what a person was told by their IT department. Clones are the same.
#[derive(Clone)]
pub struct Introduction(Option<Arc<SignIn>>);

impl Introduction {
    pub(crate) fn of(sign_in: Option<Arc<SignIn>>) -> Self {
        Self(sign_in)
    }

    /// Takes the organisation that was met for theirs, if this is its fingerprint; blanks and capital letters do not matter.
    ///
    /// # Errors
    /// The words; nothing is confirmed.
    pub async fn confirm(&self, told: &str) -> Result<RootFingerprint, Advice> {
        let sign_in = self.0.as_ref().ok_or_else(nobody)?;
        let told: String = told.split_whitespace().collect();
        let fingerprint = told.to_ascii_lowercase().parse().map_err(|_| no_fingerprint())?;
        sign_in.confirm(fingerprint).await?;
        Ok(fingerprint)
    }
}

impl std::fmt::Debug for Introduction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Introduction")
    }
}

fn nobody() -> Advice {
    Advice::new(
        "no-organisation",
        "This Deskgate belongs to no organisation.",
        "There is nothing to confirm.",
        "",
    )
}

fn no_fingerprint() -> Advice {
    Advice::new(
        "no-fingerprint",
        "This is no fingerprint: it has to be sha256: and 64 digits and letters from a to f.",
        "Nothing was confirmed.",
        "Copy the whole of what your IT department gave you.",
    )
}
