//! Whose something is that the gateway keeps for an assistant: nobody else finds it, whatever they know of it.

use std::collections::HashMap;
use std::hash::Hash;

use issuer::AccessGrant;
use model::ServerId;

/// A client, acting for a person at a virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Whose {
    client_id: String,
    server: ServerId,
    /// The person's issuer and subject.
    subject: (String, String),
}

impl Whose {
    pub(crate) fn of(grant: &AccessGrant) -> Self {
        Self {
            client_id: grant.client_id.clone(),
            server: grant.server.clone(),
            subject: (grant.subject.issuer.clone(), grant.subject.subject.clone()),
        }
    }

    /// Whether it is the same client, for whomever and wherever.
    pub(crate) fn is_client(&self, other: &Self) -> bool {
        self.client_id == other.client_id
    }
}

/// Makes room for one more where there are `most` of those that `among` names: drops the oldest of them that may go.
pub(crate) fn make_room<K: Clone + Eq + Hash, V, T: Ord>(
    all: &mut HashMap<K, V>,
    most: usize,
    among: impl Fn(&K, &V) -> bool,
    may_go: impl Fn(&V) -> bool,
    since: impl Fn(&V) -> T,
) {
    let these = || all.iter().filter(|(key, value)| among(key, value));
    if these().count() < most {
        return;
    }
    let oldest = these().filter(|(_, value)| may_go(value)).min_by_key(|(_, value)| since(value));
    let oldest = oldest.map(|(key, _)| key.clone());
    oldest.map(|oldest| all.remove(&oldest));
}
