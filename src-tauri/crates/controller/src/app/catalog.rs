//! Keeps the snapshot in step: settings and connector lists in, one checked policy and the offered tools out.

mod basis;
mod held;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use connector::{Asking, Connectors, Health, Listing, Outage};
use gateway::{Snapshot, Snapshots};
use model::{AccountId, Advice, Subject, ToolName};
use org_protocol::{ConnectorSpec, CredentialSpec};
use os::Clock;
use policy::{Policy, PolicyFault};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};

use basis::{Basis, Heard, Withdrawn, views};
pub use held::Acceptances;
pub(crate) use held::{Acceptance, Held};

use super::accounts::{OwnAccounts, of_account};
use super::membership::Stopped;
use super::offering::{By, Offering, Validity};
use super::pins::Pins;
use super::present::Present;
use super::tell::{Tell, configuration, connector_status};
use crate::event::Event;
use crate::state::{ConnectorStatus, Freshness, ListState, PolicyState, Withheld};

/// How often connectors that failed are tried again when nobody calls them.
const RETRY: Duration = Duration::from_secs(30);
/// How long what a connector listed last stays offered while it does not answer: longer than a restart, an update or a change
/// of networks takes, so that assistants need not list again for nothing; short enough that nobody plans with tools that
/// are gone.
pub const LIST_GRACE: Duration = Duration::from_secs(10 * 60);
/// How long changes are gathered before the policy is compiled anew.
const GATHER: Duration = Duration::from_millis(30);

/// A snapshot that offers and permits nothing.
pub(crate) fn closed(why: Advice) -> Snapshot {
    Snapshot {
        policy: Arc::new(Policy::deny_all(why)),
        until: None,
        servers: BTreeMap::new(),
        rules: 0,
        capture_arguments: false,
    }
}

/// The task that owns what was accepted and puts snapshots in force.
pub(crate) struct Catalog {
    pub(crate) connectors: Connectors,
    pub(crate) accounts: OwnAccounts,
    pub(crate) snapshots: Snapshots,
    pub(crate) pins: Pins,
    pub(crate) journal: Journal,
    pub(crate) tell: Tell,
    pub(crate) clock: Arc<dyn Clock>,
    /// As [`LIST_GRACE`].
    pub(crate) list_grace: Duration,
    pub(crate) present: Present,
    /// Whose lists and sessions the connectors have.
    pub(crate) person: Option<Arc<Subject>>,
    pub(crate) offerings: watch::Receiver<Arc<Offering>>,
    /// What administrators have stopped beside the policy.
    pub(crate) stopped: Stopped,
    /// Told of the connectors whose lists have been taken up.
    pub(crate) taken: watch::Sender<BTreeSet<AccountId>>,
    /// Connectors whose sign-in somebody asked for.
    pub(crate) wanted: mpsc::UnboundedReceiver<AccountId>,
    /// Changes that somebody accepts.
    pub(crate) accepting: mpsc::UnboundedReceiver<Acceptance>,
    /// What connectors say otherwise than it was accepted.
    pub(crate) held: BTreeMap<AccountId, Held>,
    /// How connectors were when that was recorded last.
    pub(crate) states: BTreeMap<AccountId, &'static str>,
    /// What the policy in force was made from, once one was good.
    pub(crate) basis: Option<Basis>,
}

impl Catalog {
    /// Puts the first snapshot in force, from what is known without asking any connector.
    pub(crate) async fn begin(&mut self) {
        let offering = self.take_offering();
        self.rebuild(&offering).await;
    }

    /// Runs until the application ends.
    pub(crate) async fn run(mut self) {
        let mut changes = self.connectors.changes();
        let mut retry = tokio::time::interval(RETRY);
        let mut again = self.connectors.again();
        let mut offering = Arc::clone(&self.offerings.borrow_and_update());
        let mut present = self.present.clone();
        loop {
            self.rebuild(&offering).await;
            let withdrawal = self.next_withdrawal(&offering);
            tokio::select! {
                () = present.changed() => self.person_changed(&offering),
                changed = self.offerings.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    offering = self.take_offering();
                }
                () = self.stopped.changed() => self.take_halts(),
                _ = changes.changed() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(withdrawal.unwrap_or_default()), if withdrawal.is_some() => {}
                _ = retry.tick() => self.retry(&offering),
                () = again.called() => self.retry(&offering),
                () = self.pins.out_of_date() => self.pins = self.pins.again().await,
                Some(connector) = self.wanted.recv() => self.list(connector, Asking::Allowed),
                Some(wish) = self.accepting.recv() => self.accept(&offering, wish).await,
            }
            changes.mark_unchanged();
        }
    }

    fn take_offering(&mut self) -> Arc<Offering> {
        let offering = Arc::clone(&self.offerings.borrow_and_update());
        let document = offering.client_metadata_url.clone();
        self.accounts.serve(&offering.accounts, offering.named_addresses(), document);
        // What must not start is not even known to whoever could start it.
        self.connectors.replace(&offering.startable());
        self.list_silently(&offering);
        offering
    }

    /// Puts in force what is stopped now; the policies stay as they are.
    fn take_halts(&mut self) {
        let halts = self.stopped.now();
        let before = self.snapshots.current();
        let Some(basis) = &self.basis else { return };
        let snapshot = Snapshot {
            policy: Arc::new(before.policy.halted_by(halts)),
            until: before.until.clone(),
            servers: views(basis),
            rules: before.rules + 1,
            capture_arguments: before.capture_arguments,
        };
        self.tell_configured(basis, &snapshot);
        self.snapshots.replace(snapshot);
    }

    fn tell_configured(&self, basis: &Basis, snapshot: &Snapshot) {
        let Basis { offering, person, .. } = basis;
        let configured = configuration(offering, snapshot, person.as_deref(), self.tell.settings());
        self.tell.event(Event::Configured(Box::new(configured)));
    }

    /// Another person finds nothing of the one before. The same person with other groups keeps everything.
    fn person_changed(&mut self, offering: &Offering) {
        let now = self.present.now();
        let same = match (&self.person, &now) {
            (Some(before), Some(now)) => before.is_same_person(now),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            self.connectors.forget_people();
            self.person = now;
        }
        self.list_silently(offering);
    }

    /// Lists what can be listed without asking anybody.
    fn list_silently(&self, offering: &Offering) {
        listed_here(offering).for_each(|id| self.list(id.clone(), Asking::Never));
    }

    fn retry(&self, offering: &Offering) {
        // One that is being listed for the first time may be about to fail.
        let silent = |id: &&AccountId| matches!(self.connectors.health(id), Health::Failed(_) | Health::Idle);
        listed_here(offering).filter(silent).for_each(|id| self.list(id.clone(), Asking::Never));
    }

    fn list(&self, connector: AccountId, asking: Asking) {
        // A connector is only ever used in somebody's name.
        let Some(subject) = self.present.now() else { return };
        let connectors = self.connectors.clone();
        tokio::spawn(async move {
            if let Err(fault) = connectors.refresh(&connector, &subject, asking).await {
                // Not more: a program's last words may hold a secret. The connector's own log has them.
                let why = fault.advice(&connector.to_string()).code;
                tracing::info!(%connector, why, "its tools could not be listed");
            }
        });
    }

    /// Puts in force what follows from what is known now. Whether it is: wrong policies change nothing.
    async fn rebuild(&mut self, offering: &Arc<Offering>) -> bool {
        let known = |id: &&AccountId| self.connectors.listing(id).is_some();
        let taken: BTreeSet<_> = offering.accounts.keys().filter(known).cloned().collect();
        let is_listing = self.is_listing(offering);
        self.held.retain(|id, _| offering.accounts.contains_key(id));
        let (mut offered, mut typed, mut heard) = (BTreeMap::new(), BTreeMap::new(), Heard::new());
        for (id, spec) in &offering.accounts {
            let judged = self.judge(offering, id, spec).await;
            offered.insert(id.clone(), judged.tools);
            typed.insert(id.clone(), judged.typed);
            heard.extend(judged.heard.map(|listing| (id.clone(), listing)));
        }
        heard.retain(|id, _| listed_here(offering).any(|here| here == id));
        let (offering, offered, typed) = (Arc::clone(offering), Arc::new(offered), Arc::new(typed));
        let withdrawn = self.withdrawn(&offering);
        let basis = Basis { offering, person: self.present.now(), offered, typed, heard, withdrawn };
        // A look at a connector that brings nothing new costs nothing, and no assistant is told to list again.
        let mut in_force = true;
        match self.basis.as_ref() {
            Some(before) if before.is_same(&basis) => {}
            Some(before) if before.has_same_policy(&basis) => {
                self.offer_anew(&basis);
                self.basis = Some(basis);
            }
            Some(_) | None => match basis.offering.compile(&basis.typed).await {
                Ok(policy) => {
                    self.put_in_force(&basis, policy);
                    self.basis = Some(basis);
                }
                Err(faults) => {
                    self.refuse(&basis, &faults, is_listing);
                    in_force = false;
                }
            },
        }
        self.taken.send_if_modified(|before| {
            let changed = *before != taken;
            *before = taken;
            changed
        });
        in_force
    }

    /// How what a connector lists stands.
    fn list_state(&self, offering: &Offering, id: &AccountId) -> ListState {
        if let Some(why) = offering.withheld(id) {
            return ListState::Withheld(why);
        }
        match self.outage(id) {
            None => ListState::Current,
            Some(outage) if self.grace_left(&outage).is_zero() => {
                ListState::Withdrawn { since: outage.since }
            }
            Some(Outage { since, .. }) => ListState::Kept { since, until: since.plus(self.list_grace) },
        }
    }

    /// `None` where the connector answers.
    fn outage(&self, id: &AccountId) -> Option<Outage> {
        match self.connectors.health(id) {
            Health::Failed(outage) => Some(outage),
            Health::Idle | Health::Ready | Health::SignInNeeded => None,
        }
    }

    /// How long what a connector listed last stays offered while it does not answer.
    fn grace_left(&self, outage: &Outage) -> Duration {
        self.list_grace.saturating_sub(outage.lasted(self.clock.boot_time()))
    }

    fn withdrawn(&self, offering: &Offering) -> Withdrawn {
        let outages = listed_here(offering).filter_map(|id| Some((id, self.outage(id)?)));
        let over = outages.filter(|(_, outage)| self.grace_left(outage).is_zero());
        let silent = over.map(|(id, outage)| (id.clone(), withdrawal(&outage)));
        let withheld =
            offering.accounts.keys().filter_map(|id| Some((id.clone(), offering.withheld_words(id)?)));
        silent.chain(withheld).collect()
    }

    /// When the next list is withdrawn.
    fn next_withdrawal(&self, offering: &Offering) -> Option<Duration> {
        let outages = listed_here(offering).filter_map(|id| self.outage(id));
        outages.map(|outage| self.grace_left(&outage)).filter(|left| !left.is_zero()).min()
    }

    /// Records how a connector is, where it is not as it was. That one rests says nothing of it.
    fn record_state(&mut self, id: &AccountId, status: &ConnectorStatus) {
        let what = match status {
            ConnectorStatus::Ready => "ready",
            ConnectorStatus::SignInNeeded => "sign-in-needed",
            ConnectorStatus::Unreachable(_) => "unreachable",
            ConnectorStatus::Idle | ConnectorStatus::SigningIn => return,
        };
        if self.states.insert(id.clone(), what) != Some(what) {
            let record = of_account(EventRecord::new(AuditEvent::ConnectorState), id).with("what", what);
            self.tell.note(&self.journal, &record);
        }
    }

    fn tell_status(&mut self, offering: &Offering, id: &AccountId) {
        // What was listed in the name of an account that is gone by now makes nobody signed in again.
        let mut status = connector_status(&self.connectors.health(id));
        if status == ConnectorStatus::Ready && self.accounts.is_signed_out(id) {
            status = ConnectorStatus::SignInNeeded;
        }
        self.record_state(id, &status);
        self.tell.event(Event::ConnectorStatus { connector: id.clone(), status });
        self.tell.event(Event::ConnectorList { connector: id.clone(), list: self.list_state(offering, id) });
    }

    /// Offers what connectors list now, under the policy in force.
    fn offer_anew(&self, basis: &Basis) {
        let before = self.snapshots.current();
        self.snapshots.replace(Snapshot {
            policy: Arc::clone(&before.policy),
            until: before.until.clone(),
            servers: views(basis),
            rules: before.rules,
            capture_arguments: before.capture_arguments,
        });
    }

    fn put_in_force(&mut self, basis: &Basis, policy: Policy) {
        let Basis { offering, .. } = basis;
        let policy = policy.halted_by(self.stopped.now());
        let freshness = policy
            .refuses_all()
            .map_or_else(|| freshness(&offering.validity), |advice| Freshness::DenyAll(advice.clone()));
        let clean = policy.refuses_all().is_none();
        let before = self.snapshots.current().rules;
        let is_same = self.basis.as_ref().is_some_and(|before| before.has_same_rules(basis));
        let snapshot = Snapshot {
            policy: Arc::new(policy),
            until: offering.end().map(|(end, why)| (end, Arc::new(Policy::deny_all(why)))),
            servers: views(basis),
            rules: if is_same { before } else { before + 1 },
            capture_arguments: offering.capture_arguments,
        };
        self.tell_configured(basis, &snapshot);
        for id in offering.accounts.keys() {
            self.tell_status(offering, id);
        }
        self.tell_held_again();
        self.tell.event(Event::Policy(PolicyState {
            version: offering.version.label.clone(),
            digest: offering.version.digest.to_string(),
            since: self.tell.now(),
            freshness,
        }));
        if clean {
            self.tell.event(Event::FaultCleared { code: POLICY_WRONG.to_owned() });
        }
        self.snapshots.replace(snapshot);
    }

    /// Policies that are wrong are refused as a whole. The last good ones stay; before the first good ones nothing is
    /// permitted, but assistants already find their virtual servers.
    fn refuse(&mut self, basis: &Basis, faults: &[PolicyFault], is_listing: bool) {
        let texts: Vec<String> = faults.iter().take(3).map(ToString::to_string).collect();
        let advice = Advice::new(
            POLICY_WRONG,
            format!("The policies have a mistake: {}", texts.join("; ")),
            "They are refused as a whole; the last good ones stay in force, or nothing is permitted.",
            "Correct them; they are read again by themselves.",
        );
        if self.basis.is_none() {
            self.put_in_force(basis, Policy::deny_all(advice.clone()));
        }
        // A policy may name tools of a connector that is still being listed for the first time.
        if is_listing {
            return;
        }
        tracing::error!(faults = ?texts, "the policies are refused");
        self.tell.event(Event::FaultRaised(advice));
    }

    fn is_listing(&self, offering: &Offering) -> bool {
        offering.accounts.iter().any(|(id, spec)| {
            matches!(spec.credential, CredentialSpec::None) && self.connectors.health(id) == Health::Idle
        })
    }
}

const POLICY_WRONG: &str = "policy-wrong";

/// Tools in order.
type Tools = Vec<(ToolName, Box<RawValue>)>;

/// The accounts in whose name tools are listed here; those at the organisation were listed by whoever pinned them.
fn listed_here(offering: &Offering) -> impl Iterator<Item = &AccountId> {
    let here = |id: &AccountId, spec: &ConnectorSpec| {
        // What must not start is not started to be listed either.
        !spec.credential.is_shared() && offering.withheld(id) != Some(Withheld::Unconfirmed)
    };
    offering.accounts.iter().filter(move |(id, spec)| here(id, spec)).map(|(id, _)| id)
}

fn freshness(validity: &Validity) -> Freshness {
    match validity {
        Validity::Own => Freshness::Own,
        Validity::Fresh { until, .. } => Freshness::Fresh { until: Some(*until) },
        Validity::Grace { until } => Freshness::Grace { until: *until },
        Validity::Denied(advice) => Freshness::DenyAll(advice.clone()),
    }
}

/// The words for a connector of which nothing is offered for now.
fn withdrawal(outage: &Outage) -> Advice {
    Advice::new(
        "connector-withdrawn",
        outage.advice.happened.clone(),
        format!("It has not answered since {}. What it offers is withdrawn until it does.", outage.since),
        "It is tried again by itself.",
    )
}
