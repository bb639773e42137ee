//! Sessions of assistants that begin with `initialize` (MCP 2025-11-25, basic/transports, "Session Management").
//!
//! A session is good for the client, the person and the virtual server that it was opened with, and for nothing without an
//! access token. Its id says what the assistant declared, so that a restart of this program ends no session: assistants
//! do not begin anew by themselves.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuer::AccessGrant;
use mcp::assistant::Dialect;
use mcp::{Capabilities, RawObject, Revision};
use model::Timestamp;

use crate::end::End;
use crate::whose::{Whose, make_room};

/// The form of ids.
const FORMAT: &str = "1";
/// The longest declaration that goes into an id, in bytes: some servers on the way cut headers.
const LONGEST: usize = 2048;
/// The most sessions of one client.
const MOST_OF_CLIENT: usize = 64;
/// The most sessions.
const MOST: usize = 1024;
/// What was not used for so long is forgotten. Its id brings it back.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many ended sessions are remembered.
const MOST_ENDED: usize = 1024;

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    live: HashMap<Key, Session>,
    ended: VecDeque<Key>,
}

/// Whose session it is, and its id.
type Key = (Whose, String);

#[derive(Debug)]
struct Session {
    end: Arc<End>,
    used: Timestamp,
}

impl Sessions {
    /// Opens a session and gives its id. `None` without randomness; the assistant then does without.
    pub(crate) fn open(
        &self,
        grant: &AccessGrant,
        revision: Revision,
        capabilities: &Capabilities,
        now: Timestamp,
    ) -> Option<String> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let mut id = format!("{FORMAT}.{}", URL_SAFE_NO_PAD.encode(random));
        let declared = capabilities.to_raw();
        if declared.get().len() <= LONGEST {
            id.push_str(&format!(".{}.{}", revision.as_str(), URL_SAFE_NO_PAD.encode(declared.get())));
        }
        let key = (Whose::of(grant), id.clone());
        self.lock().begin(key, Dialect::of(revision), capabilities.clone(), now);
        Some(id)
    }

    /// The assistant's end of the session. `None` when it has ended or never was.
    pub(crate) fn find(&self, grant: &AccessGrant, id: &str, now: Timestamp) -> Option<Arc<End>> {
        let key = (Whose::of(grant), id.to_owned());
        let mut known = self.lock();
        if let Some(session) = known.live.get_mut(&key) {
            session.used = now;
            return Some(Arc::clone(&session.end));
        }
        if known.ended.contains(&key) {
            return None;
        }
        let (revision, capabilities) = declared(id)?;
        Some(known.begin(key, Dialect::of(revision), capabilities, now))
    }

    /// Ends a session. `false` when there is none.
    pub(crate) fn end(&self, grant: &AccessGrant, id: &str, now: Timestamp) -> bool {
        let was_there = self.find(grant, id, now).is_some();
        let key = (Whose::of(grant), id.to_owned());
        let mut known = self.lock();
        if let Some(session) = known.live.remove(&key) {
            session.end.followed.end();
        }
        if was_there {
            known.remember_ended(key);
        }
        was_there
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn begin(&mut self, key: Key, dialect: Dialect, capabilities: Capabilities, now: Timestamp) -> Arc<End> {
        self.live.retain(|_, session| now.since(session.used) < IDLE || session.end.is_busy());
        let live = &mut self.live;
        let is_idle = |session: &Session| !session.end.is_busy();
        let used = |session: &Session| session.used;
        // What is dropped is forgotten and not ended: its id brings it back.
        make_room(live, MOST_OF_CLIENT, |(whose, _), _| whose.is_client(&key.0), is_idle, used);
        make_room(live, MOST, |_, _| true, is_idle, used);
        let end = Arc::new(End::new(dialect, capabilities));
        self.live.insert(key, Session { end: Arc::clone(&end), used: now });
        end
    }

    fn remember_ended(&mut self, key: Key) {
        if self.ended.len() == MOST_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(key);
    }
}

/// What the id says that the assistant declared. It is its own word, and binds nobody else.
fn declared(id: &str) -> Option<(Revision, Capabilities)> {
    let mut parts = id.split('.');
    let (format, _random, revision, declared) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if format != FORMAT || parts.next().is_some() {
        return None;
    }
    let revision = Revision::known(revision).filter(|revision| !Dialect::of(*revision).is_stateless())?;
    let bytes = URL_SAFE_NO_PAD.decode(declared).ok().filter(|bytes| bytes.len() <= LONGEST)?;
    let text = mcp::scan(&bytes).ok()?;
    let raw = serde_json::from_str(text).ok()?;
    RawObject::parse(raw)?;
    Some((revision, Capabilities::of_session(Some(raw))))
}

#[cfg(test)]
mod tests {
    use mcp::AskKind;
    use model::Subject;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(100);

    fn grant(client: &str, person: &str) -> AccessGrant {
        AccessGrant {
            client_id: client.to_owned(),
            client_name: client.to_owned(),
            subject: Arc::new(Subject::local(person)),
            server: "desk".parse().unwrap(),
            expires: Timestamp::from_seconds(1_000),
            executable: None,
            process: None,
        }
    }

    fn sampling() -> Capabilities {
        Capabilities::read(Some(serde_json::from_str(r#"{"sampling":{}}"#).unwrap()))
    }

    #[test]
    fn a_session_outlives_the_program_but_not_its_end() {
        let (ann, sessions) = (grant("a", "ann"), Sessions::default());
        let id = sessions.open(&ann, Revision::V2025_06_18, &sampling(), NOW).unwrap();
        let end = sessions.find(&ann, &id, NOW).unwrap();
        assert_eq!(end.dialect, Dialect::of(Revision::V2025_06_18));

        let restarted = Sessions::default();
        let end = restarted.find(&ann, &id, NOW).expect("brought back");
        assert_eq!(end.dialect, Dialect::of(Revision::V2025_06_18));
        assert!(end.capabilities.allow(AskKind::Sampling));
        assert!(restarted.end(&ann, &id, NOW));
        assert!(restarted.find(&ann, &id, NOW).is_none(), "it was ended");
        assert!(!restarted.end(&ann, &id, NOW));
    }

    #[test]
    fn a_session_is_of_one_client_and_person() {
        let (ann, sessions) = (grant("a", "ann"), Sessions::default());
        let id = sessions.open(&ann, Revision::V2025_11_25, &sampling(), NOW).unwrap();
        let first = sessions.find(&ann, &id, NOW).unwrap();
        for other in [grant("b", "ann"), grant("a", "bob")] {
            let theirs = sessions.find(&other, &id, NOW).unwrap();
            assert!(!Arc::ptr_eq(&first, &theirs), "what they declare is theirs, and so is the session");
        }
    }

    #[test]
    fn what_is_no_id_names_no_session() {
        let sessions = Sessions::default();
        for id in [
            "",
            "x",
            "1.a",
            "1.a.2026-07-28.e30",
            "1.a.2025-11-25.W10",
            "1.a.2025-11-25.!",
            "2.a.2025-11-25.e30",
        ] {
            assert!(sessions.find(&grant("a", "ann"), id, NOW).is_none(), "{id}");
        }
    }

    #[test]
    fn the_oldest_of_too_many_makes_room() {
        let (ann, sessions) = (grant("a", "ann"), Sessions::default());
        for second in 0..=MOST_OF_CLIENT {
            let at = Timestamp::from_seconds(i64::try_from(second).unwrap());
            sessions.open(&ann, Revision::V2025_11_25, &sampling(), at).unwrap();
        }
        assert_eq!(sessions.lock().live.len(), MOST_OF_CLIENT);
    }
}
