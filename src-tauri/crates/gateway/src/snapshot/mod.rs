//! What is offered right now: one policy and what the virtual servers offer, pinned together for the length of a call.

mod names;
mod resources;
mod template;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use model::{ServerId, Timestamp};
use policy::Policy;
use tokio::sync::watch;

pub use resources::{Found, OfferedResource, Owner};
pub(crate) use view::Speaker;
pub use view::{Offer, Offered, OfferedPrompt, ServerView};

/// One consistent view. A call keeps the snapshot it began with.
pub struct Snapshot {
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// When the policy is no longer to be obeyed, and what is obeyed from then on.
    pub until: Option<(Timestamp, Arc<Policy>)>,
    /// The virtual servers.
    pub servers: BTreeMap<ServerId, ServerView>,
    /// Counts what changes who is shown what, beside the lists themselves: the policies and the person.
    pub rules: u64,
    /// Whether argument values are recorded.
    pub capture_arguments: bool,
}

impl Snapshot {
    /// The policy to be obeyed at this time.
    pub fn policy_at(&self, now: Timestamp) -> &Arc<Policy> {
        match &self.until {
            Some((until, after)) if now >= *until => after,
            Some(_) | None => &self.policy,
        }
    }
}

/// The snapshot in force, and notice of the next. Cheap to clone.
#[derive(Clone)]
pub struct Snapshots {
    current: Arc<RwLock<Arc<Snapshot>>>,
    version: Arc<watch::Sender<u64>>,
}

impl Snapshots {
    /// Begins with `snapshot`.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: Arc::new(RwLock::new(Arc::new(snapshot))), version: Arc::new(watch::Sender::new(0)) }
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a new snapshot in force. Calls in flight finish on the old one.
    pub fn replace(&self, snapshot: Snapshot) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.version.send_modify(|version| *version += 1);
    }

    /// Counts the replacements.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_obeyed_until_its_end_and_no_longer() {
        let policy = |code: &str| Arc::new(Policy::deny_all(model::Advice::new(code, "x", "", "")));
        let end = Timestamp::from_seconds(100);
        let snapshot = Snapshot {
            policy: policy("in-force"),
            until: Some((end, policy("over"))),
            servers: BTreeMap::new(),
            rules: 0,
            capture_arguments: false,
        };
        let at = |seconds| {
            snapshot.policy_at(Timestamp::from_seconds(seconds)).refuses_all().unwrap().code.clone()
        };
        assert_eq!((at(99).as_str(), at(100).as_str(), at(1_000).as_str()), ("in-force", "over", "over"));
    }
}
