//! Leave that a person gave for more than one call: of the same tool, resource or prompt, by the same assistant, with any arguments.
//! It holds on the terms on which it was given, and is void as soon as they are others.

use std::collections::BTreeMap;

use gateway::Wish;
use model::{ApprovalScope, ApprovalTarget, ConnectorId, Digest, ServerId, Subject, Timestamp};
use policy::Aim;
use serde::{Deserialize, Serialize};

/// The format version of what the vault keeps.
const FORMAT: u32 = 1;

/// One leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standing {
    format: u32,
    issuer: String,
    subject: String,
    pub(crate) client_id: String,
    pub(crate) client_name: String,
    pub(crate) server: ServerId,
    pub(crate) connector: ConnectorId,
    pub(crate) target: ApprovalTarget,
    /// What the policies asked for.
    terms: Digest,
    /// What was offered under the name.
    definition: Digest,
    pub(crate) scope: ApprovalScope,
    pub(crate) answered: Timestamp,
}

impl Standing {
    /// What a person has just allowed.
    pub(super) fn given(wish: &Wish<'_>, scope: ApprovalScope, answered: Timestamp) -> Self {
        let Wish { question, needed, grant, definition, .. } = *wish;
        Self {
            format: FORMAT,
            issuer: question.subject.issuer.clone(),
            subject: question.subject.subject.clone(),
            client_id: grant.client_id.clone(),
            client_name: grant.client_name.clone(),
            server: question.server.clone(),
            connector: question.connector.clone(),
            target: Aim::of(&question.target).to_approve(),
            terms: needed.terms(),
            definition,
            scope,
            answered,
        }
    }

    /// Its name: there is one leave of one person for one assistant and thing.
    pub(crate) fn id(&self) -> String {
        let parts = [
            &self.issuer,
            &self.subject,
            &self.client_id,
            self.server.as_str(),
            self.connector.as_str(),
            self.target.kind(),
            self.target.name(),
        ];
        Digest::of_parts(&parts.map(str::as_bytes)).hex().chars().take(32).collect()
    }

    pub(super) fn is_of(&self, person: &Subject) -> bool {
        (&self.issuer, &self.subject) == (&person.issuer, &person.subject)
    }

    /// Whether what is asked now is what was allowed then.
    fn holds(&self, wish: &Wish<'_>) -> bool {
        self.terms == wish.needed.terms()
            && self.definition == wish.definition
            && self.scope <= wish.needed.most()
    }

    fn is_durable(&self) -> bool {
        self.scope == ApprovalScope::Always
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Leaves(BTreeMap<String, Standing>);

/// What is to be done in the vault.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Put(Box<Standing>),
    Delete(String),
}

/// What a look for a leave finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is there.
    Holds(ApprovalScope, Timestamp),
    /// There was one on other terms; now there is none.
    Void(Option<Kept>),
    /// There is none.
    Nothing,
}

impl Leaves {
    /// Takes what the vault keeps under a name.
    pub(super) fn read(&mut self, id: &str, bytes: &[u8]) {
        match serde_json::from_slice::<Standing>(bytes) {
            Ok(standing) if standing.format == FORMAT && standing.is_durable() && standing.id() == id => {
                self.0.entry(id.to_owned()).or_insert(standing);
            }
            Ok(_) | Err(_) => tracing::warn!("a person's leave is of another format, and not obeyed"),
        }
    }

    /// The leave for what is asked.
    pub(super) fn find(&mut self, wish: &Wish<'_>) -> Found {
        let id = Standing::given(wish, ApprovalScope::Once, Timestamp::from_micros(0)).id();
        match self.0.get(&id) {
            None => Found::Nothing,
            Some(standing) if standing.holds(wish) => Found::Holds(standing.scope, standing.answered),
            Some(_) => Found::Void(self.forget(&id)),
        }
    }

    /// Adds one, instead of what was there.
    pub(super) fn give(&mut self, standing: Standing) -> Option<Kept> {
        let id = standing.id();
        let is_durable = standing.is_durable();
        let before = self.0.insert(id.clone(), standing.clone());
        if is_durable {
            return Some(Kept::Put(Box::new(standing)));
        }
        before.filter(Standing::is_durable).map(|_| Kept::Delete(id))
    }

    /// Takes one away.
    pub(super) fn forget(&mut self, id: &str) -> Option<Kept> {
        self.0.remove(id).filter(Standing::is_durable).map(|_| Kept::Delete(id.to_owned()))
    }

    /// Takes those away of which this is true.
    pub(super) fn forget_all(&mut self, gone: impl Fn(&Standing) -> bool) -> Vec<Kept> {
        let ids: Vec<String> =
            self.0.iter().filter(|(_, standing)| gone(standing)).map(|(id, _)| id.clone()).collect();
        ids.iter().filter_map(|id| self.forget(id)).collect()
    }

    /// Every session has ended.
    pub(super) fn end_sessions(&mut self) {
        self.0.retain(|_, standing| standing.is_durable());
    }

    /// Those of a person.
    pub(super) fn of(&self, person: &Subject) -> Vec<Standing> {
        self.0.values().filter(|standing| standing.is_of(person)).cloned().collect()
    }
}
