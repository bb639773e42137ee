//! Gets to know the tools of connectors that nobody has signed in to yet, when an assistant first wants them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use connector::{Asking, Connectors, Health};
use gateway::{Discovery, Snapshots};
use model::{AccountId, Advice, BoxFuture, ServerId};
use org_protocol::CredentialSpec;
use tokio::sync::{mpsc, watch};

use super::offering::Offering;
use super::present::Present;

/// How long an assistant that lists tools, or calls one that is not known yet, waits for connectors that are only just starting.
const FIRST_LIST_WITHIN: Duration = Duration::from_secs(10);
/// How long the catalog may take to put freshly listed tools in force.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Discoverer {
    pub(crate) connectors: Connectors,
    pub(crate) snapshots: Snapshots,
    pub(crate) present: Present,
    pub(crate) offerings: watch::Receiver<Arc<Offering>>,
    /// The connectors whose lists the catalog has taken up, whatever came of them.
    pub(crate) taken: watch::Receiver<BTreeSet<AccountId>>,
    pub(crate) wanted: mpsc::UnboundedSender<AccountId>,
}

impl Discovery for Discoverer {
    fn listed<'a>(&'a self, server: &'a ServerId) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for (connector, _) in self.unknown(server) {
                // The receiving task lives as long as the application.
                let _ = self.wanted.send(connector);
            }
            // An assistant may never ask again: a list without a connector that is just starting would stay its list.
            let _ = tokio::time::timeout(FIRST_LIST_WITHIN, self.first_lists(server)).await;
        })
    }

    fn discover<'a>(&'a self, server: &'a ServerId) -> BoxFuture<'a, Result<bool, Advice>> {
        Box::pin(async move {
            let waited = self.starting(server);
            let _ = tokio::time::timeout(FIRST_LIST_WITHIN, self.first_lists(server)).await;
            let unknown = self.unknown(server);
            if unknown.is_empty() {
                return Ok(waited);
            }
            let Some(present) = self.present.now() else { return Ok(false) };
            for (connector, title) in &unknown {
                self.connectors
                    .refresh(connector, &present, Asking::Allowed)
                    .await
                    .map_err(|fault| fault.advice(title))?;
            }
            // Late or not: whoever asked looks again.
            let mut taken = self.taken.clone();
            let all = taken.wait_for(|taken| unknown.iter().all(|(connector, _)| taken.contains(connector)));
            let _ = tokio::time::timeout(IN_FORCE_WITHIN, all).await;
            Ok(true)
        })
    }

    fn missed(&self, connector: &AccountId) {
        // As above.
        let _ = self.wanted.send(connector.clone());
    }
}

impl Discoverer {
    /// Waits until every connector that nobody has to sign in to has been listed and its list taken up, or has failed.
    async fn first_lists(&self, server: &ServerId) {
        let (mut connectors, mut taken) = (self.connectors.changes(), self.taken.clone());
        while self.starting(server) {
            tokio::select! {
                changed = connectors.changed() => if changed.is_err() { return },
                changed = taken.changed() => if changed.is_err() { return },
            }
        }
    }

    fn starting(&self, server: &ServerId) -> bool {
        let offering = Arc::clone(&self.offerings.borrow());
        let Some(spec) = offering.servers.get(server) else { return false };
        spec.connectors.iter().any(|connector| {
            let id = &spec.account(connector);
            let open =
                offering.accounts.get(id).is_some_and(|spec| matches!(spec.credential, CredentialSpec::None));
            let waiting = match self.connectors.health(id) {
                Health::Idle => true,
                Health::Ready => !self.taken.borrow().contains(id),
                Health::SignInNeeded | Health::Failed(_) => false,
            };
            open && waiting
        })
    }

    /// The accounts of the person's own that the virtual server uses, whose tools were never seen.
    fn unknown(&self, server: &ServerId) -> Vec<(AccountId, String)> {
        let offering = Arc::clone(&self.offerings.borrow());
        let snapshot = self.snapshots.current();
        let (Some(spec), Some(view)) = (offering.servers.get(server), snapshot.servers.get(server)) else {
            return Vec::new();
        };
        let is_unknown = |id: &AccountId| {
            self.connectors.listing(id).is_none()
                && !view.tools().iter().any(|tool| tool.connector == id.connector)
        };
        spec.connectors
            .iter()
            .map(|connector| spec.account(connector))
            .filter(is_unknown)
            .filter_map(|id| Some((offering.accounts.get(&id)?, id)))
            .filter(|(spec, _)| spec.credential.is_own())
            .map(|(spec, id)| (id, spec.title.clone()))
            .collect()
    }
}
