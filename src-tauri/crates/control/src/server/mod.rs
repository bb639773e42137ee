//! The HTTP side of the control plane. Every route but the signed documents, the discovery document, the health check, the
//! identity provider's logout, those of [`sign_in`] and the way in of [`administration`] needs a proof of possession of a key; see
//! [`caller`].

mod administration;
mod audit;
mod broker;
mod caller;
mod diagnostics;
mod documents;
mod enrol;
mod events;
mod fault;
mod halts;
mod leases;
mod limits;
mod logout;
pub(crate) mod observe;
mod openapi;
mod refusals;
mod session;
mod sign_in;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ::audit::Journal;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use model::DeviceId;
use org_protocol::{
    AUDIT_PATH, BATCH_BYTES, DIAGNOSTICS_LIMIT, DIAGNOSTICS_PATH, ENROL_PATH, EVENTS_PATH, HALTS_PATH,
    LEASES_PATH, SESSION_PATH, SigningKey,
};
use os::Clock;
use tokio::sync::watch;
use url::Url;

use crate::admin::wire;
use crate::assertion::{Asserter, KEYS_PATH};
use crate::broker::Broker;
use crate::credential::Credentials;
use crate::identity::Verifier;
use crate::lending::Review;
use crate::op::Op;
use crate::publication::Publication;
use crate::store::Store;
use crate::trace::Traces;

pub(crate) use fault::Fault;
pub(crate) use halts::Stopped;
pub(crate) use limits::Limits;
pub(crate) use observe::Metrics;
pub(crate) use refusals::Refusals;

/// The largest body of a request that is no batch and no call, in bytes.
const SMALL_BODY: usize = 256 * 1024;
/// The largest call, in bytes.
const CALL_BODY: usize = 8 * 1024 * 1024;

/// Everything that requests need.
pub(crate) struct Plane {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    /// The configuration URL, as desktops reach it; proofs are made for it.
    pub(crate) public_url: Url,
    pub(crate) publication: Publication,
    pub(crate) identity: Verifier,
    /// Signs people in for desktops where the organisation has them do so by SAML.
    pub(crate) op: Op,
    /// Answers to sign-ins by SAML that were refused.
    pub(crate) refusals: Refusals,
    pub(crate) receipt_key: SigningKey,
    pub(crate) journal: Journal,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// Tells what requests take their time for.
    pub(crate) traces: Traces,
    /// How much may be asked for.
    pub(crate) limits: Limits,
    /// Whose journal it is.
    pub(crate) own: DeviceId,
    pub(crate) broker: Broker,
    /// Shared secrets, from wherever they come.
    pub(crate) credentials: Credentials,
    /// Says to others who somebody is.
    pub(crate) asserter: Asserter,
    /// What administrators have stopped.
    pub(crate) stopped: Stopped,
    /// The last event that this control plane has taken up itself, as far as it can: desktops are told of none that comes after it.
    pub(crate) told: watch::Sender<u64>,
    /// Has leases looked at again.
    pub(crate) review: Review,
    /// For how long diagnostics are kept after they were sent, and requests that were not answered by them.
    pub(crate) diagnostics_kept: Duration,
    /// Secrets are stored one after the other: each has a number of its own.
    pub(crate) storing: tokio::sync::Mutex<()>,
    /// Whether another control plane writes under this one's id.
    pub(crate) is_twice: AtomicBool,
    /// Becomes true when the server is to end; streams end then.
    pub(crate) stopping: watch::Receiver<bool>,
}

type Shared = axum::extract::State<Arc<Plane>>;

/// All routes.
pub(crate) fn router(plane: Arc<Plane>) -> Router {
    let at = |path: &str| format!("/{path}");
    let calls = Router::new()
        .route("/v1/broker/{connector}/mcp", post(broker::call))
        .layer(DefaultBodyLimit::max(CALL_BODY));
    let uploads = Router::new()
        .route(&at(AUDIT_PATH), post(audit::upload))
        // A batch that is a little too large is told so by name.
        .layer(DefaultBodyLimit::max(BATCH_BYTES + SMALL_BODY));
    let diagnostics = Router::new()
        .route("/v1/diagnostics/{id}", post(diagnostics::take).delete(diagnostics::refuse))
        // Likewise.
        .layer(DefaultBodyLimit::max(DIAGNOSTICS_LIMIT + SMALL_BODY));
    let logouts = Router::new()
        .route("/v1/oidc/backchannel-logout", post(logout::backchannel))
        .layer(DefaultBodyLimit::max(logout::LOGOUT_BODY));
    let answers = Router::new()
        .route("/v1/saml/acs", post(sign_in::acs))
        .layer(DefaultBodyLimit::max(sign_in::ACS_BODY));
    let sign_ins = Router::new()
        .route("/.well-known/openid-configuration", get(sign_in::configuration))
        .route("/v1/oidc/keys.json", get(sign_in::keys))
        .route("/v1/oidc/authorize", get(sign_in::authorize))
        .route("/v1/oidc/token", post(sign_in::token))
        .route("/v1/oidc/revoke", post(sign_in::revoke))
        .route("/v1/saml/metadata", get(sign_in::metadata))
        .layer(DefaultBodyLimit::max(sign_in::FORM_BODY));
    let administration = Router::new()
        .route(&at(wire::SIGN_IN_PATH), get(administration::way))
        .route(&at(wire::SESSION_PATH), post(administration::open).delete(administration::close))
        .route(&at(wire::ACT_PATH), post(administration::act))
        .layer(DefaultBodyLimit::max(SMALL_BODY));
    let rest = Router::new()
        .route("/healthz", get(documents::health))
        .route("/readyz", get(observe::ready))
        .route("/openapi.json", get(openapi::openapi))
        .route("/.well-known/deskgate", get(documents::discovery))
        .route("/deskgate/client.json", get(documents::client))
        .route(&at(KEYS_PATH), get(documents::assertion_keys))
        .route("/v1/manifest.json", get(documents::manifest))
        .route("/v1/root/{name}", get(documents::root))
        .route("/v1/bundles/{name}", get(documents::bundle))
        .route(&at(ENROL_PATH), post(enrol::enrol))
        .route(&at(SESSION_PATH), post(session::open).delete(session::close))
        .route(&at(EVENTS_PATH), get(events::stream))
        .route(&at(HALTS_PATH), get(halts::halts))
        .route(&at(DIAGNOSTICS_PATH), get(diagnostics::wanted))
        .route(&at(LEASES_PATH), post(leases::lend))
        .layer(DefaultBodyLimit::max(SMALL_BODY));
    let anybody = logouts.merge(answers).merge(sign_ins).merge(administration);
    let around = axum::middleware::from_fn_with_state(Arc::clone(&plane), observe::request);
    let all = calls.merge(uploads).merge(diagnostics).merge(anybody).merge(rest).fallback(nothing);
    let limited = axum::middleware::from_fn_with_state(Arc::clone(&plane), limits::limit);
    all.layer(limited).layer(around).with_state(plane)
}

async fn nothing() -> Fault {
    Fault::not_found()
}
