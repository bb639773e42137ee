//! The assistants that registered: bounded in number, and forgotten when they are not used.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use model::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ledger::{FORMAT, Ledger};
use crate::name::ClientName;
use crate::redirect::RedirectUri;
use crate::{Event, Limits, RecordKind, StoreFault};

/// A client that registered so recently may be in the middle of its first sign-in: it is not evicted.
const SETTLING: Duration = Duration::from_secs(15 * 60);

/// An assistant: a public client (RFC 6749, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) name: ClientName,
    pub(crate) redirects: Vec<RedirectUri>,
    /// `None` for a client that did not register: one that was named beforehand, or names itself by a document.
    pub(crate) registered: Option<Timestamp>,
    /// When a person last consented to it.
    pub(crate) last_used: Option<Timestamp>,
}

impl Client {
    /// Whether code may be sent to `asked`.
    pub(crate) fn redirects_to(&self, asked: &RedirectUri) -> bool {
        self.redirects.iter().any(|registered| registered.covers(asked))
    }
}

/// Why a registration is not taken now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrowdFault {
    #[error("too many registrations; try again later")]
    Rate { retry_after: Duration },
    #[error("too many clients are registered")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreFault),
}

#[derive(Serialize, Deserialize)]
struct ClientRecord {
    format: u32,
    client_id: String,
    client_name: String,
    redirect_uris: Vec<String>,
    registered: Timestamp,
    last_used: Option<Timestamp>,
}

/// The registered clients.
pub(crate) struct Clients {
    ledger: Ledger,
    limits: Limits,
    known: RwLock<BTreeMap<String, Client>>,
    recent: Mutex<VecDeque<Timestamp>>,
}

impl Clients {
    /// None yet.
    pub(crate) fn new(ledger: Ledger, limits: Limits) -> Self {
        Self { ledger, limits, known: RwLock::default(), recent: Mutex::default() }
    }

    /// Takes up what the store holds, beside what is known.
    pub(crate) async fn read(&self) {
        let Self { ledger, .. } = self;
        for (key, record) in ledger.load::<ClientRecord>(RecordKind::Client).await {
            match Client::try_from(record) {
                Ok(client) => {
                    let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                    known.entry(client.id.clone()).or_insert(client);
                }
                Err(why) => {
                    tracing::error!(why, "a stored client is dropped");
                    ledger.report(Event::RecordSkipped { kind: RecordKind::Client, why: why.to_owned() });
                    // Reported by the ledger if it fails.
                    let _ = ledger.delete(RecordKind::Client, key).await;
                }
            }
        }
    }

    /// The client that registered under this id.
    pub(crate) fn registered(&self, id: &str) -> Option<Client> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All registered clients.
    pub(crate) fn all(&self) -> Vec<Client> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes a new client in, durable on return. `granted` are the clients that hold live grants.
    pub(crate) async fn admit(
        &self,
        client: Client,
        granted: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), CrowdFault> {
        self.check_rate(now)?;
        for id in self.leaving(granted, now)? {
            self.forget(&id).await?;
        }
        self.write(client).await?;
        Ok(())
    }

    /// Notes that a person consented to the client, if it registered.
    pub(crate) async fn consented(&self, id: &str, now: Timestamp) -> Result<(), StoreFault> {
        match self.registered(id) {
            Some(client) => self.write(Client { last_used: Some(now), ..client }).await,
            None => Ok(()),
        }
    }

    async fn write(&self, client: Client) -> Result<(), StoreFault> {
        self.ledger.put(RecordKind::Client, key(&client.id), &ClientRecord::from(&client)).await?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(client.id.clone(), client);
        Ok(())
    }

    async fn forget(&self, id: &str) -> Result<(), StoreFault> {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.ledger.delete(RecordKind::Client, key(id)).await
    }

    fn check_rate(&self, now: Timestamp) -> Result<(), CrowdFault> {
        let window = self.limits.registration_window;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|at| now.since(*at) < window);
        if recent.len() >= self.limits.registrations {
            let oldest = recent.front().copied().unwrap_or(now);
            return Err(CrowdFault::Rate { retry_after: window.saturating_sub(now.since(oldest)) });
        }
        recent.push_back(now);
        Ok(())
    }

    /// Who leaves before one more client comes: those past their life and, if there is still no room, the one that has
    /// been waiting longest for a consent.
    fn leaving(&self, granted: &BTreeSet<String>, now: Timestamp) -> Result<Vec<String>, CrowdFault> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (expired, staying): (Vec<_>, Vec<_>) =
            known.values().partition(|client| !granted.contains(&client.id) && self.is_over(client, now));
        let mut leaving: Vec<_> = expired.iter().map(|client| client.id.clone()).collect();
        if staying.len() >= self.limits.clients {
            let evicted = staying
                .iter()
                .filter(|client| client.last_used.is_none() && !granted.contains(&client.id))
                .filter_map(|client| client.registered.map(|at| (at, &client.id)))
                .filter(|(at, _)| now.since(*at) >= SETTLING)
                .min();
            leaving.push(evicted.map(|(_, id)| id.clone()).ok_or(CrowdFault::Full)?);
        }
        Ok(leaving)
    }

    fn is_over(&self, client: &Client, now: Timestamp) -> bool {
        match (client.last_used, client.registered) {
            (Some(used), _) => now.since(used) >= self.limits.idle_client_life,
            (None, Some(registered)) => now.since(registered) >= self.limits.unused_client_life,
            (None, None) => false,
        }
    }
}

fn key(id: &str) -> String {
    Digest::of(id.as_bytes()).hex()
}

impl From<&Client> for ClientRecord {
    fn from(client: &Client) -> Self {
        Self {
            format: FORMAT,
            client_id: client.id.clone(),
            client_name: client.name.as_str().to_owned(),
            redirect_uris: client.redirects.iter().map(ToString::to_string).collect(),
            registered: client.registered.unwrap_or(Timestamp::from_seconds(0)),
            last_used: client.last_used,
        }
    }
}

impl TryFrom<ClientRecord> for Client {
    type Error = &'static str;

    fn try_from(record: ClientRecord) -> Result<Self, Self::Error> {
        let redirects: Result<Vec<_>, _> = record.redirect_uris.iter().map(|uri| uri.parse()).collect();
        Ok(Self {
            name: record.client_name.parse().map_err(|_| "its name is not acceptable")?,
            redirects: redirects.map_err(|_| "a redirect URI is not acceptable")?,
            id: record.client_id,
            registered: Some(record.registered),
            last_used: record.last_used,
        })
    }
}
