//! Organisations that nobody has introduced: without a fingerprint that was set beforehand, the first one that answers at the
//! configuration URL is taken for it, and for no other afterwards. What it may have done on this computer waits for a person who
//! has compared the fingerprint with what IT said.

use model::{Advice, ForPerson};
use org_protocol::{RootFingerprint, TrustState};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use vault::Kind;

use crate::{Inner, Org, OrgFault};

/// The key in the vault.
const MET: &str = "met";
const FORMAT: u32 = 1;

/// By whom an organisation was introduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// IT, or a person: this is its fingerprint.
    Pinned(RootFingerprint),
    /// Nobody: it is whoever answers first.
    FirstMet,
}

/// Which organisation this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meeting {
    /// The fingerprint of its root keys.
    pub fingerprint: RootFingerprint,
    /// Whether the fingerprint was set beforehand, or compared by a person.
    pub confirmed: bool,
}

/// Why a fingerprint confirms nothing.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// It is another organisation's.
    #[error("the organisation that was met has the fingerprint {met}")]
    Other {
        /// Whose was met.
        met: RootFingerprint,
    },
    /// None was met yet.
    #[error("no organisation was met yet")]
    NotMet,
    /// It cannot be kept.
    #[error("it cannot be kept")]
    Vault(#[from] OrgFault),
}

impl ForPerson for TrustFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Other { met } => Advice::new(
                "fingerprint-differs",
                format!("The organisation that Deskgate has met has another fingerprint: {met}."),
                "Somebody else may answer at its address. Nothing was confirmed.",
                "Copy the fingerprint that your IT department gave you once more. If it still differs, tell them, and take the organisation out of your settings.",
            ),
            Self::NotMet => Advice::new(
                "org-not-met",
                "Deskgate has not met an organisation yet.",
                "",
                "Check the address in your settings and the network connection.",
            ),
            Self::Vault(fault) => fault.advice(),
        }
    }
}

/// As it rests in the vault.
#[derive(Serialize, Deserialize)]
struct Met {
    format: u32,
    /// Where it was met: at another address it is another.
    config_url: String,
    fingerprint: RootFingerprint,
    confirmed: bool,
}

impl Anchor {
    /// What is known before anybody answers.
    pub(crate) fn known(self) -> Option<Meeting> {
        match self {
            Self::Pinned(fingerprint) => Some(Meeting { fingerprint, confirmed: true }),
            Self::FirstMet => None,
        }
    }
}

impl Org {
    /// Which organisation this is, as soon as that is known, and whether it was confirmed.
    pub fn meeting(&self) -> watch::Receiver<Option<Meeting>> {
        self.0.met.subscribe()
    }

    /// A person has compared: this is what IT said. Kept when this returns.
    ///
    /// # Errors
    /// A [`TrustFault`]; nothing is confirmed.
    pub async fn confirm(&self, fingerprint: RootFingerprint) -> Result<(), TrustFault> {
        let Some(met) = *self.0.met.borrow() else { return Err(TrustFault::NotMet) };
        if met.fingerprint != fingerprint {
            return Err(TrustFault::Other { met: met.fingerprint });
        }
        if !met.confirmed {
            self.0.remember(Meeting { confirmed: true, ..met }).await?;
        }
        Ok(())
    }
}

impl Inner {
    /// The fingerprint by which the organisation is recognised, if it was met or introduced.
    pub(crate) fn fingerprint(&self) -> Option<RootFingerprint> {
        self.met.borrow().map(|met| met.fingerprint)
    }

    /// Takes up who was met before.
    pub(crate) async fn recall_meeting(&self) {
        if self.anchor != Anchor::FirstMet || self.met.borrow().is_some() {
            return;
        }
        let stored = match self.vault.get(Kind::Ratchet, MET).await {
            Ok(stored) => stored,
            Err(fault) => {
                tracing::warn!(%fault, "which organisation was met cannot be read");
                return;
            }
        };
        let met = stored.and_then(|stored| serde_json::from_slice::<Met>(stored.expose_secret()).ok());
        let here = |met: &Met| met.format == FORMAT && met.config_url == self.wire.base().as_str();
        if let Some(Met { fingerprint, confirmed, .. }) = met.filter(here) {
            self.met.send_replace(Some(Meeting { fingerprint, confirmed }));
        }
    }

    /// By what the organisation is recognised: as it was introduced, or as it was met, which is now if it never was.
    pub(crate) async fn recognised(&self, root: &[u8]) -> Result<RootFingerprint, OrgFault> {
        if let Some(fingerprint) = self.fingerprint() {
            return Ok(fingerprint);
        }
        let fingerprint = TrustState::fingerprint_of(root)?;
        tracing::warn!(%fingerprint, "an organisation is met that nobody has introduced");
        self.remember(Meeting { fingerprint, confirmed: false }).await?;
        Ok(fingerprint)
    }

    async fn remember(&self, met: Meeting) -> Result<(), OrgFault> {
        let Meeting { fingerprint, confirmed } = met;
        let config_url = self.wire.base().to_string();
        let kept = Met { format: FORMAT, config_url, fingerprint, confirmed };
        let json = serde_json::to_vec(&kept).map_err(|fault| OrgFault::Unusable(fault.to_string()))?;
        self.vault.put(Kind::Ratchet, MET, &json).await?;
        self.met.send_replace(Some(met));
        Ok(())
    }
}
