//! Opening a conversation with a connector: which revision it speaks, and `initialize` where it wants that (MCP
//! 2026-07-28, basic/versioning, "Backward Compatibility with Initialization-Based Versions").

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use mcp::connector::{self, About, Discovery};
use mcp::{Capabilities, Dialect};
use tokio::sync::watch;
use url::Url;

use crate::bearer::Bearer;
use crate::calls::Calls;
use crate::fault::UpstreamFault;
use crate::http::{Http, shown};
use crate::links::HttpClient;
use crate::log::LogWriter;
use crate::session::{Session, Transport, VERSION, within};
use crate::stdio::{Program, Stdio};

/// How long an answer to `server/discover` is waited for before the connector is taken for one with sessions. A program
/// that takes longer to start answers `initialize` then, or is asked again if it refuses that.
const PROBE: Duration = Duration::from_secs(2);
/// The same for a server: one that is slow to answer was reached all the same, and older ones answer with an error.
const PROBE_URL: Duration = Duration::from_secs(6);

/// Where a connector is.
enum Place<'a> {
    Program(&'a Program, &'a LogWriter),
    Url(&'a HttpClient, &'a Url),
}

impl Place<'_> {
    /// A connection on which nothing was said yet.
    async fn connect(&self, capabilities: &Capabilities) -> Result<Session, UpstreamFault> {
        let calls = Arc::new(Calls::default());
        let transport = match self {
            Self::Program(program, log) => {
                Transport::Stdio(Stdio::start(program, log, Arc::clone(&calls)).await?)
            }
            Self::Url(client, url) => {
                Transport::Http(Arc::new(Http::new((*client).clone(), url, Arc::clone(&calls))?))
            }
        };
        Ok(Session {
            transport,
            calls,
            dialect: Dialect::default(),
            capabilities: capabilities.clone(),
            level: Mutex::default(),
            about: About::default(),
            next_id: AtomicU64::new(0),
            mirrored: RwLock::default(),
            followed: AtomicBool::new(false),
            resources: watch::Sender::default(),
            jobs: Mutex::default(),
            listening: AtomicU64::new(0),
            life: watch::Sender::new(()),
        })
    }
}

/// What came of `server/discover`.
enum Probe {
    Answered(Discovery),
    /// Nothing in time.
    Silent,
    /// The program ended over it.
    Ended,
}

impl Session {
    /// Starts a program and opens a conversation with it, for assistants that can be asked what `capabilities` says.
    /// `log`: where it is kept what the program prints. `known`: how it spoke the last time.
    ///
    /// # Errors
    /// An [`UpstreamFault`]; the program has been ended.
    pub async fn open_program(
        program: &Program,
        log: &LogWriter,
        capabilities: &Capabilities,
        known: Option<Dialect>,
        deadline: Duration,
    ) -> Result<Self, UpstreamFault> {
        within(deadline, open(&Place::Program(program, log), capabilities, known, None)).await
    }

    /// Opens a conversation with a server, for assistants that can be asked what `capabilities` says. `known`: how it spoke
    /// the last time.
    ///
    /// # Errors
    /// An [`UpstreamFault`].
    pub async fn open_url(
        client: &HttpClient,
        url: &Url,
        bearer: Option<&Bearer>,
        capabilities: &Capabilities,
        known: Option<Dialect>,
        deadline: Duration,
    ) -> Result<Self, UpstreamFault> {
        within(deadline, open(&Place::Url(client, url), capabilities, known, bearer)).await
    }

    async fn probe(&self, bearer: Option<&Bearer>) -> Result<Probe, UpstreamFault> {
        let patience = match &self.transport {
            Transport::Stdio(_) => PROBE,
            Transport::Http(_) => PROBE_URL,
        };
        let id = self.number();
        let asked = self.exchange(id, connector::discover(id, VERSION), bearer, None);
        let Ok(answer) = tokio::time::timeout(patience, asked).await else { return Ok(Probe::Silent) };
        Ok(match answer {
            Ok(Ok(result)) => Probe::Answered(connector::discovery(Ok(&result))),
            Ok(Err(error)) => Probe::Answered(connector::discovery(Err(&error))),
            Err(UpstreamFault::Ended) => Probe::Ended,
            // An answer that is none comes from a server that does not know the question.
            Err(UpstreamFault::Status(_) | UpstreamFault::Unusable(_)) => {
                Probe::Answered(Discovery::Sessions)
            }
            Err(fault) => return Err(fault),
        })
    }

    /// Goes on without a session; follows the lists of which the connector tells changes.
    fn stateless(mut self, dialect: Dialect, about: About) -> Self {
        self.speak(dialect);
        self.about = about;
        let wanted = self.about.tells();
        if let (Transport::Stdio(stdio), false) = (&self.transport, wanted.is_empty()) {
            let id = self.number();
            self.listening = AtomicU64::new(id);
            stdio.send_if_room(connector::listen(id, &wanted, VERSION).body);
        }
        self
    }

    async fn initialize(&mut self, bearer: Option<&Bearer>) -> Result<(), UpstreamFault> {
        let id = self.number();
        let message = connector::initialize(id, &self.capabilities, VERSION);
        let outcome = match &self.transport {
            Transport::Stdio(stdio) => stdio.request(id, message.body).await,
            Transport::Http(http) => http.open_session(id, message, bearer).await,
        };
        let refused = |error: Box<_>| UpstreamFault::Refused { method: "initialize", error: shown(&error) };
        let initialized = connector::read_initialized(&outcome?.map_err(refused)?)?;
        self.speak(initialized.dialect);
        self.about = initialized.about;
        let message = connector::initialized(initialized.dialect);
        match &self.transport {
            Transport::Stdio(stdio) => stdio.send(message.body).await,
            Transport::Http(http) => http.notify(message, bearer).await,
        }
    }

    fn speak(&mut self, dialect: Dialect) {
        self.dialect = dialect;
        if let Transport::Http(http) = &self.transport {
            http.speak(dialect);
        }
    }
}

async fn open(
    place: &Place<'_>,
    capabilities: &Capabilities,
    known: Option<Dialect>,
    bearer: Option<&Bearer>,
) -> Result<Session, UpstreamFault> {
    let mut session = place.connect(capabilities).await?;
    let asks_first = known.is_none_or(Dialect::is_stateless);
    let probe = if asks_first { session.probe(bearer).await? } else { Probe::Silent };
    match probe {
        Probe::Answered(found) => settle(session, found, bearer).await,
        Probe::Ended => anew(place, capabilities, bearer).await,
        Probe::Silent => match session.initialize(bearer).await {
            Ok(()) => Ok(session),
            Err(UpstreamFault::Ended) if asks_first => anew(place, capabilities, bearer).await,
            // It was slow rather than old, or has become another one since.
            Err(refused @ UpstreamFault::Refused { .. }) => match session.probe(bearer).await? {
                Probe::Answered(found @ Discovery::Stateless { .. }) => settle(session, found, bearer).await,
                Probe::Answered(Discovery::Sessions | Discovery::Unknown(_))
                | Probe::Silent
                | Probe::Ended => Err(refused),
            },
            Err(fault) => Err(fault),
        },
    }
}

/// Once more, without the question over which a program ended.
async fn anew(
    place: &Place<'_>,
    capabilities: &Capabilities,
    bearer: Option<&Bearer>,
) -> Result<Session, UpstreamFault> {
    let mut session = place.connect(capabilities).await?;
    session.initialize(bearer).await?;
    Ok(session)
}

async fn settle(
    mut session: Session,
    found: Discovery,
    bearer: Option<&Bearer>,
) -> Result<Session, UpstreamFault> {
    match found {
        Discovery::Stateless { dialect, about } => Ok(session.stateless(dialect, about)),
        Discovery::Sessions => {
            session.initialize(bearer).await?;
            Ok(session)
        }
        Discovery::Unknown(revisions) => {
            Err(UpstreamFault::Unusable(format!("it speaks only unknown protocol versions: {revisions}")))
        }
    }
}
