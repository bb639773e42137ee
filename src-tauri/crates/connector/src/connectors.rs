//! All connectors, and the way of a permitted call to one of them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mcp::{CallParams, Capabilities};
use model::{AccountId, Subject};
use org_protocol::{ConnectorSpec, CredentialSpec};
use os::Hearing;
use policy::CredentialChoice;
use serde_json::value::RawValue;
use tokio::sync::watch;
use upstream::{Answer, Authority, Ear, Log, LogWriter, Session, Subscription, UpstreamFault};

use crate::connector::{Connector, Health, Listing, Means};
use crate::fault::CallFault;
use crate::follower::Follower;
use crate::seams::{Asking, Caller, Seams};

/// All connectors, each as often as accounts of it are in use: two accounts share nothing here. Cheap to clone; all clones are
/// the same connectors.
#[derive(Clone)]
pub struct Connectors {
    seams: Seams,
    all: Arc<RwLock<BTreeMap<AccountId, Arc<Connector>>>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Connectors {
    /// No connectors yet.
    pub fn new(seams: Seams) -> Self {
        Self { seams, all: Arc::default(), changes: Arc::new(watch::Sender::new(0)) }
    }

    /// Takes a new set, with a definition for each account. Connectors whose definition did not change keep their sessions,
    /// those that stay under another one their log; calls in flight end as they were.
    pub fn replace(&self, specs: &BTreeMap<AccountId, ConnectorSpec>) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::take(&mut *all);
        for (id, spec) in specs {
            let connector = match old.get(id) {
                Some(kept) if kept.spec == *spec => Arc::clone(kept),
                other => {
                    let log =
                        other.map_or_else(|| Log::new(Arc::clone(&self.seams.clock)), |old| old.log.clone());
                    Arc::new(Connector::new(id.clone(), spec.clone(), log, self.seams.clone()))
                }
            };
            all.insert(id.clone(), connector);
        }
        drop(all);
        self.changed();
    }

    /// Gives up what belongs to people: their sessions, with the programs behind them, and what was listed in their name.
    /// For another person, who must find nothing of the one before.
    pub fn forget_people(&self) {
        for connector in self.all.read().unwrap_or_else(PoisonError::into_inner).values() {
            connector.forget_people();
        }
        self.changed();
    }

    /// Counts the changes of what [`Connectors::listing`] and [`Connectors::health`] say.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Hears when connectors that failed are to be tried at once.
    pub fn again(&self) -> Hearing {
        self.seams.http.again().hear()
    }

    /// What is known of what a connector offers; `None` until it was listed.
    pub fn listing(&self, connector: &AccountId) -> Option<Arc<Listing>> {
        self.find(connector).ok()?.listing()
    }

    /// How a connector is.
    pub fn health(&self, connector: &AccountId) -> Health {
        self.find(connector).map_or(Health::Idle, |connector| connector.health())
    }

    /// What a connector's programs print, and what failed on the way to it; `None` where there is no such connector.
    pub fn log(&self, connector: &AccountId) -> Option<Log> {
        Some(self.find(connector).ok()?.log.clone())
    }

    /// Lists what a connector offers as this person. Brokered connectors are listed by whoever pinned them, not here.
    ///
    /// # Errors
    /// A [`CallFault`]; what was known before stays known.
    pub async fn refresh(
        &self,
        id: &AccountId,
        subject: &Subject,
        asking: Asking,
    ) -> Result<Arc<Listing>, CallFault> {
        let connector = self.find(id)?;
        let log = connector.log.writer();
        let mut tries = Tries::default();
        let outcome = loop {
            let outcome = self.refreshed(&connector, subject, asking).await;
            if !tries.again(&connector, &outcome) {
                break outcome;
            }
        };
        self.note(&connector, &log, outcome.as_ref().err());
        if outcome.is_ok() {
            self.changed();
        }
        outcome
    }

    /// Makes the call that `authority` permits, on behalf of `caller`. What the connector says until its answer comes, `ear`
    /// hears.
    ///
    /// # Errors
    /// A [`CallFault`]. Only failures that certainly had no effect are tried again, once.
    pub async fn call(
        &self,
        authority: Authority<'_>,
        params: &CallParams<'_>,
        caller: Caller<'_>,
        deadline: Duration,
        ear: Option<&Ear>,
    ) -> Result<Answer, CallFault> {
        let connector = self.find(&authority.permit().account())?;
        let mut tries = Tries::default();
        let log = connector.log.writer();
        let is_leased = matches!(connector.spec.credential, CredentialSpec::Leased { .. });
        let outcome = match authority.permit().credential() {
            CredentialChoice::Shared(credential) if is_leased => {
                self.called_with_loan(&connector, authority, credential, params, caller, deadline, ear).await
            }
            CredentialChoice::Shared(credential) => {
                let broker = self.seams.broker.as_ref().ok_or(CallFault::Credential)?;
                broker
                    .call(authority, credential, params, caller, deadline, ear)
                    .await
                    .map_err(CallFault::from)
            }
            CredentialChoice::None | CredentialChoice::Own(_) => loop {
                let outcome = self.called(&connector, authority, params, caller.subject, deadline, ear).await;
                if !tries.again(&connector, &outcome) {
                    break outcome;
                }
            },
        };
        // Of a connector at the organisation no more is known here than that it answered.
        let brokered = matches!(connector.spec.credential, CredentialSpec::Brokered { .. });
        // One call that needs more than the person allowed says nothing about the others.
        if (!brokered && tries.stepped_up == 0) || outcome.is_ok() {
            self.note(&connector, &log, outcome.as_ref().err());
        }
        outcome
    }

    /// Begins to follow the resource that `authority` permits, on behalf of `caller`. The connector's error object when it
    /// does not want that.
    ///
    /// # Errors
    /// A [`CallFault`].
    pub async fn subscribe(
        &self,
        authority: Authority<'_>,
        params: &CallParams<'_>,
        caller: Caller<'_>,
        deadline: Duration,
        asking: Asking,
    ) -> Result<Result<Subscription, Box<RawValue>>, CallFault> {
        let connector = self.find(&authority.permit().account())?;
        let log = connector.log.writer();
        let bearer = connector.bearer(caller.subject, asking).await?;
        let outcome = async {
            let session = connector.session(caller.subject, Means::own(bearer.as_ref()), None).await?;
            self.follow_changes(&connector, caller.subject, &session);
            Ok(session.subscribe(authority, params, bearer.as_ref(), deadline).await?)
        }
        .await;
        connector.refused(caller.subject, bearer.as_ref(), outcome.as_ref().err(), Asking::Never).await?;
        self.note(&connector, &log, outcome.as_ref().err());
        outcome
    }

    async fn called(
        &self,
        connector: &Arc<Connector>,
        authority: Authority<'_>,
        params: &CallParams<'_>,
        subject: &Subject,
        deadline: Duration,
        ear: Option<&Ear>,
    ) -> Result<Answer, CallFault> {
        let bearer = connector.invite(ear, connector.bearer(subject, Asking::Allowed)).await?;
        let nothing = Capabilities::default();
        let capabilities = ear.map_or(&nothing, |ear| &ear.wants().capabilities);
        let outcome = async {
            let session = connector.session(subject, Means::own(bearer.as_ref()), Some(capabilities)).await?;
            self.follow_changes(connector, subject, &session);
            let outcome = session.call(authority, params, bearer.as_ref(), deadline, ear).await;
            if session.is_over_after(&outcome) {
                connector.discard(subject, Means::default(), &session).await;
            }
            Ok(outcome?)
        }
        .await;
        let refused = connector.refused(subject, bearer.as_ref(), outcome.as_ref().err(), Asking::Allowed);
        connector.invite(ear, refused).await?;
        outcome
    }

    async fn refreshed(
        &self,
        connector: &Arc<Connector>,
        subject: &Subject,
        asking: Asking,
    ) -> Result<Arc<Listing>, CallFault> {
        if connector.spec.credential.is_shared() {
            return Err(CallFault::Credential);
        }
        let era = connector.era();
        let bearer = connector.bearer(subject, asking).await?;
        let outcome = async {
            let session = connector.session(subject, Means::own(bearer.as_ref()), None).await?;
            let listing = connector.list(&session, bearer.as_ref(), era).await;
            if matches!(&listing, Err(CallFault::Upstream(fault)) if session.is_over_with(fault)) {
                connector.discard(subject, Means::default(), &session).await;
            }
            Ok((listing?, session))
        }
        .await;
        connector.refused(subject, bearer.as_ref(), outcome.as_ref().err(), asking).await?;
        let (listing, session) = outcome?;
        self.follow_changes(connector, subject, &session);
        Ok(listing)
    }

    /// Lists again whenever the connector says that a list changed, as long as the session lasts.
    pub(crate) fn follow_changes(
        &self,
        connector: &Arc<Connector>,
        subject: &Subject,
        session: &Arc<Session>,
    ) {
        if !session.begins_to_be_followed() {
            return;
        }
        let Some(changes) = session.changes() else { return };
        let follower = Follower {
            connectors: self.clone(),
            id: connector.id.clone(),
            connector: Arc::downgrade(connector),
            subject: subject.clone(),
            session: Arc::downgrade(session),
        };
        tokio::spawn(follower.run(changes));
    }

    fn note(&self, connector: &Connector, log: &LogWriter, fault: Option<&CallFault>) {
        if let Some(CallFault::Upstream(fault)) = fault
            && is_news(fault)
        {
            log.failed(&fault.to_string());
        }
        if connector.note(fault) {
            self.changed();
        }
    }

    pub(crate) fn find(&self, id: &AccountId) -> Result<Arc<Connector>, CallFault> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.get(id).cloned().ok_or_else(|| CallFault::Unknown(id.clone()))
    }

    pub(crate) fn seams(&self) -> &Seams {
        &self.seams
    }

    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// How often what had no effect was tried again.
#[derive(Debug, Default)]
struct Tries {
    afresh: bool,
    stepped_up: u8,
}

/// How often a connector may want more scopes for one call (MCP 2026-07-28, basic/authorization, "Step-Up Authorization
/// Flow": a few attempts at most).
const MOST_STEPS: u8 = 2;

impl Tries {
    /// Whether to try once more: with a fresh token or session once, and after each time that the person allowed more.
    fn again<T>(&mut self, connector: &Connector, outcome: &Result<T, CallFault>) -> bool {
        let Err(CallFault::Upstream(fault)) = outcome else { return false };
        if let UpstreamFault::InsufficientScope { .. } = fault {
            self.stepped_up += 1;
            let accounts = connector.spec.credential.is_own();
            return accounts && self.stepped_up <= MOST_STEPS;
        }
        // The connector certainly did nothing, and another token or session may do better.
        let helps = matches!(fault, UpstreamFault::Unauthorized { .. } | UpstreamFault::SessionGone);
        helps && fault.before_effect() && !std::mem::replace(&mut self.afresh, true)
    }
}

/// Whether a connector's log does not say as much already: a program's end is in it.
fn is_news(fault: &UpstreamFault) -> bool {
    !matches!(fault, UpstreamFault::Ended | UpstreamFault::NotPermitted)
}
