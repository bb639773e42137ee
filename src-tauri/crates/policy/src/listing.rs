//! What a user is shown: the same decision as for a call, before the arguments are known. A tool is listed unless every
//! call of it would be refused; a tool that is not listed is refused. Of a resource or prompt everything that policy reads
//! is known, so it is listed if and only if it would be permitted; templates are listed like tools.

use std::sync::OnceLock;

use cedar_policy::{Decision, PartialEntities, PartialEntityUid, PartialRequest};
use model::{ConnectorId, CredentialId, ServerId, Subject, ToolName};
use org_protocol::Halts;

use crate::decide::Route;
use crate::facts::{Circumstance, FactFault, Question, Target};
use crate::given::Given;
use crate::halt::{of_caller, of_connector};
use crate::lint::Reads;
use crate::set::{ActView, Answer, Case, ConnectorView, CredentialView, InForce, Policy, ServerView, State};
use crate::users::Scene;

impl Policy {
    /// The tools that the virtual server shows to a user, in the server's order of connectors and by name within each.
    pub fn listed(
        &self,
        subject: &Subject,
        server: &ServerId,
        circumstance: &Circumstance,
    ) -> Vec<(ConnectorId, ToolName)> {
        let Some(force) = self.open_to(subject, circumstance) else { return Vec::new() };
        let Some(server) = force.servers.get(server) else { return Vec::new() };
        let found = Case::open(force, server, &server.scene, subject, circumstance, false)
            .and_then(|case| shown(&case, subject, &self.halts));
        found.unwrap_or_else(|fault| {
            tracing::error!(%fault, "a virtual server's tools cannot be listed");
            Vec::new()
        })
    }

    /// What a virtual server shows a user beside its tools. Good for as long as the circumstances are.
    pub fn viewer<'a>(
        &'a self,
        subject: &'a Subject,
        server: &ServerId,
        circumstance: &'a Circumstance,
    ) -> Viewer<'a> {
        let Some(force) = self.open_to(subject, circumstance) else { return Viewer { doors: Vec::new() } };
        let server = force.servers.get(server);
        let Some(server) = server.filter(|server| sees(force, server, subject, circumstance)) else {
            return Viewer { doors: Vec::new() };
        };
        let door = |(id, connector): &'a (ConnectorId, ConnectorView)| Door {
            id,
            listing: Listing { force, server, id, connector, subject, circumstance, halts: &self.halts },
            open: OnceLock::new(),
        };
        Viewer { doors: server.connectors.iter().map(door).collect() }
    }

    /// The shared credential that would be used for calls of some tool of the connector; `None` where none would be permitted.
    pub fn lends(
        &self,
        subject: &Subject,
        server: &ServerId,
        connector: &ConnectorId,
        circumstance: &Circumstance,
    ) -> Option<CredentialId> {
        let force = self.open_to(subject, circumstance)?;
        let server = force.servers.get(server).filter(|server| sees(force, server, subject, circumstance))?;
        let view = server.connector(connector)?;
        let halts = &self.halts;
        let listing = Listing { force, server, id: connector, connector: view, subject, circumstance, halts };
        let lent = || -> Result<Option<CredentialId>, FactFault> {
            let Some(case) = listing.enter(false)? else { return Ok(None) };
            match listing.means(&case)? {
                Means::Shared(credential) if !listing.tools()?.is_empty() => Ok(Some(credential.clone())),
                Means::Shared(_) | Means::Own | Means::Nothing => Ok(None),
            }
        };
        lent().unwrap_or_else(|fault| {
            tracing::error!(%fault, %connector, "whether a credential is lent is not known");
            None
        })
    }

    /// The virtual servers that a user may see.
    pub fn visible_servers(&self, subject: &Subject, circumstance: &Circumstance) -> Vec<ServerId> {
        let Some(force) = self.open_to(subject, circumstance) else { return Vec::new() };
        let visible = force.servers.iter().filter(|(_, server)| sees(force, server, subject, circumstance));
        visible.map(|(id, _)| id.clone()).collect()
    }

    /// The policies, unless there are none or whoever asks is stopped.
    fn open_to(&self, subject: &Subject, circumstance: &Circumstance) -> Option<&InForce> {
        match &self.state {
            State::InForce(force) => of_caller(&self.halts, subject, circumstance).is_none().then_some(force),
            State::DenyAll(_) => None,
        }
    }
}

/// One user before one virtual server. What is said of a connector as such is found out once; what is not known is not
/// shown.
pub struct Viewer<'a> {
    doors: Vec<Door<'a>>,
}

/// One connector, and whether it is open to the user.
struct Door<'a> {
    id: &'a ConnectorId,
    listing: Listing<'a>,
    open: OnceLock<Option<Case<'a>>>,
}

impl<'a> Viewer<'a> {
    /// Whether the user is shown the connector's resource of this URI: whether reading it would be permitted.
    pub fn shows_resource(&self, connector: &ConnectorId, uri: &str) -> bool {
        self.shows(connector, &Target::Resource { uri })
    }

    /// Whether the user is shown the connector's prompt of this name: whether getting it would be permitted.
    pub fn shows_prompt(&self, connector: &ConnectorId, name: &str) -> bool {
        self.shows(connector, &Target::Prompt { name, arguments: "{}" })
    }

    /// Whether the user is shown the connector's templates of resources: whether reading a resource would be permitted for
    /// some URI.
    pub fn shows_templates(&self, connector: &ConnectorId) -> bool {
        let Some((listing, _)) = self.opened(connector) else { return false };
        let possible = listing.open().and_then(|open| match open {
            Some(open) => {
                listing.outlook(&open, &listing.connector.resources).map(|outlook| outlook.possible)
            }
            None => Ok(false),
        });
        possible.unwrap_or_else(|fault| not_known(connector, &fault))
    }

    fn shows(&self, connector: &ConnectorId, target: &Target<'_>) -> bool {
        let Some((listing, case)) = self.opened(connector) else { return false };
        let Some(act) = listing.connector.act(target) else { return false };
        let Ok(given) = act.given(target) else { return false };
        match case.ask(&act.ask, given) {
            Ok(answer) => matches!(answer, Answer::Permitted(_)),
            Err(fault) => not_known(connector, &fault),
        }
    }

    fn opened(&self, connector: &ConnectorId) -> Option<(&Listing<'a>, &Case<'a>)> {
        let door = self.doors.iter().find(|door| door.id == connector)?;
        let case = door.open.get_or_init(|| {
            door.listing.enter(false).unwrap_or_else(|fault| {
                not_known(connector, &fault);
                None
            })
        });
        Some((&door.listing, case.as_ref()?))
    }
}

impl std::fmt::Debug for Viewer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.doors.iter().map(|door| door.id)).finish()
    }
}

/// What cannot be decided is not shown.
fn not_known(connector: &ConnectorId, fault: &FactFault) -> bool {
    tracing::error!(%fault, %connector, "whether something of a connector is shown is not known");
    false
}

/// What can become of calls of one tool.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    /// Some arguments may be permitted.
    pub(crate) possible: bool,
    /// The permits for which it depends on the arguments.
    pub(crate) open: Vec<usize>,
}

impl Route<'_> {
    /// What other calls of the same tool could hope for. Of a resource or prompt everything was known already.
    pub(crate) fn outlook(&self, question: &Question<'_>) -> Outlook {
        let Question { subject, circumstance, target, .. } = *question;
        match target {
            Target::Tool { .. } => {}
            Target::Resource { .. } | Target::Prompt { .. } => return Outlook::default(),
        }
        let listing = Listing {
            force: self.force,
            server: self.server,
            id: question.connector,
            connector: self.connector,
            subject,
            circumstance,
            // What the policies alone would allow.
            halts: &Halts::default(),
        };
        let outlook = if sees(self.force, self.server, subject, circumstance) {
            listing
                .open()
                .and_then(|open| open.map_or(Ok(Outlook::default()), |open| listing.outlook(&open, self.act)))
        } else {
            Ok(Outlook::default())
        };
        outlook.unwrap_or_else(|fault| {
            tracing::error!(%fault, "the outlook of a refused call is not known");
            Outlook::default()
        })
    }
}

/// The tools that a case before a virtual server may see: as the last time, where nothing can have changed them.
fn shown(
    case: &Case<'_>,
    subject: &Subject,
    halts: &Halts,
) -> Result<Vec<(ConnectorId, ToolName)>, FactFault> {
    let Case { force, server, circumstance, .. } = *case;
    let entered = case.entered()?;
    // What is kept is what the policies alone show.
    if let Some(listed) = entered.listed.get().filter(|_| halts.is_empty()) {
        return Ok(listed.clone());
    }
    let mut listed = Vec::new();
    let mut whole = true;
    if matches!(case.ask(&server.see, Given::default())?, Answer::Permitted(_)) {
        for (id, connector) in &server.connectors {
            let listing = Listing { force, server, id, connector, subject, circumstance, halts };
            let found = listing.tools().unwrap_or_else(|fault| {
                tracing::error!(%fault, connector = %id, "a connector's tools cannot be listed");
                whole = false;
                Vec::new()
            });
            listed.extend(found.into_iter().map(|tool| (id.clone(), tool.clone())));
        }
    }
    if whole && server.steady && halts.is_empty() {
        return Ok(entered.listed.get_or_init(|| listed).clone());
    }
    Ok(listed)
}

fn sees(force: &InForce, server: &ServerView, subject: &Subject, circumstance: &Circumstance) -> bool {
    let answer = Case::open(force, server, &server.scene, subject, circumstance, false)
        .and_then(|case| case.ask(&server.see, Given::default()));
    matches!(answer, Ok(Answer::Permitted(_)))
}

/// One user before one connector.
struct Listing<'a> {
    force: &'a InForce,
    server: &'a ServerView,
    id: &'a ConnectorId,
    connector: &'a ConnectorView,
    subject: &'a Subject,
    circumstance: &'a Circumstance,
    halts: &'a Halts,
}

/// What a connector is used with.
enum Means<'a> {
    /// Nothing of the organisation's.
    Own,
    /// The first shared credential that the policies permit.
    Shared(&'a CredentialId),
    /// No credential is permitted.
    Nothing,
}

/// The connector is open to the user: what its tools are judged with.
struct Open {
    partial: PartialEntities,
}

impl<'a> Listing<'a> {
    fn tools(&self) -> Result<Vec<&'a ToolName>, FactFault> {
        let mut listed = Vec::new();
        if let Some(open) = self.open()? {
            for (name, tool) in &self.connector.tools {
                if self.halts.of_tool(self.id, name).is_none() && self.outlook(&open, tool)?.possible {
                    listed.push(name);
                }
            }
        }
        Ok(listed)
    }

    /// Asks what does not depend on the tool. `None`: no tool of the connector is there for the user.
    fn open(&self) -> Result<Option<Open>, FactFault> {
        let Some(case) = self.enter(true)? else { return Ok(None) };
        self.partial(&case).map(Some)
    }

    /// The user before the connector; `None`: nothing of it is there for the user.
    fn enter(&self, whole: bool) -> Result<Option<Case<'a>>, FactFault> {
        let case = self.case(&self.connector.scene, whole)?;
        let expose = case.ask(&self.connector.expose, Given::default())?;
        if !matches!(expose, Answer::Permitted(_)) {
            return Ok(None);
        }
        let credential = match self.means(&case)? {
            Means::Own => None,
            Means::Shared(credential) => Some(credential),
            Means::Nothing => return Ok(None),
        };
        Ok(of_connector(self.halts, self.id, credential).is_none().then_some(case))
    }

    fn partial(&self, case: &Case<'_>) -> Result<Open, FactFault> {
        let entities = case.entered()?.entities.clone();
        PartialEntities::from_concrete(entities, self.force.vocabulary.listing())
            .map(|partial| Open { partial })
            .map_err(|e| FactFault::Entities(e.to_string()))
    }

    fn means(&self, case: &Case<'_>) -> Result<Means<'a>, FactFault> {
        let CredentialView::Shared(shared) = &self.connector.credential else { return Ok(Means::Own) };
        for (id, ask) in shared {
            match case.ask(ask, Given::default())? {
                Answer::Permitted(_) => return Ok(Means::Shared(id)),
                Answer::Failed(_) => return Ok(Means::Nothing),
                Answer::NoPermit | Answer::Forbidden(_) => {}
            }
        }
        Ok(Means::Nothing)
    }

    fn case(&self, scene: &'a Scene, whole: bool) -> Result<Case<'a>, FactFault> {
        Case::open(self.force, self.server, scene, self.subject, self.circumstance, whole)
    }

    fn outlook(&self, open: &Open, tool: &'a ActView) -> Result<Outlook, FactFault> {
        let case = self.case(&tool.scene, false)?;
        match (tool.arguments(), &tool.ask.slice.listing) {
            (Some(_), Some(policies)) => {
                let request = PartialRequest::new(
                    PartialEntityUid::from_concrete(case.user().clone()),
                    tool.ask.action.clone(),
                    PartialEntityUid::from_concrete(tool.ask.resource.clone()),
                    Some(case.context(Reads::all(), Given::unknown(tool))?),
                    self.force.vocabulary.listing(),
                )
                .map_err(|e| FactFault::Context(e.to_string()))?;
                let response = policies
                    .tpe(&request, &open.partial, self.force.vocabulary.listing())
                    .map_err(|e| FactFault::Context(e.to_string()))?;
                // What fails whatever the arguments refuses every call. Not so a permit that reads them: rearranged,
                // it may fail where it would have been false, and is then merely no permit.
                let reads = |at: &usize| self.force.rules.get(*at).is_some_and(|rule| rule.reads.arguments());
                let fails = response.error_forbids().next().is_some()
                    || self.force.places(response.error_permits()).iter().any(|at| !reads(at));
                let possible = !fails && response.decision() != Some(Decision::Deny);
                Ok(Outlook { possible, open: self.force.places(response.residual_permits()) })
            }
            (_, _) => {
                let answer = case.ask(&tool.ask, Given::default())?;
                Ok(Outlook { possible: matches!(answer, Answer::Permitted(_)), open: Vec::new() })
            }
        }
    }
}
