//! What is seen of a history, and the laws that it must keep.
//!
//! Everything is seen from outside: on the wire, in what desktops have in force, and in the server's database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{DeviceId, Digest, LeaseId, Timestamp};
use org::Applied;
use os::{Clock as _, ManualClock};
use tokio::sync::watch;

/// On a silent event stream the use of a lease that was taken back stops within this: what is promised.
const SILENT: Duration = Duration::from_secs(45);
/// How long a request may take to be written.
const BEING_WRITTEN: Duration = Duration::from_millis(100);
/// How late a desktop may notice what time has ended.
const LATE: Duration = Duration::from_millis(2_500);

/// What happened how often. Of nothing that never happened is anything shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Count {
    Applied,
    SessionOpened,
    Leased,
    LeaseTakenBack,
    LeaseEnded,
    Stored,
    Replayed,
    Tampered,
    OldManifest,
    GivenUp,
    ServerCrash,
    LaptopCrash,
    Cut,
    Held,
    Slept,
    SignedOut,
}

impl Count {
    pub(super) const ALL: [Self; 16] = [
        Self::Applied,
        Self::SessionOpened,
        Self::Leased,
        Self::LeaseTakenBack,
        Self::LeaseEnded,
        Self::Stored,
        Self::Replayed,
        Self::Tampered,
        Self::OldManifest,
        Self::GivenUp,
        Self::ServerCrash,
        Self::LaptopCrash,
        Self::Cut,
        Self::Held,
        Self::Slept,
        Self::SignedOut,
    ];
}

/// A credential that a desktop was lent.
struct Use {
    lease: LeaseId,
    ended: watch::Receiver<bool>,
    /// Since when it should have ended, in time that passed in the simulation.
    overdue: Option<Duration>,
}

/// What is known of one desktop.
#[derive(Default)]
pub(super) struct Seen {
    /// The highest version that was ever in force.
    pub(super) version: u64,
    /// Until when each session that it was given is good.
    sessions: BTreeMap<String, Timestamp>,
    /// The session of its event stream.
    following: Option<String>,
    /// The sessions whose end it was told, and when.
    over: BTreeMap<String, Timestamp>,
    /// Until when each lease that it was given is good.
    leases: BTreeMap<LeaseId, Timestamp>,
    last_lease: Option<LeaseId>,
    uses: Vec<Use>,
    /// The furthest record of which it was told that it is stored.
    pub(super) promised: Option<(u64, u64)>,
    /// How it stands now.
    pub(super) now: Standing,
    /// What its person saw of sessions, newest last.
    pub(super) told: Vec<String>,
}

/// How a desktop stands.
#[derive(Debug, Default, Clone)]
pub(super) struct Standing {
    /// The version in force.
    pub(super) version: u64,
    pub(super) has_session: bool,
    /// When a credential was last lent.
    pub(super) lent: Option<Timestamp>,
    /// Whether all of its records were acknowledged.
    pub(super) delivered: bool,
    /// What is said of delivery.
    pub(super) delivery: Option<org::Delivery>,
    /// How much is stopped.
    pub(super) halts: usize,
    /// Its records, once the history has ended.
    pub(super) records: Option<Vec<(u64, u64, String)>>,
}

#[derive(Default)]
struct Book {
    seen: BTreeMap<DeviceId, Seen>,
    counts: BTreeMap<Count, u64>,
    broken: Vec<String>,
    /// When leases were taken back.
    taken_back: BTreeMap<LeaseId, Timestamp>,
    /// Sessions whose end the server has acknowledged.
    revoked: BTreeMap<String, Timestamp>,
}

/// The observer of one history.
#[derive(Clone)]
pub(super) struct Laws {
    book: Arc<Mutex<Book>>,
    pub(super) clock: Arc<ManualClock>,
    /// What was signed, by its digest.
    signed: Arc<BTreeSet<Digest>>,
}

impl Laws {
    pub(super) fn new(clock: Arc<ManualClock>, signed: Arc<BTreeSet<Digest>>) -> Self {
        Self { book: Arc::default(), clock, signed }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Says that a law is broken.
    pub(super) fn broken(&self, how: impl Into<String>) {
        let how = format!("at {}: {}", self.now(), how.into());
        self.book().broken.push(how);
    }

    pub(super) fn verdict(&self) -> Result<BTreeMap<Count, u64>, String> {
        let book = self.book();
        if book.broken.is_empty() { Ok(book.counts.clone()) } else { Err(book.broken.join("; ")) }
    }

    pub(super) fn count(&self, what: Count) {
        *self.book().counts.entry(what).or_default() += 1;
    }

    /// What is known of a desktop.
    pub(super) fn of<T>(&self, device: DeviceId, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(self.book().seen.entry(device).or_default())
    }

    /// A policy is in force, or would be next. Law: it was signed, and none before was newer.
    pub(super) fn policy(&self, device: DeviceId, applied: &Applied, in_force: bool) {
        let version = applied.label.rsplit(' ').next().and_then(|version| version.parse().ok()).unwrap_or(0);
        if !self.signed.contains(&applied.digest) {
            self.broken(format!("a policy that nobody signed: {}", applied.label));
        }
        let before = self.of(device, |seen| seen.version);
        if version < before {
            self.broken(format!("policy {version} after {before}"));
        }
        if in_force {
            self.of(device, |seen| (seen.version, seen.now.version) = (version, version));
            self.count(Count::Applied);
        }
    }

    /// A desktop was given a session.
    pub(super) fn session(&self, device: DeviceId, token: &str, expires: Timestamp) {
        self.count(Count::SessionOpened);
        self.of(device, |seen| seen.sessions.insert(token.to_owned(), expires));
    }

    /// A desktop uses its session, in a request that was made at `made`. Law: not after its end, nor after it was told of it.
    pub(super) fn uses_session(&self, device: DeviceId, path: &str, token: &str, made: Timestamp) {
        let (expires, over) = self.of(device, |seen| {
            if path.ends_with("events") {
                seen.following = Some(token.to_owned());
            }
            (seen.sessions.get(token).copied(), seen.over.get(token).copied())
        });
        if expires.is_none_or(|expires| expires <= made) {
            self.broken(format!("{path} with a session until {expires:?}"));
        }
        // What was being written when the news came is sent all the same.
        if let Some(over) = over.filter(|over| made.since(*over) > BEING_WRITTEN) {
            self.broken(format!(
                "{path} with a session of which the desktop knows since {over} that it has ended"
            ));
        }
    }

    /// A desktop hears that its sign-in has ended.
    pub(super) fn hears_end(&self, device: DeviceId) {
        let now = self.now();
        self.of(device, |seen| seen.over.extend(seen.following.take().map(|token| (token, now))));
    }

    /// The sessions that a desktop was given so far.
    pub(super) fn sessions_of(&self, device: DeviceId) -> Vec<String> {
        self.of(device, |seen| seen.sessions.keys().cloned().collect())
    }

    /// The server has ended these sessions.
    pub(super) fn sessions_revoked(&self, tokens: Vec<String>) {
        let now = self.now();
        self.count(Count::SignedOut);
        let revoked = &mut self.book().revoked;
        for token in tokens {
            revoked.entry(token).or_insert(now);
        }
    }

    /// The server has done what was asked at `sent` with this session. Law: it does nothing for one that it has ended.
    pub(super) fn served(&self, path: &str, token: &str, sent: Timestamp) {
        let revoked = self.book().revoked.get(token).copied();
        if revoked.is_some_and(|revoked| revoked < sent) {
            self.broken(format!("{path} was served for a session that was ended before"));
        }
    }

    /// A desktop's person sees something.
    pub(super) fn tells(&self, device: DeviceId, what: String) {
        let now = self.now();
        self.of(device, |seen| seen.told.push(format!("{now}: {what}")));
    }

    /// A desktop was given a lease.
    pub(super) fn lease(&self, device: DeviceId, lease: LeaseId, expires: Timestamp) {
        self.of(device, |seen| {
            seen.leases.insert(lease, expires);
            seen.last_lease = Some(lease);
        });
    }

    /// A desktop has something in use that was lent.
    pub(super) fn lent(&self, device: DeviceId, ended: watch::Receiver<bool>) {
        let now = self.now();
        let known = self.of(device, |seen| {
            seen.now.lent = Some(now);
            // The one that is held already is given out again.
            if seen.uses.iter().any(|one| one.ended.same_channel(&ended)) {
                return true;
            }
            let Some(lease) = seen.last_lease else { return false };
            seen.uses.push(Use { lease, ended, overdue: None });
            true
        });
        self.count(Count::Leased);
        if !known {
            self.broken("something is lent that no server has lent");
        }
    }

    /// A desktop has heard that a lease has ended. Law: it does not use it any more.
    pub(super) fn hears_lease_ended(&self, device: DeviceId, lease: LeaseId) {
        self.count(Count::LeaseEnded);
        let used = self.of(device, |seen| {
            seen.uses.retain(|one| !*one.ended.borrow());
            seen.uses.iter().any(|one| one.lease == lease)
        });
        if used {
            self.broken("a lease is used after its end was heard");
        }
    }

    /// The server has taken a lease back.
    pub(super) fn lease_taken_back(&self, lease: LeaseId) {
        let now = self.now();
        self.count(Count::LeaseTakenBack);
        self.book().taken_back.insert(lease, now);
    }

    /// The server says how far it has stored a desktop's records.
    pub(super) fn receipt(&self, device: DeviceId, place: (u64, u64)) {
        self.count(Count::Stored);
        self.of(device, |seen| seen.promised = seen.promised.max(Some(place)));
    }

    /// A program ended, and with it all that it had borrowed.
    pub(super) fn crashed(&self, device: DeviceId) {
        self.of(device, |seen| {
            seen.uses.clear();
            seen.following = None;
            seen.now = Standing::default();
        });
    }

    /// Looks at everything that is lent now. Law: not longer than the server lent it, nor longer than promised after it was taken
    /// back.
    pub(super) fn look(&self, elapsed: Duration) {
        let now = self.now();
        let mut book = self.book();
        let Book { seen, taken_back, broken, .. } = &mut *book;
        for seen in seen.values_mut() {
            let leases = &seen.leases;
            seen.uses.retain(|one| !*one.ended.borrow());
            for one in &mut seen.uses {
                let lent_until = leases.get(&one.lease).copied();
                let back = taken_back.get(&one.lease).map(|back| back.plus(SILENT));
                let until = [lent_until, back].into_iter().flatten().min();
                if until.is_some_and(|until| now <= until) {
                    one.overdue = None;
                    continue;
                }
                let since = *one.overdue.get_or_insert(elapsed);
                if elapsed.saturating_sub(since) > LATE {
                    broken.push(format!("at {now}: a lease is used that was good until {until:?}"));
                    one.overdue = Some(Duration::MAX);
                }
            }
        }
    }
}
