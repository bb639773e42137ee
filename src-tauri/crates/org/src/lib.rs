//! The only desktop client of the central URL: fetches and verifies policy, enrols the device, holds the session, makes
//! brokered calls, follows events and delivers audit records.
//!
//! Nothing here decides, and nothing that comes from the network is believed before `org_protocol` has verified it. The
//! session token stays in memory; the device's key stays in the vault.
#![forbid(unsafe_code)]

mod age;
mod backoff;
mod broker;
mod certificate;
mod collect;
mod deliver;
mod diagnostics;
mod discover;
mod enrolment;
mod events;
mod fault;
mod files;
mod halts;
mod keep;
mod leases;
mod meeting;
mod mirror;
mod policy;
mod session;
mod sse;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use model::DeviceId;
use org_protocol::{DeviceDescription, Halts};
use os::{Again, Clock};
use secrecy::SecretString;
use tokio::sync::{Mutex, watch};
use url::Url;
use vault::Vault;

pub use broker::{BrokerAnswer, BrokeredCall, Hears};
pub use certificate::Disbelief;
pub use collect::{Collecting, collect};
pub use deliver::Delivery;
pub use discover::{Discovered, discover, server_time};
pub use fault::OrgFault;
pub use keep::{IdToken, IdTokens, NoIdToken};
pub use leases::{Lent, Loan};
pub use meeting::{Anchor, Meeting, TrustFault};
pub use mirror::{Looks, Mirror};
pub use policy::{Applied, Candidate, Fetched};
pub use session::OrgSession;
pub use wire::Transport;

use age::Age;
use files::Files;
use leases::Book;
use policy::Held;
use wire::Wire;

/// What the client is made of.
pub struct OrgParts {
    /// The configuration URL: https, or http on this machine.
    pub config_url: Url,
    /// By whom the organisation was introduced.
    pub anchor: Anchor,
    /// Where the last good signed documents lie.
    pub dir: PathBuf,
    /// The id under which this device keeps its records so far.
    pub device: DeviceId,
    /// How the device describes itself to administrators.
    pub description: DeviceDescription,
    /// Holds the device's key, the ratchet and the seeds of nonces.
    pub vault: Vault,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// The client. Clones share everything.
#[derive(Clone)]
pub struct Org(Arc<Inner>);

struct Inner {
    wire: Wire,
    /// When whatever waits between two attempts is to try at once.
    again: Again,
    anchor: Anchor,
    /// Which organisation this is, as far as it is known.
    met: watch::Sender<Option<Meeting>>,
    files: Files,
    device: DeviceId,
    description: DeviceDescription,
    vault: Vault,
    clock: Arc<dyn Clock>,
    /// How much time has passed for what ages.
    age: Age,
    /// What is believed of the organisation. One fetch at a time.
    held: Mutex<Held>,
    /// What administrators have stopped, as far as it is known.
    halts: watch::Sender<Arc<Halts>>,
    /// What diagnostics the organisation asks for, as far as it is known.
    diagnostics: diagnostics::Asked,
    /// What is lent to this device now; never anywhere else than in memory.
    leases: Book,
    /// When the event stream was last heard, on the clock that nobody sets.
    heard: watch::Sender<Option<Duration>>,
    /// The keys whose receipts are good.
    receipt_keys: watch::Sender<Vec<org_protocol::PublicKey>>,
    session: watch::Sender<Option<OrgSession>>,
    /// Counts the sign-outs. Read and changed only while `session` is locked for writing, or to be compared later.
    sign_outs: AtomicU64,
    /// What shows the organisation that this machine is its own.
    enrolment_token: std::sync::Mutex<Option<SecretString>>,
    /// One opening at a time.
    opening: Mutex<()>,
    delivery: watch::Sender<Delivery>,
}

impl Org {
    /// A client that has not talked to anybody yet.
    ///
    /// # Errors
    /// [`OrgFault::Insecure`] where the URL would be spoken to in the clear; [`OrgFault::Unreachable`] where there is
    /// no HTTP client.
    pub fn new(parts: OrgParts) -> Result<Self, OrgFault> {
        let again = Again::default();
        let wire = Wire::new(parts.config_url.clone(), again.clone())?;
        Ok(Self::with(wire, again, parts))
    }

    /// The same over a network that is only simulated.
    ///
    /// # Errors
    /// As [`Org::new`].
    pub fn over(transport: Arc<dyn Transport>, parts: OrgParts) -> Result<Self, OrgFault> {
        let wire = Wire::over(parts.config_url.clone(), |_| transport)?;
        Ok(Self::with(wire, Again::default(), parts))
    }

    fn with(wire: Wire, again: Again, parts: OrgParts) -> Self {
        let OrgParts { config_url: _, anchor, dir, device, description, vault, clock } = parts;
        Self(Arc::new(Inner {
            wire,
            again,
            anchor,
            met: watch::Sender::new(anchor.known()),
            files: Files::new(dir),
            device,
            description,
            vault,
            clock,
            age: Age::default(),
            held: Mutex::default(),
            halts: watch::Sender::new(Arc::default()),
            diagnostics: diagnostics::Asked::default(),
            leases: Book::default(),
            heard: watch::Sender::new(None),
            receipt_keys: watch::Sender::new(Vec::new()),
            session: watch::Sender::new(None),
            sign_outs: AtomicU64::new(0),
            enrolment_token: std::sync::Mutex::default(),
            opening: Mutex::default(),
            delivery: watch::Sender::new(Delivery::Idle),
        }))
    }

    /// The configuration URL.
    pub fn config_url(&self) -> &Url {
        self.0.wire.base()
    }
}

impl std::fmt::Debug for Org {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Org({})", self.config_url())
    }
}
