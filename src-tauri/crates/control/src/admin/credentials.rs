//! Storing, rotating and removing secrets.

use std::sync::Arc;
use std::time::Duration;

use ::audit::{AuditEvent, EventRecord};
use model::{Advice, ConnectorId, CredentialId, Timestamp};
use org_protocol::ConnectorSpec;
use secrecy::{ExposeSecret as _, SecretString};

use super::acts::ActFault;
use super::administrator::Administrator;
use super::{Answer, Rotated, Secret};
use crate::credential::{SOURCE_FORMAT, SourceFault, SourceSpec, StoredSource};
use crate::sealing::{MasterKey, Opened, SealFault};
use crate::server::Plane;
use crate::store::{SealedCredential, StoredCredential};

/// How long calls with an earlier secret may go on: longer than any call here takes.
const OVERLAP: Duration = Duration::from_secs(120);

impl Plane {
    pub(super) async fn put_credential(
        &self,
        id: CredentialId,
        secret: &Secret,
        source: Option<SourceSpec>,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        let given = Given::new(given(secret)?, source)?;
        let facts = [("credential", id.to_string()), ("source", given.words())];
        self.record(by, "credential-put", &facts).await?;
        let given = self.taken_out(given).await?;
        let _turn = self.storing.lock().await;
        let version = self.store.next_credential_version(&id).await?;
        let sealed = given.sealed(self.credentials.master(), &id, version)?;
        let now = self.clock.now();
        self.store.put_credential(&id, &sealed, now).await?;
        self.credentials.forget(&id);
        self.broker.end_credential(&id);
        self.review.ask();
        Ok(Answer::Stored(stored(id, &sealed, now)))
    }

    pub(super) async fn remove_credential(
        &self,
        id: &CredentialId,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        self.record(by, "credential-remove", &[("credential", id.to_string())]).await?;
        let removed = self.store.remove_credential(id, self.clock.now()).await?;
        self.credentials.forget(id);
        self.broker.end_credential(id);
        self.review.ask();
        if removed { Ok(Answer::Done) } else { Err(ActFault::Unknown("credential")) }
    }

    /// Tests a new secret, has it used from now on, and lets the calls that are under way finish on the earlier one.
    pub(super) async fn rotate_credential(
        self: &Arc<Self>,
        id: CredentialId,
        secret: &Secret,
        source: Option<SourceSpec>,
        untested: bool,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        let secret = given(secret)?;
        let before = self.store.credential(&id).await?.ok_or(ActFault::Unknown("credential"))?;
        let source = match (source, self.credentials.master().open(&id, &before)) {
            (Some(source), _) => Some(source),
            (None, Ok(Opened::Source(before))) => Some(before.spec),
            // What does not open any more is rotated all the more.
            (None, Ok(Opened::Secret(_)) | Err(_)) => None,
        };
        let given = Given::new(secret, source)?;
        let facts =
            [("credential", id.to_string()), ("source", given.words()), ("untested", untested.to_string())];
        self.record(by, "credential-rotate", &facts).await?;
        let given = self.taken_out(given).await?;
        let tested = if untested { Vec::new() } else { self.tested(&id, &given, by).await? };
        let _turn = self.storing.lock().await;
        let version = self.store.next_credential_version(&id).await?;
        let sealed = given.sealed(self.credentials.master(), &id, version)?;
        let now = self.clock.now();
        let leases = self.store.rotate_credential(&id, &sealed, now, now.plus(OVERLAP)).await?;
        self.credentials.forget(&id);
        let draining = self.broker.retire(&id, version);
        let rotated = Rotated {
            stored: stored(id.clone(), &sealed, now),
            tested,
            draining: draining.count(),
            leases: leases.len(),
        };
        let plane = Arc::clone(self);
        tokio::spawn(async move {
            draining.ended().await;
            if !leases.is_empty() {
                // Devices end by themselves what they hold; this is for those that do not.
                tokio::time::sleep(OVERLAP).await;
                plane.review.ask();
            }
            let drained = EventRecord::new(AuditEvent::CredentialDrained)
                .with("credential", id.to_string())
                .with("version", version.to_string());
            if let Err(fault) = plane.journal.event(drained).await {
                tracing::error!(%fault, "that an earlier secret is used no more could not be recorded");
            }
        });
        Ok(Answer::Rotated(rotated))
    }

    /// The same, with what came in a wrapping taken out of it.
    async fn taken_out(&self, given: Given) -> Result<Given, ActFault> {
        let Given::Source { spec, key } = given else { return Ok(given) };
        let (spec, key) = self.credentials.taken_out(*spec, key).await?;
        Ok(Given::Source { spec: Box::new(spec), key })
    }

    /// Has every connector that uses a credential try another secret of it. Gives the connectors.
    async fn tested(
        &self,
        id: &CredentialId,
        given: &Given,
        by: &Administrator,
    ) -> Result<Vec<ConnectorId>, ActFault> {
        let connectors = self.connectors_of(id);
        if connectors.is_empty() || given.is_personal() {
            return Err(ActFault::Said(untestable(id, given.is_personal())));
        }
        let trial = match given {
            Given::Secret(secret) => Ok((secret.clone(), None)),
            Given::Source { spec, key } => {
                let trial = self.credentials.tried(stored_source(spec, key)).await;
                trial.map(|trial| (trial.secret.clone(), Some(trial)))
            }
        };
        let outcome = match trial {
            Ok((secret, trial)) => {
                let outcome = self.works_with(&connectors, &secret).await;
                if let Some(trial) = trial {
                    trial.end();
                }
                outcome
            }
            Err(fault) => Err(("source".to_owned(), "its source".to_owned(), fault.to_string())),
        };
        if let Err((connector, title, words)) = outcome {
            let reason: String = words.chars().take(500).collect();
            let facts = [("credential", id.to_string()), ("connector", connector), ("reason", reason)];
            self.record(by, "credential-refused", &facts).await?;
            return Err(ActFault::Said(not_taken(id, &title, &words)));
        }
        Ok(connectors.into_iter().map(|(connector, _)| connector).collect())
    }

    /// Whether all of them work with a secret; else which does not, its title and why.
    async fn works_with(
        &self,
        connectors: &[(ConnectorId, ConnectorSpec)],
        secret: &SecretString,
    ) -> Result<(), (String, String, String)> {
        let tests = connectors.iter().map(|(connector, spec)| async move {
            let outcome = self.broker.test(spec, secret).await;
            outcome.map_err(|words| (connector.to_string(), spec.title.clone(), words))
        });
        futures_util::future::join_all(tests).await.into_iter().collect()
    }

    /// The connectors that use a credential, in whatever is published to some device.
    pub(super) fn connectors_of(&self, id: &CredentialId) -> Vec<(ConnectorId, ConnectorSpec)> {
        let Some(live) = self.publication.live() else { return Vec::new() };
        let mut found: Vec<(ConnectorId, ConnectorSpec)> = Vec::new();
        for (connector, spec) in live.all().flat_map(|live| &live.content().connectors) {
            let uses = spec.credential.shared().contains(id);
            if uses && !found.iter().any(|(known, as_known)| (known, as_known) == (connector, spec)) {
                found.push((connector.clone(), spec.clone()));
            }
        }
        found
    }
}

/// The secret without the end of its line.
fn given(secret: &Secret) -> Result<SecretString, ActFault> {
    let text = secret.0.expose_secret().trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(ActFault::EmptySecret) } else { Ok(SecretString::from(text)) }
}

/// What was given for a credential.
enum Given {
    /// The secret itself.
    Secret(SecretString),
    /// Where it comes from, and what opens that.
    Source { spec: Box<SourceSpec>, key: SecretString },
}

impl Given {
    fn new(secret: SecretString, source: Option<SourceSpec>) -> Result<Self, SourceFault> {
        let Some(spec) = source else { return Ok(Self::Secret(secret)) };
        spec.check()?;
        Ok(Self::Source { spec: Box::new(spec), key: secret })
    }

    fn is_personal(&self) -> bool {
        matches!(self, Self::Source { spec, .. } if spec.is_personal())
    }

    /// For records.
    fn words(&self) -> String {
        match self {
            Self::Secret(_) => "stored".to_owned(),
            Self::Source { spec, .. } => spec.to_string(),
        }
    }

    fn sealed(
        &self,
        master: &MasterKey,
        id: &CredentialId,
        version: u64,
    ) -> Result<SealedCredential, SealFault> {
        match self {
            Self::Secret(secret) => master.seal(id, version, secret),
            Self::Source { spec, key } => master.seal_source(id, version, &stored_source(spec, key)),
        }
    }
}

fn stored_source(spec: &SourceSpec, key: &SecretString) -> StoredSource {
    StoredSource { format: SOURCE_FORMAT, spec: spec.clone(), key: key.expose_secret().to_owned() }
}

fn stored(id: CredentialId, sealed: &SealedCredential, changed_at: Timestamp) -> StoredCredential {
    let source = sealed.source.clone();
    StoredCredential { id, version: sealed.version, changed_at, exposed_at: None, source }
}

fn untestable(id: &CredentialId, personal: bool) -> Advice {
    let why =
        if personal { "each person has a secret of their own" } else { "no published connector uses it" };
    Advice::new(
        "secret-untestable",
        format!("Nothing was changed: the new secret of {id} cannot be tested, for {why}."),
        "",
        if personal { "Give --untested." } else { "Publish a connector that uses it, or give --untested." },
    )
}

fn not_taken(id: &CredentialId, title: &str, words: &str) -> Advice {
    Advice::new(
        "secret-not-taken",
        format!("Nothing was changed: with the new secret of {id}, {title} does not work: {words}"),
        "The earlier secret stays in use.",
        "Check the secret; give --untested to store it all the same.",
    )
}
