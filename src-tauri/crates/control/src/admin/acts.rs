//! What each request does. The record comes first: an act that cannot be recorded is not done.

use std::collections::{BTreeMap, BTreeSet};

use ::audit::{AuditEvent, EventRecord, JournalFault};
use model::{Advice, CredentialId, DeviceId, ForPerson as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Answer, Ask, Reply, Secret, verify};
use crate::relay::{self, RelayFault};
use crate::sealing::SealFault;
use crate::server::Plane;
use crate::store::{Ending, Filter, StoreFault, StoredCredential};

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
enum ActFault {
    #[error(transparent)]
    Journal(#[from] JournalFault),
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Relay(#[from] RelayFault),
    #[error(transparent)]
    Seal(#[from] SealFault),
    #[error("what is published cannot be written: {0}")]
    Content(#[from] serde_json::Error),
    #[error("there is no such {0}")]
    Unknown(&'static str),
    #[error("the secret is empty")]
    EmptySecret,
    #[error("{0}")]
    Said(Advice),
}

impl ActFault {
    fn advice(&self) -> Advice {
        let new = |code: &str, todo: &str| Advice::new(code, format!("Nothing was done: {self}."), "", todo);
        match self {
            Self::Journal(fault) => fault.advice(),
            Self::Said(advice) => advice.clone(),
            Self::Store(_) | Self::Relay(_) | Self::Content(_) => {
                new("server-fault", "See the server's log.")
            }
            Self::Seal(_) => new("seal", "Check the master key."),
            Self::Unknown(_) => new("unknown", "List them to see their ids."),
            Self::EmptySecret => new("empty-secret", "Give the secret on standard input or in a file."),
        }
    }
}

impl Plane {
    /// Does what an administrator with this user id asks.
    pub(super) async fn act(&self, ask: Ask, uid: u32) -> Reply {
        let done = match ask {
            Ask::Publish { documents, leave_behind } => self.publish(documents, leave_behind, uid).await,
            Ask::Status => Ok(self
                .publication
                .live()
                .map_or(Answer::Nothing, |live| Answer::Published(live.published()))),
            Ask::Content => self.content(),
            Ask::PutCredential { id, secret } => self.put_credential(id, &secret, uid).await,
            Ask::ListCredentials => self
                .store
                .credentials()
                .await
                .map(|credentials| Answer::Credentials { credentials })
                .map_err(Into::into),
            Ask::RemoveCredential { id } => self.remove_credential(&id, uid).await,
            Ask::ListDevices => {
                self.store.devices().await.map(|devices| Answer::Devices { devices }).map_err(Into::into)
            }
            Ask::RevokeDevice { id } => self.revoke_device(id, uid).await,
            Ask::SignOutPerson { person } => self.sign_out_person(&person, uid).await,
            Ask::QueryAudit { filter } => self.query_audit(&filter, uid).await,
            Ask::VerifyAudit => self.verify_audit(uid).await,
        };
        match done {
            Ok(answer) => Reply::Done(answer),
            Err(fault) => {
                tracing::warn!(%fault, uid, "an administrator's request was not done");
                Reply::Refused(fault.advice())
            }
        }
    }

    fn content(&self) -> Result<Answer, ActFault> {
        let Some(live) = self.publication.live() else { return Ok(Answer::Nothing) };
        let content = serde_json::to_string(live.content())?;
        Ok(Answer::Content { published: live.published(), content })
    }

    async fn publish(
        &self,
        documents: BTreeMap<String, String>,
        leave_behind: bool,
        uid: u32,
    ) -> Result<Answer, ActFault> {
        let documents = documents.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
        match self.publication.publish(&documents, leave_behind, self.clock.now()).await {
            Ok((published, left)) => {
                let event = EventRecord::new(AuditEvent::BundleApplied)
                    .with("by", by(uid))
                    .with("epoch", published.epoch.to_string())
                    .with("version", published.version.to_string())
                    .with("bundle", published.bundle.to_string());
                let event = if left.is_empty() { event } else { event.with("left_behind", left.to_string()) };
                self.journal.event(event).await?;
                tracing::info!(version = published.version, bundle = %published.bundle, "published");
                Ok(Answer::Published(published))
            }
            Err(fault) => {
                let reason: String = fault.to_string().chars().take(1000).collect();
                let event =
                    EventRecord::new(AuditEvent::BundleRefused).with("by", by(uid)).with("reason", reason);
                self.journal.event(event).await?;
                Err(ActFault::Said(fault.advice()))
            }
        }
    }

    async fn put_credential(&self, id: CredentialId, secret: &Secret, uid: u32) -> Result<Answer, ActFault> {
        let text = secret.0.expose_secret().trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(ActFault::EmptySecret);
        }
        self.record(uid, "credential-put", &[("credential", id.to_string())]).await?;
        let version = self.store.next_credential_version(&id).await?;
        let sealed = self.broker.master().seal(&id, version, &SecretString::from(text))?;
        let now = self.clock.now();
        self.store.put_credential(&id, &sealed, now).await?;
        self.broker.end_credential(&id);
        Ok(Answer::Stored(StoredCredential { id, version, changed_at: now }))
    }

    async fn remove_credential(&self, id: &CredentialId, uid: u32) -> Result<Answer, ActFault> {
        self.record(uid, "credential-remove", &[("credential", id.to_string())]).await?;
        let removed = self.store.remove_credential(id).await?;
        self.broker.end_credential(id);
        if removed { Ok(Answer::Done) } else { Err(ActFault::Unknown("credential")) }
    }

    async fn revoke_device(&self, id: DeviceId, uid: u32) -> Result<Answer, ActFault> {
        self.record(uid, "device-revoke", &[("device", id.to_string())]).await?;
        let found = self.store.revoke_device(id, self.clock.now()).await?;
        if found { Ok(Answer::Done) } else { Err(ActFault::Unknown("device")) }
    }

    async fn sign_out_person(&self, person: &str, uid: u32) -> Result<Answer, ActFault> {
        self.record(uid, "person-sign-out", &[("person", person.to_owned())]).await?;
        let people = self.store.people(person).await?;
        if people.is_empty() {
            return Err(ActFault::Unknown("person"));
        }
        let now = self.clock.now();
        let mut devices = BTreeSet::new();
        for (issuer, subject) in people {
            let ending = Ending::Person { issuer: &issuer, subject: &subject, before: now, all: true };
            for ended in self.store.end_sign_ins(&ending, now).await? {
                let event = EventRecord::new(AuditEvent::SessionEnded).of(ended.subject);
                let event = event.with("cause", "administrator").with("device", ended.device.to_string());
                self.journal.event(event).await?;
                devices.insert(ended.device);
            }
        }
        Ok(Answer::SignedOut { devices: devices.len() })
    }

    async fn query_audit(&self, filter: &Filter, uid: u32) -> Result<Answer, ActFault> {
        let asked = serde_json::to_string(filter).unwrap_or_default();
        self.record(uid, "audit-query", &[("filter", asked)]).await?;
        relay::copy_all(self).await?;
        Ok(Answer::Records { lines: self.store.query_records(filter).await? })
    }

    async fn verify_audit(&self, uid: u32) -> Result<Answer, ActFault> {
        self.record(uid, "audit-verify", &[]).await?;
        relay::copy_all(self).await?;
        Ok(Answer::Verified(verify::verify(&self.store).await?))
    }

    async fn record(&self, uid: u32, act: &str, facts: &[(&str, String)]) -> Result<(), JournalFault> {
        let event = EventRecord::new(AuditEvent::Administration).with("act", act).with("by", by(uid));
        let event = facts.iter().fold(event, |event, (name, value)| event.with(*name, value));
        self.journal.event(event).await
    }
}

fn by(uid: u32) -> String {
    format!("uid {uid}")
}
