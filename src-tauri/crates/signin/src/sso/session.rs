//! A session, and its form at rest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use claims::Verified;
use model::{Advice, Digest, Subject, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use vault::SecretBytes;

use super::provider::Provider;
use crate::renewal::Kept;
use crate::{FaultKind, Life, seal, sealed_text, unseal};

/// The format version of [`Record`] that is written and read.
const FORMAT: u32 = 1;

/// Somebody is signed in at the organisation's identity provider. Clones share it.
#[derive(Debug, Clone)]
pub struct Session(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) known: Known,
    pub(super) refresh: Option<SecretString>,
    pub(super) access: Option<SecretString>,
    pub(super) life: Life,
    pub(super) uses: u8,
}

/// Who is known by which ID token.
#[derive(Debug, Clone)]
pub(super) struct Known {
    subject: Subject,
    id_token: SecretString,
    expires: Timestamp,
    nonce: Option<String>,
    lacks: Lacks,
    /// Whether the groups are in the provider's directory.
    pub(super) in_directory: bool,
}

/// What the provider says of somebody that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lacks {
    /// The declared claims that have another type.
    claims: BTreeSet<String>,
    /// The groups are not in the token, and were not found elsewhere.
    groups: bool,
}

impl Known {
    /// What this token says. `groups` are those that were found elsewhere, where they are not in the token.
    pub(super) fn by(verified: Verified, id_token: SecretString, groups: Option<BTreeSet<String>>) -> Self {
        let Verified { mut subject, expires, nonce, misfits, groups_elsewhere, .. } = verified;
        let in_directory = groups_elsewhere.is_some();
        let lacks = Lacks { claims: misfits, groups: in_directory && groups.is_none() };
        if in_directory {
            subject.groups = groups.unwrap_or_default();
        }
        Self { subject, id_token, expires, nonce, lacks, in_directory }
    }

    /// What was known before.
    pub(super) fn of(session: &Session) -> Self {
        session.0.known.clone()
    }
}

impl Session {
    /// Who, as the ID token says.
    pub fn subject(&self) -> &Subject {
        &self.0.known.subject
    }

    /// The ID token as it was received: what the control plane verifies for itself.
    pub fn id_token(&self) -> &SecretString {
        &self.0.known.id_token
    }

    /// When the ID token ends.
    pub fn expires(&self) -> Timestamp {
        self.0.known.expires
    }

    /// The access token, while the person's groups are in the provider's directory: whoever verifies the ID token for itself
    /// looks them up with it. It is never kept.
    pub fn directory_access(&self) -> Option<&SecretString> {
        self.0.access.as_ref()
    }

    /// What a person should know of what could not be read of them.
    pub(super) fn lacks(&self) -> Option<Advice> {
        let Lacks { claims, groups } = &self.0.known.lacks;
        if *groups {
            return Some(Advice::new(
                "groups-unknown",
                "It could not be found out which groups you are in.",
                "What is only for a group is refused to you meanwhile.",
                "It is tried again when your sign-in is renewed. If it stays so, tell your IT department.",
            ));
        }
        if claims.is_empty() {
            return None;
        }
        let names: Vec<&str> = claims.iter().map(String::as_str).collect();
        Some(Advice::new(
            "claims-left-out",
            format!(
                "Your sign-in says something in another form than your organisation expects: {}.",
                names.join(", ")
            ),
            "It is left out: rules about it do not know you.",
            "Tell your IT department.",
        ))
    }

    /// The nonce within the ID token. A provider may leave it out when it renews.
    pub fn nonce(&self) -> Option<&str> {
        self.0.known.nonce.as_deref()
    }

    /// The sealed form, with the number of uses of the refresh token whose answers are not known.
    pub(super) fn seal(&self, provider: &Provider, uses: u8) -> Result<SecretBytes, FaultKind> {
        let inner = &*self.0;
        let known = inner.known.clone();
        seal(&Record {
            format: FORMAT,
            issuer: provider.issuer().to_owned(),
            client_id: provider.settings.client_id.clone(),
            subject: known.subject,
            id_token: known.id_token,
            expires: known.expires,
            nonce: known.nonce,
            lacks: known.lacks,
            refresh_token: inner.refresh.clone(),
            received: inner.life.received(),
            lasts_seconds: inner.life.lasts().map(|lasts| lasts.as_secs()),
            uses,
        })
    }

    /// Reads it back, if it is of this provider.
    pub(super) fn unseal(bytes: &SecretBytes, provider: &Provider) -> Option<Self> {
        let record: Record = unseal(bytes)?;
        let ours = record.format == FORMAT
            && record.issuer == provider.issuer()
            && record.client_id == provider.settings.client_id;
        ours.then(|| {
            Self(Arc::new(Inner {
                known: Known {
                    subject: record.subject,
                    id_token: record.id_token,
                    expires: record.expires,
                    nonce: record.nonce,
                    lacks: record.lacks,
                    // The access token is not kept; with the next one it is known again.
                    in_directory: false,
                },
                access: None,
                refresh: record.refresh_token,
                life: Life::remembered(record.received, record.lasts_seconds.map(Duration::from_secs)),
                uses: record.uses,
            }))
        })
    }
}

impl Kept for Session {
    fn life(&self) -> Life {
        self.0.life
    }

    fn renewable(&self) -> bool {
        self.0.refresh.is_some()
    }

    fn uses(&self) -> u8 {
        self.0.uses
    }

    fn fingerprint(&self) -> Digest {
        Digest::of(self.0.known.id_token.expose_secret().as_bytes())
    }
}

/// The form at rest, sealed by the vault.
#[derive(Serialize, Deserialize)]
struct Record {
    format: u32,
    issuer: String,
    client_id: String,
    subject: Subject,
    #[serde(with = "sealed_text")]
    id_token: SecretString,
    expires: Timestamp,
    nonce: Option<String>,
    #[serde(default)]
    lacks: Lacks,
    #[serde(with = "sealed_text::option")]
    refresh_token: Option<SecretString>,
    received: Timestamp,
    lasts_seconds: Option<u64>,
    uses: u8,
}
