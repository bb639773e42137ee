//! The virtual servers and the person, for the authorization server.

use std::sync::Arc;

use gateway::Snapshots;
use issuer::{Named, Resources};
use model::{BoxFuture, ServerId, Subject};
use tokio::sync::watch;

use super::membership::SignIn;
use super::offering::Offering;
use super::present::Present;
use super::tell::visible_servers;

/// What it is told of them.
pub(crate) struct Offered {
    pub(crate) snapshots: Snapshots,
    pub(crate) present: Present,
    pub(crate) offerings: watch::Receiver<Arc<Offering>>,
    /// Signing in to the organisation, where one decides here.
    pub(crate) sign_in: Option<Arc<SignIn>>,
}

impl Resources for Offered {
    fn server(&self, server: &ServerId) -> Option<String> {
        self.snapshots.current().servers.get(server).map(|view| view.title.clone())
    }

    fn servers(&self) -> Vec<ServerId> {
        visible_servers(&self.snapshots.current(), self.present.now().as_deref())
    }

    fn current_subject(&self) -> Option<Arc<Subject>> {
        self.present.now()
    }

    fn departure<'a>(&'a self, person: &'a Subject) -> BoxFuture<'a, ()> {
        let mut present = self.present.clone();
        Box::pin(async move {
            while present.next().is_some_and(|present| present.is_same_person(person)) {
                present.changed().await;
            }
        })
    }

    fn named(&self, client_id: &str) -> Named {
        self.offerings.borrow().assistant(client_id)
    }

    fn signed_in(&self) -> BoxFuture<'_, Option<Arc<Subject>>> {
        Box::pin(async {
            if let (None, Some(sign_in)) = (self.present.now(), &self.sign_in)
                && let Err(advice) = sign_in.sign_in_for_assistant().await
            {
                tracing::info!(%advice, "nobody signed in for an assistant that asks");
            }
            self.present.now()
        })
    }
}
