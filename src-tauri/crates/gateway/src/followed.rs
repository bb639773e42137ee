//! The resources that one listener follows. Each was permitted and recorded when it began; whoever may not read it any more
//! hears nothing more of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use connector::{CallFault, Caller};
use issuer::AccessGrant;
use mcp::CallParams;
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use upstream::{Standing, Subscription};

use crate::call::circumstance;
use crate::gate::Gate;

/// The most resources that one listener follows.
const MOST: usize = 256;
/// How many updates may wait for a listener that does not read.
const MOST_UNREAD: usize = 256;
/// A connection that was lost is made again after this time, and after twice as long each time.
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);

/// What one listener follows. Everything ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Followed {
    by_uri: Mutex<HashMap<String, AbortHandle>>,
    updates: broadcast::Sender<Arc<RawValue>>,
}

impl Default for Followed {
    fn default() -> Self {
        Self { by_uri: Mutex::default(), updates: broadcast::Sender::new(MOST_UNREAD) }
    }
}

impl Followed {
    /// Whether one more resource can be followed.
    pub(crate) fn has_room(&self) -> bool {
        self.by_uri().len() < MOST
    }

    /// The updates from now on: the parameters of the notifications.
    pub(crate) fn updates(&self) -> broadcast::Receiver<Arc<RawValue>> {
        self.updates.subscribe()
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

    fn by_uri(&self) -> std::sync::MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.by_uri.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.by_uri().drain().for_each(|(_, task)| task.abort());
    }
}

/// One resource that is followed, with the right to.
pub(crate) struct Following {
    pub(crate) gate: Arc<Gate>,
    pub(crate) grant: Arc<AccessGrant>,
    pub(crate) params: CallParams<'static>,
    pub(crate) standing: Standing,
}

impl Following {
    async fn run(self, listener: Weak<Followed>, first: Subscription) {
        let mut subscription = Some(first);
        let mut pause = AGAIN;
        loop {
            if let Some(mut held) = subscription.take() {
                while let Some(params) = held.next().await {
                    let Some(listener) = listener.upgrade() else { return };
                    if self.is_shown() {
                        pause = AGAIN;
                        // Nobody may listen just now.
                        let _ = listener.updates.send(params);
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN_AT_MOST);
            if listener.strong_count() == 0 || !self.is_shown() || !self.gate.welcomes(&self.grant) {
                continue;
            }
            match self.subscribe().await {
                Ok(Ok(anew)) => subscription = Some(anew),
                Ok(Err(_)) => return,
                Err(fault) => tracing::debug!(%fault, "a resource cannot be followed just now"),
            }
        }
    }

    /// Asks the connector.
    pub(crate) async fn subscribe(&self) -> Result<Result<Subscription, Box<RawValue>>, CallFault> {
        let Self { gate, grant, params, standing } = self;
        let caller =
            Caller { subject: &grant.subject, client_id: &grant.client_id, client_name: &grant.client_name };
        gate.connectors.subscribe(standing.authority(), params, caller, gate.config.call_deadline).await
    }

    /// Whether the person may still read the resource.
    fn is_shown(&self) -> bool {
        let snapshot = self.gate.snapshots.current();
        let owner =
            snapshot.servers.get(&self.grant.server).and_then(|view| view.resource(self.params.name()));
        owner.is_some_and(|owner| {
            let circumstance = circumstance(&self.gate, &self.grant);
            let policy = snapshot.policy_at(circumstance.now);
            let viewer = policy.viewer(&self.grant.subject, &self.grant.server, &circumstance);
            viewer.shows_resource(owner.connector, self.params.name())
        })
    }
}
