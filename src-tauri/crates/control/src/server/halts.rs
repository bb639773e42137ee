//! What administrators have stopped: kept at hand for each decision, and told to devices (`GET /v1/halts`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use org_protocol::Halts;
use tokio::sync::watch;

use super::{Fault, Plane, Shared};
use crate::store::{StandingHalt, Store, StoreFault};

/// What is stopped now, and each change.
#[derive(Debug)]
pub(crate) struct Stopped {
    now: watch::Sender<Arc<Halts>>,
    /// What is read is told in the order in which it was read.
    turn: tokio::sync::Mutex<()>,
}

impl Stopped {
    /// As the database has it.
    pub(crate) async fn open(store: &Store) -> Result<Self, StoreFault> {
        let now = watch::Sender::new(told(store.halts().await?));
        Ok(Self { now, turn: tokio::sync::Mutex::default() })
    }

    /// Takes up what the database has by now. Calls that it hits are broken off.
    pub(crate) async fn refresh(&self, store: &Store) -> Result<(), StoreFault> {
        let _turn = self.turn.lock().await;
        let now = told(store.halts().await?);
        self.now.send_if_modified(|halts| {
            let changed = *halts != now;
            *halts = now;
            changed
        });
        Ok(())
    }

    /// What is stopped now.
    pub(crate) fn now(&self) -> Arc<Halts> {
        Arc::clone(&self.now.borrow())
    }

    /// Is told of each change.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Halts>> {
        self.now.subscribe()
    }
}

fn told(standing: Vec<StandingHalt>) -> Arc<Halts> {
    Arc::new(Halts::new(standing.into_iter().map(|standing| standing.halt).collect()))
}

/// What concerns the device, and whoever is signed in on it.
pub(super) async fn halts(
    State(plane): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Halts>, Fault> {
    let caller = plane.caller(&method, uri.path(), &headers).await?;
    // Whoever heard of a change may be faster than whoever made it.
    plane.stopped.refresh(&plane.store).await?;
    Ok(Json(plane.stopped.now().concerning(&caller.subject, caller.device)))
}

impl Plane {
    /// Whether the name in a halt names something that there is.
    pub(crate) async fn knows(&self, target: &org_protocol::HaltTarget) -> Result<bool, StoreFault> {
        use org_protocol::HaltTarget;
        // What a rollout has brought to some is stopped as well.
        let published = self.publication.live();
        let all = || published.iter().flat_map(|published| published.all());
        let mut contents = all().map(|live| live.content());
        Ok(match target {
            HaltTarget::User { person } => !self.store.people(person).await?.is_empty(),
            HaltTarget::Device { device } => {
                self.store.devices().await?.iter().any(|known| known.id == *device)
            }
            HaltTarget::Assistant { client } => {
                contents.any(|content| content.org.assistants.contains_key(client))
            }
            HaltTarget::Connector { connector } => {
                contents.any(|content| content.connectors.contains_key(connector))
            }
            HaltTarget::Tool { connector, tool } => all().any(|live| live.knows_tool(connector, tool)),
            HaltTarget::Credential { credential } => {
                self.store.credentials().await?.iter().any(|known| known.id == *credential)
            }
            HaltTarget::Unknown => false,
        })
    }
}
