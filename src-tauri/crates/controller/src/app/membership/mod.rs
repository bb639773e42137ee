//! Belonging to an organisation: its policy is followed, the person signs in there, calls with its shared accounts are
//! handed over, records are delivered.
//!
//! The work is done in `org` and `signin`; here it is put together and told to the controller and the journal.

mod broker;
mod halts;
mod lender;
mod policy;
mod sign_in;

use std::sync::Arc;

use audit::Journal;
use model::{Advice, DeviceId, ForPerson as _};
use org::{Anchor, Applied, Candidate, Delivery, Fetched, Meeting, Org, OrgFault, OrgParts};
use org_protocol::{
    DEVICE_REVOKED, DEVICE_SUSPENDED, DeviceDescription, EventKind, IdentityProvider, SIGN_IN_ENDED,
};
use os::Clock;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use vault::Vault;

use super::home::Home;
use super::offering::{Offering, Validity};
use super::settings::OrganisationSettings;
use super::tell::{Lamp, Tell};
use crate::effect::{Effect, Notice, Place};
use crate::pending::PendingDesk;

pub(crate) use broker::OrgBroker;
pub(crate) use halts::Stopped;
pub(crate) use lender::OrgLender;
pub(crate) use sign_in::SignIn;

use policy::Follower;

/// An organisation that is believed, and what was in force when the program ended.
pub(crate) struct Joined {
    pub(crate) org: Org,
    /// Its id.
    pub(crate) id: String,
    at: OrganisationSettings,
    applied: Option<Applied>,
    /// What was found when it was met for the first time.
    first: Option<Candidate>,
    /// Why what was in force is not taken up.
    trouble: Option<Advice>,
}

/// Takes up what is known of the organisation. Only where nothing is known yet, at the first start, is it asked.
///
/// # Errors
/// Why it cannot be joined.
pub(crate) async fn join(
    at: OrganisationSettings,
    home: &Home,
    device: DeviceId,
    vault: Vault,
    clock: Arc<dyn Clock>,
) -> Result<Joined, Advice> {
    let org = Org::new(OrgParts {
        config_url: at.config_url.clone(),
        anchor: at.root_key_fingerprint.map_or(Anchor::FirstMet, Anchor::Pinned),
        dir: home.organisation(),
        device,
        description: description(),
        vault,
        clock,
    })
    .map_err(|fault| fault.advice())?;
    let (applied, trouble) = match org.resume().await {
        Ok(applied) => (applied, None),
        Err(advice) => (None, Some(advice)),
    };
    let (id, first) = match org.id().await {
        Some(id) => (id, None),
        None => first_met(&org).await?,
    };
    Ok(Joined { org, id, at, applied, first, trouble })
}

/// The code of an organisation that was never met and does not answer.
const NOT_MET: &str = "org-first-start";

/// Whether it may be met later.
pub(crate) fn is_not_met(why: &Advice) -> bool {
    why.code == NOT_MET
}

/// The notification that it is waited for.
pub(crate) fn waiting_for(at: &OrganisationSettings) -> Effect {
    let body = say::notice_organisation_what(at.config_url.host_str().unwrap_or_default());
    Effect::Notify(Notice::new(say::notice_organisation(), body, Place::Overview))
}

async fn first_met(org: &Org) -> Result<(String, Option<Candidate>), Advice> {
    let (first, fault) = match org.fetch().await {
        Ok(Fetched::New(candidate)) => (Some(*candidate), None),
        Ok(Fetched::Unchanged) => (None, None),
        Err(fault) => (None, Some(fault)),
    };
    match (org.id().await, fault) {
        // Whoever follows the policy asks for the rest again.
        (Some(id), _) => Ok((id, first)),
        (None, Some(OrgFault::NotReached(_) | OrgFault::Unreachable(_) | OrgFault::Unusable(_))) => {
            Err(Advice::new(
                NOT_MET,
                format!("The server of your organisation, {}, does not answer.", shown(org)),
                "Deskgate has not met it before, so it does not know yet what you may do.",
                "Check the network connection, then start Deskgate again.",
            ))
        }
        (None, Some(OrgFault::Certificate(why))) => Err(Advice::new(
            NOT_MET,
            format!(
                "The server of your organisation, {}, does not answer as it should: its certificate is not believed, because {why}.",
                shown(org)
            ),
            "Nothing was said to it. Deskgate has not met it before, so it does not know yet what you may do.",
            "Check this computer's clock, and whether this network wants you to sign in first; then start Deskgate again. If that does not help, tell your IT department.",
        )),
        (None, Some(fault)) => Err(fault.advice()),
        (None, None) => Err(OrgFault::NoSession.advice()),
    }
}

fn shown(org: &Org) -> String {
    org.config_url().host_str().unwrap_or_default().to_owned()
}

fn description() -> DeviceDescription {
    DeviceDescription {
        name: os::host_name(),
        platform: std::env::consts::OS.to_owned(),
        app_version: env!("CARGO_PKG_VERSION").to_owned(),
        content_formats: org_protocol::readable_formats(),
    }
}

/// What the membership needs from outside.
pub(crate) struct MembershipParts {
    pub(crate) vault: Vault,
    pub(crate) desk: PendingDesk,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) journal: Journal,
    pub(crate) tell: Tell,
}

/// A membership that does its work until it is dropped.
pub(crate) struct Membership {
    pub(crate) sign_in: Arc<SignIn>,
    tasks: JoinSet<()>,
}

impl Membership {
    /// Does this as well, as long as it lasts.
    pub(crate) fn also(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }
}

/// What an organisation offers, as it changes.
pub(crate) struct Source {
    joined: Joined,
    offerings: watch::Sender<Arc<Offering>>,
    provider: watch::Sender<Option<Provider>>,
}

/// The identity provider, under the organisation's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Provider {
    organisation: String,
    settings: IdentityProvider,
}

impl Provider {
    fn of(applied: &Applied) -> Self {
        let org = &applied.content.org;
        Self { organisation: org.name.clone(), settings: org.identity_provider.clone() }
    }

    /// Whether whoever signed in at the other is known here as the same: issuer and client are the same.
    fn knows_the_same_people(&self, other: &Self) -> bool {
        let (one, other) = (&self.settings, &other.settings);
        (&one.issuer, &one.client_id, &one.groups_claim, &one.hosted_domain)
            == (&other.issuer, &other.client_id, &other.groups_claim, &other.hosted_domain)
    }
}

impl Source {
    /// Begins with what was in force; it is obeyed as soon as somebody has looked at its validity.
    pub(crate) fn new(joined: Joined) -> Self {
        let meeting = *joined.org.meeting().borrow();
        let offering = match &joined.applied {
            Some(applied) => {
                Offering::managed(applied, &joined.at, meeting, Validity::Denied(policy::unchecked()))
            }
            None => {
                let why = joined.trouble.clone().unwrap_or_else(policy::not_here);
                Offering::awaited(&joined.id, &joined.at, meeting, why)
            }
        };
        let provider = joined.applied.as_ref().map(Provider::of);
        Self {
            joined,
            offerings: watch::Sender::new(Arc::new(offering)),
            provider: watch::Sender::new(provider),
        }
    }

    /// The client of the central URL.
    pub(crate) fn org(&self) -> &Org {
        &self.joined.org
    }

    /// What is offered now, and each change.
    pub(crate) fn offerings(&self) -> watch::Receiver<Arc<Offering>> {
        self.offerings.subscribe()
    }

    /// What administrators have stopped now, and each change.
    pub(crate) fn stopped(&self) -> Stopped {
        Stopped::by(&self.joined.org)
    }

    /// Starts the work.
    pub(crate) async fn begin(self, sign_in: Arc<SignIn>, parts: &MembershipParts) -> Membership {
        let Self { joined: Joined { org, id, at, applied, first, trouble }, offerings, provider } = self;
        if let Some(advice) = trouble {
            tracing::warn!(%advice, "the stored policy of the organisation is not taken up");
            let record = audit::EventRecord::new(audit::AuditEvent::StateSetAside).with("what", advice.code);
            parts.tell.note(&parts.journal, &record);
        }
        let nudge = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&sign_in).follow(provider.subscribe()));
        tasks.spawn(keep_session(org.clone(), Arc::clone(&sign_in), parts.tell.clone()));
        let (halted, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        tasks.spawn(follow_events(
            org.clone(),
            Arc::clone(&sign_in),
            Arc::clone(&nudge),
            (Arc::clone(&halted), Arc::clone(&asked)),
        ));
        let diagnostics = org.clone();
        tasks.spawn(async move { diagnostics.follow_diagnostics(&asked).await });
        let lent = org.clone();
        tasks.spawn(async move { lent.keep_leases().await });
        org.recall_halts().await;
        let stopping = org.clone();
        tasks.spawn(async move { stopping.follow_halts(&halted).await });
        tasks.spawn(halts::tell_halts(Stopped::by(&org), parts.tell.clone(), parts.journal.clone()));
        tasks.spawn(notice_silence(org.clone(), Arc::clone(&nudge)));
        tasks.spawn(notice_confirmation(org.meeting(), Arc::clone(&nudge)));
        let (delivering, journal) = (org.clone(), parts.journal.clone());
        tasks.spawn(async move { delivering.deliver(journal).await });
        let mut follower = Follower {
            org,
            id,
            at,
            applied,
            rejected: None,
            offerings,
            provider,
            tell: parts.tell.clone(),
            journal: parts.journal.clone(),
            lamp: Lamp::new(parts.tell.clone()),
            clock: Lamp::new(parts.tell.clone()),
            stranger: Lamp::new(parts.tell.clone()),
            nudge,
        };
        // Before the first call, and whether or not the server answers, what was in force is obeyed.
        follower.begin(first).await;
        if follower.applied.is_some() {
            sign_in.settle().await;
        }
        tasks.spawn(follower.run());
        Membership { sign_in, tasks }
    }
}

/// What a person has confirmed takes effect at once.
async fn notice_confirmation(mut meeting: watch::Receiver<Option<Meeting>>, nudge: Arc<Notify>) {
    while meeting.changed().await.is_ok() {
        nudge.notify_one();
    }
}

async fn keep_session(org: Org, sign_in: Arc<SignIn>, tell: Tell) {
    let lamp = std::sync::Mutex::new(Lamp::new(tell));
    let ending = Arc::clone(&sign_in);
    let told = |outcome: Result<&org::OrgSession, &OrgFault>| {
        let mut lamp = lamp.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match outcome {
            Err(fault) if fault.ends_sign_in() => {
                // It is said with the end of the sign-in.
                lamp.show(None);
                ending.end(fault.advice());
            }
            // That the server is away is said where its policy is asked for.
            Err(fault) => drop(lamp.show(Some(fault.advice()).filter(|advice| !is_silence(advice)))),
            Ok(_) => drop(lamp.show(None)),
        }
    };
    org.keep_session(sign_in, told).await;
}

async fn follow_events(
    org: Org,
    sign_in: Arc<SignIn>,
    nudge: Arc<Notify>,
    (halted, asked): (Arc<Notify>, Arc<Notify>),
) {
    let lent = org.clone();
    org.follow(move |what| match what {
        EventKind::LeaseEnded { lease } => lent.end_lease(lease),
        EventKind::LeaseRetires { lease } => lent.retire_lease(lease),
        EventKind::SignInEnded => sign_in.end(signed_out_by_organisation()),
        EventKind::SessionRevoked => sign_in.end(device_revoked()),
        EventKind::DeviceSuspended => sign_in.end(device_suspended()),
        EventKind::HaltsChanged => halted.notify_one(),
        EventKind::DiagnosticsChanged => asked.notify_one(),
        EventKind::BundleUpdated { .. } => nudge.notify_one(),
        EventKind::Resync | EventKind::Unknown => {
            nudge.notify_one();
            halted.notify_one();
            asked.notify_one();
        }
    })
    .await;
}

fn signed_out_by_organisation() -> Advice {
    Advice::new(
        SIGN_IN_ENDED,
        "Your organisation has ended your sign-in.",
        "Your assistants cannot work until you have signed in again.",
        "Sign in again. If that is refused, ask your IT department.",
    )
}

fn device_suspended() -> Advice {
    Advice::new(
        DEVICE_SUSPENDED,
        "Another computer uses what only this one should have.",
        "Your organisation has stopped both: one may be a copy that somebody made of the other.",
        "Tell your IT department at once.",
    )
}

fn device_revoked() -> Advice {
    Advice::new(
        DEVICE_REVOKED,
        "Your organisation has revoked this device.",
        "Your assistants cannot work on it any more.",
        "Ask your IT department.",
    )
}

/// Records that cannot be delivered are the first to notice that the server is away.
async fn notice_silence(org: Org, nudge: Arc<Notify>) {
    let mut delivery = org.delivery();
    while delivery.changed().await.is_ok() {
        if matches!(&*delivery.borrow_and_update(), Delivery::Waiting(advice) if is_silence(advice)) {
            nudge.notify_one();
        }
    }
}

fn is_silence(advice: &Advice) -> bool {
    advice.code == "org-unreachable"
}
