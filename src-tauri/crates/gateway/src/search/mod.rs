//! Tool search, a virtual server's option: three tools by which an assistant finds, reads and calls the others, instead of
//! a list that leaves it little room for anything else.
//!
//! Nothing here decides or causes anything. What is found and described is what a list would show the person; a call that
//! comes within a call is taken out of it and goes the way of every other, so that policy, audit and connector see nothing
//! but the tool itself. Searching and describing tell no more than a list does, and like a list they leave no record.
//!
//! The ranking is Okapi BM25 by the crate `bm25`: of the maintained ones the smallest, two crates where a search engine
//! such as tantivy brings more than a hundred, since everything is in memory and the index is made anew with the tools.
//! It counts only what the person is shown, so that not even the order of what is found tells of anything else.

mod definition;
mod index;
mod meta;
mod wish;
mod words;

use std::sync::Arc;

use issuer::AccessGrant;
use mcp::assistant::{Answer, Dialect};
use mcp::{CallParams, Method, RpcError, tool_error};
use model::ServerId;
use serde_json::json;
use serde_json::value::RawValue;

use crate::call::listed;
use crate::gate::Gate;
use crate::snapshot::{Offered, ServerView, Snapshot};

pub(crate) use index::Indexes;
pub(crate) use meta::definitions;

use definition::Definition;
use index::Index;
use meta::MetaTool;
use wish::{Described, Sought};

/// What assistants are told of a virtual server whose tools are searched for.
pub(crate) const INSTRUCTIONS: &str = "The tools of this server are not listed: find them by what they do with search_tools, \
     read their definitions with describe_tools, and call them with call_tool.";

/// What becomes of a request.
pub(crate) enum Turned<'a> {
    /// It is what it says.
    Itself,
    /// It is the call that it has within.
    Within(CallParams<'a>),
    /// It is answered.
    Answered(Answer),
}

/// Answers a call of one of the three tools, or takes the call out of it that it is about.
pub(crate) async fn turned<'a>(
    gate: &Gate,
    grant: &AccessGrant,
    dialect: Dialect,
    id: &RawValue,
    params: &CallParams<'a>,
) -> Turned<'a> {
    let answered = match meta_tool(gate, grant, params) {
        None => return Turned::Itself,
        Some(MetaTool::Call) => match params.nested() {
            Ok(call) => return Turned::Within(call),
            Err(fault) => Err(fault.to_string()),
        },
        Some(MetaTool::Search) => match Sought::read(params.arguments()) {
            Ok(sought) => Ok(found(gate, grant, dialect, &sought).await),
            Err(fault) => Err(fault.to_string()),
        },
        Some(MetaTool::Describe) => match Described::read(params.arguments()) {
            Ok(named) => match described(gate, grant, dialect, &named).await {
                Ok(result) => Ok(result),
                Err(error) => return Turned::Answered(Answer::error(dialect, id, &error)),
            },
            Err(fault) => Err(fault.to_string()),
        },
    };
    // A model that reads what it did wrong does it right the next time.
    let result = answered.unwrap_or_else(|why| tool_error(&format!("{why}.")));
    Turned::Answered(Answer::result(dialect, id, &result))
}

/// Which of the three is called, where the virtual server has them.
fn meta_tool(gate: &Gate, grant: &AccessGrant, params: &CallParams<'_>) -> Option<MetaTool> {
    if params.method() != Method::CallTool {
        return None;
    }
    let meta = MetaTool::named(params.name())?;
    let snapshot = gate.snapshots.current();
    snapshot.servers.get(&grant.server).filter(|view| view.is_searched())?;
    Some(meta)
}

/// The tools that fit best, a line each.
async fn found(gate: &Gate, grant: &AccessGrant, dialect: Dialect, sought: &Sought) -> Box<RawValue> {
    gate.discovery.listed(&grant.server).await;
    let snapshot = gate.snapshots.current();
    let listed = listed(gate, &snapshot, grant, dialect);
    let ranked = ranked(&snapshot, &grant.server, &listed, &sought.query).await;
    let mut found: Vec<&Offered> = ranked.into_iter().filter_map(|at| listed.get(at).copied()).collect();
    let matching = found.len();
    found.truncate(sought.limit);
    let is_one_connectors = listed.iter().all(|tool| tool.connector == listed[0].connector);
    texts([found_text(matching, &found, is_one_connectors)])
}

fn found_text(matching: usize, found: &[&Offered], is_one_connectors: bool) -> String {
    let begin = match (matching, found.len()) {
        (0, _) => return "No tool matches. Try other words for what it should do.".to_owned(),
        (1, _) => "1 tool matches:".to_owned(),
        (all, shown) if all == shown => format!("{all} tools match:"),
        (all, shown) => format!("{all} tools match; the best {shown}:"),
    };
    let lines = found.iter().map(|tool| {
        let definition = Definition::read(&tool.entry.definition);
        let from = if is_one_connectors { "" } else { tool.connector_title.as_str() };
        definition.line(&tool.entry.name, from)
    });
    std::iter::once(begin).chain(lines).collect::<Vec<_>>().join("\n")
}

/// The tools' definitions, each as a list would have it.
async fn described(
    gate: &Gate,
    grant: &AccessGrant,
    dialect: Dialect,
    named: &Described,
) -> Result<Box<RawValue>, RpcError> {
    gate.discovery.listed(&grant.server).await;
    let snapshot = gate.snapshots.current();
    let listed = listed(gate, &snapshot, grant, dialect);
    let definition = |name: &String| {
        let tool = listed.iter().find(|tool| tool.entry.name == *name);
        tool.map(|tool| tool.entry.definition.get()).ok_or_else(|| RpcError::unknown_tool(name))
    };
    let definitions: Vec<&str> = named.0.iter().map(definition).collect::<Result<_, _>>()?;
    Ok(texts(definitions))
}

/// The places among the listed tools of those that fit, best first. The index is made where that takes no call's time.
async fn ranked(snapshot: &Arc<Snapshot>, server: &ServerId, listed: &[&Offered], query: &str) -> Vec<usize> {
    let Some(view) = snapshot.servers.get(server) else { return Vec::new() };
    let Some(indexes) = view.indexes() else { return Vec::new() };
    let places: Vec<usize> = listed.iter().filter_map(|tool| view.place(&tool.entry.name)).collect();
    let index = indexes.of(&places);
    let make = || {
        let (snapshot, server) = (Arc::clone(snapshot), server.clone());
        tokio::task::spawn_blocking(move || {
            let tools = snapshot.servers.get(&server).map(ServerView::tools).unwrap_or_default();
            Index::of(places.iter().filter_map(|at| tools.get(*at)))
        })
    };
    match index.get_or_try_init(make).await {
        Ok(index) => index.ranked(query),
        Err(fault) => {
            tracing::error!(%fault, %server, "the tools cannot be searched");
            Vec::new()
        }
    }
}

/// A tool's result of these texts.
fn texts<T: serde::Serialize>(texts: impl IntoIterator<Item = T>) -> Box<RawValue> {
    let blocks: Vec<_> = texts.into_iter().map(|text| json!({"type": "text", "text": text})).collect();
    mcp::raw(&json!({"content": blocks}))
}

#[cfg(test)]
mod tests;
