//! What the issuer needs from outside: a person, durable storage, the virtual servers, the clock, the process table.

use std::sync::Arc;
use std::time::Duration;

use model::{BoxFuture, ListeningProcess, Person, ServerId, Subject, Timestamp};

use crate::documents::Documents;
use crate::named::Named;

/// Where and within what bounds the issuer works.
#[derive(Debug, Clone)]
pub struct IssuerConfig {
    /// The port of the loopback server: the issuer is `http://127.0.0.1:<port>`.
    pub port: u16,
    /// The operating system's user. A redirect listener of another user is refused; `None` where users cannot be told.
    pub user_id: Option<u32>,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of time and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many registered clients are kept.
    pub clients: usize,
    /// How many registrations are taken within [`Limits::registration_window`], and how many documents are fetched.
    pub registrations: usize,
    /// See [`Limits::registrations`].
    pub registration_window: Duration,
    /// A client that nobody consented to is forgotten after this long.
    pub unused_client_life: Duration,
    /// A client without a live grant is forgotten this long after its last use.
    pub idle_client_life: Duration,
    /// How many authorization requests may wait for the person at once.
    pub waiting_consents: usize,
    /// How many live grants one client keeps at one virtual server; the least recently used gives way.
    pub grants_per_client: usize,
    /// How long the person has to answer.
    pub consent_deadline: Duration,
    /// How long an authorization code lives (RFC 6749, section 4.1.2 allows ten minutes at most).
    pub code_life: Duration,
    /// How long an access token lives.
    pub access_life: Duration,
    /// How long a refresh token lives if it is not used.
    pub refresh_life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const HOUR: u64 = 60 * 60;
        const DAY: u64 = 24 * HOUR;
        Self {
            clients: 200,
            registrations: 30,
            registration_window: Duration::from_secs(10 * 60),
            unused_client_life: Duration::from_secs(30 * DAY),
            idle_client_life: Duration::from_secs(180 * DAY),
            waiting_consents: 8,
            grants_per_client: 16,
            consent_deadline: Duration::from_secs(5 * 60),
            code_life: Duration::from_secs(60),
            access_life: Duration::from_secs(HOUR),
            refresh_life: Duration::from_secs(30 * DAY),
        }
    }
}

/// Finds the program that opened a local connection, as it is now.
pub type ProgramLookup = Arc<dyn Fn() -> Option<ListeningProcess> + Send + Sync>;

/// Finds the program that listens at a loopback port.
pub type ListenerLookup = Arc<dyn Fn(u16) -> Option<ListeningProcess> + Send + Sync>;

/// Everything that comes from outside.
#[derive(Clone)]
pub struct Seams {
    /// Who is asked for consent.
    pub person: Arc<dyn Person>,
    /// Where state rests.
    pub store: Arc<dyn Store>,
    /// The virtual servers and who is signed in.
    pub resources: Arc<dyn Resources>,
    /// The program behind a redirect URI.
    pub listener: ListenerLookup,
    /// The documents that assistants name themselves by.
    pub documents: Arc<dyn Documents>,
    /// The wall clock.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Told of what an audit trail should hold. Must not block.
    pub events: Arc<dyn Fn(Event) + Send + Sync>,
}

/// The virtual servers that exist, and the person who is signed in.
pub trait Resources: Send + Sync {
    /// The title of a virtual server; `None` if there is none of this id.
    fn server(&self, server: &ServerId) -> Option<String>;

    /// The ids of all virtual servers that the present person may use.
    fn servers(&self) -> Vec<ServerId>;

    /// Who is signed in now, with the groups of now. Called for every token check: return a clone of one shared value.
    fn current_subject(&self) -> Option<Arc<Subject>>;

    /// Waits until this person is not signed in any more; for ever where nobody can leave.
    fn departure<'a>(&'a self, person: &'a Subject) -> BoxFuture<'a, ()> {
        let _ = person;
        Box::pin(std::future::pending())
    }

    /// The assistant of this client id, if whoever decides here named it beforehand.
    fn named(&self, client_id: &str) -> Named {
        let _ = client_id;
        Named::Nobody
    }

    /// Who is signed in, asking for a sign-in first where that is possible.
    fn signed_in(&self) -> BoxFuture<'_, Option<Arc<Subject>>> {
        Box::pin(async { self.current_subject() })
    }
}

/// What kind of record is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// A registered client.
    Client,
    /// A grant with the digests of its tokens.
    Grant,
    /// A remembered consent.
    Consent,
}

/// The store failed; the text is for the log and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the issuer's store failed: {0}")]
pub struct StoreFault(pub String);

/// A stored record: its key and its value.
pub type Record = (String, Vec<u8>);

/// Durable storage. Keys are `[0-9a-f]{64}`, values are JSON of at most a few KiB that must be kept sealed.
pub trait Store: Send + Sync {
    /// All records of a kind, in any order.
    fn load(&self, kind: RecordKind) -> BoxFuture<'_, Result<Vec<Record>, StoreFault>>;

    /// Writes or replaces a record. It is durable when this returns.
    fn put(&self, kind: RecordKind, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<(), StoreFault>>;

    /// Deletes a record; one that does not exist is no error.
    fn delete(&self, kind: RecordKind, key: String) -> BoxFuture<'_, Result<(), StoreFault>>;
}

/// Why tokens ended before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationCause {
    /// The assistant asked (RFC 7009).
    Client,
    /// The person or IT asked.
    Person,
    /// An authorization code came twice (RFC 6749, section 4.1.2).
    CodeReuse,
    /// A spent refresh token came again (RFC 9700, section 4.14.2).
    RefreshReuse,
    /// There are more grants than one client keeps.
    Bound,
    /// The grant's resource is not one of this loopback server: its port changed.
    Moved,
    /// Another program had the port while this one did not: assistants may have shown it their tokens.
    Overheard,
}

/// Something that an audit trail should hold. No variant holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client registered (RFC 7591).
    ClientRegistered {
        /// Its new id.
        client_id: String,
        /// The name that it claims.
        client_name: String,
    },
    /// An assistant may use a virtual server.
    Consented {
        /// The assistant.
        client_id: String,
        /// Its name.
        client_name: String,
        /// The virtual server.
        server: ServerId,
        /// The person.
        subject: Arc<Subject>,
        /// The program that was shown.
        process: Option<ListeningProcess>,
        /// Whether an earlier consent was remembered, so that nobody was asked.
        remembered: bool,
    },
    /// An assistant was refused.
    Refused {
        /// The assistant.
        client_id: String,
        /// The virtual server.
        server: ServerId,
        /// Why, in plain words.
        why: String,
    },
    /// What a person had allowed is no longer remembered.
    ConsentForgotten {
        /// The assistant.
        client_id: String,
        /// The virtual server.
        server: ServerId,
    },
    /// Tokens were issued.
    Issued {
        /// The assistant.
        client_id: String,
        /// The virtual server.
        server: ServerId,
        /// Whether they follow earlier ones.
        renewed: bool,
    },
    /// The tokens of a grant ended before their time.
    Revoked {
        /// The assistant.
        client_id: String,
        /// The virtual server.
        server: ServerId,
        /// Why.
        cause: RevocationCause,
    },
    /// A stored record could not be read and was dropped, or could not be understood and was left alone.
    RecordSkipped {
        /// Its kind.
        kind: RecordKind,
        /// Why.
        why: String,
    },
    /// The store failed; what was asked did not take effect on disk.
    StoreFailed {
        /// Why.
        why: String,
    },
}
