//! One connector: its sessions, one for each account, and what is known of it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mcp::connector::About;
use mcp::{Capabilities, Dialect, List};
use model::{Advice, ConnectorId, Subject, Timestamp, ToolName};
use org_protocol::{ConnectorSpec, CredentialSpec, Transport};
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use upstream::{Bearer, Entries, Listed, Program, Session, UpstreamFault};

use crate::backoff::Backoff;
use crate::fault::CallFault;
use crate::seams::{Asking, Seams};

/// What is known of what a connector offers, each entry as the connector sent it.
#[derive(Debug, Clone)]
pub struct Listing {
    /// What it says of itself.
    pub about: About,
    /// Well-formed definitions of tools, by name.
    pub tools: Vec<(ToolName, Box<RawValue>)>,
    /// Its resources, by URI.
    pub resources: Entries,
    /// Its resource templates, by template (RFC 6570).
    pub templates: Entries,
    /// Its prompts, by name.
    pub prompts: Entries,
    /// Descriptions of malformed entries that were left out, and of lists that could not be had.
    pub left_out: Vec<String>,
    /// When it was listed.
    pub at: Timestamp,
}

/// How a connector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Not used yet.
    Idle,
    /// It answers.
    Ready,
    /// The person has to sign in first.
    SignInNeeded,
    /// The last attempt failed; the next call tries again.
    Failed(Advice),
}

/// The most sessions of one account: assistants that can be asked different things have their own.
const MOST_SESSIONS: usize = 8;

/// Whose session it is. Two people, or two accounts, never share one.
type Account = (String, String);

pub(crate) struct Connector {
    pub(crate) id: ConnectorId,
    pub(crate) spec: ConnectorSpec,
    seams: Seams,
    slots: RwLock<BTreeMap<Account, Arc<Mutex<Slot>>>>,
    known: RwLock<Known>,
    /// How it spoke the last time.
    dialect: RwLock<Option<Dialect>>,
}

#[derive(Default)]
struct Slot {
    /// The one used last is at the end.
    sessions: Vec<Arc<Session>>,
    backoff: Backoff,
    last_failure: Option<UpstreamFault>,
}

struct Known {
    /// Counts the people: what was asked for one is not kept for the next.
    era: u64,
    listing: Option<Arc<Listing>>,
    health: Health,
}

impl Listing {
    /// Takes what was listed. A list that could not be had this time stays as it was `before`.
    fn of(listed: Listed, about: About, before: Option<&Self>, at: Timestamp) -> Self {
        let Listed { tools, resources, templates, prompts, left_out: mut others } = listed;
        let mut left_out = tools.left_out;
        left_out.append(&mut others);
        let mut had = |list: List, entries: Result<Entries, UpstreamFault>, before: Option<&Entries>| {
            entries.unwrap_or_else(|fault| {
                left_out.push(format!("{}: {fault}", list.method()));
                before.cloned().unwrap_or_default()
            })
        };
        let resources = had(List::Resources, resources, before.map(|before| &before.resources));
        let templates = had(List::Templates, templates, before.map(|before| &before.templates));
        let prompts = had(List::Prompts, prompts, before.map(|before| &before.prompts));
        Self { about, tools: tools.tools, resources, templates, prompts, left_out, at }
    }

    /// Whether both say the same, but for the tools.
    pub fn is_same_beside_tools(&self, other: &Self) -> bool {
        let are = |one: &Entries, other: &Entries| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.1.get() == other.1.get())
        };
        self.about == other.about
            && are(&self.resources, &other.resources)
            && are(&self.templates, &other.templates)
            && are(&self.prompts, &other.prompts)
    }
}

impl Slot {
    /// A live session for an assistant that can be asked this; any will do where nobody is asked.
    fn find(&mut self, capabilities: Option<&Capabilities>) -> Option<Arc<Session>> {
        self.sessions.retain(|session| session.is_alive());
        let suits = |session: &Arc<Session>| capabilities.is_none_or(|wanted| session.suits(wanted));
        let found = self.sessions.iter().rposition(suits)?;
        let session = self.sessions.remove(found);
        self.sessions.push(Arc::clone(&session));
        Some(session)
    }

    /// Keeps a session. One that was opened for nobody in particular is given up for it, and of too many the one
    /// that was not used for the longest time: calls in flight end on them.
    fn keep(&mut self, session: &Arc<Session>) {
        if !session.is_plain() {
            self.sessions.retain(|other| !other.is_plain());
        }
        if self.sessions.len() == MOST_SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push(Arc::clone(session));
    }
}

impl Known {
    fn of_era(era: u64) -> Self {
        Self { era, listing: None, health: Health::Idle }
    }
}

impl Connector {
    pub(crate) fn new(id: ConnectorId, spec: ConnectorSpec, seams: Seams) -> Self {
        let known = RwLock::new(Known::of_era(0));
        Self { id, spec, seams, slots: RwLock::default(), known, dialect: RwLock::default() }
    }

    /// Whose time it is; to be handed to [`Connector::list`].
    pub(crate) fn era(&self) -> u64 {
        self.known().era
    }

    /// Gives up all sessions and what was listed.
    pub(crate) fn forget_people(&self) {
        self.slots.write().unwrap_or_else(PoisonError::into_inner).clear();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Known::of_era(known.era + 1);
    }

    pub(crate) fn listing(&self) -> Option<Arc<Listing>> {
        self.known().listing.clone()
    }

    pub(crate) fn health(&self) -> Health {
        self.known().health.clone()
    }

    /// Notes how it went. `true` when that changed what is known.
    pub(crate) fn note(&self, health: Health) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let changed = known.health != health;
        known.health = health;
        changed
    }

    /// The token of this person's account where the connector wants one.
    pub(crate) async fn bearer(&self, person: &Subject, asking: Asking) -> Result<Option<Bearer>, CallFault> {
        match &self.spec.credential {
            CredentialSpec::None => Ok(None),
            CredentialSpec::UserOauth { .. } => {
                Ok(Some(self.seams.accounts.bearer(person, &self.id, asking).await?))
            }
            CredentialSpec::Brokered { .. } => Err(CallFault::Credential),
        }
    }

    /// Has the person allow what the connector wants beside what the token covers, if that is why it refused.
    pub(crate) async fn step_up(
        &self,
        person: &Subject,
        bearer: Option<&Bearer>,
        fault: Option<&CallFault>,
    ) -> Result<(), CallFault> {
        if let (Some(bearer), Some(CallFault::Upstream(UpstreamFault::InsufficientScope { challenge }))) =
            (bearer, fault)
        {
            self.seams.accounts.step_up(person, &self.id, bearer, challenge).await?;
        }
        Ok(())
    }

    /// Tells the accounts when the connector refused the token that was used.
    pub(crate) async fn report_rejection(&self, bearer: Option<&Bearer>, fault: Option<&CallFault>) {
        if let (Some(bearer), Some(CallFault::Upstream(UpstreamFault::Unauthorized { challenge }))) =
            (bearer, fault)
        {
            self.seams.accounts.rejected(&self.id, bearer, challenge.clone()).await;
        }
    }

    /// A live session of this person, opened if need be, for an assistant that can be asked what `capabilities` says; any
    /// for what the gateway does by itself. Concurrent callers share one opening.
    pub(crate) async fn session(
        &self,
        subject: &Subject,
        bearer: Option<&Bearer>,
        capabilities: Option<&Capabilities>,
    ) -> Result<Arc<Session>, CallFault> {
        let slot = self.slot(subject);
        let mut slot = slot.lock().await;
        if let Some(session) = slot.find(capabilities) {
            return Ok(session);
        }
        if let (Some(wait), Some(last)) =
            (slot.backoff.remaining(self.seams.clock.now()), slot.last_failure.clone())
        {
            return Err(CallFault::Resting { seconds: wait.as_secs(), last });
        }
        match self.open(bearer, &capabilities.cloned().unwrap_or_default()).await {
            Ok(session) => {
                let session = Arc::new(session);
                slot.backoff.succeeded();
                slot.keep(&session);
                Ok(session)
            }
            Err(fault) => {
                // A missing sign-in is nobody's failure.
                if !matches!(
                    fault,
                    UpstreamFault::Unauthorized { .. } | UpstreamFault::InsufficientScope { .. }
                ) {
                    slot.backoff.failed(self.seams.clock.now());
                    slot.last_failure = Some(fault.clone());
                }
                Err(fault.into())
            }
        }
    }

    /// Forgets a session that turned out useless, unless another took its place already.
    pub(crate) async fn discard(&self, subject: &Subject, useless: &Arc<Session>) {
        let slot = self.slot(subject);
        let mut slot = slot.lock().await;
        slot.sessions.retain(|held| !Arc::ptr_eq(held, useless));
    }

    /// Lists what the connector offers as this person, with `session` already open, and remembers it if nobody else has come
    /// since `era`.
    pub(crate) async fn list(
        &self,
        session: &Session,
        bearer: Option<&Bearer>,
        era: u64,
    ) -> Result<Arc<Listing>, CallFault> {
        let listed = session.list_all(bearer, self.deadline()).await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.listing.as_deref().filter(|_| known.era == era);
        let listing = Arc::new(Listing::of(listed, session.about().clone(), before, self.seams.clock.now()));
        if known.era == era {
            known.listing = Some(Arc::clone(&listing));
        }
        drop(known);
        for text in &listing.left_out {
            tracing::warn!(connector = %self.id, "left out: {text}");
        }
        Ok(listing)
    }

    /// Opens a session. After a failure nothing is assumed of how the connector speaks: it may have become another one.
    async fn open(
        &self,
        bearer: Option<&Bearer>,
        capabilities: &Capabilities,
    ) -> Result<Session, UpstreamFault> {
        let known = *self.dialect.read().unwrap_or_else(PoisonError::into_inner);
        let opened = self.open_as(known, bearer, capabilities).await;
        let spoken = opened.as_ref().ok().map(Session::dialect);
        *self.dialect.write().unwrap_or_else(PoisonError::into_inner) = spoken;
        opened
    }

    async fn open_as(
        &self,
        known: Option<Dialect>,
        bearer: Option<&Bearer>,
        capabilities: &Capabilities,
    ) -> Result<Session, UpstreamFault> {
        let unusable = |fault: org_protocol::ContentFault| UpstreamFault::Unreachable(fault.to_string());
        match self.spec.transport().map_err(unusable)? {
            Transport::Http(url) => {
                let http = &self.seams.http;
                Session::open_url(http, url, bearer, capabilities, known, self.deadline()).await
            }
            Transport::Stdio { program, arguments } => {
                let mut environment = self.seams.environment.clone();
                environment.extend(self.spec.environment.clone());
                let program = Program {
                    program: program.to_owned(),
                    arguments: arguments.to_vec(),
                    environment,
                    directory: None,
                };
                Session::open_program(&program, capabilities, known, self.deadline()).await
            }
        }
    }

    fn deadline(&self) -> Duration {
        self.seams.opening_deadline
    }

    fn slot(&self, subject: &Subject) -> Arc<Mutex<Slot>> {
        let account = (subject.issuer.clone(), subject.subject.clone());
        let known = self.slots.read().unwrap_or_else(PoisonError::into_inner).get(&account).cloned();
        known.unwrap_or_else(|| {
            let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(account).or_default())
        })
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use upstream::ListedTools;

    use super::*;

    fn entries(names: &[&str]) -> Entries {
        let entry = |name: &&str| ((*name).to_owned(), mcp::raw(&serde_json::json!({"name": name})));
        names.iter().map(entry).collect()
    }

    fn listing(prompts: Result<Entries, UpstreamFault>, before: Option<&Listing>) -> Listing {
        let listed = Listed {
            tools: ListedTools::default(),
            resources: Ok(entries(&["r"])),
            templates: Ok(Entries::new()),
            prompts,
            left_out: Vec::new(),
        };
        Listing::of(listed, About::default(), before, Timestamp::from_seconds(0))
    }

    #[test]
    fn a_list_that_cannot_be_had_stays_as_it_was_and_is_told() {
        let first = listing(Ok(entries(&["a"])), None);
        let second = listing(Err(UpstreamFault::Deadline), Some(&first));
        assert!(second.is_same_beside_tools(&first));
        assert_eq!(second.left_out.len(), 1, "{:?}", second.left_out);
        let third = listing(Ok(entries(&["a", "b"])), Some(&second));
        assert!(!third.is_same_beside_tools(&second) && third.left_out.is_empty());
        assert!(listing(Err(UpstreamFault::Deadline), None).prompts.is_empty());
    }
}
