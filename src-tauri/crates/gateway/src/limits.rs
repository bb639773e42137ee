//! Limits on the way of a call: how large it is, and how many were made before it.
//!
//! A call is counted before it is recorded and made, in one step with the look at whether it is one too many, and stays counted whatever
//! comes of it. Calls in a second, minute or hour are counted in memory, on the clock that nobody sets; those in a day or a month
//! are on disk before the call is made, and a wall clock that is set back is not followed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit::Outcome;
use model::{Advice, BoxFuture, Timestamp};
use os::Clock;
use policy::{Again, Aim, Count, CountedBy, CredentialChoice, Denial, Over, Permit};
use serde::{Deserialize, Serialize};

use crate::call::{Call, Reply};
use crate::gate::Gate;
use crate::wanted::Wanted;

const FORMAT: u32 = 1;
/// From how many counters on those are looked for that count nothing any more.
const MANY: usize = 1024;

/// Where counts outlast the program.
pub trait KeptCounts: Send + Sync {
    /// What was kept last.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn load(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, String>>;

    /// Keeps this in its place; on disk when it returns `Ok`.
    ///
    /// # Errors
    /// Why not, in words.
    fn keep(&self, counts: Vec<u8>) -> BoxFuture<'_, Result<(), String>>;
}

/// The counts of all calls that this gateway makes.
pub struct Limits {
    counts: Mutex<Counts>,
    /// The last change of the counts that is kept.
    written: tokio::sync::Mutex<u64>,
    kept: Arc<dyn KeptCounts>,
    clock: Arc<dyn Clock>,
}

/// Why a call is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Untaken {
    /// It is one too many.
    Over(Over),
    /// That it is made cannot be kept, in words.
    Unkept(String),
}

#[derive(Debug, Default)]
struct Counts {
    windows: HashMap<String, Window>,
    quotas: Quotas,
    /// Why what was counted before is not known; then nothing is counted for a quota.
    unread: Option<String>,
    changes: u64,
}

/// The calls of some last seconds.
#[derive(Debug, Default)]
struct Window {
    length: Duration,
    /// When each was made, since the machine's start; the oldest first.
    made: VecDeque<Duration>,
}

/// The calls of the days and months that are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Quotas {
    format: u32,
    /// The latest time at which one was counted: it is not earlier now, whatever the clock says.
    latest: Option<Timestamp>,
    used: BTreeMap<String, Used>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Used {
    /// When its day or month began.
    begin: Timestamp,
    /// And ends.
    end: Timestamp,
    calls: u32,
}

impl Window {
    /// How long until one more may be made; nothing where it may be now.
    fn wait(&mut self, most: u32, length: Duration, now: Duration) -> Option<Duration> {
        self.length = length;
        let is_past = |made: &Duration| now.saturating_sub(*made) >= length;
        while self.made.front().is_some_and(is_past) {
            self.made.pop_front();
        }
        // Where fewer are let through than before, more than one has to go.
        let last = self.made.len().checked_sub(usize::try_from(most).unwrap_or(usize::MAX))?;
        self.made.get(last).map(|made| length.saturating_sub(now.saturating_sub(*made)))
    }
}

impl Quotas {
    fn now(&self, clock: Timestamp) -> Timestamp {
        self.latest.map_or(clock, |latest| latest.max(clock))
    }

    /// How many were made in the day or month that it is.
    fn used(&self, count: &Count, now: Timestamp) -> Used {
        let period = count.allowance().period();
        let begin = period.begin(now);
        let fresh = Used { begin, end: period.end(begin), calls: 0 };
        self.used.get(count.key()).copied().filter(|used| used.begin >= begin).unwrap_or(fresh)
    }
}

fn is_kept(count: &Count) -> bool {
    count.allowance().period().window().is_none()
}

impl Counts {
    /// Takes up what was counted before, beside what has been since.
    fn add_before(&mut self, before: Quotas) {
        let since = std::mem::replace(&mut self.quotas, before);
        self.unread = None;
        self.quotas.latest = self.quotas.latest.max(since.latest);
        for (key, used) in since.used {
            let kept = self.quotas.used.entry(key).or_insert(Used { calls: 0, ..used });
            if kept.begin == used.begin {
                kept.calls = kept.calls.saturating_add(used.calls);
            } else if kept.begin < used.begin {
                *kept = used;
            }
        }
        self.changes += 1;
    }

    /// The limit that is reached; the call is counted where there is none and it is to be.
    fn take(&mut self, counts: &[Count], clock: &dyn Clock, is_made: bool) -> Option<Over> {
        let (boot, now) = (clock.boot_time(), self.quotas.now(clock.now()));
        for count in counts {
            let most = count.allowance();
            let again = match most.period().window() {
                Some(length) => {
                    let window = self.windows.get_mut(count.key());
                    window.and_then(|window| window.wait(most.calls(), length, boot)).map(Again::In)
                }
                None => {
                    let used = self.quotas.used(count, now);
                    (used.calls >= most.calls()).then_some(Again::At(used.end))
                }
            };
            if let Some(again) = again {
                return Some(count.reached(again));
            }
        }
        if is_made {
            counts.iter().for_each(|count| self.add(count, boot, now));
        }
        None
    }

    fn add(&mut self, count: &Count, boot: Duration, now: Timestamp) {
        if let Some(length) = count.allowance().period().window() {
            if self.windows.len() >= MANY {
                self.windows.retain(|_, window| {
                    window.made.back().is_some_and(|made| boot.saturating_sub(*made) < window.length)
                });
            }
            let window = self.windows.entry(count.key().to_owned()).or_default();
            window.length = length;
            window.made.push_back(boot);
            return;
        }
        let used = self.quotas.used(count, now);
        self.quotas.latest = Some(now);
        self.quotas.used.retain(|_, used| used.end > now);
        let used = Used { calls: used.calls.saturating_add(1), ..used };
        self.quotas.used.insert(count.key().to_owned(), used);
        self.changes += 1;
    }
}

impl Limits {
    /// Takes up what was counted when the program ended. Where that cannot be read, no call is made that would be counted for a quota.
    pub async fn open(kept: Arc<dyn KeptCounts>, clock: Arc<dyn Clock>) -> Self {
        let read = Self::read(kept.as_ref()).await;
        let unread = read.as_ref().err().cloned();
        let counts = Counts { quotas: read.unwrap_or_default(), unread, ..Counts::default() };
        Self { counts: Mutex::new(counts), written: tokio::sync::Mutex::new(0), kept, clock }
    }

    /// Reads what was kept once more, because it was out of reach before, and adds what was counted meanwhile.
    pub async fn read_again(&self) {
        let read = Self::read(self.kept.as_ref()).await;
        let wanted = {
            let mut all = self.all();
            match read {
                Ok(before) => all.add_before(before),
                Err(fault) => all.unread = Some(fault),
            }
            all.changes
        };
        if let Err(fault) = self.keep(wanted).await {
            tracing::error!(fault, "what was counted while the keychain was locked is not kept yet");
        }
    }

    async fn read(kept: &dyn KeptCounts) -> Result<Quotas, String> {
        let read = kept.load().await.inspect_err(|fault| {
            tracing::error!(fault, "what was counted for quotas cannot be read");
        })?;
        let Some(read) = read else { return Ok(Quotas { format: FORMAT, ..Quotas::default() }) };
        let quotas: Quotas = serde_json::from_slice(&read).map_err(|fault| fault.to_string())?;
        if quotas.format == FORMAT { Ok(quotas) } else { Err(format!("it has format {}", quotas.format)) }
    }

    /// Counts a call, unless it is one too many.
    pub(crate) async fn take(&self, counts: &[Count]) -> Result<(), Untaken> {
        if counts.is_empty() {
            return Ok(());
        }
        let (before, wanted) = {
            let mut all = self.all();
            if let Some(fault) = all.unread.as_ref().filter(|_| counts.iter().any(is_kept)) {
                return Err(Untaken::Unkept(fault.clone()));
            }
            let before = all.changes;
            if let Some(over) = all.take(counts, self.clock.as_ref(), true) {
                return Err(Untaken::Over(over));
            }
            (before, all.changes)
        };
        if wanted == before { Ok(()) } else { self.keep(wanted).await.map_err(Untaken::Unkept) }
    }

    /// The limit that one more call would be over now.
    pub(crate) fn look(&self, counts: &[Count]) -> Option<Over> {
        if counts.is_empty() { None } else { self.all().take(counts, self.clock.as_ref(), false) }
    }

    /// Has everything kept up to a change; whoever comes while another's is written has theirs written with all others.
    async fn keep(&self, wanted: u64) -> Result<(), String> {
        let mut written = self.written.lock().await;
        if *written >= wanted {
            return Ok(());
        }
        let (changes, quotas) = {
            let all = self.all();
            (all.changes, serde_json::to_vec(&all.quotas).map_err(|fault| fault.to_string())?)
        };
        self.kept.keep(quotas).await?;
        *written = changes;
        Ok(())
    }

    fn all(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call<'_> {
    /// The permit, unless the call is too large or one too many; one that goes on was counted when it began. Counts it.
    pub(crate) async fn within_limits(
        &self,
        gate: &Gate,
        wanted: &Wanted<'_>,
        permit: Permit,
        goes_on: bool,
    ) -> Result<Permit, Reply> {
        if let Some(over) = self.too_large(wanted) {
            return Err(self.denied(gate, wanted, &permit.over(&over)).await);
        }
        if goes_on || !self.is_put_to_people() {
            return Ok(permit);
        }
        match gate.limits.take(&self.counts(wanted, permit.credential())).await {
            Ok(()) => Ok(permit),
            Err(Untaken::Over(over)) => Err(self.denied(gate, wanted, &permit.over(&over)).await),
            Err(Untaken::Unkept(fault)) => Err(self.uncounted(gate, wanted, &fault).await),
        }
    }

    /// What would be put to a person, refused where it would be over a limit afterwards.
    pub(crate) fn over_before_asking(
        &self,
        gate: &Gate,
        wanted: &Wanted<'_>,
        denial: Denial,
        goes_on: bool,
    ) -> Result<Denial, Denial> {
        let is_counted = !goes_on && self.is_put_to_people();
        let counts = || gate.limits.look(&self.counts(wanted, &CredentialChoice::None));
        match self.too_large(wanted).or_else(|| if is_counted { counts() } else { None }) {
            Some(over) => Err(denial.over(&over)),
            None => Ok(denial),
        }
    }

    fn too_large(&self, wanted: &Wanted<'_>) -> Option<Over> {
        self.policy().arguments_over(wanted.connector, wanted.tool(), self.params.arguments().len())
    }

    /// The limit that an answer is over.
    pub(crate) fn answer_too_large(&self, wanted: &Wanted<'_>, outcome: &Outcome) -> Option<Over> {
        self.policy().answer_over(wanted.connector, wanted.tool(), outcome.response_bytes?)
    }

    /// By shared account only the control plane counts.
    fn counts(&self, wanted: &Wanted<'_>, credential: &CredentialChoice) -> Vec<Count> {
        let aim = Aim::of(&wanted.target(self.params));
        let what = (self.grant.subject.as_ref(), wanted.connector, &aim);
        self.policy().counts(CountedBy::Desktop, what, credential)
    }

    async fn uncounted(&self, gate: &Gate, wanted: &Wanted<'_>, fault: &str) -> Reply {
        tracing::error!(fault, call = %self.id, "a call was refused because it could not be counted");
        let advice = Advice::new(
            "limit-not-counted",
            "The call could not be counted, and there is a limit of how many are made.",
            "It was not made.",
            "Look whether the disk is full, then try again.",
        );
        self.unmade(gate, wanted, "limit-not-counted", &advice).await
    }
}

/// The words for an answer that is too large.
pub(crate) fn too_large(title: &str, over: &Over) -> Advice {
    Advice::new(
        policy::LIMIT_EXCEEDED,
        format!("{title} answered, and its answer is withheld."),
        format!("{} The call was made.", over.words()),
        "Do not make it again for the same answer.",
    )
}

#[cfg(test)]
mod tests;
