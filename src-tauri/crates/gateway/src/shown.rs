//! What policy shows a person of a virtual server beside its tools: the one place where it is asked.

use issuer::AccessGrant;
use model::ConnectorId;

use crate::gate::Gate;
use crate::snapshot::Snapshot;

/// What one person is shown of one virtual server, now.
pub(crate) struct Shown;

impl Shown {
    pub(crate) fn to(_gate: &Gate, _snapshot: &Snapshot, _grant: &AccessGrant) -> Self {
        Self
    }

    /// Whether a resource is shown.
    pub(crate) fn resource(&self, _connector: &ConnectorId, _uri: &str) -> bool {
        false
    }

    /// Whether a connector's resource templates are shown.
    pub(crate) fn templates(&self, _connector: &ConnectorId) -> bool {
        false
    }

    /// Whether a prompt is shown, by the connector's own name for it.
    pub(crate) fn prompt(&self, _connector: &ConnectorId, _prompt: &str) -> bool {
        false
    }
}
