//! A policy set that is in force, laid out for the questions that will be asked of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicyId, PolicySet, Request, RestrictedExpression,
};
use model::{Advice, ConnectorId, CredentialId, Digest, ServerId, Subject, ToolName};

use crate::facts::{Circumstance, FactFault, Kinds, context, user};
use crate::lint::Reads;
use crate::rule::{PolicyVersion, Rule, RuleId};
use crate::schema::{Arguments, SchemaFault, ToolType, Vocabulary, action};
use crate::scope::{EXPOSE_CONNECTOR, SEE_SERVER, USE_SHARED_CREDENTIAL};

/// A policy: checked and in force, or the one that refuses everything. There is nothing in between.
#[derive(Debug)]
pub struct Policy {
    pub(crate) version: Arc<PolicyVersion>,
    pub(crate) state: State,
}

#[derive(Debug)]
pub(crate) enum State {
    /// There is no policy to obey.
    DenyAll(Advice),
    InForce(Box<InForce>),
}

impl Policy {
    /// The policy that refuses everything: what stands in where one is missing, expired or cannot be trusted. `why` is
    /// what the employee is told.
    pub fn deny_all(why: Advice) -> Self {
        let version = PolicyVersion { label: "none".to_owned(), digest: Digest::of(b"") };
        Self { version: Arc::new(version), state: State::DenyAll(why) }
    }

    /// Which policy this is.
    pub fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// Why everything is refused, if it is.
    pub fn refuses_all(&self) -> Option<&Advice> {
        match &self.state {
            State::DenyAll(why) => Some(why),
            State::InForce(_) => None,
        }
    }

    /// What the policies were checked against; nothing for [`Policy::deny_all`].
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        match &self.state {
            State::DenyAll(_) => None,
            State::InForce(force) => Some(&force.vocabulary),
        }
    }
}

/// The checked set.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) rules: Vec<Rule>,
    pub(crate) places: HashMap<PolicyId, usize>,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) servers: BTreeMap<ServerId, ServerView>,
    pub(crate) actions: Actions,
    pub(crate) kinds: Kinds,
    /// Whether any policy reads what is known of the user beside the groups.
    pub(crate) claims: bool,
    pub(crate) authorizer: Authorizer,
}

/// The three actions that are not a tool's.
#[derive(Debug)]
pub(crate) struct Actions {
    pub(crate) see: EntityUid,
    pub(crate) expose: EntityUid,
    pub(crate) credential: EntityUid,
}

impl Actions {
    pub(crate) fn new() -> Result<Self, SchemaFault> {
        Ok(Self {
            see: action(SEE_SERVER)?,
            expose: action(EXPOSE_CONNECTOR)?,
            credential: action(USE_SHARED_CREDENTIAL)?,
        })
    }
}

/// A virtual server with everything that can be asked through it.
#[derive(Debug)]
pub(crate) struct ServerView {
    pub(crate) uid: EntityUid,
    pub(crate) see: Arc<Slice>,
    /// The server alone.
    pub(crate) entities: Entities,
    /// In the order in which the server exposes them.
    pub(crate) connectors: Vec<(ConnectorId, ConnectorView)>,
}

impl ServerView {
    pub(crate) fn connector(&self, wanted: &ConnectorId) -> Option<&ConnectorView> {
        self.connectors.iter().find(|(id, _)| id == wanted).map(|(_, view)| view)
    }
}

/// A connector as one virtual server exposes it.
#[derive(Debug)]
pub(crate) struct ConnectorView {
    pub(crate) uid: EntityUid,
    pub(crate) expose: Arc<Slice>,
    /// The server, the connector in it and its credentials in that.
    pub(crate) entities: Entities,
    pub(crate) credential: CredentialView,
    pub(crate) tools: BTreeMap<ToolName, ToolView>,
}

/// How calls to a connector are authenticated.
#[derive(Debug)]
pub(crate) enum CredentialView {
    None,
    UserOauth,
    /// In order of preference.
    Shared(Vec<(CredentialId, EntityUid, Arc<Slice>)>),
}

/// A tool as one virtual server offers it.
#[derive(Debug)]
pub(crate) struct ToolView {
    pub(crate) slice: Arc<Slice>,
    /// Those of the connector, and the tool's action.
    pub(crate) entities: Entities,
    pub(crate) action: EntityUid,
    pub(crate) kind: Arc<ToolType>,
}

impl ToolView {
    /// What policy understands of the arguments; nothing for an opaque tool.
    pub(crate) fn arguments(&self) -> Option<&Arguments> {
        self.kind.arguments.as_ref().ok()
    }
}

/// The policies that one question can be about, and what they need to know.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) rules: Vec<usize>,
    pub(crate) reads: Reads,
    pub(crate) policies: PolicySet,
    /// The same policies, laid out for partial evaluation, if they read the arguments.
    pub(crate) listing: Option<PolicySet>,
}

/// What the policies say to one question. Rules are in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Permitted by these.
    Permitted(Vec<usize>),
    /// By none.
    NoPermit,
    /// Forbidden by these.
    Forbidden(Vec<usize>),
    /// These could not be evaluated. Cedar would go on without them; a forbid that fails would then not forbid.
    Failed(Vec<usize>),
}

impl InForce {
    pub(crate) fn rule_ids(&self, places: &[usize]) -> Vec<RuleId> {
        places.iter().filter_map(|at| self.rules.get(*at)).map(|rule| rule.id.clone()).collect()
    }

    pub(crate) fn places<'a>(&self, ids: impl Iterator<Item = &'a PolicyId>) -> Vec<usize> {
        let mut places: Vec<usize> = ids.filter_map(|id| self.places.get(id).copied()).collect();
        places.sort_unstable();
        places
    }
}

/// One user in one set of circumstances, before the policies.
pub(crate) struct Case<'a> {
    pub(crate) force: &'a InForce,
    pub(crate) server: &'a ServerView,
    pub(crate) circumstance: &'a Circumstance,
    pub(crate) user: EntityUid,
    pub(crate) entities: Entities,
}

impl<'a> Case<'a> {
    /// Adds the user to the entities that are there for everybody. Partial evaluation wants the whole user, read or not.
    pub(crate) fn open(
        force: &'a InForce,
        server: &'a ServerView,
        entities: &Entities,
        subject: &Subject,
        circumstance: &'a Circumstance,
        whole: bool,
    ) -> Result<Self, FactFault> {
        let (uid, user) = user(&force.kinds, subject, whole || force.claims)?;
        let entities =
            entities.clone().add_entities([user], None).map_err(|e| FactFault::Entities(e.to_string()))?;
        Ok(Self { force, server, circumstance, user: uid, entities })
    }

    pub(crate) fn context(
        &self,
        reads: Reads,
        input: Option<RestrictedExpression>,
    ) -> Result<Context, FactFault> {
        context(reads, &self.server.uid, self.circumstance, input)
    }

    pub(crate) fn request(
        &self,
        action: &EntityUid,
        resource: &EntityUid,
        context: Context,
    ) -> Result<Request, FactFault> {
        Request::new(self.user.clone(), action.clone(), resource.clone(), context, None)
            .map_err(|e| FactFault::Context(e.to_string()))
    }

    /// Puts one question to the policies of its slice.
    pub(crate) fn ask(
        &self,
        slice: &Slice,
        action: &EntityUid,
        resource: &EntityUid,
        input: Option<RestrictedExpression>,
    ) -> Result<Answer, FactFault> {
        if slice.rules.is_empty() {
            return Ok(Answer::NoPermit);
        }
        let request = self.request(action, resource, self.context(slice.reads, input)?)?;
        let response = self.force.authorizer.is_authorized(&request, &slice.policies, &self.entities);
        let failed = self.force.places(response.diagnostics().errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
        }));
        if !failed.is_empty() {
            return Ok(Answer::Failed(failed));
        }
        let reasons = self.force.places(response.diagnostics().reason());
        Ok(match (response.decision(), reasons.is_empty()) {
            (Decision::Allow, _) => Answer::Permitted(reasons),
            (Decision::Deny, true) => Answer::NoPermit,
            (Decision::Deny, false) => Answer::Forbidden(reasons),
        })
    }
}
