//! The secrets of shared accounts, from wherever IT says that they come: this server's sealed store, Vault or OpenBao, an
//! authorization server.
//!
//! Signed content holds a credential's name and nothing else; where its value comes from is said here, by a custodian. What was
//! fetched is in memory only.

mod oauth;
mod source;
mod template;
mod vault;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{CredentialId, LeaseId, Subject};
use opentelemetry::trace::SpanKind;
use os::Clock;
use secrecy::SecretString;

use crate::assertion::Assertion;
use crate::identity::Outward;
use crate::sealing::{MasterKey, Opened, SealFault};
use crate::store::SealedCredential;
use crate::trace::{Span, whose};

pub use source::{AppRole, OauthSpec, SourceSpec, VaultSpec};
use source::{Fetched, Hold, Source};
pub(crate) use source::{SOURCE_FORMAT, SourceFault, StoredSource};
pub use vault::transit::TransitKey;
pub(crate) use vault::transit::WrappedKey;

/// What was fetched is not used in its last moments: a call takes its time.
const AHEAD: Duration = Duration::from_secs(30);

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialFault {
    /// What is stored does not open.
    #[error(transparent)]
    Seal(#[from] SealFault),
    /// Its source gave nothing.
    #[error(transparent)]
    Source(#[from] SourceFault),
}

/// A secret that may be used now.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) secret: SecretString,
    /// What it was made of, where that is secret by itself.
    pub(crate) parts: Vec<SecretString>,
    /// Counts what was fetched: whoever holds an earlier one holds another secret.
    pub(crate) generation: u64,
}

/// What was fetched for a lease.
pub(crate) struct Lent {
    pub(crate) secret: SecretString,
    /// How long it may be used; for ever where nothing is said.
    pub(crate) life: Option<Duration>,
}

/// A credential's secret, and whose it is where each person has another.
type Key = (CredentialId, u64, Option<(String, String)>);

/// What was fetched and is used again.
struct Kept {
    current: Current,
    source: Arc<dyn Source>,
    hold: Hold,
    /// When it is not used any more, on the clock that nobody sets.
    end: Option<Duration>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// What was lent: its source, and how it is taken back there.
struct Loan {
    source: Arc<dyn Source>,
    secret: SecretString,
    hold: Hold,
    begun: Duration,
    end: Option<Duration>,
}

type Loans = HashMap<LeaseId, Arc<tokio::sync::Mutex<Loan>>>;

/// Opens and fetches secrets.
pub(crate) struct Credentials {
    master: MasterKey,
    http: Outward,
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<Key, Slot>>,
    loans: Mutex<Loans>,
    generations: std::sync::atomic::AtomicU64,
}

impl Credentials {
    /// Nothing is fetched yet. `http` follows no redirects.
    pub(crate) fn new(master: MasterKey, http: Outward, clock: Arc<dyn Clock>) -> Self {
        Self {
            master,
            http,
            clock,
            kept: Mutex::default(),
            loans: Mutex::default(),
            generations: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The key under which secrets are sealed.
    pub(crate) fn master(&self) -> &MasterKey {
        &self.master
    }

    /// The secret that is used for a person now.
    pub(crate) async fn current(
        &self,
        id: &CredentialId,
        sealed: &SealedCredential,
        whose: &Assertion<'_>,
    ) -> Result<Current, CredentialFault> {
        let stored = match self.opened(id, sealed)? {
            Opened::Secret(secret) => return Ok(Current { secret, parts: Vec::new(), generation: 0 }),
            Opened::Source(stored) => stored,
        };
        let person = stored.spec.is_personal().then(|| person(whose.subject));
        let slot = Arc::clone(self.lock_kept().entry((id.clone(), sealed.version, person)).or_default());
        // Whoever comes first fetches, while the others wait; not for longer than one of them would.
        let mut slot = tokio::time::timeout(WITHIN, slot.lock()).await.map_err(|_| slow())?;
        let now = self.clock.boot_time();
        if let Some(kept) = slot.as_mut() {
            if kept.end.is_none_or(|end| now + AHEAD < end) {
                return Ok(kept.current.clone());
            }
            let renewed = in_time(kept.source.renew(&kept.hold)).await.ok().flatten();
            if let Some(life) = renewed.map(capped).filter(|life| *life > AHEAD) {
                kept.end = Some(now + life);
                return Ok(kept.current.clone());
            }
        }
        let span = fetching(&stored.spec);
        // Whoever is signed in there stays so.
        let source: Arc<dyn Source> = match slot.as_ref() {
            Some(kept) => Arc::clone(&kept.source),
            None => source::open(*stored, &self.http, &self.clock)?.into(),
        };
        let fetched = asked(&span, source.fetch(Some(whose))).await?;
        let before = slot.take();
        let generation = self.generation(before.as_ref(), &fetched);
        if let Some(before) = before.filter(|before| before.current.generation != generation) {
            give_back(before.source, before.hold);
        }
        let current = Current { secret: fetched.secret, parts: fetched.parts, generation };
        let end = fetched.life.map(|life| now + capped(life).max(AHEAD + AHEAD));
        *slot = Some(Kept { current: current.clone(), source, hold: fetched.hold, end });
        Ok(current)
    }

    /// Fetches a secret without using it: whether it is to be had.
    pub(crate) async fn tried(&self, stored: StoredSource) -> Result<Trial, SourceFault> {
        let source: Arc<dyn Source> = source::open(stored, &self.http, &self.clock)?.into();
        let Fetched { secret, hold, .. } = source.fetch(None).await?;
        Ok(Trial { secret, source, hold })
    }

    /// Takes what opens a source out of its wrapping, where it came in one: that works once.
    pub(crate) async fn taken_out(
        &self,
        spec: SourceSpec,
        key: SecretString,
    ) -> Result<(SourceSpec, SecretString), SourceFault> {
        let taken_out = source::taken_out(spec, key, &self.http, &self.clock);
        tokio::time::timeout(WITHIN, taken_out).await.unwrap_or_else(|_| Err(slow()))
    }

    /// A secret of its own for a lease, where its source gives such.
    pub(crate) async fn lent(
        &self,
        lease: LeaseId,
        renews: bool,
        id: &CredentialId,
        sealed: &SealedCredential,
        whose: &Assertion<'_>,
    ) -> Result<Option<Lent>, CredentialFault> {
        let stored = match self.opened(id, sealed)? {
            Opened::Secret(secret) => return Ok(Some(Lent { secret, life: None })),
            Opened::Source(stored) => stored,
        };
        if renews {
            return self.renewed(lease, whose).await;
        }
        let span = fetching(&stored.spec);
        let source: Arc<dyn Source> = source::open(*stored, &self.http, &self.clock)?.into();
        let Fetched { secret, life, hold, .. } = asked(&span, source.fetch(Some(whose))).await?;
        let life = life.map(capped);
        let lent = Lent { secret: secret.clone(), life };
        let begun = self.clock.boot_time();
        let end = life.map(|life| begun + life);
        let loan = Arc::new(tokio::sync::Mutex::new(Loan { source, secret, hold, begun, end }));
        self.lock_loans().insert(lease, loan);
        Ok(Some(lent))
    }

    /// What was lent, as long as its source lets it live. `None` where another has to be asked for: the device holds what it got.
    async fn renewed(&self, lease: LeaseId, whose: &Assertion<'_>) -> Result<Option<Lent>, CredentialFault> {
        let Some(loan) = self.lock_loans().get(&lease).cloned() else { return Ok(None) };
        let mut loan = loan.lock().await;
        let now = self.clock.boot_time();
        if matches!(loan.hold, Hold::None) {
            // Nothing can be asked to live on; whether it is still the same can be looked at.
            let fetched = in_time(loan.source.fetch(Some(whose))).await?;
            if !is_same(&fetched.secret, &loan.secret) {
                give_back(Arc::clone(&loan.source), fetched.hold);
                return Ok(None);
            }
            loan.end = fetched.life.map(|life| now + capped(life));
        } else if let Some(life) = in_time(loan.source.renew(&loan.hold)).await.ok().flatten() {
            loan.end = Some(now + capped(life));
        }
        let life = loan.end.map(|end| end.saturating_sub(now));
        Ok(life.is_none_or(|life| life > AHEAD).then(|| Lent { secret: loan.secret.clone(), life }))
    }

    /// Takes back at its source what was lent. `false` where that cannot be, or not now: then it is tried again.
    pub(crate) async fn take_back(&self, lease: LeaseId) -> bool {
        let Some(loan) = self.lock_loans().get(&lease).cloned() else { return false };
        let loan = loan.lock().await;
        match in_time(loan.source.revoke(&loan.hold)).await {
            Ok(done) => {
                self.lock_loans().remove(&lease);
                done
            }
            Err(fault) => {
                tracing::error!(%fault, %lease, "a secret that was lent could not be taken back at its source");
                false
            }
        }
    }

    /// Whether a lease is of something that its source could take back.
    pub(crate) fn can_take_back(&self, lease: LeaseId) -> bool {
        self.lock_loans().contains_key(&lease)
    }

    /// Takes back what was lent for leases that are over.
    pub(crate) async fn take_back_all_but(&self, held: &[LeaseId]) {
        let now = self.clock.boot_time();
        // A young one may not be written down yet.
        let is_over = |(lease, loan): (&LeaseId, &Arc<tokio::sync::Mutex<Loan>>)| {
            let is_old = loan.try_lock().is_ok_and(|loan| now.saturating_sub(loan.begun) > GRACE);
            (is_old && !held.contains(lease)).then_some(*lease)
        };
        let over: Vec<LeaseId> = self.lock_loans().iter().filter_map(is_over).collect();
        for lease in over {
            self.take_back(lease).await;
        }
        // What could not be taken back and has ended by itself meanwhile needs it no more.
        self.lock_loans().retain(|lease, loan| {
            let has_ended = loan.try_lock().is_ok_and(|loan| loan.end.is_some_and(|end| end <= now));
            held.contains(lease) || !has_ended
        });
    }

    /// Forgets what has ended by itself.
    pub(crate) fn forget_ended(&self) {
        let now = self.clock.boot_time();
        let is_over =
            |kept: &Option<Kept>| kept.as_ref().is_none_or(|kept| kept.end.is_some_and(|end| end <= now));
        self.lock_kept().retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.try_lock().map_or(true, |kept| !is_over(&kept))
        });
    }

    /// Forgets what was fetched for credentials that are others by now, or gone.
    pub(crate) fn keep_only(&self, stored: &[crate::store::StoredCredential]) {
        let is_it = |(id, version, _): &Key| {
            stored.iter().any(|credential| credential.id == *id && credential.version == *version)
        };
        let gone: Vec<CredentialId> =
            self.lock_kept().keys().filter(|key| !is_it(key)).map(|(id, ..)| id.clone()).collect();
        gone.iter().for_each(|id| self.forget(id));
    }

    /// Forgets what was fetched for a credential: it is another one, or was not taken.
    pub(crate) fn forget(&self, id: &CredentialId) {
        let slots: Vec<Slot> =
            self.lock_kept().extract_if(|(known, ..), _| known == id).map(|(_, slot)| slot).collect();
        for slot in slots {
            tokio::spawn(async move {
                if let Some(kept) = slot.lock().await.take() {
                    give_back(kept.source, kept.hold);
                }
            });
        }
    }

    fn opened(&self, id: &CredentialId, sealed: &SealedCredential) -> Result<Opened, SealFault> {
        self.master.open(id, sealed)
    }

    /// The same secret again is no other one.
    fn generation(&self, before: Option<&Kept>, fetched: &Fetched) -> u64 {
        let same = |kept: &&Kept| is_same(&kept.current.secret, &fetched.secret);
        match before.filter(same) {
            Some(kept) => kept.current.generation,
            None => 1 + self.generations.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        }
    }

    fn lock_kept(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Slot>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_loans(&self) -> std::sync::MutexGuard<'_, Loans> {
        self.loans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    use secrecy::ExposeSecret as _;
    one.expose_secret() == other.expose_secret()
}

/// How long a source may take.
const WITHIN: Duration = Duration::from_secs(15);
/// For how long what a source gave is believed to be good at most, whatever it says.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

fn capped(life: Duration) -> Duration {
    life.min(LONGEST)
}

fn slow() -> SourceFault {
    SourceFault::Unavailable("its source".to_owned(), "it is slow".to_owned())
}

/// What a source answers, unless it takes too long.
async fn in_time<T>(asked: impl Future<Output = Result<T, SourceFault>>) -> Result<T, SourceFault> {
    tokio::time::timeout(WITHIN, asked).await.unwrap_or_else(|_| Err(slow()))
}

/// Tells that a source is asked, and which kind of one.
fn fetching(spec: &SourceSpec) -> Span {
    let span = Span::part("fetch the secret", SpanKind::Client);
    span.set("deskgate.credential.source", spec.kind());
    whose(&span, spec.address());
    span
}

/// The same, and tells whether it gave something.
async fn asked(
    span: &Span,
    fetch: impl Future<Output = Result<Fetched, SourceFault>>,
) -> Result<Fetched, SourceFault> {
    let fetched = span.around(in_time(fetch)).await;
    if let Err(fault) = &fetched {
        span.fail(fault.kind());
    }
    fetched
}

/// A secret that was fetched to be tried; it is given back afterwards.
pub(crate) struct Trial {
    pub(crate) secret: SecretString,
    source: Arc<dyn Source>,
    hold: Hold,
}

impl Trial {
    /// Gives it back.
    pub(crate) fn end(self) {
        give_back(self.source, self.hold);
    }
}

/// How long calls that are under way may go on with what is given back.
const GRACE: Duration = Duration::from_secs(120);

/// Has the source take back what is used no more.
fn give_back(source: Arc<dyn Source>, hold: Hold) {
    if !hold.is_revocable() {
        return;
    }
    tokio::spawn(async move {
        tokio::time::sleep(GRACE).await;
        if let Err(fault) = source.revoke(&hold).await {
            tracing::warn!(%fault, "a secret that is used no more could not be given back; it ends by itself");
        }
    });
}

fn person(subject: &Subject) -> (String, String) {
    (subject.issuer.clone(), subject.subject.clone())
}
