//! Who is present: the person in whose name calls are made, with the groups of now.

use std::sync::Arc;

use model::Subject;
use tokio::sync::watch;

/// The present person, as it changes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Present(watch::Receiver<Option<Arc<Subject>>>);

impl Present {
    /// Whoever `seat` says; nobody while it says nobody.
    pub(crate) fn of(seat: &watch::Sender<Option<Arc<Subject>>>) -> Self {
        Self(seat.subscribe())
    }

    /// The user of this computer, who does not change.
    pub(crate) fn always(subject: Subject) -> Self {
        let (_, receive) = watch::channel(Some(Arc::new(subject)));
        Self(receive)
    }

    /// Who it is now.
    pub(crate) fn now(&self) -> Option<Arc<Subject>> {
        self.0.borrow().clone()
    }

    /// Who it is now; [`Self::changed`] then waits for what comes after.
    pub(crate) fn next(&mut self) -> Option<Arc<Subject>> {
        self.0.borrow_and_update().clone()
    }

    /// Waits for another person, or for other groups of the same one. For ever where that cannot be.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
