//! A policy set that is in force, laid out for the questions that will be asked of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{Authorizer, Context, Decision, EntityUid, PolicyId, PolicySet, Request};
use model::{AccountName, Advice, ConnectorId, CredentialId, Digest, ServerId, Subject, ToolName};
use org_protocol::Halts;
use payload::Screen;

use crate::convert::ArgumentFault;
use crate::facts::{Circumstance, FactFault, Kinds, Target, context};
use crate::given::Given;
use crate::limits::Limits;
use crate::lint::Reads;
use crate::rule::{PolicyVersion, Rule, RuleId};
use crate::schema::{ActType, Arguments, SchemaFault, Vocabulary, action};
use crate::scope::{EXPOSE_CONNECTOR, SEE_SERVER, USE_SHARED_CREDENTIAL};
use crate::users::{Entered, Scene, User, Users};

/// A policy: checked and in force, or the one that refuses everything. There is nothing in between.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) version: Arc<PolicyVersion>,
    pub(crate) state: State,
    /// What is stopped, whatever the policies permit.
    pub(crate) halts: Arc<Halts>,
    /// What is looked for in payloads.
    pub(crate) screen: Arc<Screen>,
    /// How large and how often.
    pub(crate) limits: Arc<Limits>,
}

#[derive(Debug, Clone)]
pub(crate) enum State {
    /// There is no policy to obey.
    DenyAll(Advice),
    InForce(Arc<InForce>),
}

impl Policy {
    /// The policy that refuses everything: what stands in where one is missing, expired or cannot be trusted. `why` is
    /// what the employee is told.
    pub fn deny_all(why: Advice) -> Self {
        let version = PolicyVersion { label: "none".to_owned(), digest: Digest::of(b"") };
        Self {
            version: Arc::new(version),
            state: State::DenyAll(why),
            halts: Arc::default(),
            screen: Arc::default(),
            limits: Arc::default(),
        }
    }

    /// The same policies, of which this much is stopped: instead of what was stopped before. It can only take away.
    #[must_use]
    pub fn halted_by(&self, halts: Arc<Halts>) -> Self {
        Self { halts, ..self.clone() }
    }

    /// What is stopped.
    pub fn halts(&self) -> &Arc<Halts> {
        &self.halts
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
    pub(crate) kinds: Kinds,
    /// Whether any policy reads what is known of the user beside the groups.
    pub(crate) claims: bool,
    pub(crate) users: Users,
    pub(crate) authorizer: Authorizer,
}

/// The three actions that stand around an act.
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
    pub(crate) see: Ask,
    /// The server alone.
    pub(crate) scene: Scene,
    /// Whether the tools that a user is shown are always the same: no policy about them reads the circumstances.
    pub(crate) steady: bool,
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
    pub(crate) expose: Ask,
    /// The server, the connector in it and its credentials in that.
    pub(crate) scene: Arc<Scene>,
    pub(crate) credential: CredentialView,
    pub(crate) tools: BTreeMap<ToolName, ActView>,
    pub(crate) resources: ActView,
    pub(crate) prompts: ActView,
}

impl ConnectorView {
    /// What a call asks for, if it is there.
    pub(crate) fn act(&self, target: &Target<'_>) -> Option<&ActView> {
        match target {
            Target::Tool { name, .. } => self.tools.get(*name),
            Target::Resource { .. } => Some(&self.resources),
            Target::Prompt { .. } => Some(&self.prompts),
        }
    }

    /// Whether the tools that a user is shown are always the same.
    pub(crate) fn is_steady(&self) -> bool {
        let shared = match &self.credential {
            CredentialView::Shared(shared) => shared.as_slice(),
            CredentialView::None | CredentialView::Own(_) => &[],
        };
        self.expose.is_steady()
            && shared.iter().all(|(_, ask)| ask.is_steady())
            && self.tools.values().all(|tool| tool.ask.slice.reads.is_steady_but_for_input())
    }
}

/// How calls to a connector are authenticated.
#[derive(Debug)]
pub(crate) enum CredentialView {
    None,
    /// Which of the user's accounts.
    Own(AccountName),
    /// In order of preference.
    Shared(Vec<(CredentialId, Ask)>),
}

/// A tool as one virtual server offers it, or a connector's resources or prompts.
#[derive(Debug)]
pub(crate) struct ActView {
    pub(crate) ask: Ask,
    /// Those of the connector, and a tool's action.
    pub(crate) scene: Arc<Scene>,
    pub(crate) kind: Arc<ActType>,
}

impl ActView {
    /// What policy understands of the arguments; nothing for an opaque tool.
    pub(crate) fn arguments(&self) -> Option<&Arguments> {
        self.kind.arguments.as_ref().ok()
    }
}

/// A question without its user and circumstances.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Its number within the policy set.
    pub(crate) number: usize,
    pub(crate) slice: Arc<Slice>,
    pub(crate) action: EntityUid,
    pub(crate) resource: EntityUid,
    /// The same question to the forbids that are only observed; none where no such forbid can be about it. They are laid out
    /// apart, so that what they read changes nothing for the others.
    pub(crate) observed: Option<Box<Ask>>,
    /// The same question to the forbids that refuse unless a person approves.
    pub(crate) asking: Option<Box<Ask>>,
}

impl Ask {
    /// Whether a user gets the same answer each time.
    pub(crate) fn is_steady(&self) -> bool {
        self.slice.reads.is_steady()
    }
}

/// The policies that one question can be about, and what they need to know.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) rules: Vec<usize>,
    pub(crate) reads: Reads,
    /// The names of the facts that they read.
    pub(crate) facts: BTreeSet<String>,
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
    /// The policies of a slice that read what cannot be read.
    pub(crate) fn reading(&self, slice: &Slice, fault: &ArgumentFault) -> Vec<usize> {
        let reads = |at: &usize| self.rules.get(*at).is_some_and(|rule| rule.rests_on(fault));
        slice.rules.iter().copied().filter(reads).collect()
    }

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
    scene: &'a Scene,
    user: Arc<User>,
}

impl<'a> Case<'a> {
    /// Adds the user to the entities that are there for everybody. Partial evaluation wants the whole user, read or not.
    pub(crate) fn open(
        force: &'a InForce,
        server: &'a ServerView,
        scene: &'a Scene,
        subject: &Subject,
        circumstance: &'a Circumstance,
        whole: bool,
    ) -> Result<Self, FactFault> {
        let user = force.users.find(&force.kinds, subject, whole || force.claims)?;
        Ok(Self { force, server, circumstance, scene, user })
    }

    pub(crate) fn user(&self) -> &EntityUid {
        &self.user.uid
    }

    /// The scene with the user in it.
    pub(crate) fn entered(&self) -> Result<&Entered, FactFault> {
        self.user.enter(self.scene)
    }

    pub(crate) fn context(&self, reads: Reads, given: Given) -> Result<Context, FactFault> {
        context(reads, &self.server.see.resource, self.circumstance, given)
    }

    pub(crate) fn request(&self, ask: &Ask, context: Context) -> Result<Request, FactFault> {
        Request::new(self.user.uid.clone(), ask.action.clone(), ask.resource.clone(), context, None)
            .map_err(|e| FactFault::Context(e.to_string()))
    }

    /// Puts one question to the policies of its slice, unless they answered it before and nothing else can have changed
    /// the answer.
    pub(crate) fn ask(&self, ask: &Ask, given: Given) -> Result<Answer, FactFault> {
        if ask.slice.rules.is_empty() {
            return Ok(Answer::NoPermit);
        }
        let entered = self.entered()?;
        if ask.is_steady() {
            return entered.answer(ask.number, || self.put(ask, entered, Given::default()));
        }
        self.put(ask, entered, given)
    }

    fn put(&self, ask: &Ask, entered: &Entered, given: Given) -> Result<Answer, FactFault> {
        let request = self.request(ask, self.context(ask.slice.reads, given)?)?;
        let response = self.force.authorizer.is_authorized(&request, &ask.slice.policies, &entered.entities);
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
