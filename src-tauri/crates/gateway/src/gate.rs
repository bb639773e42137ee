//! What every request shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit::Journal;
use connector::Connectors;
use issuer::{AccessGrant, Issuer};
use model::{AccountId, Advice, BoxFuture, DeviceId, ServerId};
use os::{Clock, Whereabouts};
use url::Url;

use crate::approval::Approver;
use crate::limits::Limits;
use crate::observe::Observer;
use crate::parked::Parked;
use crate::sessions::Sessions;
use crate::snapshot::Snapshots;
use crate::streams::Streams;
use crate::tasks::Tasks;

/// Everything that requests need, wired at the composition root. Requests share one.
pub struct Gate {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) journal: Journal,
    pub(crate) connectors: Connectors,
    pub(crate) snapshots: Snapshots,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) discovery: Arc<dyn Discovery>,
    pub(crate) visits: Arc<dyn Visits>,
    pub(crate) approver: Arc<dyn Approver>,
    pub(crate) switch: Switch,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: GateConfig,
    pub(crate) streams: Streams,
    pub(crate) sessions: Sessions,
    pub(crate) parked: Parked,
    pub(crate) tasks: Tasks,
    pub(crate) whereabouts: Whereabouts,
}

/// Gets to know tools that nobody could list yet, because their connector wants a sign-in first.
pub trait Discovery: Send + Sync {
    /// An assistant lists a virtual server's tools: it may be worth asking for sign-ins. Waits for connectors that are
    /// only just starting, within bounds; never for a person.
    fn listed<'a>(&'a self, server: &'a ServerId) -> BoxFuture<'a, ()>;

    /// An assistant called a tool that is not known. `true` when more tools are known now.
    ///
    /// # Errors
    /// Why not, in words for the person.
    fn discover<'a>(&'a self, server: &'a ServerId) -> BoxFuture<'a, Result<bool, Advice>>;

    /// An assistant called something of a connector that is withdrawn, with this account: it is worth trying again. Waits for nothing.
    fn missed(&self, account: &AccountId);
}

/// Sign-ins to which an assistant may show the person the way.
pub trait Visits: Send + Sync {
    /// What is to be found at an address whose last part is `name`; `None` when nothing of this name waits any more.
    fn visit(&self, name: &str) -> Option<Visit>;
}

/// What a person finds who follows an assistant's link to a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visit {
    /// It was brought before them.
    Shown,
    /// The page of whoever signs them in.
    Page(Url),
}

/// The gateway's own settings.
#[derive(Debug, Clone, Copy)]
pub struct GateConfig {
    /// This installation.
    pub device: DeviceId,
    /// How long a connector may take to answer a call; waiting for a sign-in does not count.
    pub call_deadline: Duration,
    /// How long an assistant may keep a tool list.
    pub list_fresh_for: Duration,
}

/// Whether calls are taken. Clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    /// Refuses calls, or takes them again.
    pub fn pause(&self, paused: bool) {
        self.0.store(paused, Ordering::SeqCst);
    }

    /// Whether calls are refused.
    pub fn is_paused(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Gate {
    /// What counts calls.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether an assistant may still use its virtual server, be its token the newest or not: for the person who is present.
    pub(crate) fn welcomes(&self, grant: &AccessGrant) -> bool {
        self.issuer.present().is_some_and(|present| present.is_same_person(&grant.subject))
            && self.snapshots.current().servers.contains_key(&grant.server)
            && self.issuer.assistants().iter().any(|assistant| {
                assistant.client_id == grant.client_id
                    && assistant.grants.iter().any(|other| other.server == grant.server)
            })
    }

    /// Puts the parts together.
    #[expect(clippy::too_many_arguments, reason = "the one place where all parts meet")]
    pub fn new(
        issuer: Arc<Issuer>,
        journal: Journal,
        connectors: Connectors,
        snapshots: Snapshots,
        observer: Arc<dyn Observer>,
        discovery: Arc<dyn Discovery>,
        visits: Arc<dyn Visits>,
        approver: Arc<dyn Approver>,
        switch: Switch,
        limits: Limits,
        clock: Arc<dyn Clock>,
        config: GateConfig,
    ) -> Self {
        Self {
            issuer,
            journal,
            connectors,
            snapshots,
            observer,
            discovery,
            visits,
            approver,
            switch,
            limits,
            clock,
            config,
            streams: Streams::default(),
            sessions: Sessions::default(),
            parked: Parked::default(),
            tasks: Tasks::default(),
            whereabouts: Whereabouts::default(),
        }
    }
}
