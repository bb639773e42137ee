//! Putting the server together, starting it and ending it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ::audit::{AuditEvent, EventRecord, Journal, JournalConfig, JournalFault, JournalRules};
use axum::serve::Listener;
use model::{DeviceId, Digest};
use org_protocol::SigningKey;
use os::{Clock, InstanceLock, LockFault};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use upstream::{HttpClient, UpstreamFault};
use url::Url;

use crate::admin;
use crate::assertion::Asserter;
use crate::broker::{Broker, Dialects};
use crate::credential::Credentials;
use crate::identity::{self, Outward, Verifier};
use crate::launch::{CommandsUserFault, RunAs};
use crate::lending::{self, Review};
use crate::op::{Op, TokenKey};
use crate::publication::Publication;
use crate::relay::{self, Sink, SinkConfig, SinkFault};
use crate::replicas;
use crate::sealing::MasterKey;
use crate::server::{Limits, Metrics, Plane, Refusals, Stopped, observe, router};
use crate::store::{Database, Held, RevocationLog, Store, StoreFault};
use crate::trace::{Export, TraceConfig};

/// The file of what was taken away from somebody, in the data directory.
pub(crate) const REVOCATIONS: &str = "revocations.jsonl";
/// For how long diagnostics that devices sent are kept where nothing else is said.
pub const DIAGNOSTICS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often what has expired is cleared away.
const JANITOR: Duration = Duration::from_secs(60);
/// How long leases are kept after their end, in seconds.
const REMEMBERED: i64 = 86_400;
/// How long requests may take to finish when the server ends.
const DRAIN: Duration = Duration::from_secs(10);

/// How to serve.
#[derive(Debug)]
pub struct ServeConfig {
    /// Where everything is kept.
    pub data: PathBuf,
    /// What it knows.
    pub database: Database,
    /// Where what is taken away from somebody is written down as well; `revocations.jsonl` in the data directory where nothing is
    /// given. Best on another disk than the database.
    pub revocations: Option<PathBuf>,
    /// Where to listen. Loopback only: TLS ends at a proxy in front.
    pub listen: SocketAddr,
    /// The configuration URL as desktops reach it; the listening address where none is given.
    pub public_url: Option<Url>,
    /// The administrators' socket; `admin.sock` in the data directory where none is given.
    pub admin_socket: Option<PathBuf>,
    /// The user whom connectors' programs run as; without one they run as this process, and not at all where that is root.
    pub commands_user: Option<String>,
    /// Seals shared secrets.
    pub master_key: MasterKey,
    /// Signs receipts.
    pub receipt_key: SigningKey,
    /// Where audit records are passed on to.
    pub sinks: SinkConfig,
    /// Where traces are told; nowhere without it.
    pub traces: Option<TraceConfig>,
    /// For how long diagnostics that devices sent are kept.
    pub diagnostics_kept: Duration,
    /// Where metrics are served, to whoever can connect: they name nobody. Nowhere without it.
    pub metrics: Option<SocketAddr>,
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeFault {
    /// Plain HTTP would leave the machine.
    #[error("{0} is not a loopback address: let a proxy on this machine end TLS, and listen on 127.0.0.1")]
    NotLoopback(SocketAddr),
    /// The public URL cannot be one.
    #[error("{0} cannot be the configuration URL: it is https, or http on loopback, and ends with a slash")]
    PublicUrl(Url),
    /// Connectors' programs cannot be run so.
    #[error(transparent)]
    CommandsUser(#[from] CommandsUserFault),
    /// The data directory cannot be used.
    #[error("{} cannot be used: {source}", path.display())]
    Data {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another server owns the data.
    #[error(transparent)]
    Lock(#[from] LockFault),
    /// Another server has the same database, and the two cannot share it: it is a file, or the data directory was copied.
    #[error(
        "another control plane uses this database already: on SQLite there can be one only, and on PostgreSQL each needs a data directory of its own"
    )]
    Taken,
    /// Another server on the same database would contradict this one.
    #[error(
        "another control plane on this database has another public URL, master key or receipts key: give all of them the same, or end it first"
    )]
    Different,
    /// The control plane's own id cannot be read.
    #[error("{} does not hold a device id: put back the file from before, or remove it to begin a new chain of records", path.display())]
    Device {
        /// Its file.
        path: PathBuf,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// Audit records cannot be passed on so.
    #[error(transparent)]
    Sink(#[from] SinkFault),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// There is no HTTP client.
    #[error("the HTTP client cannot be made: {0}")]
    Http(#[from] reqwest::Error),
    /// What verifies this server's own ID tokens cannot be made.
    #[error("this server's own ID tokens cannot be verified: {0}")]
    OwnTokens(serde_json::Error),
    /// There is no HTTP client for connectors.
    #[error("the HTTP client cannot be made: {0}")]
    Upstream(#[from] UpstreamFault),
    /// The address is taken, or may not be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A server that runs. Dropping it leaves it running until the process ends; [`Running::stop`] ends it in order.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The configuration URL.
    pub public_url: Url,
    /// The administrators' socket.
    pub admin_socket: PathBuf,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    plane: Arc<Plane>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    export: Option<Export>,
    journal: Journal,
    store: Store,
    own: DeviceId,
    held: Arc<Mutex<Held>>,
    _lock: InstanceLock,
}

/// Starts the server.
///
/// # Errors
/// A [`ServeFault`].
pub async fn start(config: ServeConfig, clock: Arc<dyn Clock>) -> Result<Running, ServeFault> {
    if !config.listen.ip().is_loopback() {
        return Err(ServeFault::NotLoopback(config.listen));
    }
    start_at(config, clock, bound).await
}

/// Starts the server where `bind` listens, which may be in a network that is only simulated.
pub(crate) async fn start_at<L: Listener<Addr: std::fmt::Debug>>(
    config: ServeConfig,
    clock: Arc<dyn Clock>,
    bind: impl AsyncFnOnce(SocketAddr) -> Result<(L, SocketAddr), ServeFault>,
) -> Result<Running, ServeFault> {
    let data = |path: &Path| {
        let path = path.to_owned();
        move |source| ServeFault::Data { path: path.clone(), source }
    };
    let run_as = runs_as(&config)?;
    os::create_private_dir(&config.data).map_err(data(&config.data))?;
    let lock = os::lock_instance(&config.data.join("lock"))?;
    let (listener, address) = bind(config.listen).await?;
    let metrics = match config.metrics {
        Some(address) => Some(bound(address).await?),
        None => None,
    };
    let metrics_address = metrics.as_ref().map(|(_, address)| *address);
    let public_url = public_url(config.public_url.clone(), address)?;
    let socket = config.admin_socket.clone().unwrap_or_else(|| config.data.join("admin.sock"));
    let admins = os::bind_local(&socket, &lock).map_err(data(&socket))?;

    let (store, own, held, setup) = kept(&config, &public_url, clock.as_ref()).await?;
    let held = Arc::new(Mutex::new(held));
    let journal = open_journal(&config, own, Arc::clone(&clock)).await?;
    let (stop, stopping) = watch::channel(false);
    let sinks = Sink::all(config.sinks)?;
    let op = Op::new(&public_url, TokenKey::of(&config.master_key));
    let counted = Metrics::default();
    let (traces, export) = Export::begin(config.traces, own, counted.spans())?;
    let identity = Verifier::new()?.with_own(op.own_metadata().map_err(ServeFault::OwnTokens)?);
    let http = Outward { here: identity::client().no_proxy().build()?, elsewhere: identity.http().clone() };
    let plane = Arc::new(Plane {
        // Read before what it is about: that is then at least as new.
        told: watch::Sender::new(store.last_event().await?),
        publication: Publication::open(store.clone(), config.receipt_key.public(), op.issuer().to_owned())
            .await?,
        store: store.clone(),
        clock: Arc::clone(&clock),
        public_url: public_url.clone(),
        identity,
        op,
        refusals: Refusals::default(),
        receipt_key: config.receipt_key,
        journal: journal.clone(),
        metrics: counted,
        traces,
        limits: Limits::default(),
        own,
        broker: Broker::new(HttpClient::new()?, run_as, dialects(&config.data).await?, Arc::clone(&clock)),
        asserter: Asserter::new(public_url.clone(), &config.master_key),
        credentials: Credentials::new(config.master_key, http, clock),
        stopped: Stopped::open(&store).await?,
        review: Review::default(),
        diagnostics_kept: config.diagnostics_kept,
        storing: Mutex::default(),
        is_twice: AtomicBool::new(false),
        stopping,
    });
    journal.event(EventRecord::new(AuditEvent::Start).with("version", env!("CARGO_PKG_VERSION"))).await?;

    let mut tasks = vec![tokio::spawn(admin::listen(admins, Arc::clone(&plane)))];
    tasks.extend(beside(&plane));
    tasks.extend(replicas::begin(&plane, setup, &config.database, &held));
    tasks.extend(sinks.into_iter().map(|sink| tokio::spawn(relay::follow(sink, Arc::clone(&plane)))));
    if let Some((listener, _)) = metrics {
        tasks.push(tokio::spawn(observe::listen(listener, Arc::clone(&plane))));
    }
    let server = tokio::spawn(serve_http(listener, Arc::clone(&plane)));
    Ok(Running {
        address,
        public_url,
        admin_socket: socket,
        metrics: metrics_address,
        plane,
        stop,
        server,
        tasks,
        export,
        journal,
        store,
        own,
        held,
        _lock: lock,
    })
}

/// How connectors spoke before. What lies there can be found out again, and is in no backup.
async fn dialects(data: &Path) -> Result<Dialects, ServeFault> {
    let folder = data.join("cache");
    let read = tokio::task::spawn_blocking(move || Dialects::open(&folder)).await;
    read.map_err(|fault| ServeFault::Data { path: data.to_owned(), source: std::io::Error::other(fault) })
}

/// Whom connectors' programs run as.
fn runs_as(config: &ServeConfig) -> Result<RunAs, ServeFault> {
    let run_as = RunAs::named(config.commands_user.as_deref())?;
    match &run_as {
        RunAs::Ourselves => {}
        RunAs::Nobody => {
            tracing::warn!("connectors' programs are not run: this is root, and --commands-user names nobody")
        }
        RunAs::Named(account) if account.is_root() => {
            tracing::warn!("connectors' programs are run as root, as it was asked for")
        }
        RunAs::Named(account) => {
            tracing::info!(user = account.name, "connectors' programs run as a user of their own")
        }
    }
    Ok(run_as)
}

/// Listens, and says where.
async fn bound(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeFault> {
    let listen = |source| ServeFault::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    Ok((listener, bound))
}

/// What goes on beside requests, until the server ends.
fn beside(plane: &Arc<Plane>) -> [JoinHandle<()>; 4] {
    [
        tokio::spawn(relay::mirror(Arc::clone(plane))),
        tokio::spawn(clear_away(Arc::clone(plane))),
        tokio::spawn(lending::follow(Arc::clone(plane))),
        tokio::spawn(observe::tell_manager(Arc::clone(plane))),
    ]
}

/// The store, whose records the journal holds, and what keeps others away.
async fn kept(
    config: &ServeConfig,
    public_url: &Url,
    clock: &dyn Clock,
) -> Result<(Store, DeviceId, Held, Digest), ServeFault> {
    let revocations = config.revocations.clone().unwrap_or_else(|| config.data.join(REVOCATIONS));
    let log = RevocationLog::open(&revocations)
        .map_err(|source| ServeFault::Data { path: revocations.clone(), source })?;
    let store = Store::open(&config.database).await?.with_log(log.clone());
    let own = own_device(&config.data, &store).await?;
    log.belongs_to(own, clock.now()).await?;
    let held = config.database.hold(own).await?.ok_or(ServeFault::Taken)?;
    let setup = setup(config, public_url);
    if !store.join(own, setup, clock.now()).await? {
        return Err(ServeFault::Different);
    }
    Ok((store, own, held, setup))
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({})", self.public_url)
    }
}

impl Running {
    /// Ends the server: no new requests, a moment for those under way, then the journal's end. How many requests were cut off.
    pub async fn stop(mut self) -> usize {
        self.stop.send_replace(true);
        let mut cut = 0;
        if tokio::time::timeout(DRAIN, &mut self.server).await.is_err() {
            cut = usize::try_from(self.plane.metrics.running()).unwrap_or(0);
            tracing::warn!(cut, seconds = DRAIN.as_secs(), "requests were cut off: they did not end in time");
            self.server.abort();
        }
        drop(self.plane);
        for task in self.tasks {
            let _ = task.await;
        }
        if let Err(fault) = self.journal.event(EventRecord::new(AuditEvent::Stop)).await {
            tracing::error!(%fault, "the server's end could not be recorded");
        }
        let journal = self.journal;
        let _ = tokio::task::spawn_blocking(move || journal.close()).await;
        if let Err(fault) = self.store.leave(self.own).await {
            tracing::warn!(%fault, "others do not know that this control plane has ended");
        }
        if let Some(export) = self.export {
            export.end().await;
        }
        self.store.close().await;
        if let Some(held) = Arc::into_inner(self.held) {
            held.into_inner().release().await;
        }
        if let Err(fault) = std::fs::remove_file(&self.admin_socket) {
            tracing::debug!(%fault, "the administrators' socket stays");
        }
        cut
    }
}

async fn serve_http<L: Listener<Addr: std::fmt::Debug>>(listener: L, plane: Arc<Plane>) {
    let mut stopping = plane.stopping.clone();
    let stopped = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    if let Err(fault) = axum::serve(listener, router(plane)).with_graceful_shutdown(stopped).await {
        tracing::error!(%fault, "the server failed");
    }
}

/// Whose records the journal holds: an id among the devices, which lies beside it.
async fn own_device(data: &Path, store: &Store) -> Result<DeviceId, ServeFault> {
    let path = data.join("device");
    match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| ServeFault::Device { path }),
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {
            let before = if data.join("journal").exists() { store.former_device().await? } else { None };
            let own = before.unwrap_or_else(DeviceId::new);
            os::write_durable(&path, own.to_string().as_bytes())
                .map_err(|source| ServeFault::Data { path, source })?;
            Ok(own)
        }
        Err(source) => Err(ServeFault::Data { path, source }),
    }
}

/// What all control planes on one database have alike.
fn setup(config: &ServeConfig, public_url: &Url) -> Digest {
    let master = config.master_key.derived(b"deskgate/control/setup/v1");
    let receipts = config.receipt_key.public().id();
    Digest::of_parts(&[public_url.as_str().as_bytes(), master.as_bytes(), receipts.as_bytes()])
}

/// The journal's records are this server's own: they are copied to the devices' and never uploaded, so they belong to
/// no organisation's chain.
async fn open_journal(
    config: &ServeConfig,
    own: DeviceId,
    clock: Arc<dyn Clock>,
) -> Result<Journal, JournalFault> {
    // Nobody signs for these records, so none could be given up.
    let rules = JournalRules { quota: u64::MAX, ..JournalRules::default() };
    let journal = JournalConfig::new(config.data.join("journal"), own, config.master_key.journal_key());
    let journal = JournalConfig { rules, ..journal };
    let opened = tokio::task::spawn_blocking(move || Journal::open(journal, clock)).await;
    let (journal, recovery) = opened.map_err(|_| JournalFault::Closed)??;
    if !recovery.detail.is_empty() {
        tracing::warn!(detail = recovery.detail, "the journal was repaired");
    }
    Ok(journal)
}

async fn clear_away(plane: Arc<Plane>) {
    let mut stopping = plane.stopping.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(JANITOR) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        plane.broker.end_idle();
        plane.forget_limits();
        plane.credentials.forget_ended();
        if let Err(fault) = plane.stopped.refresh(&plane.store).await {
            tracing::error!(%fault, "what is stopped is not known");
        }
        let now = plane.clock.now();
        if let Err(fault) = plane.store.forget_counted(now).await {
            tracing::warn!(%fault, "calls that count no more are not forgotten");
        }
        if let Err(fault) = plane.store.forget_proofs(now).await {
            tracing::error!(%fault, "used proofs are not cleared away");
        }
        if let Err(fault) = plane.store.forget_sign_ins(now).await {
            tracing::error!(%fault, "used logout tokens are not cleared away");
        }
        plane.clear_diagnostics().await;
        plane.review.ask();
        let long_ago = model::Timestamp::from_seconds(now.seconds().saturating_sub(REMEMBERED));
        if let Err(fault) = plane.store.forget_leases(long_ago).await {
            tracing::error!(%fault, "leases that are over are not cleared away");
        }
        if let Err(fault) = plane.store.forget_administrators(now).await {
            tracing::error!(%fault, "administrators' sessions that are over are not cleared away");
        }
        if let Err(fault) = plane.store.forget_grants(now).await {
            tracing::error!(%fault, "sign-ins that are over are not cleared away");
        }
    }
}

fn public_url(given: Option<Url>, address: SocketAddr) -> Result<Url, ServeFault> {
    let Some(url) = given else {
        let own = format!("http://{address}/");
        return own.parse().map_err(|_| ServeFault::NotLoopback(address));
    };
    if identity::is_trustworthy(&url) && url.path().ends_with('/') && url.query().is_none() {
        Ok(url)
    } else {
        Err(ServeFault::PublicUrl(url))
    }
}

impl MasterKey {
    /// The key of argument digests in the server's own journal.
    fn journal_key(&self) -> [u8; 32] {
        *Digest::as_bytes(&self.derived(b"deskgate/control/journal/v1"))
    }
}
