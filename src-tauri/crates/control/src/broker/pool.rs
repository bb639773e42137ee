//! Sessions with connectors that run with a shared secret.
//!
//! A session belongs to one person and one secret: what a connector keeps of one person's calls (a search path, an open
//! transaction) never meets another's.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp::{Capabilities, Dialect};
use model::{ConnectorId, CredentialId, Digest, Subject};
use org_protocol::{ConnectorSpec, ContentFault, Transport};
use os::Clock;
use secrecy::SecretString;
use tokio::sync::watch;
use upstream::{Bearer, HttpClient, Log, Session, UpstreamFault};

use super::dialects::Dialects;
use super::traced;
use crate::launch::{RunAs, program_as};
use crate::store::StoredCredential;

/// How long a connector may take to start.
const START: Duration = Duration::from_secs(30);
/// How long a session may be idle.
const IDLE: Duration = Duration::from_secs(300);
/// How many sessions there may be.
const MOST: usize = 64;

/// What a session belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) connector: ConnectorId,
    pub(super) credential: CredentialId,
    /// Counts the credential's secrets.
    pub(super) version: u64,
    /// Counts what was fetched from the credential's source.
    pub(super) generation: u64,
    pub(super) issuer: String,
    pub(super) subject: String,
    /// The digest of what IT wrote of the connector.
    pub(super) spec: Digest,
}

impl Key {
    pub(super) fn new(
        connector: &ConnectorId,
        spec: &ConnectorSpec,
        credential: &CredentialId,
        (version, generation): (u64, u64),
        subject: &Subject,
    ) -> Self {
        Self {
            connector: connector.clone(),
            credential: credential.clone(),
            version,
            generation,
            issuer: subject.issuer.clone(),
            subject: subject.subject.clone(),
            spec: Digest::of(&serde_json::to_vec(spec).unwrap_or_default()),
        }
    }
}

/// A session, and its end for whoever waits for that without holding it.
pub(super) struct Held {
    session: Session,
    life: watch::Sender<()>,
}

impl std::ops::Deref for Held {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Key {
    /// Whether it is the other's place with something that was fetched later.
    fn follows(&self, other: &Self) -> bool {
        let as_it = Self { generation: self.generation, ..other.clone() };
        self.generation > other.generation && *self == as_it
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Held>>>>;

/// Sessions that hold an earlier secret, until the calls that are under way in them are done.
pub(crate) struct Draining(Vec<watch::Receiver<()>>);

impl Draining {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Waits until all have ended.
    pub(crate) async fn ended(self) {
        for mut session in self.0 {
            // Nobody sends anything: it fails when the session is gone.
            while session.changed().await.is_ok() {}
        }
    }
}

/// The sessions.
pub(super) struct Pool {
    http: HttpClient,
    run_as: RunAs,
    dialects: Dialects,
    clock: Arc<dyn Clock>,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    taken: HashMap<Key, (Slot, Duration)>,
    /// The first version of each credential whose sessions are kept: a call that began with an earlier secret may come late.
    first: HashMap<CredentialId, u64>,
}

/// All slots are taken.
#[derive(Debug)]
pub(super) struct Full;

impl Pool {
    pub(super) fn new(http: HttpClient, run_as: RunAs, dialects: Dialects, clock: Arc<dyn Clock>) -> Self {
        Self { http, run_as, dialects, clock, slots: Mutex::default() }
    }

    /// A live session; opened by whoever comes first, while the others wait.
    pub(super) async fn session(
        &self,
        key: &Key,
        spec: &ConnectorSpec,
        secret: &SecretString,
        bearer: Option<&Bearer>,
    ) -> Result<Result<Arc<Held>, UpstreamFault>, Full> {
        let slot = self.slot(key).ok_or(Full)?;
        let mut held = slot.lock().await;
        if let Some(session) = held.as_ref().filter(|session| session.is_alive()) {
            return Ok(Ok(Arc::clone(session)));
        }
        *held = None;
        let opened = traced::part("open a session").around(self.open(spec, secret, bearer)).await;
        Ok(match opened {
            Ok(session) => {
                let session = Arc::new(Held { session, life: watch::Sender::new(()) });
                *held = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(fault) => Err(fault),
        })
    }

    /// Drops a session that turned out to be gone.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().taken.remove(key);
    }

    /// Ends all sessions that hold a secret of the credential, as soon as calls under way are done.
    pub(super) fn end_credential(&self, credential: &CredentialId) {
        drop(self.take(credential));
    }

    /// From now on sessions with an earlier secret of the credential are for the calls that began with it; those that there are
    /// end when their calls do.
    pub(super) fn retire(&self, credential: &CredentialId, first: u64) -> Draining {
        self.lock().first.insert(credential.clone(), first);
        let taken = self.take(credential);
        let lives = taken.iter().filter_map(|slot| {
            let held = slot.try_lock().ok()?;
            held.as_ref().map(|held| held.life.subscribe())
        });
        Draining(lives.collect())
    }

    fn take(&self, credential: &CredentialId) -> Vec<Slot> {
        let mut slots = self.lock();
        let theirs = slots.taken.extract_if(|key, _| key.credential == *credential);
        theirs.map(|(_, (slot, _))| slot).collect()
    }

    /// Ends all sessions that hold a secret which is not stored any more, as soon as calls under way are done.
    pub(super) fn keep_only(&self, stored: &[StoredCredential]) {
        let held: BTreeSet<(CredentialId, u64)> =
            self.lock().taken.keys().map(|key| (key.credential.clone(), key.version)).collect();
        for (credential, version) in held {
            match stored.iter().find(|known| known.id == credential) {
                Some(known) if version < known.version => drop(self.retire(&credential, known.version)),
                Some(_) => {}
                None => self.end_credential(&credential),
            }
        }
    }

    /// Ends sessions that nobody has used for a while.
    pub(super) fn end_idle(&self) {
        let now = self.clock.boot_time();
        // A slot that somebody holds a second time is in use.
        self.lock()
            .taken
            .retain(|_, (slot, used)| now.saturating_sub(*used) < IDLE || Arc::strong_count(slot) > 1);
    }

    fn slot(&self, key: &Key) -> Option<Slot> {
        let now = self.clock.boot_time();
        let mut slots = self.lock();
        if slots.first.get(&key.credential).is_some_and(|first| key.version < *first) {
            return Some(Slot::default());
        }
        let taken = &mut slots.taken;
        if let Some((slot, used)) = taken.get_mut(key) {
            *used = now;
            return Some(Arc::clone(slot));
        }
        // What was fetched before is used by the calls that are under way with it, and by no others.
        taken.retain(|other, _| !key.follows(other));
        if taken.len() >= MOST {
            let oldest = taken
                .iter()
                .filter(|(_, (slot, _))| Arc::strong_count(slot) == 1)
                .min_by_key(|(_, (_, used))| *used)
                .map(|(key, _)| key.clone())?;
            taken.remove(&oldest);
        }
        let slot = Slot::default();
        taken.insert(key.clone(), (Arc::clone(&slot), now));
        Some(slot)
    }

    /// Opens a session and asks it for its tools: whether a connector takes this secret.
    pub(super) async fn test(
        &self,
        spec: &ConnectorSpec,
        secret: &SecretString,
    ) -> Result<(), UpstreamFault> {
        let bearer = spec.url.as_ref().map(|_| Bearer::new(secret.clone()));
        let session = self.open(spec, secret, bearer.as_ref()).await?;
        session.list_tools(bearer.as_ref(), START).await.map(drop)
    }

    /// Opens a session, and remembers how the connector speaks.
    async fn open(
        &self,
        spec: &ConnectorSpec,
        secret: &SecretString,
        bearer: Option<&Bearer>,
    ) -> Result<Session, UpstreamFault> {
        let now = self.clock.now();
        let known = self.dialects.last(spec, now);
        let mut opened = self.open_as(known, spec, secret, bearer).await;
        // It may end because it is another one by now.
        if known.is_some() && matches!(opened, Err(UpstreamFault::Ended)) {
            opened = self.open_as(None, spec, secret, bearer).await;
        }
        match &opened {
            Ok(session) if Some(session.dialect()) != known => {
                self.dialects.note(spec, session.dialect(), now).await;
            }
            Err(fault) if known.is_some() && tells_of_dialect(fault) => self.dialects.doubt(spec).await,
            Ok(_) | Err(_) => {}
        }
        opened
    }

    async fn open_as(
        &self,
        known: Option<Dialect>,
        spec: &ConnectorSpec,
        secret: &SecretString,
        bearer: Option<&Bearer>,
    ) -> Result<Session, UpstreamFault> {
        let unusable = |fault: ContentFault| UpstreamFault::Unusable(fault.to_string());
        let program = program_as(&self.run_as, spec, secret).map_err(|why| UpstreamFault::Start {
            program: spec.command.first().cloned().unwrap_or_default(),
            reason: why.to_owned(),
        })?;
        match (spec.transport().map_err(unusable)?, program) {
            (Transport::Stdio { .. }, Some(program)) => {
                let log = Log::new(Arc::clone(&self.clock)).writer();
                Session::open_program(&program, &log, &Capabilities::default(), known, START).await
            }
            (Transport::Http(url), _) => {
                Session::open_url(&self.http, url, bearer, &Capabilities::default(), known, START).await
            }
            (Transport::Stdio { .. }, None) => Err(unusable(ContentFault::Transport)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a connector that speaks otherwise than before might fail so; others fail by the secret, or are not there at all.
fn tells_of_dialect(fault: &UpstreamFault) -> bool {
    matches!(
        fault,
        UpstreamFault::Deadline
            | UpstreamFault::Refused { .. }
            | UpstreamFault::Status(_)
            | UpstreamFault::Unusable(_)
    )
}

#[cfg(test)]
mod tests {
    use os::ManualClock;

    use super::*;

    /// With the folder that has to be there for as long as it.
    fn pool() -> (Pool, Arc<ManualClock>, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let (pool, clock) = pool_with(&Dialects::open(folder.path()));
        (pool, clock, folder)
    }

    fn pool_with(dialects: &Dialects) -> (Pool, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(model::Timestamp::from_seconds(1_800_000_000)));
        let (http, given) = (HttpClient::new().expect("a client"), Arc::clone(&clock) as Arc<dyn Clock>);
        (Pool::new(http, RunAs::Ourselves, dialects.clone(), given), clock)
    }

    /// A program that somebody only starts.
    fn plain() -> ConnectorSpec {
        touchy(std::path::Path::new("/dev/null"))
    }

    fn key(user: &str, credential: &str) -> Key {
        let spec = plain();
        let (connector, credential) = ("s".parse().expect("an id"), credential.parse().expect("an id"));
        Key::new(&connector, &spec, &credential, (1, 0), &Subject::local(user))
    }

    async fn session(pool: &Pool, key: &Key) -> Arc<Held> {
        let spec = plain();
        pool.session(key, &spec, &SecretString::from("x"), None).await.expect("room").expect("opens")
    }

    fn is_held(pool: &Pool, key: &Key) -> bool {
        pool.lock().taken.contains_key(key)
    }

    #[tokio::test]
    async fn a_session_is_kept_while_it_is_used_and_ends_when_idle() {
        let (pool, clock, _folder) = pool();
        let alice = key("alice", "a");
        let first = session(&pool, &alice).await;
        clock.advance(IDLE - Duration::from_secs(1));
        assert!(Arc::ptr_eq(&session(&pool, &alice).await, &first), "the same session again");
        clock.advance(IDLE - Duration::from_secs(1));
        pool.end_idle();
        assert!(is_held(&pool, &alice));
        clock.advance(Duration::from_secs(2));
        pool.end_idle();
        assert!(!is_held(&pool, &alice));
    }

    #[tokio::test]
    async fn the_longest_unused_makes_room_for_another() {
        let (pool, clock, _folder) = pool();
        let first = key("user-0", "a");
        session(&pool, &first).await;
        for number in 1..MOST {
            clock.advance(Duration::from_secs(1));
            // A slot suffices: nobody needs so many programs.
            pool.slot(&key(&format!("user-{number}"), "a")).expect("room");
        }
        session(&pool, &key("one more", "a")).await;
        assert!(!is_held(&pool, &first));
        assert_eq!(pool.lock().taken.len(), MOST);
    }

    /// A program that notes each start, and ends over a question that it does not know, as some do. Once there is a file
    /// `newer`, it is one of the newer era and refuses sessions, and once there is one `newest`, it ends over them.
    fn touchy(starts: &std::path::Path) -> ConnectorSpec {
        let script = r#"echo >> "$0"
say() { id=${line#*\"id\":}; echo "{\"jsonrpc\":\"2.0\",\"id\":${id%%[,\}]*},$1}"; }
while read -r line; do
  case "$line" in
    *'"server/discover"'*) [ -e "$0.newer" ] || exit 1; say '"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"serverInfo":{"name":"s","version":"2"}}';;
    *'"initialize"'*) [ -e "$0.newest" ] && exit 1; if [ -e "$0.newer" ]; then say '"error":{"code":-32601,"message":"?"}'; else say '"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}'; fi;;
  esac
done"#;
        let starts = starts.to_str().expect("text");
        serde_json::from_value(
            serde_json::json!({ "title": "S", "command": ["/bin/sh", "-c", script, starts] }),
        )
        .expect("a connector")
    }

    #[tokio::test]
    async fn how_a_program_speaks_is_found_out_once_for_everybody_and_known_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("starts");
        let spec = touchy(&file);
        let starts = || std::fs::read(&file).map_or(0, |starts| starts.len());
        let opens = async |pool: &Pool, user: &str| {
            let secret = SecretString::from("x");
            drop(pool.session(&key(user, "a"), &spec, &secret, None).await.expect("room").expect("opens"));
        };
        let opened = || Dialects::open(&folder.path().join("cache"));
        {
            let (pool, _clock) = pool_with(&opened());
            opens(&pool, "alice").await;
            assert_eq!(starts(), 2, "it ended over the question, and was started once more without it");
            opens(&pool, "bob").await;
            assert_eq!(starts(), 3, "nobody asked it again");
        }
        let dialects = opened();
        let (pool, clock) = pool_with(&dialects);
        opens(&pool, "alice").await;
        assert_eq!(starts(), 4, "nor after a restart");
        clock.advance(Duration::from_secs(86_400));
        opens(&pool, "carol").await;
        assert_eq!(starts(), 6, "the next day it is asked again: it may have learnt the newer era");

        std::fs::write(folder.path().join("starts.newer"), "").expect("written");
        opens(&pool, "dan").await;
        assert_eq!(starts(), 7, "what was remembered does not hold up what became another");
        assert!(dialects.last(&spec, clock.now()).expect("remembered").is_stateless());

        dialects.note(&spec, Dialect::default(), clock.now()).await;
        std::fs::write(folder.path().join("starts.newest"), "").expect("written");
        opens(&pool, "eve").await;
        assert_eq!(starts(), 9, "it ended over what was remembered, and was asked then");
        assert!(dialects.last(&spec, clock.now()).expect("remembered").is_stateless());
    }

    #[tokio::test]
    async fn a_credential_s_sessions_end_with_it() {
        let (pool, _clock, _folder) = pool();
        let (one, other) = (key("alice", "a"), key("alice", "b"));
        session(&pool, &one).await;
        session(&pool, &other).await;
        pool.end_credential(&"a".parse().expect("an id"));
        assert!(!is_held(&pool, &one) && is_held(&pool, &other));
    }

    #[tokio::test]
    async fn sessions_with_an_earlier_secret_end_with_their_calls_and_serve_no_later_ones() {
        let (pool, _clock, _folder) = pool();
        let old = key("alice", "a");
        let (under_way, idle) = (session(&pool, &old).await, key("bob", "a"));
        drop(session(&pool, &idle).await);
        let draining = pool.retire(&old.credential, 2);
        assert_eq!(draining.count(), 2);
        let late = session(&pool, &old).await;
        assert!(!Arc::ptr_eq(&late, &under_way) && !is_held(&pool, &old), "whoever comes late keeps nothing");
        let mut ended = Box::pin(draining.ended());
        assert!(futures_util::poll!(&mut ended).is_pending(), "a call is under way");
        drop(under_way);
        ended.await;
        let new = Key { version: 2, ..old };
        session(&pool, &new).await;
        assert!(is_held(&pool, &new));
    }
}
