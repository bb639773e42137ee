//! Users as the policies see them, kept from one question to the next: on a desktop it is one person all day, at a control
//! plane they come back. Nothing here outlives the policy set, and what depends on more than the user is never kept.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use cedar_policy::{Entities, Entity, EntityUid};
use model::{ConnectorId, Subject, ToolName};

use crate::facts::{FactFault, Kinds, user};
use crate::set::Answer;

/// How many users are kept; beyond, the one that came first is forgotten.
const KEPT: usize = 32;

/// The entities of one place - a virtual server, a connector or a tool in it - without the user.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Its number within the policy set.
    pub(crate) place: usize,
    pub(crate) entities: Entities,
}

/// The users who were asked about.
#[derive(Debug)]
pub(crate) struct Users {
    scenes: usize,
    /// The latest last.
    known: RwLock<Vec<Arc<User>>>,
}

/// One user, described exactly so.
#[derive(Debug)]
pub(crate) struct User {
    subject: Subject,
    /// With attributes and claims.
    whole: bool,
    pub(crate) uid: EntityUid,
    entity: Entity,
    scenes: Box<[OnceLock<Entered>]>,
}

/// A scene with the user in it.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) entities: Entities,
    /// What the policies said to questions that are always the same, by the number of the question.
    answers: RwLock<BTreeMap<usize, Answer>>,
    /// The tools that are shown at this scene, where that is always the same.
    pub(crate) listed: OnceLock<Vec<(ConnectorId, ToolName)>>,
}

impl Users {
    /// For a policy set with this many scenes.
    pub(crate) fn new(scenes: usize) -> Self {
        Self { scenes, known: RwLock::default() }
    }

    /// The user; `whole` with attributes and claims.
    pub(crate) fn find(&self, kinds: &Kinds, subject: &Subject, whole: bool) -> Result<Arc<User>, FactFault> {
        let is_it = |user: &&Arc<User>| user.whole == whole && user.subject == *subject;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_it).cloned();
        if let Some(user) = known {
            return Ok(user);
        }
        let (uid, entity) = user(kinds, subject, whole)?;
        let scenes = (0..self.scenes).map(|_| OnceLock::new()).collect();
        let user = Arc::new(User { subject: subject.clone(), whole, uid, entity, scenes });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() == KEPT {
            known.remove(0);
        }
        known.push(Arc::clone(&user));
        Ok(user)
    }
}

impl User {
    /// The scene with the user in it.
    pub(crate) fn enter(&self, scene: &Scene) -> Result<&Entered, FactFault> {
        let broken = |why: &dyn std::fmt::Display| FactFault::Entities(why.to_string());
        let slot = self.scenes.get(scene.place).ok_or_else(|| broken(&"a scene of another policy"))?;
        if let Some(entered) = slot.get() {
            return Ok(entered);
        }
        let entities = scene.entities.clone().add_entities([self.entity.clone()], None);
        let entities = entities.map_err(|fault| broken(&fault))?;
        Ok(slot.get_or_init(|| Entered { entities, answers: RwLock::default(), listed: OnceLock::new() }))
    }
}

impl Entered {
    /// The answer to the question of this number; `ask` is asked the first time, and again after a fault.
    pub(crate) fn answer(
        &self,
        question: usize,
        ask: impl FnOnce() -> Result<Answer, FactFault>,
    ) -> Result<Answer, FactFault> {
        let known = self.answers.read().unwrap_or_else(PoisonError::into_inner).get(&question).cloned();
        if let Some(answer) = known {
            return Ok(answer);
        }
        let answer = ask()?;
        self.answers.write().unwrap_or_else(PoisonError::into_inner).insert(question, answer.clone());
        Ok(answer)
    }
}
