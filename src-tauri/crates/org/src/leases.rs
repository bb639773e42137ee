//! Shared credentials that are lent to this device: asked for when they are used, renewed ahead, in memory only.
//!
//! A lease is used no longer than anybody could take it back: it ends with an event, with the session, when the event stream has
//! been silent for as long as a dead one, and at its own end. Time is measured on the clock that nobody sets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{ConnectorId, CredentialId, LeaseId, ServerId, Subject};
use org_protocol::{LEASE_FORMAT, LEASE_INFO, LEASES_PATH, Lease, LeaseFault, LeaseRequest, LeaseWanted};
use reqwest::Method;
use secrecy::SecretString;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::events::SILENCE;
use crate::wire::{ORDINARY, SMALL, body};
use crate::{Org, OrgFault, OrgSession};

/// How long is waited for the event stream, at the first lease.
const STREAM: Duration = Duration::from_secs(10);
/// How long calls may go on with a secret that was rotated.
const RETIREMENT: Duration = Duration::from_secs(120);
/// How often is looked whether they are done.
const LOOK: Duration = Duration::from_millis(500);
/// How often is looked what time has ended: a sleeping computer's timers stand still.
const AWAKE: Duration = Duration::from_secs(2);
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
    /// The full path of its program, where it is known.
    pub program: Option<&'a str>,
}

/// A shared credential that this device may use for now.
#[derive(Clone)]
pub struct Lent {
    /// The secret.
    pub secret: SecretString,
    /// Counts the credential's secrets.
    pub version: u64,
    /// Becomes `true` when it is not to be used any more.
    pub ended: watch::Receiver<bool>,
    /// Kept by each call that is made with it: a secret that was rotated is held until they are done.
    pub in_use: Arc<()>,
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
    shelf: Mutex<Shelf>,
    changed: Notify,
    /// One is asked for at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Shelf {
    held: BTreeMap<Key, Held>,
    /// Those whose secret was rotated, for the calls that are under way.
    retiring: Vec<Held>,
    /// The latest that were taken back: the news may come before the lease itself.
    ended: VecDeque<LeaseId>,
}

/// How many endings are remembered. Between the news and the lease there are seconds.
const ENDINGS: usize = 64;

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
    /// A renewal is under way.
    renewing: bool,
    ended: watch::Sender<bool>,
    in_use: Arc<()>,
}

impl Held {
    fn lent(&self) -> Lent {
        Lent {
            secret: self.secret.clone(),
            version: self.version,
            ended: self.ended.subscribe(),
            in_use: Arc::clone(&self.in_use),
        }
    }

    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.in_use) > 1
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ended.send_replace(true);
    }
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A renewal to be made.
struct Due {
    key: Key,
    request: LeaseRequest,
    subject: Subject,
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
        if let Some(lent) = self.held(&key) {
            return Ok(lent);
        }
        let _turn = self.0.leases.asking.lock().await;
        if let Some(lent) = self.held(&key) {
            return Ok(lent);
        }
        self.session_of(subject)?;
        self.stream_is_live().await?;
        // It may have ended while the stream was waited for.
        let session = self.session_of(subject)?;
        let request = LeaseRequest {
            format: LEASE_FORMAT,
            connector: connector.clone(),
            credential: credential.clone(),
            server: loan.server.clone(),
            client_id: loan.client_id.to_owned(),
            client_name: loan.client_name.to_owned(),
            program: loan.program.map(ToOwned::to_owned),
            renews: None,
        };
        let begun = self.0.clock.boot_time();
        let opened = self.borrow(&session, &request, subject).await?;
        let ended = watch::Sender::new(false);
        let held = Held {
            id: opened.id,
            version: opened.version,
            secret: opened.secret,
            request,
            subject: subject.clone(),
            end: begun + opened.life,
            renewal: begun + opened.life * 2 / 3,
            renewing: false,
            ended,
            in_use: Arc::default(),
        };
        let lent = held.lent();
        {
            let mut shelf = self.0.leases.lock();
            if shelf.ended.contains(&held.id) {
                return Err(LeaseFault::TakenBack.into());
            }
            shelf.held.insert(key, held);
        }
        self.0.leases.changed.notify_one();
        Ok(lent)
    }

    /// The live session, if it is this person's.
    fn session_of(&self, subject: &Subject) -> Result<OrgSession, OrgFault> {
        let session = self.0.live_session()?;
        if session.subject.is_same_person(subject) { Ok(session) } else { Err(OrgFault::OtherPerson) }
    }

    /// What is held already and may still be used.
    fn held(&self, key: &Key) -> Option<Lent> {
        self.end_what_is_over();
        let shelf = self.0.leases.lock();
        let held = shelf.held.get(key)?;
        Some(held.lent())
    }

    /// Ends a lease: the server has taken it back.
    pub fn end_lease(&self, id: LeaseId) {
        let mut shelf = self.0.leases.lock();
        shelf.held.retain(|_, held| held.id != id);
        shelf.retiring.retain(|held| held.id != id);
        if shelf.ended.len() == ENDINGS {
            shelf.ended.pop_front();
        }
        shelf.ended.push_back(id);
    }

    /// Lets the calls that are under way with a lease finish, and no others begin: its secret was rotated.
    pub fn retire_lease(&self, id: LeaseId) {
        let end = self.0.clock.boot_time() + RETIREMENT;
        let mut shelf = self.0.leases.lock();
        let retiring: Vec<Held> =
            shelf.held.extract_if(.., |_, held| held.id == id).map(|(_, held)| held).collect();
        shelf.retiring.extend(retiring.into_iter().map(|mut held| {
            held.end = held.end.min(end);
            held
        }));
        drop(shelf);
        self.0.leases.changed.notify_one();
    }

    /// Renews what is lent and ends what must not be used any more. Runs until it is dropped, and ends all leases then.
    pub async fn keep_leases(&self) {
        let _last = EndAll(self);
        let (mut sessions, mut heard) = (self.session(), self.0.heard.subscribe());
        // They take their time beside the ends, which do not wait for them.
        let mut renewals = JoinSet::new();
        let mut again = self.again().hear();
        loop {
            sessions.mark_unchanged();
            heard.mark_unchanged();
            self.end_what_is_over();
            for due in self.take_due() {
                let org = self.clone();
                renewals.spawn(async move { org.renew(due).await });
            }
            let pause = self.until_next();
            tokio::select! {
                _ = again.pause(pause) => {}
                Some(_) = renewals.join_next() => {}
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
        let keeps = |held: &Held| {
            let is_theirs =
                session.as_ref().is_some_and(|session| session.subject.is_same_person(&held.subject));
            let keep = is_theirs && !silent && now < held.end;
            if !keep {
                tracing::info!(lease = %held.id, connector = %held.request.connector, silent, "a lease is not used any more");
            }
            keep
        };
        let mut shelf = self.0.leases.lock();
        shelf.held.retain(|_, held| keeps(held));
        shelf.retiring.retain(|held| held.is_in_use() && keeps(held));
    }

    /// The renewals that are due, each of which is begun once.
    fn take_due(&self) -> Vec<Due> {
        let now = self.0.clock.boot_time();
        let mut shelf = self.0.leases.lock();
        let due = shelf.held.iter_mut().filter(|(_, held)| held.renewal <= now && !held.renewing);
        due.map(|(key, held)| {
            held.renewing = true;
            let request = LeaseRequest { renews: Some(held.id), ..held.request.clone() };
            Due { key: key.clone(), request, subject: held.subject.clone() }
        })
        .collect()
    }

    async fn renew(&self, Due { key, request, subject }: Due) {
        let begun = self.0.clock.boot_time();
        let outcome = match self.0.live_session() {
            Ok(session) => self.borrow(&session, &request, &subject).await,
            Err(fault) => Err(fault),
        };
        self.take_renewal(&key, begun, outcome);
    }

    fn take_renewal(&self, key: &Key, begun: Duration, outcome: Result<Opened, OrgFault>) {
        let leases = &mut self.0.leases.lock().held;
        let Some(held) = leases.get_mut(key) else { return };
        held.renewing = false;
        match outcome {
            Ok(opened) if (opened.id, opened.version) == (held.id, held.version) => {
                held.end = begun + opened.life;
                held.renewal = begun + opened.life * 2 / 3;
            }
            // The secret is another one: whatever holds the old one has to begin anew.
            Ok(_) => drop(leases.remove(key)),
            Err(fault) if fault.is_decision() && !fault.ends_session() => {
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
        let shelf = self.0.leases.lock();
        let next = |held: &Held| if held.renewing { held.end } else { held.renewal.min(held.end) };
        // Nobody tells when the last call of a retiring one is done.
        let ends = shelf.retiring.iter().map(|held| held.end.min(now + LOOK));
        let Some(next) = shelf.held.values().map(next).chain(ends).min() else {
            return Duration::MAX;
        };
        let silence = self.0.heard.borrow().map_or(now, |heard| heard + SILENCE);
        next.min(silence).saturating_sub(now).clamp(Duration::from_millis(50), AWAKE)
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
        let sent = self.0.wire.proved(Method::POST, LEASES_PATH, &*key, Some(&session.token), asked)?;
        let answer = body(self.0.wire.send(sent.json(request).timeout(ORDINARY)).await?, SMALL).await;
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
            .open(&encapsulated, &sealed, LEASE_INFO, &terms)?
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
        let mut shelf = self.0.0.leases.lock();
        shelf.held.clear();
        shelf.retiring.clear();
    }
}
