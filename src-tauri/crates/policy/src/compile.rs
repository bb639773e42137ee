//! From what IT wrote to a policy in force. Everything is checked here, once, and everything that does not depend on a
//! call is built here; whatever is found wrong refuses the whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Entities, Entity, EntityUid, Policy as CedarPolicy, PolicyId, PolicySet, ValidationMode,
    ValidationWarning, Validator,
};
use miette::Diagnostic;
use model::{ConnectorId, ServerId, ToolName};
use org_protocol::{
    ClaimTypes, ConnectorSpec, CredentialSpec, LimitRule, PayloadSettings, PinnedTools, ServerSpec,
};

use crate::conjunct::known_first;
use crate::declared::declared;
use crate::facts::Kinds;
use crate::fault::{FaultKind, PolicyFault};
use crate::limits::limits;
use crate::lint::{Known, Reads, slips};
use crate::payloads::screen;
use crate::rule::{Manner, PolicyVersion, Rule};
use crate::schema::{ActType, CALL_TOOL, SchemaFault, Vocabulary, action, action_name, entity};
use crate::scope::{EXPOSE_CONNECTOR, GET_PROMPT, READ_RESOURCE, SEE_SERVER, Topic, USE_SHARED_CREDENTIAL};
use crate::set::{
    ActView, Actions, Ask, ConnectorView, CredentialView, InForce, Policy, ServerView, Slice, State,
};
use crate::source::{line_of, read, words_of};
use crate::users::{Scene, Users};

/// What a policy is compiled from: a bundle's content, or a personal configuration.
#[derive(Debug, Clone)]
pub struct PolicyInput<'a> {
    /// Which policy this is.
    pub version: PolicyVersion,
    /// Every connector.
    pub connectors: &'a BTreeMap<ConnectorId, ConnectorSpec>,
    /// Every virtual server.
    pub servers: &'a BTreeMap<ServerId, ServerSpec>,
    /// The connectors' tools as they were accepted.
    pub tools: &'a BTreeMap<ConnectorId, PinnedTools>,
    /// The claims of users that policies may read, and their types.
    pub claims: &'a ClaimTypes,
    /// The Cedar policies, by the path of their file.
    pub policies: &'a BTreeMap<String, String>,
    /// What is looked for in payloads.
    pub payload: &'a PayloadSettings,
    /// How large what is sent and answered may be, and how often calls are made.
    pub limits: &'a [LimitRule],
}

impl Policy {
    /// Checks the policies against the tools and makes them ready to decide.
    ///
    /// # Errors
    /// Every fault that was found. A set with a fault is refused as a whole.
    pub fn compile(input: PolicyInput<'_>) -> Result<Self, Vec<PolicyFault>> {
        let of_schema = |fault: SchemaFault| vec![PolicyFault::of_schema(&fault)];
        let facts = declared(input.connectors, input.tools)?;
        let vocabulary = Vocabulary::of(input.tools, input.claims, facts).map_err(of_schema)?;
        let rules = read(input.policies)?;
        check(&rules, &vocabulary, &input)?;
        let screen = screen(&input)?;
        let limits = limits(&input)?;
        let force = Assembly::new(rules, vocabulary, input.claims)?.finish(&input)?;
        Ok(Self {
            version: Arc::new(input.version),
            state: State::InForce(Arc::new(force)),
            halts: Arc::default(),
            screen: Arc::new(screen),
            limits,
        })
    }
}

/// Finds everything that is wrong with the policies.
fn check(rules: &[Rule], vocabulary: &Vocabulary, input: &PolicyInput<'_>) -> Result<(), Vec<PolicyFault>> {
    let mut faults: Vec<PolicyFault> = Vec::new();
    let known = Known::of(input.connectors, input.servers);
    for rule in rules {
        faults.extend(known.check(rule).into_iter().map(|kind| fault(rule, kind)));
        faults.extend(
            slips(&rule.body, &acts_of(rule, vocabulary), input.claims)
                .into_iter()
                .map(|kind| fault(rule, kind)),
        );
    }
    let by_id: BTreeMap<&str, &Rule> = rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    let policies = set(rules.iter().map(|rule| rule.policy.clone())).map_err(|fault| vec![fault])?;
    let result = Validator::new(vocabulary.authoring().clone()).validate(&policies, ValidationMode::Strict);
    let locate = |id: &PolicyId, found: &dyn Diagnostic, kind: FaultKind| {
        let rule = by_id.get::<str>(id.as_ref())?;
        let text = input.policies.get(rule.file.as_ref()).map_or("", String::as_str);
        Some(PolicyFault { line: line_of(text, found, rule.line), ..fault(rule, kind) })
    };
    for error in result.validation_errors() {
        faults.extend(locate(error.policy_id(), error, FaultKind::Invalid(words_of(error))));
    }
    for warning in result.validation_warnings() {
        let kind = match warning {
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => {
                FaultKind::Never(words_of(warning))
            }
            ValidationWarning::BidiCharsInString(_) | ValidationWarning::BidiCharsInIdentifier(_) => {
                FaultKind::Deceptive
            }
            // Names of groups in another script are no slip.
            ValidationWarning::MixedScriptString(_)
            | ValidationWarning::MixedScriptIdentifier(_)
            | ValidationWarning::ConfusableIdentifier(_)
            | _ => {
                tracing::warn!(%warning, "a policy deserves a second look");
                continue;
            }
        };
        let found = locate(warning.policy_id(), warning, kind);
        // That a policy never applies follows from what else is wrong with it.
        let explained = |fault: &PolicyFault| {
            matches!(fault.kind, FaultKind::Never(_)) && faults.iter().any(|f| f.policy == fault.policy)
        };
        faults.extend(found.filter(|fault| !explained(fault)));
    }
    // Cedar reports in no particular order.
    faults.sort_by_cached_key(|fault| (fault.file.clone(), fault.line, fault.to_string()));
    faults.dedup();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// The tools that a policy can be about, on whatever server, and whether it is about resources and prompts.
fn acts_of<'a>(rule: &Rule, vocabulary: &'a Vocabulary) -> Vec<&'a ActType> {
    let about = |connector: Option<&str>, action: &str| {
        let resource = [("Connector", connector), ("Server", None)];
        Topic { action, resource: &resource }.is_reached_by(&rule.body)
    };
    let tools = vocabulary
        .tools()
        .filter(|(connector, name, _)| about(Some(connector.as_str()), &action_name(connector, name)))
        .map(|(_, _, tool)| tool);
    let fixed = [(READ_RESOURCE, &vocabulary.resource), (GET_PROMPT, &vocabulary.prompt)];
    let fixed = fixed.into_iter().filter(|(action, _)| about(None, action)).map(|(_, act)| act);
    tools.chain(fixed).map(AsRef::as_ref).collect()
}

fn fault(rule: &Rule, kind: FaultKind) -> PolicyFault {
    PolicyFault { file: rule.file.to_string(), line: rule.line, policy: Some(rule.id.to_string()), kind }
}

fn internal(why: &dyn std::fmt::Display) -> PolicyFault {
    PolicyFault { file: "tools".to_owned(), line: 1, policy: None, kind: FaultKind::Schema(why.to_string()) }
}

fn set(policies: impl IntoIterator<Item = CedarPolicy>) -> Result<PolicySet, PolicyFault> {
    PolicySet::from_policies(policies).map_err(|e| internal(&e))
}

/// Lays the checked policies out by question. Questions with the same policies share one slice.
struct Assembly {
    rules: Vec<Rule>,
    /// The permits that read the arguments, laid out for partial evaluation.
    listing: HashMap<usize, CedarPolicy>,
    slices: HashMap<Vec<usize>, Arc<Slice>>,
    vocabulary: Vocabulary,
    actions: Actions,
    kinds: Kinds,
    scenes: usize,
    questions: usize,
}

impl Assembly {
    fn new(rules: Vec<Rule>, vocabulary: Vocabulary, claims: &ClaimTypes) -> Result<Self, Vec<PolicyFault>> {
        let mut listing = HashMap::new();
        for (at, rule) in rules.iter().enumerate() {
            if rule.reads.arguments() && rule.permits() {
                listing.insert(at, known_first(&rule.body).map_err(|e| vec![internal(&e)])?);
            }
        }
        let reading = rules.iter().enumerate().filter(|(_, rule)| rule.reads.arguments());
        let arranged = set(reading.map(|(at, rule)| listing.get(&at).unwrap_or(&rule.policy).clone()));
        let validator = Validator::new(vocabulary.listing().clone());
        let result = validator.validate(&arranged.map_err(|fault| vec![fault])?, ValidationMode::Strict);
        let faults: Vec<PolicyFault> = result.validation_errors().map(|error| internal(error)).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let of_schema = |fault: SchemaFault| vec![PolicyFault::of_schema(&fault)];
        let (actions, kinds) = (Actions::new().map_err(of_schema)?, Kinds::new(claims).map_err(of_schema)?);
        Ok(Self {
            rules,
            listing,
            slices: HashMap::new(),
            vocabulary,
            actions,
            kinds,
            scenes: 0,
            questions: 0,
        })
    }

    fn finish(mut self, input: &PolicyInput<'_>) -> Result<InForce, Vec<PolicyFault>> {
        let mut servers = BTreeMap::new();
        for (id, spec) in input.servers {
            let view = self.server(id, spec, input).map_err(|fault| vec![fault])?;
            servers.insert(id.clone(), view);
        }
        let places = self.rules.iter().enumerate().map(|(at, rule)| (rule.policy.id().clone(), at)).collect();
        Ok(InForce {
            claims: self.rules.iter().any(|rule| rule.reads.claims),
            kinds: self.kinds,
            rules: self.rules,
            places,
            vocabulary: self.vocabulary,
            servers,
            users: Users::new(self.scenes),
            authorizer: Authorizer::new(),
        })
    }

    fn server(
        &mut self,
        id: &ServerId,
        spec: &ServerSpec,
        input: &PolicyInput<'_>,
    ) -> Result<ServerView, PolicyFault> {
        let uid = named("Server", id.as_str())?;
        let topic = Topic { action: SEE_SERVER, resource: &[("Server", Some(id.as_str()))] };
        let see = self.ask(topic, self.actions.see.clone(), &uid)?;
        let mut connectors = Vec::new();
        for connector in &spec.connectors {
            let again = connectors.iter().any(|(known, _): &(ConnectorId, ConnectorView)| known == connector);
            if let (false, Some(connector_spec)) = (again, input.connectors.get(connector)) {
                let view = self.connector(id, spec, connector, connector_spec)?;
                connectors.push((connector.clone(), view));
            }
        }
        let steady = see.is_steady() && connectors.iter().all(|(_, connector)| connector.is_steady());
        let scene = self.scene(entities([Entity::with_uid(uid)])?);
        Ok(ServerView { see, scene, steady, connectors })
    }

    fn connector(
        &mut self,
        server: &ServerId,
        offer: &ServerSpec,
        id: &ConnectorId,
        spec: &ConnectorSpec,
    ) -> Result<ConnectorView, PolicyFault> {
        let above = [("Connector", Some(id.as_str())), ("Server", Some(server.as_str()))];
        let uid = named("Connector", id.as_str())?;
        let server_uid = named("Server", server.as_str())?;
        let mut known = vec![
            Entity::with_uid(server_uid.clone()),
            Entity::new_no_attrs(uid.clone(), [server_uid].into()),
        ];
        let credential = match &spec.credential {
            CredentialSpec::None => CredentialView::None,
            CredentialSpec::UserOauth { .. }
            | CredentialSpec::UserToken { .. }
            | CredentialSpec::ClientCredentials { .. }
            | CredentialSpec::Enterprise { .. } => CredentialView::Own(offer.account(id).account),
            CredentialSpec::Brokered { credentials, .. } | CredentialSpec::Leased { credentials, .. } => {
                let mut shared = Vec::new();
                for credential in credentials {
                    let [connector, server] = above;
                    let resource = [("Credential", Some(credential.as_str())), connector, server];
                    let credential_uid = named("Credential", credential.as_str())?;
                    known.push(Entity::new_no_attrs(credential_uid.clone(), [uid.clone()].into()));
                    let topic = Topic { action: USE_SHARED_CREDENTIAL, resource: &resource };
                    let ask = self.ask(topic, self.actions.credential.clone(), &credential_uid)?;
                    shared.push((credential.clone(), ask));
                }
                CredentialView::Shared(shared)
            }
        };
        let topic = |action| Topic { action, resource: &above };
        let expose = self.ask(topic(EXPOSE_CONNECTOR), self.actions.expose.clone(), &uid)?;
        let entities = entities(known)?;
        let call_tool = action(CALL_TOOL).map_err(|fault| PolicyFault::of_schema(&fault))?;
        let mut tools = BTreeMap::new();
        let offered: Vec<(ToolName, Arc<ActType>)> = self
            .vocabulary
            .tools_of(id)
            .filter(|(name, _)| offer.offers(id, name))
            .map(|(name, kind)| (name.clone(), Arc::clone(kind)))
            .collect();
        for (name, kind) in offered {
            let action = Entity::new_no_attrs(kind.action.clone(), [call_tool.clone()].into());
            let entities = entities
                .clone()
                .add_entities([action, Entity::with_uid(call_tool.clone())], None)
                .map_err(|e| internal(&e))?;
            let topic = Topic { action: &action_name(id, &name), resource: &above };
            let ask = self.ask(topic, kind.action.clone(), &uid)?;
            tools.insert(name, ActView { ask, scene: Arc::new(self.scene(entities)), kind });
        }
        let scene = Arc::new(self.scene(entities));
        let (resource, prompt) = (&self.vocabulary.resource, &self.vocabulary.prompt);
        let fixed =
            [(READ_RESOURCE, Arc::clone(resource)), (GET_PROMPT, Arc::clone(prompt))].map(|(name, kind)| {
                let ask = self.ask(topic(name), kind.action.clone(), &uid)?;
                Ok(ActView { ask, scene: Arc::clone(&scene), kind })
            });
        let [resources, prompts] = fixed;
        Ok(ConnectorView { expose, scene, credential, tools, resources: resources?, prompts: prompts? })
    }

    fn ask(&mut self, topic: Topic<'_>, action: EntityUid, resource: &EntityUid) -> Result<Ask, PolicyFault> {
        let enforced = self.slice(topic, |manner| manner == Manner::Enforced)?;
        let observed = self.slice(topic, |manner| manner == Manner::Observed)?;
        let asking = self.slice(topic, |manner| manner.asks().is_some())?;
        let mut put = |slice, observed, asking| {
            let number = self.questions;
            self.questions += 1;
            Ask { number, slice, action: action.clone(), resource: resource.clone(), observed, asking }
        };
        let mut beside =
            |slice: Arc<Slice>| (!slice.rules.is_empty()).then(|| Box::new(put(slice, None, None)));
        let (observed, asking) = (beside(observed), beside(asking));
        Ok(put(enforced, observed, asking))
    }

    fn scene(&mut self, entities: Entities) -> Scene {
        let place = self.scenes;
        self.scenes += 1;
        Scene { place, entities }
    }

    /// The policies that can be about a topic, of those of one manner.
    fn slice(
        &mut self,
        topic: Topic<'_>,
        wanted: impl Fn(Manner) -> bool,
    ) -> Result<Arc<Slice>, PolicyFault> {
        let reaches = |rule: &Rule| wanted(rule.manner) && topic.is_reached_by(&rule.body);
        let reaching: Vec<usize> =
            (0..self.rules.len()).filter(|at| self.rules.get(*at).is_some_and(reaches)).collect();
        if let Some(slice) = self.slices.get(&reaching) {
            return Ok(Arc::clone(slice));
        }
        let chosen: Vec<(usize, &Rule)> =
            reaching.iter().filter_map(|at| Some((*at, self.rules.get(*at)?))).collect();
        let reads = chosen.iter().fold(Reads::default(), |all, (_, rule)| all.and(rule.reads));
        let listing = chosen.iter().map(|(at, rule)| self.listing.get(at).unwrap_or(&rule.policy).clone());
        let slice = Arc::new(Slice {
            reads,
            facts: chosen.iter().flat_map(|(_, rule)| rule.facts.iter().cloned()).collect(),
            policies: set(chosen.iter().map(|(_, rule)| rule.policy.clone()))?,
            listing: if reads.arguments() { Some(set(listing)?) } else { None },
            rules: reaching.clone(),
        });
        self.slices.insert(reaching, Arc::clone(&slice));
        Ok(slice)
    }
}

fn named(kind: &str, id: &str) -> Result<EntityUid, PolicyFault> {
    entity(kind, id).map_err(|fault| PolicyFault::of_schema(&fault))
}

fn entities(known: impl IntoIterator<Item = Entity>) -> Result<Entities, PolicyFault> {
    Entities::from_entities(known, None).map_err(|e| internal(&e))
}
