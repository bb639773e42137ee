//! Tells the controller and the journal what happens in the parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use audit::{AuditEvent, EventRecord, Journal};
use connector::Health;
use gateway::{CallEnd, Observation, Observer, Snapshot};
use issuer::Issuer;
use model::{Advice, CallId, ServerId, Subject, Timestamp};
use org_protocol::{ConnectorSpec, CredentialSpec};
use os::Clock;
use policy::{Circumstance, DenialKind, Question, RuleNote, Target, Verdict};
use tokio::sync::mpsc;

use super::offering::Offering;
use crate::event::{Configuration, Event};
use crate::state::{
    Access, Activity, Assistant, CallOutcome, Connector, ConnectorStatus, CredentialKind, ListState, Runs,
    ToolAccess, VirtualServer,
};

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tell {
    events: mpsc::UnboundedSender<Event>,
    clock: Arc<dyn Clock>,
    settings: Arc<PathBuf>,
    address: Arc<str>,
}

impl Tell {
    pub(crate) fn new(
        events: mpsc::UnboundedSender<Event>,
        clock: Arc<dyn Clock>,
        settings: PathBuf,
        address: &str,
    ) -> Self {
        Self { events, clock, settings: Arc::new(settings), address: address.into() }
    }

    pub(crate) fn event(&self, event: Event) {
        // Nobody receives once the controller has ended.
        let _ = self.events.send(event);
    }

    /// Says which assistants may reach which virtual servers.
    pub(crate) fn assistants(&self, issuer: &Issuer) {
        for assistant in issuer.assistants() {
            for grant in assistant.grants {
                self.event(Event::AssistantAllowed(Assistant {
                    client_id: assistant.client_id.clone(),
                    name: assistant.client_name.clone(),
                    executable: grant.executable,
                    server: grant.server,
                    allowed: grant.since,
                    last_call: Some(grant.last_used),
                    calls: 0,
                }));
            }
        }
    }

    /// Records something that no call waits for.
    pub(crate) fn note(&self, journal: &Journal, record: &EventRecord) {
        if let Err(fault) = journal.note(record) {
            tracing::error!(%fault, event = record.event.as_str(), "an event could not be recorded");
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn settings(&self) -> (&PathBuf, &str) {
        (&self.settings, &self.address)
    }
}

/// Where an assistant connects to a virtual server, if the gateway is at `address`.
pub(crate) fn server_url(address: &str, id: &ServerId) -> String {
    format!("{address}/s/{id}/mcp")
}

/// One thing that can be wrong: whatever is said of it replaces what was said before.
pub(crate) struct Lamp {
    tell: Tell,
    raised: Option<String>,
}

impl Lamp {
    /// Nothing is wrong yet.
    pub(crate) fn new(tell: Tell) -> Self {
        Self { tell, raised: None }
    }

    /// Says what is wrong now, or that nothing is. `true` if something else was said before.
    pub(crate) fn show(&mut self, advice: Option<Advice>) -> bool {
        let code = advice.as_ref().map(|advice| advice.code.clone());
        let before = std::mem::replace(&mut self.raised, code.clone());
        let news = before != code;
        if let Some(before) = before.filter(|_| news) {
            self.tell.event(Event::FaultCleared { code: before });
        }
        if let Some(advice) = advice {
            self.tell.event(Event::FaultRaised(advice));
        }
        news
    }
}

impl Observer for Tell {
    fn observe(&self, observation: Observation) {
        match observation {
            Observation::Decided {
                call,
                at,
                client_id,
                client_name,
                server,
                account: Some(account),
                effect,
                rules,
                policy,
                credential,
                arguments,
                denied,
            } => {
                let outcome = denied.map_or(CallOutcome::Running, |reason| CallOutcome::Denied { reason });
                self.event(Event::Call(Activity {
                    call,
                    at,
                    client_id,
                    client_name,
                    server,
                    account,
                    method: effect.method().to_string(),
                    target: effect.target().name().to_owned(),
                    rules,
                    policy,
                    credential,
                    arguments,
                    outcome,
                    took: None,
                }));
            }
            // A name that nobody offers: in the journal, but no activity of any connector.
            Observation::Decided { account: None, .. } => {}
            Observation::Ended { call, end, took } => {
                let outcome = match end {
                    CallEnd::Done => CallOutcome::Done,
                    CallEnd::ToolError => CallOutcome::ToolError,
                    CallEnd::SignInNeeded => CallOutcome::SignInNeeded,
                    CallEnd::Failed { reason } => CallOutcome::Failed { reason },
                };
                self.event(Event::CallEnded { call, outcome, took });
            }
        }
    }
}

/// What the issuer reports, for the journal and the controller.
pub(crate) fn issuer_event(tell: &Tell, journal: &Journal, event: issuer::Event) {
    use issuer::Event as Reported;
    let record = match event {
        Reported::ClientRegistered { client_id, client_name } => {
            EventRecord::new(AuditEvent::ClientRegistered).with("client", client_id).with("name", client_name)
        }
        Reported::Consented { client_id, client_name, server, subject, process, remembered } => {
            tell.event(Event::AssistantAllowed(Assistant {
                client_id: client_id.clone(),
                name: client_name.clone(),
                executable: process.as_ref().map(|process| process.executable.clone()),
                server: server.clone(),
                allowed: tell.now(),
                last_call: None,
                calls: 0,
            }));
            let record = EventRecord::new(AuditEvent::ConsentGiven)
                .of(subject.as_ref().clone())
                .with("client", client_id)
                .with("name", client_name)
                .with("server", server.as_str())
                .with("remembered", remembered.to_string());
            match process {
                Some(process) => record.with("program", process.executable),
                None => record,
            }
        }
        Reported::Refused { client_id, server, why } => EventRecord::new(AuditEvent::ConsentRefused)
            .with("client", client_id)
            .with("server", server.as_str())
            .with("why", why),
        Reported::Revoked { client_id, server, cause } => {
            let record = EventRecord::new(AuditEvent::TokenRevoked)
                .with("client", client_id.clone())
                .with("server", server.as_str())
                .with("cause", format!("{cause:?}"));
            tell.event(Event::AssistantGone { client_id, server });
            record
        }
        Reported::ConsentForgotten { client_id, server } => EventRecord::new(AuditEvent::ConsentRevoked)
            .with("client", client_id)
            .with("server", server.as_str()),
        Reported::Issued { client_id, server, renewed } => EventRecord::new(AuditEvent::TokenIssued)
            .with("client", client_id)
            .with("server", server.as_str())
            .with("renewed", renewed.to_string()),
        Reported::RecordSkipped { kind, why } => {
            EventRecord::new(AuditEvent::StateSetAside).with("kind", format!("{kind:?}")).with("why", why)
        }
        Reported::StoreFailed { why } => {
            EventRecord::new(AuditEvent::StateSetAside).with("kind", "store").with("why", why)
        }
    };
    tell.note(journal, &record);
}

/// A connector's health, as people see it.
pub(crate) fn connector_status(health: &Health) -> ConnectorStatus {
    match health {
        Health::Idle => ConnectorStatus::Idle,
        Health::Ready => ConnectorStatus::Ready,
        Health::SignInNeeded => ConnectorStatus::SignInNeeded,
        Health::Failed(outage) => ConnectorStatus::Unreachable(outage.advice.clone()),
    }
}

/// What is offered, as people see it; to `present` where somebody is.
pub(crate) fn configuration(
    offering: &Offering,
    snapshot: &Snapshot,
    present: Option<&Subject>,
    (settings, address): (&PathBuf, &str),
) -> Configuration {
    let visible = visible_servers(snapshot, present);
    let servers = offering.servers.iter().filter(|(id, _)| visible.contains(id)).map(|(id, spec)| {
        let shown = VirtualServer {
            title: spec.title.clone(),
            url: server_url(address, id),
            connectors: spec.connectors.iter().map(|connector| spec.account(connector)).collect(),
            tools: access(snapshot, id, present),
        };
        (id.clone(), shown)
    });
    let connectors = offering.accounts.iter().map(|(id, spec)| (id.clone(), connector(spec)));
    Configuration {
        mode: offering.mode(),
        settings_file: settings.display().to_string(),
        sign_in_surface: offering.sign_in_surface(),
        sign_in_hosts: offering.sign_in_hosts(),
        servers: servers.collect(),
        connectors: connectors.collect(),
    }
}

/// The virtual servers that policy shows this person. A policy that refuses everything hides none: then the reason is
/// seen at each of them.
pub(crate) fn visible_servers(snapshot: &Snapshot, present: Option<&Subject>) -> Vec<ServerId> {
    match present {
        Some(subject) if snapshot.policy.refuses_all().is_none() => {
            snapshot.policy.visible_servers(subject, &nowhere())
        }
        Some(_) => snapshot.servers.keys().cloned().collect(),
        None => Vec::new(),
    }
}

/// The circumstances of a look that no assistant takes.
fn nowhere() -> Circumstance {
    Circumstance::of_nobody(Timestamp::from_micros(0))
}

fn access(snapshot: &Snapshot, server: &ServerId, present: Option<&Subject>) -> Vec<ToolAccess> {
    let (Some(view), Some(subject)) = (snapshot.servers.get(server), present) else { return Vec::new() };
    let listed = snapshot.policy.listed(subject, server, &nowhere());
    let of = |tool: &gateway::Offered| {
        let allowed = listed.iter().any(|(id, name)| *id == tool.connector && *name == tool.tool);
        let asks = || snapshot.policy.asks(subject, server, &tool.connector, &tool.tool, &nowhere());
        let (access, reason) = match allowed.then(asks) {
            Some(None) => (Access::Allowed, String::new()),
            Some(Some(reason)) => (Access::Asks, reason),
            None => (Access::NotAllowed, why_not(snapshot, server, subject, tool)),
        };
        ToolAccess { connector: tool.connector.clone(), tool: tool.tool.clone(), access, reason }
    };
    view.tools().iter().map(of).collect()
}

/// Why a tool is not listed, in the words of whoever wrote the policy that says so.
fn why_not(snapshot: &Snapshot, server: &ServerId, subject: &Subject, tool: &gateway::Offered) -> String {
    let explanation = snapshot.policy.explain(&Question {
        call: CallId::new(),
        subject,
        server,
        connector: &tool.connector,
        target: Target::Tool { name: &tool.tool, arguments: "{}" },
        circumstance: &nowhere(),
    });
    let forbids = |note: &&RuleNote| !note.permits && note.verdict == Verdict::Applied;
    let deciding = explanation.steps.iter().find(|step| !step.permitted);
    let reason = deciding.and_then(|step| step.rules.iter().find(forbids)?.reason.clone());
    let stopped = explanation.note.filter(|_| explanation.denial == Some(DenialKind::Halted));
    reason.or(stopped).unwrap_or_else(|| "No policy allows it.".to_owned())
}

/// A program as people call it: without the folder that it lies in.
fn name_of(program: &str) -> String {
    Path::new(program)
        .file_name()
        .map_or_else(|| program.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn connector(spec: &ConnectorSpec) -> Connector {
    let credential = match spec.credential {
        CredentialSpec::None => CredentialKind::None,
        CredentialSpec::UserOauth { .. }
        | CredentialSpec::UserToken { .. }
        | CredentialSpec::ClientCredentials { .. }
        | CredentialSpec::Enterprise { .. } => CredentialKind::Own,
        CredentialSpec::Brokered { .. } => CredentialKind::Shared,
        CredentialSpec::Leased { .. } => CredentialKind::Lent,
    };
    let runs = match (&spec.credential, &spec.url, spec.command.first()) {
        (CredentialSpec::Brokered { .. }, _, _) => Runs::AtOrganisation,
        (_, Some(url), _) => Runs::At { host: url.host_str().unwrap_or_default().to_owned() },
        (_, None, program) => Runs::Here { program: program.map(|it| name_of(it)).unwrap_or_default() },
    };
    Connector {
        title: spec.title.clone(),
        runs,
        credential,
        account: None,
        status: ConnectorStatus::Idle,
        tools: None,
        list: ListState::Current,
        held: Vec::new(),
        last_used: None,
    }
}
