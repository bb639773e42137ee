//! Who may use a shared credential, and who holds it now.

use std::collections::BTreeSet;

use model::{ConnectorId, CredentialId, ServerId, Subject, Timestamp};
use policy::Circumstance;
use serde::{Deserialize, Serialize};

use super::Answer;
use super::acts::ActFault;
use super::administrator::Administrator;
use crate::publication::Live;
use crate::server::Plane;
use crate::store::{LiveLease, StoredCredential};

/// A credential, who may use it and who holds it.
#[derive(Debug, Serialize, Deserialize)]
pub struct CredentialAccess {
    /// The credential; nothing where no secret is stored.
    pub stored: Option<StoredCredential>,
    /// The connectors that use it.
    pub connectors: BTreeSet<ConnectorId>,
    /// Who may use it now, of those who had a session here, by the claims of their last one.
    pub people: Vec<PersonAccess>,
    /// Who holds it.
    pub leases: Vec<LiveLease>,
}

/// Somebody who may use a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonAccess {
    /// Who.
    pub subject: Subject,
    /// Since when these claims are known.
    pub claims_of: Timestamp,
    /// Through which virtual server.
    pub server: ServerId,
    /// At which connector.
    pub connector: ConnectorId,
}

impl Plane {
    /// Tells who may use a credential, and who holds it.
    pub(super) async fn credential_access(
        &self,
        id: &CredentialId,
        by: &Administrator,
    ) -> Result<Answer, ActFault> {
        self.record(by, "credential-show", &[("credential", id.to_string())]).await?;
        let stored = self.store.credentials().await?.into_iter().find(|stored| stored.id == *id);
        let connectors: BTreeSet<ConnectorId> =
            self.connectors_of(id).into_iter().map(|(connector, _)| connector).collect();
        if stored.is_none() && connectors.is_empty() {
            return Err(ActFault::Unknown("credential"));
        }
        let mut people = Vec::new();
        if let Some(published) = self.publication.live() {
            let known = self.store.last_claims().await?;
            for live in published.all() {
                for access in self.people_with(live, id, &connectors, &known) {
                    if !people.contains(&access) {
                        people.push(access);
                    }
                }
            }
        }
        let leases = self.store.leases(self.clock.now()).await?;
        let leases = leases.into_iter().filter(|lease| lease.credential == *id).collect();
        Ok(Answer::Access(Box::new(CredentialAccess { stored, connectors, people, leases })))
    }

    /// Whom one of the policies that are published lets use it, with whatever assistant.
    fn people_with(
        &self,
        live: &Live,
        id: &CredentialId,
        connectors: &BTreeSet<ConnectorId>,
        known: &[(Subject, Timestamp)],
    ) -> Vec<PersonAccess> {
        let now = self.clock.now();
        let policy = live.policy().halted_by(self.stopped.now());
        let circumstance = Circumstance::of_nobody(now);
        let places = || {
            let servers = live.content().servers.iter();
            servers
                .flat_map(|(server, spec)| spec.connectors.iter().map(move |connector| (server, connector)))
        };
        let uses = |subject: &Subject, server: &ServerId, connector: &ConnectorId| {
            policy.lends(subject, server, connector, &circumstance).as_ref() == Some(id)
        };
        let usable: Vec<&ConnectorId> =
            connectors.iter().filter(|connector| live.serves(connector, now)).collect();
        let mut found = Vec::new();
        for (subject, claims_of) in known {
            for (server, connector) in places().filter(|(_, connector)| usable.contains(connector)) {
                if uses(subject, server, connector) {
                    found.push(PersonAccess {
                        subject: subject.clone(),
                        claims_of: *claims_of,
                        server: server.clone(),
                        connector: connector.clone(),
                    });
                }
            }
        }
        found
    }
}
