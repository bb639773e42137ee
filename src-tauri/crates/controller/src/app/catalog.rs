//! Keeps the snapshot in step: settings and connector lists in, one checked policy and the offered tools out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use connector::{Asking, ConnectorGrants, Connectors, Health};
use gateway::{Offer, ServerView, Snapshot, Snapshots};
use model::{Advice, ConnectorId, Digest, ForPerson as _, ServerId, Subject, ToolName};
use org_protocol::{ConnectorSpec, CredentialSpec, PinnedTools, ServerSpec};
use policy::{Policy, PolicyFault, PolicyInput, PolicyVersion};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};

use super::pins::Pins;
use super::settings::Loaded;
use super::tell::{Tell, configuration, connector_status};
use crate::event::Event;
use crate::state::{Freshness, PolicyState};

/// How often connectors that failed are tried again when nobody calls them.
const RETRY: Duration = Duration::from_secs(30);
/// How long changes are gathered before the policy is compiled anew.
const GATHER: Duration = Duration::from_millis(30);

/// What is offered, and under which policy: the common form of personal settings and an organisation's bundle.
#[derive(Debug, Clone)]
pub(crate) struct Offering {
    pub(crate) version: PolicyVersion,
    pub(crate) connectors: BTreeMap<ConnectorId, ConnectorSpec>,
    pub(crate) servers: BTreeMap<ServerId, ServerSpec>,
    pub(crate) policies: BTreeMap<String, String>,
    pub(crate) capture_arguments: bool,
}

impl Offering {
    /// The person's own settings, under the built-in policy and their own restrictions.
    pub(crate) fn personal(loaded: &Loaded) -> Self {
        let mut policies = loaded.policies.clone();
        policies.insert("(built in)".to_owned(), policy::PERSONAL.to_owned());
        let settings = &loaded.settings;
        let described = serde_json::to_vec(&(&settings.connectors, &settings.servers, &policies));
        Self {
            version: PolicyVersion {
                label: "personal".to_owned(),
                digest: Digest::of(&described.unwrap_or_default()),
            },
            connectors: settings.connectors.clone(),
            servers: settings.servers.clone(),
            policies,
            capture_arguments: settings.capture_arguments,
        }
    }
}

/// A snapshot that offers and permits nothing.
pub(crate) fn closed(why: Advice) -> Snapshot {
    Snapshot { policy: Arc::new(Policy::deny_all(why)), servers: BTreeMap::new(), capture_arguments: false }
}

/// The task that owns what was accepted and puts snapshots in force.
pub(crate) struct Catalog {
    pub(crate) connectors: Connectors,
    pub(crate) grants: ConnectorGrants,
    pub(crate) snapshots: Snapshots,
    pub(crate) pins: Pins,
    pub(crate) journal: Journal,
    pub(crate) tell: Tell,
    pub(crate) subject: Arc<Subject>,
    pub(crate) offerings: watch::Receiver<Arc<Offering>>,
    /// Connectors whose sign-in somebody asked for.
    pub(crate) wanted: mpsc::UnboundedReceiver<ConnectorId>,
    /// Whether a policy that was good is in force.
    pub(crate) has_policy: bool,
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
        let mut offering = Arc::clone(&self.offerings.borrow_and_update());
        loop {
            self.rebuild(&offering).await;
            tokio::select! {
                changed = self.offerings.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    offering = self.take_offering();
                }
                _ = changes.changed() => tokio::time::sleep(GATHER).await,
                _ = retry.tick() => self.retry(&offering),
                Some(connector) = self.wanted.recv() => self.list(connector, Asking::Allowed),
            }
            changes.mark_unchanged();
        }
    }

    fn take_offering(&mut self) -> Arc<Offering> {
        let offering = Arc::clone(&self.offerings.borrow_and_update());
        self.grants.serve(&offering.connectors);
        self.connectors.replace(&offering.connectors);
        for (id, spec) in &offering.connectors {
            if !matches!(spec.credential, CredentialSpec::Brokered { .. }) {
                self.list(id.clone(), Asking::Never);
            }
        }
        offering
    }

    fn retry(&self, offering: &Offering) {
        for id in offering.connectors.keys() {
            if matches!(self.connectors.health(id), Health::Failed(_)) {
                self.list(id.clone(), Asking::Never);
            }
        }
    }

    fn list(&self, connector: ConnectorId, asking: Asking) {
        let (connectors, subject) = (self.connectors.clone(), Arc::clone(&self.subject));
        tokio::spawn(async move {
            if let Err(fault) = connectors.refresh(&connector, &subject, asking).await {
                tracing::info!(%connector, %fault, "its tools could not be listed");
            }
        });
    }

    async fn rebuild(&mut self, offering: &Offering) {
        let mut offered = BTreeMap::new();
        for (id, spec) in &offering.connectors {
            offered.insert(id.clone(), self.accepted(id, spec).await);
        }
        match compile(offering, &offered) {
            Ok(policy) => {
                self.put_in_force(offering, &offered, policy);
                self.has_policy = true;
            }
            Err(faults) => self.refuse(offering, &offered, &faults),
        }
    }

    /// The connector's tools that are offered: accepted, unchanged, and still there as far as is known.
    async fn accepted(&mut self, id: &ConnectorId, spec: &ConnectorSpec) -> Vec<(ToolName, Box<RawValue>)> {
        self.tell.event(Event::ConnectorStatus {
            connector: id.clone(),
            status: connector_status(&self.connectors.health(id)),
        });
        let Some(listing) = self.connectors.listing(id) else { return self.pins.tools(id) };
        let code = format!("tools-held-{id}");
        match self.pins.compare(id, spec, &listing.tools).await {
            Err(fault) => {
                tracing::error!(connector = %id, %fault, "accepted tools could not be kept");
                self.tell.event(Event::FaultRaised(fault.advice()));
                Vec::new()
            }
            Ok(compared) => {
                if compared.held.is_empty() {
                    self.tell.event(Event::FaultCleared { code });
                } else {
                    self.hold(id, spec, &compared.held, code);
                }
                let tools = u32::try_from(listing.tools.len()).unwrap_or(u32::MAX);
                self.tell.event(Event::ConnectorTools { connector: id.clone(), tools });
                let there = |name: &ToolName| listing.tools.iter().any(|(listed, _)| listed == name);
                let mut tools = self.pins.tools(id);
                tools.retain(|(name, _)| there(name) && !compared.held.contains(name));
                tools
            }
        }
    }

    fn hold(&self, id: &ConnectorId, spec: &ConnectorSpec, held: &[ToolName], code: String) {
        let names = held.iter().map(ToolName::as_str).collect::<Vec<_>>().join(", ");
        let advice = Advice::new(
            code.clone(),
            format!("{} changed what these tools say or accept: {names}.", spec.title),
            "They are held back, because a tool that changes after it was accepted may do something else.",
            format!("If you expected this, remove the connector {id} from your settings and add it again."),
        );
        if self.tell.raise_once(&code, &advice) {
            let record =
                EventRecord::new(AuditEvent::ToolHeld).with("connector", id.as_str()).with("tools", names);
            self.tell.note(&self.journal, &record);
        }
    }

    fn put_in_force(&self, offering: &Offering, offered: &Offered, policy: Policy) {
        let freshness =
            policy.refuses_all().map_or(Freshness::Own, |advice| Freshness::DenyAll(advice.clone()));
        let clean = policy.refuses_all().is_none();
        let servers: BTreeMap<_, _> =
            offering.servers.iter().map(|(id, spec)| (id.clone(), view(offering, spec, offered))).collect();
        for text in servers.values().flat_map(|view| &view.left_out) {
            tracing::warn!("{text}");
        }
        let snapshot =
            Snapshot { policy: Arc::new(policy), servers, capture_arguments: offering.capture_arguments };
        self.tell.event(Event::Configured(Box::new(configuration(
            offering,
            &snapshot,
            &self.subject,
            self.tell.settings(),
        ))));
        for id in offering.connectors.keys() {
            let status = connector_status(&self.connectors.health(id));
            self.tell.event(Event::ConnectorStatus { connector: id.clone(), status });
        }
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
    fn refuse(&self, offering: &Offering, offered: &Offered, faults: &[PolicyFault]) {
        let texts: Vec<String> = faults.iter().take(3).map(ToString::to_string).collect();
        let advice = Advice::new(
            POLICY_WRONG,
            format!("The policies have a mistake: {}", texts.join("; ")),
            "They are refused as a whole; the last good ones stay in force, or nothing is permitted.",
            "Correct them; they are read again by themselves.",
        );
        if !self.has_policy {
            self.put_in_force(offering, offered, Policy::deny_all(advice.clone()));
        }
        // A policy may name tools of a connector that is still being listed for the first time.
        if self.is_listing(offering) {
            return;
        }
        tracing::error!(faults = ?texts, "the policies are refused");
        self.tell.event(Event::FaultRaised(advice));
    }

    fn is_listing(&self, offering: &Offering) -> bool {
        offering.connectors.iter().any(|(id, spec)| {
            matches!(spec.credential, CredentialSpec::None) && self.connectors.health(id) == Health::Idle
        })
    }
}

const POLICY_WRONG: &str = "policy-wrong";

/// The accepted tools of each connector.
type Offered = BTreeMap<ConnectorId, Vec<(ToolName, Box<RawValue>)>>;

fn compile(offering: &Offering, offered: &Offered) -> Result<Policy, Vec<PolicyFault>> {
    let tools: BTreeMap<ConnectorId, PinnedTools> = offered
        .iter()
        .map(|(id, tools)| {
            (id.clone(), PinnedTools(tools.iter().map(|(_, definition)| definition.clone()).collect()))
        })
        .collect();
    Policy::compile(PolicyInput {
        version: offering.version.clone(),
        connectors: &offering.connectors,
        servers: &offering.servers,
        tools: &tools,
        policies: &offering.policies,
    })
}

fn view(offering: &Offering, spec: &ServerSpec, offered: &Offered) -> ServerView {
    let offers = spec.connectors.iter().filter_map(|id| {
        let connector = offering.connectors.get(id)?;
        let tools = offered.get(id)?.iter().filter(|(name, _)| spec.offers(id, name)).cloned().collect();
        Some(Offer { connector: id.clone(), title: connector.title.clone(), tools })
    });
    ServerView::assemble(spec.title.clone(), offers.collect())
}
