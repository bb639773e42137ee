//! Starts an installation: opens its state, puts the parts together, serves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use audit::{AuditEvent, EventRecord, Journal, JournalConfig, JournalFault};
use connector::Connectors;
use gateway::{BindFault, Gate, GateConfig, Listening, Snapshots, Switch};
use issuer::{Issuer, IssuerConfig, Limits, Resources};
use model::{Advice, BoxFuture, DeviceId, ForPerson, ServerId, Subject};
use os::{Clock, InstanceLock, LockFault, SystemClock};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use upstream::HttpClient;
use vault::{Keychain, KeychainState, SystemKeychain, Vault};

use super::accounts;
use super::catalog::{Catalog, Offering, closed};
use super::discover::Discoverer;
use super::engine::GatewayEngine;
use super::home::{Home, HomeFault};
use super::ledger::Ledger;
use super::pins::Pins;
use super::settings::Loaded;
use super::socket;
use super::tell::{Tell, issuer_event};
use crate::effect::Shell;
use crate::event::Event;
use crate::pending::{Now, PendingDesk, Surface};
use crate::state::{AppState, AuditHealth, AuditState, Session};

const CALL_DEADLINE: Duration = Duration::from_secs(120);
const OPENING_DEADLINE: Duration = Duration::from_secs(30);
const LIST_FRESH_FOR: Duration = Duration::from_secs(60);
/// How often the settings file is looked at.
const SETTINGS_POLL: Duration = Duration::from_millis(500);
/// What programs get of this program's environment.
const PASSED_ON: [&str; 9] =
    ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TZ", "SystemRoot", "USERPROFILE"];

/// How to start.
pub struct Options {
    /// The installation.
    pub home: Home,
    /// Whether windows can be shown.
    pub desktop: bool,
    /// Shows windows, notifications and the browser.
    pub shell: Arc<dyn Shell>,
}

/// A running application.
pub struct App {
    /// The state as it changes.
    pub state: watch::Receiver<Arc<AppState>>,
    /// Takes what a person does, and anything else that happens.
    pub events: mpsc::UnboundedSender<Event>,
    /// What waits for the person.
    pub desk: PendingDesk,
    /// Where assistants connect: `http://127.0.0.1:<port>`.
    pub address: String,
    ending: JoinHandle<()>,
}

/// Why nothing could be started.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The folder cannot be used.
    #[error(transparent)]
    Home(#[from] HomeFault),
    /// Another instance owns the folder.
    #[error(transparent)]
    Instance(#[from] LockFault),
    /// The socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindFault),
    /// The audit journal cannot be written: without it no call may be made.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The system's trust store cannot be used.
    #[error("no trust store: {0}")]
    Trust(String),
    /// The local socket cannot be made.
    #[error("the local socket cannot be made")]
    Socket(#[source] std::io::Error),
}

impl ForPerson for StartFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Home(fault) => fault.advice(),
            Self::Instance(fault) => fault.advice(),
            Self::Bind(fault) => fault.advice(),
            Self::Journal(fault) => fault.advice(),
            Self::Trust(why) => Advice::new(
                "trust-store",
                format!("The system's trusted certificates cannot be used: {why}."),
                "No secure connection could be made.",
                "Install the package ca-certificates.",
            ),
            Self::Socket(error) => Advice::new(
                "local-socket",
                format!("The local socket cannot be made: {error}."),
                "The command line could not reach Deskgate.",
                "Check the folder's permissions, or set DESKGATE_HOME to a shorter path.",
            ),
        }
    }
}

/// The parts that hold state on disk, opened.
struct Opened {
    lock: InstanceLock,
    device: DeviceId,
    vault: Vault,
    journal: Journal,
    found: Vec<EventRecord>,
}

/// Starts everything and returns once calls are taken.
///
/// # Errors
/// A [`StartFault`]: nothing runs then. Damaged state is none; it is set aside and reported.
pub async fn start(options: Options) -> Result<App, StartFault> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let opened = open(&options.home, Arc::new(SystemKeychain::default()), &clock).await?;
    let listening = gateway::bind(options.home.kept_port()).await?;
    options.home.keep_port(listening.port())?;
    run(options, clock, opened, listening).await
}

async fn open(
    home: &Home,
    keychain: Arc<dyn Keychain>,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, StartFault> {
    home.create()?;
    let lock = os::lock_instance(&home.lock())?;
    let device = home.device()?;
    let vault = Vault::open(&home.vault(), keychain, Arc::clone(clock)).await;
    let config = JournalConfig::new(home.journal(), device, vault.mac_key("audit"));
    let journal_clock = Arc::clone(clock);
    let (journal, recovery) = tokio::task::spawn_blocking(move || Journal::open(config, journal_clock))
        .await
        .map_err(|_| JournalFault::Closed)??;
    let mut found: Vec<_> = vault
        .found()
        .into_iter()
        .map(|found| EventRecord::new(AuditEvent::StateSetAside).with("what", format!("{:?}", found.finding)))
        .collect();
    if !recovery.detail.is_empty() {
        found.push(EventRecord::new(AuditEvent::JournalRepaired).with("detail", recovery.detail));
    }
    Ok(Opened { lock, device, vault, journal, found })
}

async fn run(
    options: Options,
    clock: Arc<dyn Clock>,
    opened: Opened,
    listening: Listening,
) -> Result<App, StartFault> {
    let Opened { lock, device, vault, journal, found } = opened;
    let Options { home, desktop, shell } = options;
    let (user_id, user) = os::current_user();
    let subject = Arc::new(Subject::local(user));
    let address = format!("http://127.0.0.1:{}", listening.port());
    let (events, inbox) = mpsc::unbounded_channel();
    let tell = Tell::new(events.clone(), Arc::clone(&clock), home.settings(), &address);

    let (loaded, offerings) = follow_settings(home.settings(), tell.clone());
    let now = reader(&clock);
    let surface = if desktop {
        Surface::Desktop
    } else {
        Surface::Terminal { answers_allowed: loaded.settings.answer_in_terminal }
    };
    let desk = PendingDesk::new(surface, Arc::clone(&now), events.clone());

    let starting = Advice::new("starting", "Deskgate is still starting.", "", "Try again in a moment.");
    let snapshots = Snapshots::new(closed(starting));
    let http = HttpClient::new().map_err(|fault| StartFault::Trust(fault.to_string()))?;
    let grants = accounts::open(&subject, &vault, &desk, &clock, &tell, &journal)
        .map_err(|fault| StartFault::Trust(fault.to_string()))?;
    let connectors = Connectors::new(connector::Seams {
        http,
        accounts: Arc::new(grants.clone()),
        broker: None,
        environment: environment(),
        opening_deadline: OPENING_DEADLINE,
        clock: Arc::clone(&clock),
    });

    let issuer = {
        let config = IssuerConfig {
            port: listening.port(),
            user_id: Some(user_id),
            advertise_documents: false,
            limits: Limits::default(),
        };
        let (tell, journal) = (tell.clone(), journal.clone());
        let seams = issuer::Seams {
            person: Arc::new(desk.clone()),
            store: Arc::new(Ledger(vault.clone())),
            resources: Arc::new(Offered { snapshots: snapshots.clone(), subject: Arc::clone(&subject) }),
            listener: Arc::new(os::owner_of_listener),
            now: Arc::clone(&now),
            events: Arc::new(move |event| issuer_event(&tell, &journal, event)),
        };
        Arc::new(Issuer::open(config, seams).await)
    };

    let (wanted, asked) = mpsc::unbounded_channel();
    let switch = Switch::default();
    let gate = Gate::new(
        Arc::clone(&issuer),
        journal.clone(),
        connectors.clone(),
        snapshots.clone(),
        Arc::new(tell.clone()),
        Arc::new(Discoverer {
            connectors: connectors.clone(),
            snapshots: snapshots.clone(),
            subject: Arc::clone(&subject),
            offerings: offerings.clone(),
            wanted: wanted.clone(),
        }),
        switch.clone(),
        Arc::clone(&clock),
        GateConfig { device, call_deadline: CALL_DEADLINE, list_fresh_for: LIST_FRESH_FOR },
    );

    accounts::follow(&grants, tell.clone(), wanted.clone());
    let mut catalog = Catalog {
        connectors,
        grants: grants.clone(),
        snapshots: snapshots.clone(),
        pins: Pins::load(vault.clone()).await,
        journal: journal.clone(),
        tell: tell.clone(),
        subject: Arc::clone(&subject),
        offerings,
        wanted: asked,
        has_policy: false,
    };
    let engine = Arc::new(GatewayEngine {
        switch,
        issuer: Arc::clone(&issuer),
        journal: journal.clone(),
        tell: tell.clone(),
        wanted,
        grants: grants.clone(),
        runtime: tokio::runtime::Handle::current(),
    });

    catalog.begin().await;
    report_start(&tell, &journal, &found, &subject, &issuer, &address);
    follow_keychain(vault, tell.clone());
    follow_journal(journal.clone(), tell);

    let (published, state) = watch::channel(Arc::new(AppState::starting(desktop)));
    let local = os::bind_local(&home.socket(), &lock).map_err(StartFault::Socket)?;
    let socket = tokio::spawn(socket::serve(
        local,
        socket::Desk {
            pending: desk.clone(),
            events: events.clone(),
            state: state.clone(),
            snapshots,
            subject,
            clock: Arc::clone(&clock),
        },
    ));
    let (stop, stopped) = watch::channel(false);
    let catalog = tokio::spawn(catalog.run());
    let server = tokio::spawn(gateway::serve(listening, gate, stopped));
    let controller = crate::run::run(AppState::starting(desktop), inbox, published, now, shell, engine);
    let ending = tokio::spawn(async move {
        controller.await;
        let _ = stop.send(true);
        socket.abort();
        catalog.abort();
        if let Err(error) = server.await {
            tracing::error!(%error, "the server ended badly");
        }
        grants.close().await;
        close(journal).await;
        drop(lock);
    });
    Ok(App { state, events, desk, address, ending })
}

impl App {
    /// Waits until the application has ended: the person quit, and everything is on disk.
    pub async fn ended(self) {
        if let Err(error) = self.ending.await {
            tracing::error!(%error, "the application ended badly");
        }
    }
}

/// The virtual servers and the person, for the authorization server.
struct Offered {
    snapshots: Snapshots,
    subject: Arc<Subject>,
}

impl Resources for Offered {
    fn server(&self, server: &ServerId) -> Option<String> {
        self.snapshots.current().servers.get(server).map(|view| view.title.clone())
    }

    fn servers(&self) -> Vec<ServerId> {
        self.snapshots.current().servers.keys().cloned().collect()
    }

    fn current_subject(&self) -> Option<Arc<Subject>> {
        Some(Arc::clone(&self.subject))
    }

    fn signed_in(&self) -> BoxFuture<'_, Option<Arc<Subject>>> {
        Box::pin(async { self.current_subject() })
    }
}

fn reader(clock: &Arc<dyn Clock>) -> Now {
    let clock = Arc::clone(clock);
    Arc::new(move || clock.now())
}

fn environment() -> BTreeMap<String, String> {
    PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

/// Reads the settings now and whenever the file changes; wrong settings are reported, and the last right ones stay.
fn follow_settings(path: PathBuf, tell: Tell) -> (Loaded, watch::Receiver<Arc<Offering>>) {
    let first = read_settings(&path, &tell).unwrap_or_default();
    let (send, receive) = watch::channel(Arc::new(Offering::personal(&first)));
    let mut last = first.clone();
    tokio::spawn(async move {
        let mut seen = stamp(&path, &last);
        while !send.is_closed() {
            tokio::time::sleep(SETTINGS_POLL).await;
            let stamp = stamp(&path, &last);
            if stamp == seen {
                continue;
            }
            seen = stamp;
            if let Some(loaded) = read_settings(&path, &tell)
                && loaded != last
            {
                send.send_replace(Arc::new(Offering::personal(&loaded)));
                last = loaded;
            }
        }
    });
    (first, receive)
}

fn read_settings(path: &std::path::Path, tell: &Tell) -> Option<Loaded> {
    match Loaded::read(path) {
        Ok(loaded) => {
            for code in ["settings-wrong", "settings-unreadable"] {
                tell.event(Event::FaultCleared { code: code.to_owned() });
            }
            Some(loaded)
        }
        Err(fault) => {
            tracing::error!(%fault, "the settings are refused");
            tell.event(Event::FaultRaised(fault.advice()));
            None
        }
    }
}

/// When the file and the policies beside it last changed.
fn stamp(path: &std::path::Path, loaded: &Loaded) -> Vec<Option<SystemTime>> {
    let changed = |path: &std::path::Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let mut stamps = vec![changed(path)];
    if let (Some(folder), Some(parent)) = (&loaded.settings.policies, path.parent()) {
        let folder = parent.join(folder);
        stamps.push(changed(&folder));
        stamps.extend(loaded.policies.keys().map(|name| changed(&folder.join(name))));
    }
    stamps
}

fn report_start(
    tell: &Tell,
    journal: &Journal,
    found: &[EventRecord],
    subject: &Subject,
    issuer: &Issuer,
    address: &str,
) {
    tell.note(journal, &EventRecord::new(AuditEvent::Start).with("version", env!("CARGO_PKG_VERSION")));
    found.iter().for_each(|record| tell.note(journal, record));
    tell.event(Event::Session(Session::Local { label: subject.label().to_owned() }));
    for assistant in issuer.assistants() {
        for grant in assistant.grants {
            tell.event(Event::AssistantAllowed(crate::state::Assistant {
                client_id: assistant.client_id.clone(),
                name: assistant.client_name.clone(),
                executable: grant.executable,
                server: grant.server,
                allowed: grant.since,
                last_call: Some(grant.last_used),
                calls: 0,
            }));
        }
    }
    tell.event(Event::Listening { address: address.to_owned() });
}

fn follow_keychain(vault: Vault, tell: Tell) {
    tokio::spawn(async move {
        let mut states = vault.watch();
        loop {
            let state = *states.borrow_and_update();
            for other in [KeychainState::Locked, KeychainState::Denied, KeychainState::Absent] {
                let advice = other.advice();
                if other == state {
                    tell.event(Event::FaultRaised(advice));
                } else {
                    tell.event(Event::FaultCleared { code: advice.code });
                }
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    });
}

fn follow_journal(journal: Journal, tell: Tell) {
    tokio::spawn(async move {
        let (mut heads, mut health) = (journal.watch(), journal.health());
        let mut raised: Option<String> = None;
        drop(journal);
        loop {
            let head = *heads.borrow_and_update();
            tell.event(Event::Audit(AuditState {
                records: head.seq,
                receipted: None,
                health: AuditHealth::NotChecked,
            }));
            let fault = match &*health.borrow_and_update() {
                audit::Health::Writing => None,
                audit::Health::Failed(fault) => Some(fault.advice()),
            };
            if let Some(code) = raised.take() {
                tell.event(Event::FaultCleared { code });
            }
            if let Some(advice) = fault {
                raised = Some(advice.code.clone());
                tell.event(Event::FaultRaised(advice));
            }
            tokio::select! {
                changed = heads.changed() => if changed.is_err() { return },
                changed = health.changed() => if changed.is_err() { return },
            }
            // A thousand calls a second are not worth a thousand looks.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
}

async fn close(journal: Journal) {
    if let Err(fault) = journal.event(EventRecord::new(AuditEvent::Stop)).await {
        tracing::error!(%fault, "the end could not be recorded");
    }
    if tokio::task::spawn_blocking(move || journal.close()).await.is_err() {
        tracing::error!("the journal could not be closed");
    }
}
