//! The employee's own accounts: told to the journal, the controller and the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit::{AuditEvent, EventRecord, Journal};
use connector::{ConnectorGrants, GrantEvent, GrantHappening, GrantStatus, GrantsParts};
use model::{ConnectorId, Subject};
use os::Clock;
use signin::{FaultKind, KeeperRules};
use tokio::sync::mpsc;
use vault::Vault;

use super::tell::Tell;
use crate::event::Event;
use crate::pending::PendingDesk;
use crate::state::ConnectorStatus;

const SIGN_IN_DEADLINE: Duration = Duration::from_secs(5 * 60);

/// Opens the accounts of `subject`.
pub(crate) fn open(
    subject: &Subject,
    vault: &Vault,
    desk: &PendingDesk,
    clock: &Arc<dyn Clock>,
    tell: &Tell,
    journal: &Journal,
) -> Result<ConnectorGrants, FaultKind> {
    let (tell, journal) = (tell.clone(), journal.clone());
    ConnectorGrants::new(
        subject,
        GrantsParts {
            store: Arc::new(vault.clone()),
            person: Arc::new(desk.clone()),
            clock: Arc::clone(clock),
            events: Arc::new(move |event| tell.note(&journal, &record(event))),
            rules: KeeperRules::default(),
            sign_in_deadline: SIGN_IN_DEADLINE,
        },
    )
}

/// Tells what changes, and asks for the tools of a connector that was just signed in to.
pub(crate) fn follow(grants: &ConnectorGrants, tell: Tell, list: mpsc::UnboundedSender<ConnectorId>) {
    let mut states = grants.watch();
    tokio::spawn(async move {
        let mut known: BTreeMap<ConnectorId, GrantStatus> = BTreeMap::new();
        loop {
            let now = states.borrow_and_update().clone();
            for (connector, status) in &now {
                if known.get(connector) != Some(status) {
                    told(&tell, connector, status);
                    let was_in = matches!(known.get(connector), Some(GrantStatus::SignedIn { .. }));
                    if matches!(status, GrantStatus::SignedIn { .. }) && !was_in {
                        // The receiving task lives as long as the application.
                        let _ = list.send(connector.clone());
                    }
                }
            }
            known = now;
            if states.changed().await.is_err() {
                return;
            }
        }
    });
}

fn told(tell: &Tell, connector: &ConnectorId, status: &GrantStatus) {
    let account = match status {
        GrantStatus::SignedIn { account, .. } => account.clone(),
        GrantStatus::SignedOut | GrantStatus::SigningIn | GrantStatus::NeedsAttention(_) => None,
    };
    tell.event(Event::ConnectorAccount { connector: connector.clone(), account });
    let status = match status {
        GrantStatus::SignedOut => ConnectorStatus::SignInNeeded,
        GrantStatus::SigningIn => ConnectorStatus::SigningIn,
        GrantStatus::SignedIn { .. } => ConnectorStatus::Ready,
        GrantStatus::NeedsAttention(advice) => ConnectorStatus::Unreachable(advice.clone()),
    };
    tell.event(Event::ConnectorStatus { connector: connector.clone(), status });
}

fn record(event: GrantEvent) -> EventRecord {
    let record = |kind| EventRecord::new(kind).with("connector", event.connector.as_str());
    match event.what {
        GrantHappening::SignedIn { issuer } => record(AuditEvent::GrantObtained).with("issuer", issuer),
        GrantHappening::SignInFailed(code) => record(AuditEvent::SignInFailed).with("code", code),
        GrantHappening::Ended => record(AuditEvent::GrantLost),
        GrantHappening::SignedOut => record(AuditEvent::GrantLost).with("cause", "signed-out"),
    }
}
