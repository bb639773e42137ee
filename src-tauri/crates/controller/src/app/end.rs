//! Ends an installation: what still runs, in order, and then the journal.

use audit::{AuditEvent, EventRecord, Journal};
use os::InstanceLock;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::accounts::OwnAccounts;
use super::membership::Membership;
use crate::run::Ended;

/// What is ended at the end, in this order.
pub(super) struct Last {
    pub(super) stop: watch::Sender<bool>,
    pub(super) socket: JoinHandle<()>,
    pub(super) catalog: JoinHandle<()>,
    pub(super) server: JoinHandle<()>,
    pub(super) watcher: JoinHandle<()>,
    pub(super) accounts: OwnAccounts,
    pub(super) membership: Option<Membership>,
    pub(super) journal: Journal,
    pub(super) lock: InstanceLock,
}

impl Last {
    /// Waits for the controller to end, and then ends all else.
    pub(super) async fn after(self, controller: impl Future<Output = Ended>) -> Ended {
        let ended = controller.await;
        self.end().await;
        ended
    }

    async fn end(self) {
        // A server that has ended needs no word.
        let _ = self.stop.send(true);
        self.socket.abort();
        self.catalog.abort();
        self.watcher.abort();
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the server ended badly");
        }
        self.accounts.close().await;
        if let Some(Membership { sign_in, .. }) = &self.membership {
            sign_in.close().await;
        }
        drop(self.membership);
        close(self.journal).await;
        drop(self.lock);
    }
}

async fn close(journal: Journal) {
    if let Err(fault) = journal.event(EventRecord::new(AuditEvent::Stop)).await {
        tracing::error!(%fault, "the end could not be recorded");
    }
    if tokio::task::spawn_blocking(move || journal.close()).await.is_err() {
        tracing::error!("the journal could not be closed");
    }
}
