//! The resources that one listener follows. Each was permitted and recorded when it began; whoever may not read it any more
//! hears nothing more of it. When its connection is lost it begins anew, as a request of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use connector::{Asking, CallFault};
use issuer::AccessGrant;
use mcp::CallParams;
use mcp::assistant::Dialect;
use serde_json::value::RawValue;
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;
use upstream::{Standing, Subscription};

use crate::call::{Reply, call, circumstance};
use crate::effect::caller;
use crate::gate::Gate;
use crate::voice::Voice;

/// The most resources that one listener follows.
pub(crate) const MOST: usize = 64;
/// How many updates may wait for a listener that does not read.
const MOST_UNREAD: usize = 256;
/// A connection that was lost is made again after this time, and after twice as long each time, this often.
const AGAIN: Duration = Duration::from_millis(500);
const ATTEMPTS: u32 = 10;

/// What one listener follows. Everything ends when this is dropped, or [`Followed::end`]ed.
#[derive(Debug)]
pub(crate) struct Followed {
    by_uri: Mutex<HashMap<String, AbortHandle>>,
    updates: broadcast::Sender<Arc<RawValue>>,
    over: watch::Sender<bool>,
}

/// The updates that a listener hears.
#[derive(Debug)]
pub(crate) struct Updates {
    /// A stream's own resources are followed for as long as it listens.
    _followed: Arc<Followed>,
    updates: broadcast::Receiver<Arc<RawValue>>,
    over: watch::Receiver<bool>,
}

impl Default for Followed {
    fn default() -> Self {
        let updates = broadcast::Sender::new(MOST_UNREAD);
        Self { by_uri: Mutex::default(), updates, over: watch::Sender::new(false) }
    }
}

impl Followed {
    /// Whether one more resource can be followed.
    pub(crate) fn has_room(&self) -> bool {
        self.by_uri().len() < MOST && !*self.over.borrow()
    }

    /// The updates from now on.
    pub(crate) fn updates(self: &Arc<Self>) -> Updates {
        Updates {
            _followed: Arc::clone(self),
            updates: self.updates.subscribe(),
            over: self.over.subscribe(),
        }
    }

    /// Whether anybody hears the updates.
    pub(crate) fn is_heard(&self) -> bool {
        self.updates.receiver_count() > 0
    }

    /// Follows a resource. What was followed under the URI before is given up.
    pub(crate) fn follow(self: &Arc<Self>, following: Following, subscription: Subscription) {
        let uri = following.params.name().to_owned();
        let task = tokio::spawn(following.run(Arc::downgrade(self), subscription));
        if let Some(before) = self.by_uri().insert(uri, task.abort_handle()) {
            before.abort();
        }
    }

    /// Follows a resource no longer.
    pub(crate) fn leave(&self, uri: &str) {
        if let Some(task) = self.by_uri().remove(uri) {
            task.abort();
        }
    }

    /// Follows nothing any more, and ends whoever listens.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
        self.by_uri().drain().for_each(|(_, task)| task.abort());
    }

    fn by_uri(&self) -> std::sync::MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.by_uri.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.end();
    }
}

impl Updates {
    /// Waits for the next update: the parameters of the notification. `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Arc<RawValue>> {
        loop {
            tokio::select! {
                update = self.updates.recv() => match update {
                    Ok(params) => return Some(params),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::debug!(missed, "an assistant does not read what it follows");
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                _ended = self.over.wait_for(|over| *over) => return None,
            }
        }
    }
}

/// One resource that is followed, with the right to.
pub(crate) struct Following {
    pub(crate) gate: Arc<Gate>,
    pub(crate) grant: Arc<AccessGrant>,
    pub(crate) params: CallParams<'static>,
    pub(crate) dialect: Dialect,
    pub(crate) standing: Standing,
}

impl Following {
    /// Asks the connector.
    pub(crate) async fn subscribe(
        &self,
        asking: Asking,
    ) -> Result<Result<Subscription, Box<RawValue>>, CallFault> {
        let Self { gate, grant, params, standing, .. } = self;
        let deadline = gate.config.call_deadline;
        gate.connectors.subscribe(standing.authority(), params, caller(grant), deadline, asking).await
    }

    async fn run(self, listener: Weak<Followed>, mut subscription: Subscription) {
        while let Some(params) = subscription.next().await {
            let Some(listener) = listener.upgrade() else { return };
            if self.is_shown() {
                // Nobody may listen just now.
                let _ = listener.updates.send(params);
            }
        }
        // Beside, because what begins anew takes the place of this.
        tokio::spawn(self.begin_anew(listener));
    }

    /// Asks for the resource again as the assistant would: a decision and a record of its own, and nobody is asked to sign
    /// in for it.
    async fn begin_anew(self, listener: Weak<Followed>) {
        for attempt in 0..ATTEMPTS {
            tokio::time::sleep(AGAIN * 2_u32.pow(attempt)).await;
            let Some(listener) = listener.upgrade().filter(|listener| !*listener.over.borrow()) else {
                return;
            };
            if !self.gate.welcomes(&self.grant) || !self.is_shown() || self.gate.switch.is_paused() {
                continue;
            }
            let voice = Voice::in_background(self.dialect, listener);
            if let Reply::Result(_) = call(&self.gate, &self.grant, &self.params, &voice, None).await {
                return;
            }
        }
    }

    /// Whether whoever is present may still read the resource, and it is still the connector's.
    fn is_shown(&self) -> bool {
        let Some(present) = self.gate.issuer.present() else { return false };
        if !present.is_same_person(&self.grant.subject) {
            return false;
        }
        let snapshot = self.gate.snapshots.current();
        let view = snapshot.servers.get(&self.grant.server);
        let owner = view.and_then(|view| view.resource(self.params.name()));
        owner.is_some_and(|owner| {
            let circumstance = circumstance(&self.gate, &self.grant);
            let policy = snapshot.policy_at(circumstance.now);
            let viewer = policy.viewer(&present, &self.grant.server, &circumstance);
            // The account may be another by now.
            view.and_then(|view| view.account(owner.connector))
                == Some(&self.standing.authority().permit().account())
                && viewer.shows_resource(owner.connector, self.params.name())
        })
    }
}
