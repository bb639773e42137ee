//! Starts an installation: opens its state, puts the parts together, serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal, JournalConfig, JournalFault};
use connector::{Connectors, Voucher};
use gateway::{Gate, GateConfig, Listening, Snapshots, Switch};
use issuer::{Issuer, IssuerConfig, Limits, Named, Resources};
use model::{AccountId, Advice, BoxFuture, DeviceId, ForPerson, ServerId, Subject};
use os::{Clock, InstanceLock, SystemClock};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use upstream::HttpClient;
use vault::{Keychain, SystemKeychain, Vault};

use super::accounts::{AccountParts, OwnAccounts};
use super::bridges::Bridges;
use super::catalog::{Catalog, closed};
use super::discover::Discoverer;
use super::engine::GatewayEngine;
use super::fault::StartFault;
use super::follow::{follow_journal, follow_keychain, follow_settings};
use super::home::Home;
use super::ledger::Ledger;
use super::logs::Logs;
use super::membership::{self, Joined, Membership, MembershipParts, OrgBroker, SignIn, Source, Stopped};
use super::offering::Offering;
use super::pins::Pins;
use super::present::Present;
use super::published::Published;
use super::settings::{Loaded, OrganisationSettings, SettingsFault};
use super::socket;
use super::tell::{Tell, issuer_event, visible_servers};
use crate::effect::Shell;
use crate::event::Event;
use crate::pending::{Now, PendingDesk, Surface};
use crate::state::{AppState, Session};

const CALL_DEADLINE: Duration = Duration::from_secs(120);
const OPENING_DEADLINE: Duration = Duration::from_secs(30);
const LIST_FRESH_FOR: Duration = Duration::from_secs(60);
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
    /// How long what a connector listed last stays offered while it does not answer: [`LIST_GRACE`](super::LIST_GRACE), but
    /// for tests.
    pub list_grace: Duration,
}

/// A running application.
pub struct App {
    /// The state as it changes.
    pub state: watch::Receiver<Arc<AppState>>,
    /// Takes what a person does, and anything else that happens.
    pub events: mpsc::UnboundedSender<Event>,
    /// What waits for the person.
    pub desk: PendingDesk,
    /// What connectors print.
    pub logs: Logs,
    /// Where assistants connect: `http://127.0.0.1:<port>`.
    pub address: String,
    ending: JoinHandle<()>,
}

/// The parts that hold state on disk, opened.
struct Opened {
    lock: InstanceLock,
    device: DeviceId,
    vault: Vault,
    settings: Result<Loaded, SettingsFault>,
    joined: Option<Joined>,
    journal: Journal,
    found: Vec<EventRecord>,
}

/// Starts everything and returns once calls are taken.
///
/// # Errors
/// A [`StartFault`]: nothing runs then. Damaged state is none; it is set aside and reported.
pub async fn start(options: Options) -> Result<App, StartFault> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let opened = open(&options.home, Arc::new(SystemKeychain), &clock).await?;
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
    let settings = Loaded::read(&home.settings());
    let at = OrganisationSettings::find(&home.settings());
    let joined = match at {
        Some(at) => Some(
            membership::join(at, home, device, vault.clone(), Arc::clone(clock))
                .await
                .map_err(StartFault::Organisation)?,
        ),
        None => None,
    };
    let config = JournalConfig {
        // Records of another organisation, or of none, are never sent to this one.
        org: joined.as_ref().map(|joined| joined.id.clone()),
        ..JournalConfig::new(home.journal(), device, vault.mac_key("audit"))
    };
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
    Ok(Opened { lock, device, vault, settings, joined, journal, found })
}

/// What almost every part needs.
struct Base {
    clock: Arc<dyn Clock>,
    now: Now,
    vault: Vault,
    journal: Journal,
    tell: Tell,
    desk: PendingDesk,
    events: mpsc::UnboundedSender<Event>,
    snapshots: Snapshots,
}

/// Who decides here, and who is present.
struct Rule {
    offerings: watch::Receiver<Arc<Offering>>,
    present: Present,
    /// With an organisation.
    source: Option<(Source, Arc<SignIn>)>,
}

async fn run(
    options: Options,
    clock: Arc<dyn Clock>,
    opened: Opened,
    listening: Listening,
) -> Result<App, StartFault> {
    let Opened { lock, device, vault, settings, joined, journal, found } = opened;
    let Options { home, desktop, shell, list_grace } = options;
    let address = format!("http://127.0.0.1:{}", listening.port());
    let (events, inbox) = mpsc::unbounded_channel();
    let base = base(&home, surface(desktop, &settings), clock, vault, journal, events, &address);
    // Before anything is read: what is unlocked while this starts has to be read again.
    let was_sealed = !base.vault.is_durable();
    let parts = membership_parts(&base);
    let Rule { offerings, present, source } = rule(&home, &base, &settings, joined, &parts);
    let shared = source.is_some();
    let stopped = source.as_ref().map_or_else(Stopped::never, |(source, _)| source.stopped());

    let (wanted, asked) = mpsc::unbounded_channel();
    let http = HttpClient::new().map_err(|fault| StartFault::Trust(fault.to_string()))?;
    let voucher = source.as_ref().map(|(_, sign_in)| Arc::clone(sign_in) as Arc<dyn Voucher>);
    let accounts = OwnAccounts::new(account_parts(&base, voucher, http.clone(), &address, &wanted));
    let connectors = connectors(&base, http, &accounts, source.as_ref().map(|(source, _)| source));
    let sign_in = source.as_ref().map(|(_, sign_in)| Arc::clone(sign_in));
    let offered = Offered {
        snapshots: base.snapshots.clone(),
        present: present.clone(),
        offerings: offerings.clone(),
        sign_in: sign_in.clone(),
    };
    let issuer = issuer(&base, listening.port(), offered).await?;
    let switch = Switch::default();
    let taken = watch::Sender::new(BTreeSet::new());
    let discoverer = Discoverer {
        connectors: connectors.clone(),
        snapshots: base.snapshots.clone(),
        present: present.clone(),
        offerings: offerings.clone(),
        taken: taken.subscribe(),
        wanted: wanted.clone(),
    };
    let gate = gate(&base, device, &issuer, &connectors, &switch, discoverer);

    let logs = Logs::of(connectors.clone());
    let membership = match source {
        Some((source, sign_in)) => Some(source.begin(sign_in, &parts).await),
        None => None,
    };
    let asked = Asked { wanted: asked, taken, list_grace };
    let rule = (offerings, stopped);
    let mut catalog = catalog(&base, &accounts, connectors, present.clone(), rule, asked).await;
    accounts
        .belong_to(present.now().as_deref())
        .await
        .map_err(|fault| StartFault::Trust(fault.to_string()))?;
    catalog.begin().await;
    report_start(&base, &found, &issuer, &address, present.now().filter(|_| !shared));
    follow(&base, shared, present.clone(), accounts.clone());
    if was_sealed {
        follow_unlocking(&base, &issuer, &accounts, sign_in.as_ref());
    }
    let engine = Arc::new(GatewayEngine {
        switch,
        issuer,
        journal: base.journal.clone(),
        tell: base.tell.clone(),
        vault: base.vault.clone(),
        wanted,
        accounts: accounts.clone(),
        sign_in,
        runtime: tokio::runtime::Handle::current(),
    });
    let (published, state) = watch::channel(Arc::new(AppState::starting(desktop)));
    let local = os::bind_local(&home.socket(), &lock).map_err(StartFault::Socket)?;
    let (stop, stopped) = watch::channel(false);
    let bridges = Bridges::new(Arc::clone(&gate), Arc::clone(&engine.issuer), stopped.clone());
    let front = socket_desk(&base, present, &engine, state.clone(), bridges, logs.clone());
    let socket = tokio::spawn(socket::serve(local, front));
    let catalog = tokio::spawn(catalog.run());
    let server = tokio::spawn(gateway::serve(listening, gate, stopped));
    let Base { now, desk, events, journal, .. } = base;
    let controller = crate::run::run(AppState::starting(desktop), inbox, published, now, shell, engine);
    let last = Last { stop, socket, catalog, server, accounts, membership, journal, lock };
    let ending = tokio::spawn(async move {
        controller.await;
        last.end().await;
    });
    Ok(App { state, events, desk, logs, address, ending })
}

/// What is ended at the end, in this order.
struct Last {
    stop: watch::Sender<bool>,
    socket: JoinHandle<()>,
    catalog: JoinHandle<()>,
    server: JoinHandle<()>,
    accounts: OwnAccounts,
    membership: Option<Membership>,
    journal: Journal,
    lock: InstanceLock,
}

impl Last {
    async fn end(self) {
        // A server that has ended needs no word.
        let _ = self.stop.send(true);
        self.socket.abort();
        self.catalog.abort();
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the server ended badly");
        }
        self.accounts.close().await;
        if let Some(Membership { sign_in, .. }) = &self.membership {
            sign_in.close().await;
        }
        drop(self.membership);
        close(self.journal).await;
        drop(self.lock);
    }
}

fn surface(desktop: bool, settings: &Result<Loaded, SettingsFault>) -> Surface {
    if desktop {
        return Surface::Desktop;
    }
    let answers_allowed = settings.as_ref().is_ok_and(|loaded| loaded.settings.answer_in_terminal);
    Surface::Terminal { browser: crate::can_open_browser(), answers_allowed }
}

fn base(
    home: &Home,
    surface: Surface,
    clock: Arc<dyn Clock>,
    vault: Vault,
    journal: Journal,
    events: mpsc::UnboundedSender<Event>,
    address: &str,
) -> Base {
    let tell = Tell::new(events.clone(), Arc::clone(&clock), home.settings(), address);
    let now = reader(&clock);
    let desk = PendingDesk::new(surface, Arc::clone(&now), events.clone());
    let starting = Advice::new("starting", "Deskgate is still starting.", "", "Try again in a moment.");
    let snapshots = Snapshots::new(closed(starting));
    Base { clock, now, vault, journal, tell, desk, events, snapshots }
}

fn rule(
    home: &Home,
    base: &Base,
    settings: &Result<Loaded, SettingsFault>,
    joined: Option<Joined>,
    parts: &MembershipParts,
) -> Rule {
    match joined {
        Some(joined) => {
            let source = Source::new(joined);
            let sign_in = SignIn::new(source.org().clone(), parts);
            Rule {
                offerings: source.offerings(),
                present: sign_in.present(),
                source: Some((source, sign_in)),
            }
        }
        None => {
            let (_, user) = os::current_user();
            Rule {
                offerings: follow_settings(home.settings(), base.tell.clone(), settings),
                present: Present::always(Subject::local(user)),
                source: None,
            }
        }
    }
}

fn membership_parts(base: &Base) -> MembershipParts {
    MembershipParts {
        vault: base.vault.clone(),
        desk: base.desk.clone(),
        clock: Arc::clone(&base.clock),
        journal: base.journal.clone(),
        tell: base.tell.clone(),
    }
}

fn account_parts(
    base: &Base,
    voucher: Option<Arc<dyn Voucher>>,
    connections: HttpClient,
    address: &str,
    wanted: &mpsc::UnboundedSender<AccountId>,
) -> AccountParts {
    AccountParts {
        vault: base.vault.clone(),
        desk: base.desk.clone(),
        voucher,
        clock: Arc::clone(&base.clock),
        connections,
        tell: base.tell.clone(),
        journal: base.journal.clone(),
        address: address.to_owned(),
        list: wanted.clone(),
    }
}

/// What changes by itself is noticed from now on.
fn follow(base: &Base, shared: bool, present: Present, accounts: OwnAccounts) {
    follow_keychain(base.vault.clone(), base.tell.clone());
    follow_journal(base.journal.clone(), shared, base.tell.clone());
    tokio::spawn(follow_present(present, accounts, base.tell.clone()));
}

/// Has everything that reads the vault when it starts read it again, should the keychain have been out of reach then. A
/// person who unlocks it a minute later finds what they had.
fn follow_unlocking(
    base: &Base,
    issuer: &Arc<Issuer>,
    accounts: &OwnAccounts,
    sign_in: Option<&Arc<SignIn>>,
) {
    let (vault, tell, issuer) = (base.vault.clone(), base.tell.clone(), Arc::clone(issuer));
    let (accounts, sign_in) = (accounts.clone(), sign_in.cloned());
    tokio::spawn(async move {
        vault.durable().await;
        tracing::info!("the keychain has come within reach: what it keeps is read again");
        issuer.read().await;
        tell.assistants(&issuer);
        if let Some(sign_in) = sign_in {
            sign_in.read_again().await;
        }
        accounts.read_again().await;
    });
}

/// The accounts go with the person.
async fn follow_present(mut present: Present, accounts: OwnAccounts, tell: Tell) {
    loop {
        if let Err(fault) = accounts.belong_to(present.now().as_deref()).await {
            let advice = StartFault::Trust(fault.to_string()).advice();
            tell.event(Event::FaultRaised(advice));
        }
        present.changed().await;
    }
}

fn connectors(base: &Base, http: HttpClient, accounts: &OwnAccounts, source: Option<&Source>) -> Connectors {
    Connectors::new(connector::Seams {
        http,
        accounts: Arc::new(accounts.clone()),
        broker: source.map(|source| Arc::new(OrgBroker(source.org().clone())) as _),
        environment: environment(),
        opening_deadline: OPENING_DEADLINE,
        clock: Arc::clone(&base.clock),
    })
}

async fn issuer(base: &Base, port: u16, offered: Offered) -> Result<Arc<Issuer>, StartFault> {
    let (user_id, _) = os::current_user();
    let config = IssuerConfig { port, user_id: Some(user_id), limits: Limits::default() };
    let (tell, journal) = (base.tell.clone(), base.journal.clone());
    let seams = issuer::Seams {
        person: Arc::new(base.desk.clone()),
        store: Arc::new(Ledger(base.vault.clone())),
        resources: Arc::new(offered),
        listener: Arc::new(os::owner_of_listener),
        documents: Arc::new(Published::new().map_err(|fault| StartFault::Trust(fault.to_string()))?),
        now: Arc::clone(&base.now),
        events: Arc::new(move |event| issuer_event(&tell, &journal, event)),
    };
    Ok(Arc::new(Issuer::open(config, seams).await))
}

fn gate(
    base: &Base,
    device: DeviceId,
    issuer: &Arc<Issuer>,
    connectors: &Connectors,
    switch: &Switch,
    discoverer: Discoverer,
) -> Arc<Gate> {
    Arc::new(Gate::new(
        Arc::clone(issuer),
        base.journal.clone(),
        connectors.clone(),
        base.snapshots.clone(),
        Arc::new(base.tell.clone()),
        Arc::new(discoverer),
        Arc::new(base.desk.clone()),
        switch.clone(),
        Arc::clone(&base.clock),
        GateConfig { device, call_deadline: CALL_DEADLINE, list_fresh_for: LIST_FRESH_FOR },
    ))
}

/// What is asked of the catalog, and where it says what it has taken up.
struct Asked {
    wanted: mpsc::UnboundedReceiver<AccountId>,
    taken: watch::Sender<BTreeSet<AccountId>>,
    list_grace: Duration,
}

async fn catalog(
    base: &Base,
    accounts: &OwnAccounts,
    connectors: Connectors,
    present: Present,
    (offerings, stopped): (watch::Receiver<Arc<Offering>>, Stopped),
    Asked { wanted, taken, list_grace }: Asked,
) -> Catalog {
    Catalog {
        connectors,
        accounts: accounts.clone(),
        snapshots: base.snapshots.clone(),
        pins: Pins::load(base.vault.clone()).await,
        journal: base.journal.clone(),
        tell: base.tell.clone(),
        clock: Arc::clone(&base.clock),
        list_grace,
        person: present.now(),
        present,
        offerings,
        stopped,
        taken,
        wanted,
        basis: None,
    }
}

fn socket_desk(
    base: &Base,
    present: Present,
    engine: &GatewayEngine,
    state: watch::Receiver<Arc<AppState>>,
    bridges: Bridges,
    logs: Logs,
) -> socket::Desk {
    socket::Desk {
        pending: base.desk.clone(),
        events: base.events.clone(),
        state,
        snapshots: base.snapshots.clone(),
        present,
        bridges,
        logs,
        accounts: engine.accounts.clone(),
        sign_in: engine.sign_in.clone(),
        clock: Arc::clone(&base.clock),
    }
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
    present: Present,
    offerings: watch::Receiver<Arc<Offering>>,
    sign_in: Option<Arc<SignIn>>,
}

impl Resources for Offered {
    fn server(&self, server: &ServerId) -> Option<String> {
        self.snapshots.current().servers.get(server).map(|view| view.title.clone())
    }

    fn servers(&self) -> Vec<ServerId> {
        visible_servers(&self.snapshots.current(), self.present.now().as_deref())
    }

    fn current_subject(&self) -> Option<Arc<Subject>> {
        self.present.now()
    }

    fn named(&self, client_id: &str) -> Named {
        self.offerings.borrow().assistant(client_id)
    }

    fn signed_in(&self) -> BoxFuture<'_, Option<Arc<Subject>>> {
        Box::pin(async {
            if let (None, Some(sign_in)) = (self.present.now(), &self.sign_in)
                && let Err(advice) = sign_in.sign_in_for_assistant().await
            {
                tracing::info!(%advice, "nobody signed in for an assistant that asks");
            }
            self.present.now()
        })
    }
}

fn reader(clock: &Arc<dyn Clock>) -> Now {
    let clock = Arc::clone(clock);
    Arc::new(move || clock.now())
}

fn environment() -> BTreeMap<String, String> {
    PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

fn report_start(
    base: &Base,
    found: &[EventRecord],
    issuer: &Issuer,
    address: &str,
    local: Option<Arc<Subject>>,
) {
    let Base { tell, journal, .. } = base;
    tell.note(journal, &EventRecord::new(AuditEvent::Start).with("version", env!("CARGO_PKG_VERSION")));
    found.iter().for_each(|record| tell.note(journal, record));
    if let Some(user) = local {
        tell.event(Event::Session(Session::Local { label: user.label().to_owned() }));
    }
    tell.assistants(issuer);
    tell.event(Event::Listening { address: address.to_owned() });
}

async fn close(journal: Journal) {
    if let Err(fault) = journal.event(EventRecord::new(AuditEvent::Stop)).await {
        tracing::error!(%fault, "the end could not be recorded");
    }
    if tokio::task::spawn_blocking(move || journal.close()).await.is_err() {
        tracing::error!("the journal could not be closed");
    }
}
