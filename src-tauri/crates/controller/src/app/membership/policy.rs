//! Follows the organisation's policy: fetched, checked, put in force, and obeyed no longer than it says.

use std::sync::Arc;
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use model::{Advice, ForPerson as _, Timestamp};
use org::{Applied, Candidate, Fetched, Meeting, Org, OrgFault};
use org_protocol::Freshness;
use tokio::sync::{Notify, watch};

use super::Provider;
use crate::app::offering::{Offering, Validity, expired};
use crate::app::settings::OrganisationSettings;
use crate::app::tell::{Lamp, Tell};
use crate::event::Event;
use crate::state::Link;

const HOUR: u64 = 60 * 60;
/// A server that was away is asked again so many times sooner.
const SOONER: u32 = 6;
/// How many mistakes of a policy are told.
const MOST_TOLD: usize = 3;

pub(super) struct Follower {
    pub(super) org: Org,
    /// The organisation's id.
    pub(super) id: String,
    pub(super) at: OrganisationSettings,
    /// What is in force.
    pub(super) applied: Option<Applied>,
    /// Why the newest policy is not, until another one is.
    pub(super) rejected: Option<Advice>,
    pub(super) offerings: watch::Sender<Arc<Offering>>,
    pub(super) provider: watch::Sender<Option<Provider>>,
    pub(super) tell: Tell,
    pub(super) journal: Journal,
    pub(super) lamp: Lamp,
    /// The clock was set back.
    pub(super) clock: Lamp,
    /// Nobody has introduced the organisation.
    pub(super) stranger: Lamp,
    /// Something may be new.
    pub(super) nudge: Arc<Notify>,
}

impl Follower {
    /// Puts in force what is at hand.
    pub(super) async fn begin(&mut self, first: Option<Candidate>) {
        if let Some(first) = first
            && let Err(refused) = self.consider(first).await
        {
            self.refused(&refused);
        }
        self.publish().await;
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        let mut again = self.org.again().hear();
        loop {
            // The server may take its time; what has aged meanwhile is not obeyed that long.
            self.publish().await;
            let reached = self.fetch().await;
            let aging = self.publish().await;
            let pause = if reached { Org::poll_pause() } else { Org::poll_pause() / SOONER };
            tokio::select! {
                _ = again.pause(pause.min(aging)) => {}
                () = self.nudge.notified() => {}
            }
        }
    }

    /// Looks for what is new. `false` if the server does not answer.
    async fn fetch(&mut self) -> bool {
        let outcome = match self.org.fetch().await {
            Ok(Fetched::Unchanged) => Ok(()),
            Ok(Fetched::New(candidate)) => self.consider(*candidate).await,
            Err(fault) => Err(fault.into()),
        };
        let is_silent =
            matches!(&outcome, Err(Refused::Org(OrgFault::NotReached(_) | OrgFault::Unreachable(_))));
        // Whoever shows a certificate that is not believed is somebody else.
        let reached = !is_silent && !matches!(&outcome, Err(Refused::Org(OrgFault::Certificate(_))));
        let link = if reached { Link::Online } else { Link::Offline { since: self.tell.now() } };
        self.tell.event(Event::Link(link));
        match outcome {
            Err(refused) if !is_silent => self.refused(&refused),
            // Where it does not answer, "offline" says so already.
            Ok(()) | Err(_) => {
                self.lamp.show(self.rejected.clone());
            }
        }
        reached
    }

    /// Says why what is new is not taken; in the journal once, however often it is looked at.
    fn refused(&mut self, refused: &Refused) {
        tracing::warn!(%refused, "the organisation's policy is not taken");
        let news = self.lamp.show(Some(refused.advice()));
        if let Refused::Org(OrgFault::Document(why)) = refused
            && news
        {
            let record = EventRecord::new(AuditEvent::BundleRefused).with("why", why.to_string());
            self.tell.note(&self.journal, &record);
        }
    }

    /// Puts a verified policy in force if its policies can be understood; else the last good one stays.
    async fn consider(&mut self, candidate: Candidate) -> Result<(), Refused> {
        let before = self.applied.as_ref();
        let is_renewal = before.is_some_and(|before| candidate.is_renewal(before));
        let label = candidate.applied().label.clone();
        if !is_renewal && let Err(advice) = self.check(candidate.applied()).await {
            let record = self.record(AuditEvent::BundleRefused, candidate.applied());
            self.org.reject(candidate).await;
            self.tell.note(&self.journal, &record.with("why", advice.happened.clone()));
            self.rejected = Some(advice.clone());
            return Err(Refused::Policy(advice));
        }
        match self.org.apply(candidate).await {
            Ok(applied) => {
                if !is_renewal {
                    tracing::info!(policy = label, "the organisation's policy is in force");
                    self.tell.note(&self.journal, &self.record(AuditEvent::BundleApplied, &applied));
                }
                self.applied = Some(applied);
                self.rejected = None;
                Ok(())
            }
            Err(OrgFault::Superseded) => {
                self.nudge.notify_one();
                Ok(())
            }
            Err(fault) => Err(fault.into()),
        }
    }

    async fn check(&self, applied: &Applied) -> Result<(), Advice> {
        let offering = Arc::new(Offering::managed(applied, &self.at, self.meeting(), Validity::Own));
        let faults = match offering.compile(&Arc::default()).await {
            Ok(_) => return Ok(()),
            Err(faults) => faults,
        };
        let texts: Vec<String> = faults.iter().take(MOST_TOLD).map(ToString::to_string).collect();
        Err(Advice::new(
            "org-policy-wrong",
            format!(
                "The new policy {} of your organisation has a mistake: {}",
                applied.label,
                texts.join("; ")
            ),
            "It is refused as a whole; the last good one stays in force.",
            "Tell your IT department.",
        ))
    }

    fn record(&self, what: AuditEvent, applied: &Applied) -> EventRecord {
        EventRecord::new(what)
            .with("policy", applied.label.clone())
            .with("digest", applied.digest.to_string())
    }

    fn meeting(&self) -> Option<Meeting> {
        *self.org.meeting().borrow()
    }

    /// Says why nothing is offered.
    fn publish_nothing(&self) {
        let why = self.rejected.clone().unwrap_or_else(not_here);
        let offering = Offering::awaited(&self.id, &self.at, self.meeting(), why);
        let news = self.offerings.borrow().validity != offering.validity;
        // What was refused on disk has words of its own, which stay until there is something newer to say.
        if news && self.rejected.is_some() {
            self.offerings.send_replace(Arc::new(offering));
        }
    }

    /// Says what is offered now, and for how long that can be relied on.
    async fn publish(&mut self) -> Duration {
        let Some(applied) = &self.applied else {
            self.publish_nothing();
            return Duration::MAX;
        };
        let grace = Duration::from_secs(u64::from(applied.content.org.offline.grace_hours) * HOUR);
        let validity = validity(self.org.freshness(grace).await, grace, &applied.content.org.name);
        let meeting = self.meeting();
        let stranger = meeting.filter(|met| !met.confirmed);
        let name = &applied.content.org.name;
        self.stranger.show(stranger.map(|met| crate::words::unconfirmed(name, &met.fingerprint.to_string())));
        self.clock.show(self.org.clock_set_back().map(|by| clock_set_back(by, &applied.content.org.name)));
        let aging = aging(&validity, self.org.aged());
        let news = {
            let now = self.offerings.borrow();
            let is_confirmed = now.is_confirmed() == meeting.is_none_or(|met| met.confirmed);
            now.version.digest != applied.digest || now.validity != validity || !is_confirmed
        };
        if news {
            self.offerings.send_replace(Arc::new(Offering::managed(applied, &self.at, meeting, validity)));
        }
        let provider = Provider::of(applied);
        self.provider.send_if_modified(|known| {
            let changed = known.as_ref() != Some(&provider);
            *known = Some(provider);
            changed
        });
        aging
    }
}

/// Why a policy was not taken.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Org(#[from] OrgFault),
    #[error("{0}")]
    Policy(Advice),
}

impl Refused {
    fn advice(&self) -> Advice {
        match self {
            Self::Org(fault) => fault.advice(),
            Self::Policy(advice) => advice.clone(),
        }
    }
}

/// The words for a clock that was set back while the organisation does not answer.
fn clock_set_back(by: Duration, organisation: &str) -> Advice {
    Advice::new(
        "clock-set-back",
        format!("This computer's clock was set back by {}.", crate::words::span(by)),
        format!("What {organisation} has decided is no younger for that: its time runs on."),
        "Set the clock, and connect to the network.",
    )
}

/// When a policy's validity changes by itself.
fn aging(validity: &Validity, now: Timestamp) -> Duration {
    match validity {
        Validity::Fresh { until, .. } | Validity::Grace { until } => until.since(now),
        Validity::Own | Validity::Denied(_) => Duration::MAX,
    }
}

fn validity(freshness: Freshness, grace: Duration, organisation: &str) -> Validity {
    let denied = |code: &str, happened: String, todo: &str| {
        Validity::Denied(Advice::new(code, happened, "Until then no call is made.", todo))
    };
    match freshness {
        Freshness::Fresh { until } => Validity::Fresh { until, end: until.plus(grace) },
        Freshness::Grace { until } => Validity::Grace { until },
        Freshness::Nothing => Validity::Denied(not_here()),
        Freshness::Expired { since } => Validity::Denied(expired(organisation, since)),
        Freshness::ClockBehind { known } => denied(
            "clock-behind",
            format!("This computer's clock is wrong: it is later than {known}."),
            "Set the clock.",
        ),
        Freshness::Revoked => denied(
            "policy-revoked",
            format!("{organisation} has withdrawn its policy."),
            crate::words::RENEWAL,
        ),
    }
}

/// The words for an organisation of which no policy is here.
pub(super) fn not_here() -> Advice {
    Advice::new(
        "policy-awaited",
        "The policy of your organisation is not here yet.",
        "Until it is, no call is made.",
        "Check the network connection.",
    )
}

/// The words for a policy whose validity nobody has looked at yet.
pub(super) fn unchecked() -> Advice {
    Advice::new("starting", "Deskgate is still starting.", "", "Try again in a moment.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_obeyed_while_it_is_good_and_no_longer() {
        let at = Timestamp::from_seconds(1_000);
        let grace = Duration::from_secs(60);
        let of = |freshness| validity(freshness, grace, "Acme");
        assert_eq!(of(Freshness::Fresh { until: at }), Validity::Fresh { until: at, end: at.plus(grace) });
        assert_eq!(of(Freshness::Grace { until: at }), Validity::Grace { until: at });
        for (freshness, code) in [
            (Freshness::Nothing, "policy-awaited"),
            (Freshness::Expired { since: at }, "policy-expired"),
            (Freshness::ClockBehind { known: at }, "clock-behind"),
            (Freshness::Revoked, "policy-revoked"),
        ] {
            assert!(
                matches!(of(freshness), Validity::Denied(advice) if advice.code == code),
                "{freshness:?}"
            );
        }
    }

    #[test]
    fn the_next_look_is_no_later_than_the_end() {
        let (now, end) = (Timestamp::from_seconds(10), Timestamp::from_seconds(15));
        assert_eq!(aging(&Validity::Fresh { until: end, end }, now), Duration::from_secs(5));
        assert_eq!(aging(&Validity::Grace { until: now }, end), Duration::ZERO, "it is over");
        assert_eq!(aging(&Validity::Own, now), Duration::MAX);
    }
}
