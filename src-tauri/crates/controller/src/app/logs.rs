//! The logs of connectors, for whoever sits at this computer. They never leave it, and nothing of them is on disk.

use connector::{Connectors, LogPage};
use model::AccountId;

use crate::view::{self, LogView};

/// The logs of all connectors. Cheap to clone.
#[derive(Clone)]
pub struct Logs(Connectors);

impl Logs {
    pub(crate) fn of(connectors: Connectors) -> Self {
        Self(connectors)
    }

    /// What a connector's log holds from the entry of this number on, for a window; `None` where there is no such connector.
    pub fn view(&self, connector: &AccountId, after: u64) -> Option<LogView> {
        self.page(connector, after).as_ref().map(view::log)
    }

    pub(crate) fn page(&self, connector: &AccountId, after: u64) -> Option<LogPage> {
        Some(self.0.log(connector)?.since(after))
    }

    /// Waits until the connector's log has an entry of this number; not at all where there is no such connector.
    pub(crate) async fn reaches(&self, connector: &AccountId, number: u64) {
        if let Some(log) = self.0.log(connector) {
            log.reaches(number).await;
        }
    }
}
