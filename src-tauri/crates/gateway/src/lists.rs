//! Answers to requests for lists: what policy shows to whoever asks, on one page.

use issuer::AccessGrant;
use mcp::assistant::{Answer, Dialect};
use mcp::{List, RpcError};
use model::ConnectorId;
use serde_json::value::RawValue;

use crate::call::{circumstance, listed};
use crate::gate::Gate;
use crate::search;
use crate::snapshot::{ServerView, Snapshot};

/// Answers a request for a list. A cursor is never one of ours: there is no second page.
pub(crate) async fn answer(
    gate: &Gate,
    grant: &AccessGrant,
    dialect: Dialect,
    id: &RawValue,
    list: List,
    cursor: Option<&str>,
) -> Answer {
    if cursor.is_some() {
        return Answer::error(dialect, id, &RpcError::new(RpcError::INVALID_PARAMS, "Unknown cursor"));
    }
    let mut snapshot = gate.snapshots.current();
    // Whoever searches waits then; the list of what there is to search with is there.
    if !(list == List::Tools && is_searched(&snapshot, grant)) {
        gate.discovery.listed(&grant.server).await;
        snapshot = gate.snapshots.current();
    }
    let entries = entries(gate, &snapshot, grant, dialect, list);
    Answer::list(dialect, id, list, entries, gate.config.list_fresh_for)
}

fn is_searched(snapshot: &Snapshot, grant: &AccessGrant) -> bool {
    snapshot.servers.get(&grant.server).is_some_and(ServerView::is_searched)
}

/// The entries that this person is shown.
fn entries<'s>(
    gate: &Gate,
    snapshot: &'s Snapshot,
    grant: &AccessGrant,
    dialect: Dialect,
    list: List,
) -> Vec<&'s RawValue> {
    let Some(view) = snapshot.servers.get(&grant.server) else { return Vec::new() };
    let circumstance = circumstance(gate, grant);
    let policy = snapshot.policy_at(circumstance.now);
    let viewer = || policy.viewer(&grant.subject, &grant.server, &circumstance);
    let is_there = |connector: &ConnectorId| view.withdrawn(connector).is_none();
    match list {
        List::Tools if view.is_searched() => search::definitions().collect(),
        List::Tools => {
            let tools = listed(gate, snapshot, grant, dialect).into_iter();
            tools.map(|one| one.entry.shown(dialect)).collect()
        }
        List::Resources => {
            let (viewer, all) = (viewer(), view.resources().iter());
            let all =
                all.filter(|one| is_there(&one.connector) && viewer.shows_resource(&one.connector, &one.uri));
            all.map(|one| &*one.entry).collect()
        }
        List::Templates => {
            let (viewer, all) = (viewer(), view.templates().iter());
            let all = all.filter(|one| is_there(&one.connector) && viewer.shows_templates(&one.connector));
            all.map(|one| &*one.entry).collect()
        }
        List::Prompts => {
            let (viewer, all) = (viewer(), view.prompts().iter());
            let all = all
                .filter(|one| is_there(&one.connector) && viewer.shows_prompt(&one.connector, &one.prompt));
            all.map(|one| &*one.entry).collect()
        }
    }
}
