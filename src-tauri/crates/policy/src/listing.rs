//! What a user is shown: the same decision as for a call, before the arguments are known. A tool is listed unless every
//! call of it would be refused; a tool that is not listed is refused.

use cedar_policy::{Decision, PartialEntities, PartialEntityUid, PartialRequest, RestrictedExpression};
use model::{ConnectorId, ServerId, Subject, ToolName};

use crate::decide::Route;
use crate::facts::{Circumstance, FactFault, Question};
use crate::lint::Reads;
use crate::set::{Answer, Case, ConnectorView, CredentialView, InForce, Policy, ServerView, State, ToolView};
use crate::users::Scene;

impl Policy {
    /// The tools that the virtual server shows to a user, in the server's order of connectors and by name within each.
    pub fn listed(
        &self,
        subject: &Subject,
        server: &ServerId,
        circumstance: &Circumstance,
    ) -> Vec<(ConnectorId, ToolName)> {
        let State::InForce(force) = &self.state else { return Vec::new() };
        let Some(server) = force.servers.get(server) else { return Vec::new() };
        let found = Case::open(force, server, &server.scene, subject, circumstance, false)
            .and_then(|case| shown(&case, subject));
        found.unwrap_or_else(|fault| {
            tracing::error!(%fault, "a virtual server's tools cannot be listed");
            Vec::new()
        })
    }

    /// The virtual servers that a user may see.
    pub fn visible_servers(&self, subject: &Subject, circumstance: &Circumstance) -> Vec<ServerId> {
        let State::InForce(force) = &self.state else { return Vec::new() };
        let visible = force.servers.iter().filter(|(_, server)| sees(force, server, subject, circumstance));
        visible.map(|(id, _)| id.clone()).collect()
    }
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
    /// What other calls of the same tool could hope for.
    pub(crate) fn outlook(&self, question: &Question<'_>) -> Outlook {
        let Question { subject, circumstance, .. } = *question;
        let listing = Listing {
            force: self.force,
            server: self.server,
            connector: self.connector,
            subject,
            circumstance,
        };
        let outlook = if sees(self.force, self.server, subject, circumstance) {
            listing.open().and_then(|open| {
                open.map_or(Ok(Outlook::default()), |open| listing.outlook(&open, self.tool))
            })
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
fn shown(case: &Case<'_>, subject: &Subject) -> Result<Vec<(ConnectorId, ToolName)>, FactFault> {
    let Case { force, server, circumstance, .. } = *case;
    let entered = case.entered()?;
    if let Some(listed) = entered.listed.get() {
        return Ok(listed.clone());
    }
    let mut listed = Vec::new();
    let mut whole = true;
    if matches!(case.ask(&server.see, None)?, Answer::Permitted(_)) {
        for (id, connector) in &server.connectors {
            let listing = Listing { force, server, connector, subject, circumstance };
            let found = listing.tools().unwrap_or_else(|fault| {
                tracing::error!(%fault, connector = %id, "a connector's tools cannot be listed");
                whole = false;
                Vec::new()
            });
            listed.extend(found.into_iter().map(|tool| (id.clone(), tool.clone())));
        }
    }
    if whole && server.steady {
        return Ok(entered.listed.get_or_init(|| listed).clone());
    }
    Ok(listed)
}

fn sees(force: &InForce, server: &ServerView, subject: &Subject, circumstance: &Circumstance) -> bool {
    let answer = Case::open(force, server, &server.scene, subject, circumstance, false)
        .and_then(|case| case.ask(&server.see, None));
    matches!(answer, Ok(Answer::Permitted(_)))
}

/// One user before one connector.
struct Listing<'a> {
    force: &'a InForce,
    server: &'a ServerView,
    connector: &'a ConnectorView,
    subject: &'a Subject,
    circumstance: &'a Circumstance,
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
                if self.outlook(&open, tool)?.possible {
                    listed.push(name);
                }
            }
        }
        Ok(listed)
    }

    /// Asks what does not depend on the tool. `None`: no tool of the connector is there for the user.
    fn open(&self) -> Result<Option<Open>, FactFault> {
        let case = self.case(&self.connector.scene, true)?;
        let expose = case.ask(&self.connector.expose, None)?;
        if !matches!(expose, Answer::Permitted(_)) || !self.has_credential(&case)? {
            return Ok(None);
        }
        let partial =
            PartialEntities::from_concrete(case.entered()?.entities.clone(), self.force.vocabulary.listing())
                .map_err(|e| FactFault::Entities(e.to_string()))?;
        Ok(Some(Open { partial }))
    }

    fn has_credential(&self, case: &Case<'_>) -> Result<bool, FactFault> {
        let CredentialView::Shared(shared) = &self.connector.credential else { return Ok(true) };
        for (_, ask) in shared {
            match case.ask(ask, None)? {
                Answer::Permitted(_) => return Ok(true),
                Answer::Failed(_) => return Ok(false),
                Answer::NoPermit | Answer::Forbidden(_) => {}
            }
        }
        Ok(false)
    }

    fn case(&self, scene: &'a Scene, whole: bool) -> Result<Case<'a>, FactFault> {
        Case::open(self.force, self.server, scene, self.subject, self.circumstance, whole)
    }

    fn outlook(&self, open: &Open, tool: &'a ToolView) -> Result<Outlook, FactFault> {
        let case = self.case(&tool.scene, false)?;
        match (tool.arguments(), &tool.call.slice.listing) {
            (Some(arguments), Some(policies)) => {
                let input = RestrictedExpression::new_entity_uid(arguments.unknown.clone());
                let request = PartialRequest::new(
                    PartialEntityUid::from_concrete(case.user().clone()),
                    tool.call.action.clone(),
                    PartialEntityUid::from_concrete(tool.call.resource.clone()),
                    Some(case.context(Reads::all(), Some(input))?),
                    self.force.vocabulary.listing(),
                )
                .map_err(|e| FactFault::Context(e.to_string()))?;
                let response = policies
                    .tpe(&request, &open.partial, self.force.vocabulary.listing())
                    .map_err(|e| FactFault::Context(e.to_string()))?;
                // What fails whatever the arguments refuses every call. Not so a permit that reads them: rearranged,
                // it may fail where it would have been false, and is then merely no permit.
                let reads = |at: &usize| self.force.rules.get(*at).is_some_and(|rule| rule.reads.input);
                let fails = response.error_forbids().next().is_some()
                    || self.force.places(response.error_permits()).iter().any(|at| !reads(at));
                let possible = !fails && response.decision() != Some(Decision::Deny);
                Ok(Outlook { possible, open: self.force.places(response.residual_permits()) })
            }
            (_, _) => {
                let answer = case.ask(&tool.call, None)?;
                Ok(Outlook { possible: matches!(answer, Answer::Permitted(_)), open: Vec::new() })
            }
        }
    }
}
