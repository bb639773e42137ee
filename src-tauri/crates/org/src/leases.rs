//! Shared credentials that are lent to this device: asked for when they are used, renewed ahead, in memory only.
//!
//! A lease is used no longer than anybody could take it back: it ends with an event, with the session, when the event stream has
//! been silent for as long as a dead one, and at its own end. Time is measured on the clock that nobody sets.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{ConnectorId, CredentialId, LeaseId, ServerId, Subject};
use org_protocol::{LEASE_FORMAT, LEASE_INFO, LEASES_PATH, Lease, LeaseFault, LeaseRequest, LeaseWanted};
use reqwest::Method;
use secrecy::SecretString;
use tokio::sync::{Notify, watch};

use crate::events::SILENCE;
use crate::wire::{ORDINARY, SMALL, body};
use crate::{Org, OrgFault, OrgSession};

/// How long is waited for the event stream, at the first lease.
const STREAM: Duration = Duration::from_secs(10);
/// A renewal that failed is tried again so soon.
const AGAIN: Duration = Duration::from_secs(5);

/// What a credential is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Loan<'a> {
    /// The connector that is to hold it.
    pub connector: &'a ConnectorId,
    /// The credential.
    pub credential: &'a CredentialId,
    /// The virtual server that it is used through.
    pub server: &'a ServerId,
    /// In whose name.
    pub subject: &'a Subject,
    /// The assistant's client identifier.
    pub client_id: &'a str,
    /// The assistant's name, as it claims.
    pub client_name: &'a str,
}

/// A shared credential that this device may use for now.
#[derive(Clone)]
pub struct Lent {
    /// The secret.
    pub secret: SecretString,
    /// Becomes `true` when it is not to be used any more.
    pub ended: watch::Receiver<bool>,
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lent(ended: {})", *self.ended.borrow())
    }
}

/// Which connector holds which credential of whom.
type Key = (ConnectorId, CredentialId, String, String);

/// What is lent to this device now.
#[derive(Default)]
pub(crate) struct Book {
    held: Mutex<BTreeMap<Key, Held>>,
    changed: Notify,
    /// One is asked for at a time.
    asking: tokio::sync::Mutex<()>,
}

struct Held {
    id: LeaseId,
    /// Counts the credential's secrets.
    version: u64,
    secret: SecretString,
    request: LeaseRequest,
    subject: Subject,
    /// When its use ends, and when it is to be renewed; both on the clock that nobody sets.
    end: Duration,
    renewal: Duration,
    ended: watch::Sender<bool>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ended.send_replace(true);
    }
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &Key) -> Option<Lent> {
        let held = self.lock();
        let held = held.get(key)?;
        Some(Lent { secret: held.secret.clone(), ended: held.ended.subscribe() })
    }
}

/// What the server answered, opened.
struct Opened {
    id: LeaseId,
    version: u64,
    secret: SecretString,
    life: Duration,
}

impl Org {
    /// A credential that is lent to this device: as it is held already, or asked for.
    ///
    /// # Errors
    /// An [`OrgFault`]. [`OrgFault::NotReached`] too where nobody could take it back: without a live event stream.
    pub async fn lease(&self, loan: Loan<'_>) -> Result<Lent, OrgFault> {
        let Loan { connector, credential, subject, .. } = loan;
        let key = (connector.clone(), credential.clone(), subject.issuer.clone(), subject.subject.clone());
        if let Some(lent) = self.0.leases.find(&key) {
            return Ok(lent);
        }
        let _turn = self.0.leases.asking.lock().await;
        if let Some(lent) = self.0.leases.find(&key) {
            return Ok(lent);
        }
        let session = self.0.live_session()?;
        if !session.subject.is_same_person(subject) {
            return Err(OrgFault::OtherPerson);
        }
        self.stream_is_live().await?;
        let request = LeaseRequest {
            format: LEASE_FORMAT,
            connector: connector.clone(),
            credential: credential.clone(),
            server: loan.server.clone(),
            client_id: loan.client_id.to_owned(),
            client_name: loan.client_name.to_owned(),
            renews: None,
        };
        let begun = self.0.clock.boot_time();
        let opened = self.borrow(&session, &request, subject).await?;
        let (ended, watched) = watch::channel(false);
        let held = Held {
            id: opened.id,
            version: opened.version,
            secret: opened.secret.clone(),
            request,
            subject: subject.clone(),
            end: begun + opened.life,
            renewal: begun + opened.life * 2 / 3,
            ended,
        };
        self.0.leases.lock().insert(key, held);
        self.0.leases.changed.notify_one();
        Ok(Lent { secret: opened.secret, ended: watched })
    }

    /// Ends a lease: the server has taken it back.
    pub fn end_lease(&self, id: LeaseId) {
        self.0.leases.lock().retain(|_, held| held.id != id);
    }

    /// Renews what is lent and ends what must not be used any more. Runs until it is dropped, and ends all leases then.
    pub async fn keep_leases(&self) {
        let _last = EndAll(self);
        let (mut sessions, mut heard) = (self.session(), self.0.heard.subscribe());
        loop {
            sessions.mark_unchanged();
            heard.mark_unchanged();
            self.end_what_is_over();
            self.renew_what_is_due().await;
            let pause = self.until_next();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.leases.changed.notified() => {}
                _ = sessions.changed() => {}
                _ = heard.changed() => {}
            }
        }
    }

    fn end_what_is_over(&self) {
        let now = self.0.clock.boot_time();
        let silent = !self.is_heard(now);
        let session = self.0.live_session().ok();
        self.0.leases.lock().retain(|key, held| {
            let is_theirs =
                session.as_ref().is_some_and(|session| session.subject.is_same_person(&held.subject));
            let keep = is_theirs && !silent && now < held.end;
            if !keep {
                tracing::info!(lease = %held.id, connector = %key.0, silent, "a lease is not used any more");
            }
            keep
        });
    }

    async fn renew_what_is_due(&self) {
        let now = self.0.clock.boot_time();
        let due: Vec<(Key, LeaseRequest, Subject)> = {
            let held = self.0.leases.lock();
            let due = held.iter().filter(|(_, held)| held.renewal <= now);
            due.map(|(key, held)| {
                let request = LeaseRequest { renews: Some(held.id), ..held.request.clone() };
                (key.clone(), request, held.subject.clone())
            })
            .collect()
        };
        for (key, request, subject) in due {
            let outcome = match self.0.live_session() {
                Ok(session) => self.borrow(&session, &request, &subject).await,
                Err(fault) => Err(fault),
            };
            self.take_renewal(&key, now, outcome);
        }
    }

    fn take_renewal(&self, key: &Key, begun: Duration, outcome: Result<Opened, OrgFault>) {
        let mut leases = self.0.leases.lock();
        let Some(held) = leases.get_mut(key) else { return };
        match outcome {
            Ok(opened) if (opened.id, opened.version) == (held.id, held.version) => {
                held.end = begun + opened.life;
                held.renewal = begun + opened.life * 2 / 3;
            }
            // The secret is another one: whatever holds the old one has to begin anew.
            Ok(_) => drop(leases.remove(key)),
            Err(fault @ (OrgFault::Refused { .. } | OrgFault::Lease(_))) if !fault.ends_session() => {
                tracing::info!(%fault, "a lease does not go on");
                leases.remove(key);
            }
            Err(fault) => {
                tracing::info!(%fault, "a lease could not be renewed");
                held.renewal = self.0.clock.boot_time() + AGAIN;
            }
        }
    }

    /// How long nothing has to be done, if nothing happens.
    fn until_next(&self) -> Duration {
        let now = self.0.clock.boot_time();
        let held = self.0.leases.lock();
        let Some(next) = held.values().map(|held| held.renewal.min(held.end)).min() else {
            return Duration::MAX;
        };
        let silence = self.0.heard.borrow().map_or(now, |heard| heard + SILENCE);
        next.min(silence).saturating_sub(now).max(Duration::from_millis(50))
    }

    fn is_heard(&self, now: Duration) -> bool {
        self.0.heard.borrow().is_some_and(|heard| now.saturating_sub(heard) < SILENCE)
    }

    /// Waits a moment for the event stream: what nobody could take back is not borrowed.
    async fn stream_is_live(&self) -> Result<(), OrgFault> {
        let mut heard = self.0.heard.subscribe();
        let live = heard.wait_for(|_| self.is_heard(self.0.clock.boot_time()));
        match tokio::time::timeout(STREAM, live).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(OrgFault::NotReached("there is no live event stream".to_owned())),
        }
    }

    async fn borrow(
        &self,
        session: &OrgSession,
        request: &LeaseRequest,
        subject: &Subject,
    ) -> Result<Opened, OrgFault> {
        let key = self.0.vault.device_key().await?;
        let asked = self.0.clock.now();
        let sent = self.0.wire.proved(Method::POST, LEASES_PATH, &key, Some(&session.token), asked)?;
        let answer = body(sent.json(request).timeout(ORDINARY).send().await?, SMALL).await;
        let answer = answer.inspect_err(|fault| {
            if fault.ends_session() {
                self.0.lost(session);
            }
        })?;
        let org = self.id().await.ok_or(OrgFault::NoSession)?;
        let keys = self.0.receipt_keys.borrow().clone();
        let wanted = LeaseWanted {
            org: &org,
            subject,
            device: session.device,
            connector: &request.connector,
            credential: &request.credential,
            renews: request.renews,
        };
        let lease = Lease::verified(&answer, &keys, &wanted, self.0.clock.now())?;
        let (encapsulated, sealed) = lease.sealed()?;
        let terms = lease.terms.associated_data();
        let secret = key
            .open(&encapsulated, &sealed, LEASE_INFO, &terms)
            .ok_or_else(|| LeaseFault::Unreadable("it is not sealed to this device".to_owned()))?;
        let secret = std::str::from_utf8(secret.expose_secret())
            .map_err(|_| LeaseFault::Unreadable("the secret is no text".to_owned()))?;
        Ok(Opened {
            id: lease.terms.id,
            version: lease.terms.version,
            secret: SecretString::from(secret),
            life: lease.terms.expires.since(lease.terms.issued),
        })
    }
}

/// Ends all leases when whoever keeps them is gone.
struct EndAll<'a>(&'a Org);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        self.0.0.leases.lock().clear();
    }
}
