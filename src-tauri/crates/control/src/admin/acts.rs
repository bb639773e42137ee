//! What each request does. The record comes first: an act that cannot be recorded is not done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::audit::{AuditEvent, EventRecord, JournalFault};
use model::{Advice, DeviceId, ForPerson as _, LeaseId};
use org_protocol::{AdministratorRole, ExportFault, HALT_REASON_LIMIT, KeyId};

use super::administrator::{Administrator, needed};
use super::{Answer, Ask, Reply, verify};
use crate::credential::SourceFault;
use crate::lending::LendFault;
use crate::relay::{self, RelayFault};
use crate::sealing::SealFault;
use crate::server::Plane;
use crate::store::{Ending, Filter, StoreFault};

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActFault {
    #[error(transparent)]
    Journal(#[from] JournalFault),
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Relay(#[from] RelayFault),
    #[error(transparent)]
    Seal(#[from] SealFault),
    #[error(transparent)]
    Source(#[from] SourceFault),
    #[error("what is published cannot be written: {0}")]
    Content(#[from] serde_json::Error),
    #[error("the export cannot be stated: {0}")]
    Export(#[from] ExportFault),
    #[error(transparent)]
    Lend(#[from] LendFault),
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("there is no such {0}")]
    Unknown(&'static str),
    #[error("the secret is empty")]
    EmptySecret,
    #[error("neither a person nor a time was given")]
    NothingNamed,
    #[error("the reason is not one line of at most {HALT_REASON_LIMIT} characters")]
    Reason,
    #[error("this needs the role {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "))]
    Role(Vec<AdministratorRole>),
    #[error("{0}")]
    Said(Advice),
}

impl ActFault {
    fn advice(&self) -> Advice {
        let new = |code: &str, todo: &str| Advice::new(code, format!("Nothing was done: {self}."), "", todo);
        match self {
            Self::Journal(fault) => fault.advice(),
            Self::Said(advice) => advice.clone(),
            Self::Store(_)
            | Self::Relay(_)
            | Self::Content(_)
            | Self::Export(_)
            | Self::Lend(_)
            | Self::Random(_) => new("server-fault", "See the server's log."),
            Self::Source(fault) => Advice::new(
                "secret-source",
                format!("Nothing was done: {fault}."),
                "",
                "Correct it and try again.",
            ),
            Self::Seal(_) => new("seal", "Check the master key."),
            Self::Unknown(_) => new("unknown", "List them to see their ids."),
            Self::NothingNamed => new("nothing-named", "Name a person, a time, or both."),
            Self::Reason => new("halt-reason", "Give a shorter reason, or none."),
            Self::Role(_) => new("role-needed", "Ask somebody who has it."),
            Self::EmptySecret => new("empty-secret", "Give the secret on standard input or in a file."),
        }
    }
}

/// Keys in one line.
fn words(keys: &[KeyId]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl Plane {
    /// Does what an administrator asks.
    pub(crate) async fn act(self: &Arc<Self>, ask: Ask, by: &Administrator) -> Reply {
        match self.done(ask, by).await {
            Ok(answer) => Reply::Done(answer),
            Err(fault) => {
                tracing::warn!(%fault, by = by.by(), "an administrator's request was not done");
                Reply::Refused(fault.advice())
            }
        }
    }

    async fn done(self: &Arc<Self>, ask: Ask, by: &Administrator) -> Result<Answer, ActFault> {
        if !by.may(&ask) {
            self.record(by, "refused", &[("asked", ask.name().to_owned())]).await?;
            return Err(ActFault::Role(needed(&ask).to_vec()));
        }
        match ask {
            Ask::Publish { documents, leave_behind } => self.publish(documents, leave_behind, by).await,
            Ask::Status => Ok(self
                .publication
                .live()
                .map_or(Answer::Nothing, |live| Answer::Published(live.published()))),
            Ask::Content => self.content().await,
            Ask::People => {
                self.record(by, "people-list", &[]).await?;
                self.store.known_people().await.map(|people| Answer::People { people }).map_err(Into::into)
            }
            Ask::PutCredential { id, secret, source } => self.put_credential(id, &secret, source, by).await,
            Ask::ListCredentials => self
                .store
                .credentials()
                .await
                .map(|credentials| Answer::Credentials { credentials })
                .map_err(Into::into),
            Ask::RotateCredential { id, secret, source, untested } => {
                self.rotate_credential(id, &secret, source, untested, by).await
            }
            Ask::ShowCredential { id } => self.credential_access(&id, by).await,
            Ask::RemoveCredential { id } => self.remove_credential(&id, by).await,
            Ask::ListDevices => {
                self.record(by, "device-list", &[]).await?;
                self.store.devices().await.map(|devices| Answer::Devices { devices }).map_err(Into::into)
            }
            Ask::RevokeDevice { id } => self.revoke_device(id, by).await,
            Ask::ResumeDevice { id } => self.resume_device(id, by).await,
            Ask::NewEnrolmentToken { days, uses } => self.new_enrolment_token(days, uses, by).await,
            Ask::ListEnrolmentTokens => self.list_enrolment_tokens().await,
            Ask::RevokeEnrolmentToken { id } => self.revoke_enrolment_token(id, by).await,
            Ask::SignOutPerson { person } => self.sign_out_person(&person, by).await,
            Ask::QueryAudit { filter } => self.query_audit(&filter, by).await,
            Ask::VerifyAudit => self.verify_audit(by).await,
            Ask::ExportAudit { since, until } => self.export_audit(since, until, by).await,
            Ask::ExportLines { device, epoch, first, last } => {
                self.export_lines(device, epoch, (first, last), by).await
            }
            Ask::EraseAudit { person, before } => self.erase_audit(person, before, by).await,
            Ask::CountDenials { since, until } => self.count_denials(since, until, by).await,
            Ask::Halt { target, reason } => self.halt(target, &reason, by).await,
            Ask::Lift { id } => self.lift(id, by).await,
            Ask::ListHalts => self.list_halts().await,
            Ask::ListLeases => {
                self.record(by, "lease-list", &[]).await?;
                let leases = self.store.leases(self.clock.now()).await?;
                Ok(Answer::Leases { leases })
            }
            Ask::RevokeLease { id } => self.revoke_lease(id, by).await,
            Ask::AskDiagnostics { device, reason } => self.ask_diagnostics(device, &reason, by).await,
            Ask::ListDiagnostics => self.list_diagnostics(by).await,
            Ask::ReadDiagnostics { id } => self.read_diagnostics(id, by).await,
            Ask::WithdrawDiagnostics { id } => self.withdraw_diagnostics(id, by).await,
            Ask::EraseDiagnostics { id } => self.erase_diagnostics(id, by).await,
        }
    }

    async fn content(&self) -> Result<Answer, ActFault> {
        let Some(live) = self.publication.live() else { return Ok(Answer::Nothing) };
        let content = serde_json::to_string(live.content())?;
        let (halts, people) = self.stopped_people().await?;
        Ok(Answer::Content { published: live.published(), content, halts, people })
    }

    async fn publish(
        &self,
        documents: BTreeMap<String, String>,
        leave_behind: bool,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        let documents = documents.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
        match self.publication.publish(&documents, leave_behind, self.clock.now()).await {
            Ok((published, left)) => {
                let signatures =
                    self.publication.signatures().await.map_err(|fault| ActFault::Said(fault.advice()))?;
                let event = EventRecord::new(AuditEvent::BundleApplied)
                    .with("by", by.by())
                    .with("epoch", published.epoch.to_string())
                    .with("version", published.version.to_string())
                    .with("bundle", published.bundle.to_string())
                    .with("root", signatures.root_version.to_string())
                    .with("signed_by", words(&signatures.manifest))
                    .with("root_signed_by", words(&signatures.root));
                let event = if left.is_empty() { event } else { event.with("left_behind", left.to_string()) };
                self.journal.event(event).await?;
                tracing::info!(version = published.version, bundle = %published.bundle, "published");
                self.review.ask();
                Ok(Answer::Published(published))
            }
            Err(fault) => {
                let reason: String = fault.to_string().chars().take(1000).collect();
                let event =
                    EventRecord::new(AuditEvent::BundleRefused).with("by", by.by()).with("reason", reason);
                self.journal.event(event).await?;
                Err(ActFault::Said(fault.advice()))
            }
        }
    }

    async fn revoke_device(&self, id: DeviceId, by: &Administrator) -> Result<Answer, ActFault> {
        self.record(by, "device-revoke", &[("device", id.to_string())]).await?;
        let found = self.store.revoke_device(id, self.clock.now()).await?;
        self.review.ask();
        if found { Ok(Answer::Done) } else { Err(ActFault::Unknown("device")) }
    }

    async fn sign_out_person(&self, person: &str, by: &Administrator) -> Result<Answer, ActFault> {
        self.record(by, "person-sign-out", &[("person", person.to_owned())]).await?;
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
        self.review.ask();
        Ok(Answer::SignedOut { devices: devices.len() })
    }

    async fn revoke_lease(self: &Arc<Self>, id: LeaseId, by: &Administrator) -> Result<Answer, ActFault> {
        self.record(by, "lease-revoke", &[("lease", id.to_string())]).await?;
        let ended = self.end_lease(id, "administrator").await?;
        if ended { Ok(Answer::Done) } else { Err(ActFault::Unknown("lease in force")) }
    }

    async fn query_audit(&self, filter: &Filter, by: &Administrator) -> Result<Answer, ActFault> {
        let asked = serde_json::to_string(filter).unwrap_or_default();
        self.record(by, "audit-query", &[("filter", asked)]).await?;
        relay::copy_all(self).await?;
        Ok(Answer::Records { lines: self.store.query_records(filter).await? })
    }

    async fn verify_audit(&self, by: &Administrator) -> Result<Answer, ActFault> {
        self.record(by, "audit-verify", &[]).await?;
        relay::copy_all(self).await?;
        Ok(Answer::Verified(verify::verify(&self.store).await?))
    }

    /// Records what somebody is about to do.
    pub(crate) async fn record(
        &self,
        by: &Administrator,
        act: &str,
        facts: &[(&str, String)],
    ) -> Result<(), JournalFault> {
        let event = EventRecord::new(AuditEvent::Administration).with("act", act).with("by", by.by());
        let event = match by.subject() {
            Some(subject) => event.of(subject.clone()),
            None => event,
        };
        let event = facts.iter().fold(event, |event, (name, value)| event.with(*name, value));
        self.journal.event(event).await
    }
}
