//! Starts an installation: opens its state, puts the parts together, serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use connector::{Connectors, Voucher};
use gateway::{Gate, GateConfig, Listening, Snapshots, Switch};
use issuer::{Issuer, IssuerConfig, Limits};
use model::{AccountId, Advice, DeviceId, ForPerson, Subject};
use org::Org;
use os::{Clock, SystemClock};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use upstream::HttpClient;
use vault::{SystemKeychain, Vault};

use super::accounts::{AccountParts, OwnAccounts};
use super::approvals::{ApprovalParts, Approvals, OfSystem};
use super::bridges::Bridges;
use super::catalog::{Acceptance, Acceptances, Catalog, closed};
use super::counted::Counted;
use super::diagnostics::{AskedDiagnostics, AskedParts};
use super::discover::Discoverer;
use super::doctor::Doctor;
use super::end::Last;
use super::engine::GatewayEngine;
use super::fault::StartFault;
use super::follow::{follow_audit, follow_journal, follow_keychain, follow_machine, follow_settings};
use super::home::Home;
use super::imports::{Imports, Sealed};
use super::introduction::Introduction;
use super::ledger::Ledger;
use super::logs::Logs;
use super::machine::{Machine, Watcher};
use super::membership::{Joined, Membership, MembershipParts, OrgBroker, OrgLender, SignIn, Source, Stopped};
use super::offered::Offered;
use super::offering::Offering;
use super::open::{Opened, open};
use super::pins::Pins;
use super::port;
use super::present::Present;
use super::published::Published;
use super::settings::{Loaded, SettingsFault};
use super::socket;
use super::tell::{Tell, issuer_event};
use super::updates::Updates;
use super::welcome::Welcome;
use super::windows::WindowParts;
use crate::effect::Shell;
use crate::event::Event;
use crate::pending::{Now, PendingDesk, Surface};
use crate::run::Ended;
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
    /// What a running gateway answers windows with.
    pub windows: WindowParts,
    /// Looks at the installation and says what is wrong.
    pub doctor: Doctor,
    /// Where assistants connect: `http://127.0.0.1:<port>`.
    pub address: String,
    ending: JoinHandle<Ended>,
}

/// Starts everything and returns once calls are taken.
///
/// # Errors
/// A [`StartFault`]: nothing runs then. Damaged state is none; it is set aside and reported.
pub async fn start(options: Options) -> Result<App, StartFault> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let opened = open(&options, Arc::new(SystemKeychain), &clock).await?;
    let listening = port::bind(&options.home).await?;
    run(options, clock, opened, listening).await
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
    let Opened { lock, device, vault, machine, settings, joined, journal, found } = opened;
    let Options { home, desktop, shell, list_grace } = options;
    let address = format!("http://127.0.0.1:{}", listening.port());
    let (events, inbox) = mpsc::unbounded_channel();
    let base = base(&home, surface(desktop, &machine, &settings), clock, vault, journal, events, &address);
    // Before anything is read: what is unlocked while this starts has to be read again.
    let was_sealed = !base.vault.is_durable();
    let parts = membership_parts(&base);
    let Rule { offerings, present, source } = rule(&home, &base, &machine, &settings, joined, &parts);
    let (shared, org) = (source.is_some(), source.as_ref().map(|(source, _)| source.org().clone()));
    let stopped = source.as_ref().map_or_else(Stopped::never, |(source, _)| source.stopped());

    let (wanted, asked) = mpsc::unbounded_channel();
    let (acceptances, accepting) = Acceptances::new();
    let http = HttpClient::new().map_err(|fault| StartFault::Trust(fault.to_string()))?;
    follow_audit(&offerings, &base.journal, http.again());
    let (published, state) = watch::channel(Arc::new(AppState::starting(desktop)));
    let updates = Updates::begin(&home, (&base.journal, &base.tell), offerings.clone(), state.clone());
    let waiting = org.iter().map(Org::again).chain([http.again()]).cloned().collect();
    let voucher = source.as_ref().map(|(_, sign_in)| Arc::clone(sign_in) as Arc<dyn Voucher>);
    let accounts = OwnAccounts::new(account_parts(&base, voucher, http.clone(), &address, &wanted));
    let connectors = connectors(&base, http.clone(), &accounts, source.as_ref().map(|(source, _)| source));
    let sign_in = source.as_ref().map(|(_, sign_in)| Arc::clone(sign_in));
    let approvals = Approvals::load(approval_parts(&base, device)).await;
    let offered = offered(&base, &present, &offerings, sign_in.as_ref());
    let is_own = !shared && machine.nothing().is_none();
    let imports = imports(&home, &base, (http, &accounts, &approvals), is_own);
    let issuer = issuer(&base, listening.port(), offered, approvals.clone()).await?;
    port::end_overheard(&home, &issuer, &base.vault, Some(&shell)).await;
    let (switch, taken) = (Switch::default(), watch::Sender::new(BTreeSet::new()));
    let discoverer = discoverer(&base, &connectors, &present, &offerings, (&taken, &wanted));
    let limits = gateway::Limits::open(Arc::new(Counted(base.vault.clone())), Arc::clone(&base.clock)).await;
    let gate = gate(&base, limits, device, &issuer, &connectors, &switch, (discoverer, approvals.clone()));

    let logs = Logs::of(connectors.clone());
    let mut membership = begun(source, &parts).await;
    let (asked, rule) = (Asked { wanted: asked, accepting, taken, list_grace }, (offerings, stopped));
    let mut catalog = catalog(&base, &accounts, connectors, present.clone(), rule, asked).await;
    let belonging = accounts.belong_to(present.now().as_deref()).await;
    belonging.map_err(|fault| StartFault::Trust(fault.to_string()))?;
    catalog.begin().await;
    report_start(&base, &found, &issuer, &address, present.now().filter(|_| !shared));
    let owned = (accounts.clone(), approvals.clone());
    if was_sealed {
        follow_unlocking(&base, &home, (&gate, &issuer), &owned, sign_in.as_ref());
    }
    let watcher = follow(&base, (machine, org.clone()), shared, present.clone(), owned);
    let engine = Arc::new(GatewayEngine {
        switch,
        issuer,
        journal: base.journal.clone(),
        tell: base.tell.clone(),
        vault: base.vault.clone(),
        wanted,
        accounts: accounts.clone(),
        approvals,
        sign_in,
        waiting,
        updates,
        runtime: tokio::runtime::Handle::current(),
    });
    let local = os::bind_local(&home.socket(), &lock).map_err(StartFault::Socket)?;
    let (stop, stopped) = watch::channel(false);
    let bridges = Bridges::new(&gate, &engine.issuer, stopped.clone(), &base.clock);
    let welcome = welcome(&base, &home, &gate, &present, &engine.issuer);
    let served = (bridges, logs, acceptances, imports);
    let front = socket_desk(&base, &home, (present.clone(), org), &engine, state.clone(), served);
    let windows = WindowParts::of(&home, present, &front, welcome);
    let doctor = front.doctor.clone();
    if let Some(membership) = &mut membership {
        membership.also(windows.diagnostics.clone().follow());
    }
    let (socket, catalog) = (tokio::spawn(socket::serve(local, front)), tokio::spawn(catalog.run()));
    let server = tokio::spawn(gateway::serve(listening, gate, stopped));
    let Base { now, desk, events, journal, .. } = base;
    let controller = crate::run::run(AppState::starting(desktop), inbox, published, now, shell, engine);
    let last = Last { stop, socket, catalog, server, watcher, accounts, membership, journal, lock };
    let ending = tokio::spawn(last.after(controller));
    Ok(App { state, events, desk, windows, doctor, address, ending })
}

fn surface(desktop: bool, machine: &Machine, settings: &Result<Loaded, SettingsFault>) -> Surface {
    if desktop {
        return Surface::Desktop;
    }
    let own = settings.as_ref().is_ok_and(|loaded| loaded.settings.answer_in_terminal);
    let answers_allowed = machine.terminal_answers().unwrap_or(own);
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
    machine: &Machine,
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
            let offerings = match machine.nothing() {
                Some(why) => watch::Sender::new(Arc::new(Offering::none(why))).subscribe(),
                None => follow_settings(home.settings(), base.tell.clone(), settings),
            };
            Rule { offerings, present: Present::always(Subject::local(user)), source: None }
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

/// What changes by itself is noticed from now on. What is returned watches the machine, and keeps the journal open.
fn follow(
    base: &Base,
    (machine, org): (Machine, Option<Org>),
    shared: bool,
    present: Present,
    owned: (OwnAccounts, Approvals),
) -> JoinHandle<()> {
    follow_machine(base.tell.clone());
    follow_keychain(base.vault.clone(), base.journal.clone(), base.tell.clone());
    follow_journal(base.journal.clone(), shared, base.tell.clone());
    tokio::spawn(follow_present(present, owned, base.tell.clone()));
    let watcher = Watcher { first: machine, org, tell: base.tell.clone(), journal: base.journal.clone() };
    tokio::spawn(watcher.run())
}

/// Has everything that reads the vault when it starts read it again, should the keychain have been out of reach then. A
/// person who unlocks it a minute later finds what they had.
fn follow_unlocking(
    base: &Base,
    home: &Home,
    (gate, issuer): (&Arc<Gate>, &Arc<Issuer>),
    (accounts, approvals): &(OwnAccounts, Approvals),
    sign_in: Option<&Arc<SignIn>>,
) {
    let (vault, tell, issuer) = (base.vault.clone(), base.tell.clone(), Arc::clone(issuer));
    let (accounts, approvals, sign_in) = (accounts.clone(), approvals.clone(), sign_in.cloned());
    let (gate, home) = (Arc::clone(gate), home.clone());
    tokio::spawn(async move {
        vault.durable().await;
        tracing::info!("the keychain has come within reach: what it keeps is read again");
        issuer.read().await;
        port::end_overheard(&home, &issuer, &vault, None).await;
        tell.assistants(&issuer);
        if let Some(sign_in) = sign_in {
            sign_in.read_again().await;
        }
        accounts.read_again().await;
        approvals.read().await;
        gate.limits().read_again().await;
    });
}

/// The accounts go with the person, and so does what they allowed for their session.
async fn follow_present(mut present: Present, (accounts, approvals): (OwnAccounts, Approvals), tell: Tell) {
    loop {
        approvals.belong_to(present.now().as_deref());
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
        lender: source.map(|source| Arc::new(OrgLender(source.org().clone())) as _),
        sealed: source.is_none().then(|| Arc::new(Sealed(base.vault.clone())) as _),
        environment: environment(),
        opening_deadline: OPENING_DEADLINE,
        clock: Arc::clone(&base.clock),
    })
}

fn welcome(base: &Base, home: &Home, gate: &Arc<Gate>, present: &Present, issuer: &Issuer) -> Welcome {
    let (home, gate, present, tell) = (home.clone(), Arc::clone(gate), present.clone(), base.tell.clone());
    let welcome = Welcome { home, gate, present, tell };
    welcome.begin(!issuer.assistants().is_empty());
    welcome
}

fn imports(
    home: &Home,
    base: &Base,
    (http, accounts, approvals): (HttpClient, &OwnAccounts, &Approvals),
    is_own: bool,
) -> Imports {
    let noted = (base.tell.clone(), base.journal.clone());
    let reached = (http, accounts.clone(), approvals.clone());
    let imports =
        Imports::of(home.clone(), base.vault.clone(), Arc::clone(&base.clock), reached, is_own, noted);
    let tidy = imports.clone();
    tokio::spawn(async move { tidy.tidy().await });
    imports
}

fn discoverer(
    base: &Base,
    connectors: &Connectors,
    present: &Present,
    offerings: &watch::Receiver<Arc<Offering>>,
    (taken, wanted): (&watch::Sender<BTreeSet<AccountId>>, &mpsc::UnboundedSender<AccountId>),
) -> Discoverer {
    Discoverer {
        connectors: connectors.clone(),
        snapshots: base.snapshots.clone(),
        present: present.clone(),
        offerings: offerings.clone(),
        taken: taken.subscribe(),
        wanted: wanted.clone(),
    }
}

fn offered(
    base: &Base,
    present: &Present,
    offerings: &watch::Receiver<Arc<Offering>>,
    sign_in: Option<&Arc<SignIn>>,
) -> Offered {
    Offered {
        snapshots: base.snapshots.clone(),
        present: present.clone(),
        offerings: offerings.clone(),
        sign_in: sign_in.cloned(),
    }
}

fn approval_parts(base: &Base, device: DeviceId) -> ApprovalParts {
    ApprovalParts {
        person: Arc::new(base.desk.clone()),
        vault: base.vault.clone(),
        tell: base.tell.clone(),
        journal: base.journal.clone(),
        clock: Arc::clone(&base.clock),
        device,
        proof: Arc::new(OfSystem),
    }
}

async fn issuer(
    base: &Base,
    port: u16,
    offered: Offered,
    approvals: Approvals,
) -> Result<Arc<Issuer>, StartFault> {
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
        events: Arc::new(move |event| {
            if let issuer::Event::Revoked { client_id, server, .. } = &event {
                approvals.revoked(client_id, server);
            }
            issuer_event(&tell, &journal, event);
        }),
    };
    Ok(Arc::new(Issuer::open(config, seams).await))
}

fn gate(
    base: &Base,
    limits: gateway::Limits,
    device: DeviceId,
    issuer: &Arc<Issuer>,
    connectors: &Connectors,
    switch: &Switch,
    (discoverer, approvals): (Discoverer, Approvals),
) -> Arc<Gate> {
    Arc::new(Gate::new(
        Arc::clone(issuer),
        base.journal.clone(),
        connectors.clone(),
        base.snapshots.clone(),
        Arc::new(base.tell.clone()),
        Arc::new(discoverer),
        Arc::new(base.desk.clone()),
        Arc::new(approvals),
        switch.clone(),
        limits,
        Arc::clone(&base.clock),
        GateConfig { device, call_deadline: CALL_DEADLINE, list_fresh_for: LIST_FRESH_FOR },
    ))
}

/// What is asked of the catalog, and where it says what it has taken up.
struct Asked {
    wanted: mpsc::UnboundedReceiver<AccountId>,
    accepting: mpsc::UnboundedReceiver<Acceptance>,
    taken: watch::Sender<BTreeSet<AccountId>>,
    list_grace: Duration,
}

async fn catalog(
    base: &Base,
    accounts: &OwnAccounts,
    connectors: Connectors,
    present: Present,
    (offerings, stopped): (watch::Receiver<Arc<Offering>>, Stopped),
    Asked { wanted, accepting, taken, list_grace }: Asked,
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
        accepting,
        held: BTreeMap::new(),
        states: BTreeMap::new(),
        basis: None,
    }
}

/// What follows the organisation from now on, where there is one.
async fn begun(source: Option<(Source, Arc<SignIn>)>, parts: &MembershipParts) -> Option<Membership> {
    let (source, sign_in) = source?;
    Some(source.begin(sign_in, parts).await)
}

fn socket_desk(
    base: &Base,
    home: &Home,
    (present, org): (Present, Option<Org>),
    engine: &GatewayEngine,
    state: watch::Receiver<Arc<AppState>>,
    (bridges, logs, acceptances, imports): (Bridges, Logs, Acceptances, Imports),
) -> socket::Desk {
    let doctor = Doctor::within(home.clone(), base.tell.settings().1, state.clone());
    let diagnostics = AskedDiagnostics::of(AskedParts {
        org,
        home: home.clone(),
        doctor: doctor.clone(),
        desk: base.desk.clone(),
        present: present.clone(),
        journal: base.journal.clone(),
        tell: base.tell.clone(),
    });
    socket::Desk {
        pending: base.desk.clone(),
        events: base.events.clone(),
        doctor,
        diagnostics,
        state,
        snapshots: base.snapshots.clone(),
        present,
        bridges,
        logs,
        acceptances,
        imports,
        accounts: engine.accounts.clone(),
        updates: engine.updates.clone(),
        sign_in: engine.sign_in.clone(),
        introduction: Introduction::of(engine.sign_in.clone()),
        journal: engine.journal.clone(),
        clock: Arc::clone(&base.clock),
    }
}

impl App {
    /// Waits until the application has ended, and everything is on disk.
    pub async fn ended(self) -> Ended {
        self.ending.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the application ended badly");
            Ended::Quit
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
