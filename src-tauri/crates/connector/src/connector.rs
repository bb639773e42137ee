//! One connector as one account sees it: its sessions, and what is known of it. Another account's is another value.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mcp::connector::About;
use mcp::{Capabilities, Dialect, List};
use model::{AccountId, Advice, CredentialId, Subject, Timestamp, ToolName};
use org_protocol::{CREDENTIAL_PLACEHOLDER, ConnectorSpec, CredentialSpec, Transport};
use secrecy::ExposeSecret as _;
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use upstream::{Bearer, Entries, Listed, Log, Program, Session, UpstreamFault};

use crate::backoff::Backoff;
use crate::fault::CallFault;
use crate::sealed::unsealed;
use crate::seams::{AccountFault, Asking, Lent, Seams};

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
    Failed(Outage),
}

/// A connector that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Why the last attempt failed.
    pub advice: Advice,
    /// When the first of the attempts failed that have failed ever since.
    pub since: Timestamp,
    /// The same on the clock that nobody sets.
    begun: Duration,
}

impl Outage {
    /// How long it has lasted at this time since the machine's start ([`os::Clock::boot_time`]).
    pub fn lasted(&self, boot_time: Duration) -> Duration {
        boot_time.saturating_sub(self.begun)
    }
}

/// The most sessions of one account: assistants that can be asked different things have their own.
const MOST_SESSIONS: usize = 8;

/// Whose session it is, and which secret of which shared credential it holds. Two people never share one, nor two secrets.
type Owner = (String, String, Option<(CredentialId, u64)>);

/// What a session is opened with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Means<'a> {
    /// The token of the person's own account.
    pub(crate) bearer: Option<&'a Bearer>,
    /// A shared credential that is lent, and what is lent.
    pub(crate) lent: Option<(&'a CredentialId, &'a Lent)>,
}

impl<'a> Means<'a> {
    /// The person's own account, or none.
    pub(crate) fn own(bearer: Option<&'a Bearer>) -> Self {
        Self { bearer, lent: None }
    }

    fn owner(&self, subject: &Subject) -> Owner {
        let credential = self.lent.map(|(credential, lent)| (credential.clone(), lent.version));
        (subject.issuer.clone(), subject.subject.clone(), credential)
    }
}

pub(crate) struct Connector {
    pub(crate) id: AccountId,
    pub(crate) spec: ConnectorSpec,
    pub(crate) log: Log,
    pub(crate) seams: Seams,
    slots: RwLock<BTreeMap<Owner, Arc<Mutex<Slot>>>>,
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

/// Whether it is another's place with an earlier secret of the same credential.
fn precedes(one: &Owner, other: &Owner) -> bool {
    let same_person = (&one.0, &one.1) == (&other.0, &other.1);
    match (&one.2, &other.2) {
        (Some((one, earlier)), Some((other, later))) => same_person && one == other && earlier < later,
        (None, _) | (_, None) => false,
    }
}

/// Whether somebody uses it, or something runs in it.
fn is_alive(slot: &Mutex<Slot>) -> bool {
    slot.try_lock().map_or(true, |slot| slot.sessions.iter().any(|session| session.is_alive()))
}

impl Known {
    fn of_era(era: u64) -> Self {
        Self { era, listing: None, health: Health::Idle }
    }
}

impl Connector {
    pub(crate) fn new(id: AccountId, spec: ConnectorSpec, log: Log, seams: Seams) -> Self {
        let known = RwLock::new(Known::of_era(0));
        Self { id, spec, log, seams, slots: RwLock::default(), known, dialect: RwLock::default() }
    }

    /// Whose time it is; to be handed to [`Connector::list`].
    pub(crate) fn era(&self) -> u64 {
        self.known().era
    }

    /// Gives up all sessions, what was listed and what was said.
    pub(crate) fn forget_people(&self) {
        self.log.forget();
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
    pub(crate) fn note(&self, fault: Option<&CallFault>) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let health = match (fault, &known.health) {
            (None, _) => Health::Ready,
            (Some(CallFault::Account(AccountFault::SignInNeeded(_))), _) => Health::SignInNeeded,
            // It was left alone, which is no news.
            (Some(CallFault::Resting { .. }), Health::Failed(_)) => return false,
            (Some(fault), Health::Failed(outage)) => {
                Health::Failed(Outage { advice: self.standing(fault), ..outage.clone() })
            }
            (Some(fault), Health::Idle | Health::Ready | Health::SignInNeeded) => Health::Failed(Outage {
                advice: self.standing(fault),
                since: self.seams.clock.now(),
                begun: self.seams.clock.boot_time(),
            }),
        };
        let changed = known.health != health;
        known.health = health;
        changed
    }

    /// The words for how it is since then, without those for the call that found out.
    fn standing(&self, fault: &CallFault) -> Advice {
        let advice = fault.advice(&self.spec.title);
        match fault {
            CallFault::Upstream(UpstreamFault::Ended) => {
                Advice { means: String::new(), todo: "It is tried again by itself.".to_owned(), ..advice }
            }
            CallFault::Upstream(_) | CallFault::Resting { .. } => Advice { means: String::new(), ..advice },
            CallFault::Unknown(_) | CallFault::Account(_) | CallFault::Broker(_) | CallFault::Credential => {
                advice
            }
        }
    }

    /// The token of this person's account where the connector wants one.
    pub(crate) async fn bearer(&self, person: &Subject, asking: Asking) -> Result<Option<Bearer>, CallFault> {
        match &self.spec.credential {
            CredentialSpec::None => Ok(None),
            CredentialSpec::UserOauth { .. }
            | CredentialSpec::UserToken { .. }
            | CredentialSpec::ClientCredentials { .. }
            | CredentialSpec::Enterprise { .. } => {
                Ok(Some(self.seams.accounts.bearer(person, &self.id, asking).await?))
            }
            CredentialSpec::Brokered { .. } | CredentialSpec::Leased { .. } => Err(CallFault::Credential),
        }
    }

    /// What follows where the connector refused the token that was used: the accounts are told of it, or the person allows what
    /// it wants beside what the token covers.
    pub(crate) async fn refused(
        &self,
        person: &Subject,
        bearer: Option<&Bearer>,
        fault: Option<&CallFault>,
        asking: Asking,
    ) -> Result<(), CallFault> {
        let (Some(bearer), Some(CallFault::Upstream(fault))) = (bearer, fault) else { return Ok(()) };
        let accounts = &self.seams.accounts;
        if let UpstreamFault::Unauthorized { challenge } = fault
            && !fault.blames_proof()
        {
            accounts.rejected(&self.id, bearer, challenge.clone()).await;
        }
        if let UpstreamFault::InsufficientScope { challenge } = fault {
            accounts.step_up(person, &self.id, bearer, challenge, asking).await?;
        }
        Ok(())
    }

    /// A live session of this person, opened if need be, for an assistant that can be asked what `capabilities` says; any
    /// for what the gateway does by itself. Concurrent callers share one opening.
    pub(crate) async fn session(
        &self,
        subject: &Subject,
        means: Means<'_>,
        capabilities: Option<&Capabilities>,
    ) -> Result<Arc<Session>, CallFault> {
        let slot = self.slot(means.owner(subject));
        let mut slot = slot.lock().await;
        if let Some(session) = slot.find(capabilities) {
            return Ok(session);
        }
        // Of the attempt's beginning: one that the machine slept through says nothing about the network that it woke in.
        let round = self.seams.http.again().round();
        if let (Some(wait), Some(last)) =
            (slot.backoff.remaining(self.seams.clock.now(), round), slot.last_failure.clone())
        {
            return Err(CallFault::Resting { seconds: wait.as_secs(), last });
        }
        // It is rare and large: on the heap, calls do not carry it along.
        match Box::pin(self.open(means, &capabilities.cloned().unwrap_or_default())).await {
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
                    slot.backoff.failed(self.seams.clock.now(), round);
                    slot.last_failure = Some(fault.clone());
                }
                Err(fault.into())
            }
        }
    }

    /// Forgets a session that turned out useless, unless another took its place already.
    pub(crate) async fn discard(&self, subject: &Subject, means: Means<'_>, useless: &Arc<Session>) {
        let slot = self.slot(means.owner(subject));
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
    async fn open(&self, means: Means<'_>, capabilities: &Capabilities) -> Result<Session, UpstreamFault> {
        let known = *self.dialect.read().unwrap_or_else(PoisonError::into_inner);
        let opened = self.open_as(known, means, capabilities).await;
        let spoken = opened.as_ref().ok().map(Session::dialect);
        *self.dialect.write().unwrap_or_else(PoisonError::into_inner) = spoken;
        opened
    }

    async fn open_as(
        &self,
        known: Option<Dialect>,
        Means { bearer, lent }: Means<'_>,
        capabilities: &Capabilities,
    ) -> Result<Session, UpstreamFault> {
        let unusable = |fault: org_protocol::ContentFault| UpstreamFault::Unreachable(fault.to_string());
        match self.spec.transport().map_err(unusable)? {
            Transport::Http(url) => {
                let http = &self.seams.http;
                Session::open_url(http, url, bearer, capabilities, known, self.deadline()).await
            }
            Transport::Stdio { program, arguments } => {
                let program = self.program(program, arguments, lent.map(|(_, lent)| lent)).await?;
                let log = self.log.writer();
                Session::open_program(&program, &log, capabilities, known, self.deadline()).await
            }
        }
    }

    /// The program with all that it is started with, secrets too.
    async fn program(
        &self,
        program: &str,
        arguments: &[String],
        lent: Option<&Lent>,
    ) -> Result<Program, UpstreamFault> {
        let failed = |name| UpstreamFault::Sealed { name };
        let (id, values) = (&self.id.connector, self.seams.sealed.as_ref());
        let mut environment = self.seams.environment.clone();
        for (name, value) in &self.spec.environment {
            let value = match lent {
                Some(lent) => value.replace(CREDENTIAL_PLACEHOLDER, lent.secret.expose_secret()),
                None => unsealed(value, id, values).await.map_err(failed)?,
            };
            environment.insert(name.clone(), value);
        }
        let mut unsealed_arguments = Vec::with_capacity(arguments.len());
        for argument in arguments {
            unsealed_arguments.push(unsealed(argument, id, values).await.map_err(failed)?);
        }
        let (program, arguments) = (program.to_owned(), unsealed_arguments);
        Ok(Program { program, arguments, environment, directory: None, account: None })
    }

    fn deadline(&self) -> Duration {
        self.seams.opening_deadline
    }

    fn slot(&self, owner: Owner) -> Arc<Mutex<Slot>> {
        let known = self.slots.read().unwrap_or_else(PoisonError::into_inner).get(&owner).cloned();
        known.unwrap_or_else(|| {
            let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
            // Each secret of a credential has a slot; those of earlier ones go with their programs.
            slots.retain(|other, slot| !precedes(other, &owner) || is_alive(slot));
            Arc::clone(slots.entry(owner).or_default())
        })
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use model::BoxFuture;
    use os::{Clock as _, ManualClock};
    use upstream::{HttpClient, ListedTools};

    use super::*;
    use crate::seams::Accounts;

    struct NoAccounts;

    impl Accounts for NoAccounts {
        fn bearer<'a>(
            &'a self,
            _person: &'a Subject,
            _connector: &'a AccountId,
            _asking: Asking,
        ) -> BoxFuture<'a, Result<Bearer, AccountFault>> {
            Box::pin(async { Err(needed()) })
        }

        fn rejected<'a>(
            &'a self,
            _connector: &'a AccountId,
            _bearer: &'a Bearer,
            _challenge: Option<String>,
        ) -> BoxFuture<'a, ()> {
            Box::pin(async {})
        }

        fn step_up<'a>(
            &'a self,
            _person: &'a Subject,
            _connector: &'a AccountId,
            _bearer: &'a Bearer,
            _challenge: &'a str,
            _asking: Asking,
        ) -> BoxFuture<'a, Result<(), AccountFault>> {
            Box::pin(async { Err(needed()) })
        }
    }

    fn needed() -> AccountFault {
        AccountFault::SignInNeeded(Advice::new("sign-in", "Sign in.", "", ""))
    }

    fn connector(clock: &Arc<ManualClock>) -> Connector {
        let clock = Arc::<ManualClock>::clone(clock) as Arc<dyn os::Clock>;
        let seams = Seams {
            http: HttpClient::new().unwrap(),
            accounts: Arc::new(NoAccounts),
            broker: None,
            lender: None,
            sealed: None,
            environment: BTreeMap::new(),
            opening_deadline: Duration::from_secs(1),
            clock: Arc::clone(&clock),
        };
        let spec: ConnectorSpec =
            serde_json::from_str(r#"{"title":"Odd","url":"http://127.0.0.1:9/"}"#).unwrap();
        Connector::new("odd".parse().unwrap(), spec, Log::new(clock), seams)
    }

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_first_sign_of_life() {
        let clock = Arc::<ManualClock>::default();
        let connector = connector(&clock);
        let outage = || match connector.health() {
            Health::Failed(outage) => outage,
            other @ (Health::Idle | Health::Ready | Health::SignInNeeded) => panic!("{other:?}"),
        };
        let unreachable = CallFault::from(UpstreamFault::Unreachable("gone".to_owned()));
        let begun = clock.now();
        assert!(connector.note(Some(&unreachable)));
        clock.advance(Duration::from_secs(60));
        assert!(connector.note(Some(&UpstreamFault::Deadline.into())), "another reason");
        assert_eq!((outage().since, outage().advice.code.as_str()), (begun, "connector-slow"));
        assert_eq!(outage().advice.means, "", "nothing of the call that was too slow");
        let resting = CallFault::Resting { seconds: 1, last: UpstreamFault::SessionGone };
        assert!(!connector.note(Some(&resting)), "it was not even tried");
        assert_eq!(outage().advice.code, "connector-slow");
        clock.set(Timestamp::from_seconds(0));
        assert_eq!(
            outage().lasted(clock.boot_time()),
            Duration::from_secs(60),
            "whatever somebody sets the clock to"
        );

        for sign_of_life in [None, Some(CallFault::from(needed()))] {
            assert!(connector.note(sign_of_life.as_ref()));
            clock.advance(Duration::from_secs(60));
            assert!(connector.note(Some(&unreachable)));
            assert_eq!(outage().since, clock.now(), "it begins anew");
        }
    }

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
