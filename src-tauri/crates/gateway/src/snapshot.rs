//! What is offered right now: one policy and the virtual servers' tools, pinned together for the length of a call.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use mcp::assistant::ToolEntry;
use model::{ConnectorId, ServerId, Timestamp, ToolName};
use policy::Policy;
use serde_json::value::RawValue;
use tokio::sync::watch;

/// One consistent view. A call keeps the snapshot it began with.
pub struct Snapshot {
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// When the policy is no longer to be obeyed, and what is obeyed from then on.
    pub until: Option<(Timestamp, Arc<Policy>)>,
    /// The virtual servers.
    pub servers: BTreeMap<ServerId, ServerView>,
    /// Whether argument values are recorded.
    pub capture_arguments: bool,
}

impl Snapshot {
    /// The policy to be obeyed at this time.
    pub fn policy_at(&self, now: Timestamp) -> &Arc<Policy> {
        match &self.until {
            Some((until, after)) if now >= *until => after,
            Some(_) | None => &self.policy,
        }
    }
}

/// A virtual server's tools under the names that assistants use.
#[derive(Debug, Default)]
pub struct ServerView {
    /// The title, as people read it.
    pub title: String,
    tools: Vec<Offered>,
    by_name: HashMap<String, usize>,
    /// Descriptions of tools that could not be offered, or not to all.
    pub left_out: Vec<String>,
}

/// A connector's contribution to a virtual server.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The connector.
    pub connector: ConnectorId,
    /// Its title.
    pub title: String,
    /// Its accepted tools.
    pub tools: Vec<(ToolName, Box<RawValue>)>,
}

/// A tool that a virtual server offers.
#[derive(Debug)]
pub struct Offered {
    /// The connector that it belongs to.
    pub connector: ConnectorId,
    /// The connector's title.
    pub connector_title: String,
    /// The connector's own name for it.
    pub tool: ToolName,
    /// What assistants see.
    pub entry: ToolEntry,
}

impl ServerView {
    /// Puts a virtual server together. A tool keeps its name unless two connectors have the same one; those that collide
    /// get their connector's id in front.
    pub fn assemble(title: String, offers: Vec<Offer>) -> Self {
        let mut count: HashMap<ToolName, usize> = HashMap::new();
        for (name, _) in offers.iter().flat_map(|offer| &offer.tools) {
            *count.entry(name.clone()).or_default() += 1;
        }
        let mut view = Self { title, ..Self::default() };
        for offer in offers {
            for (tool, definition) in offer.tools {
                let collides = count.get(&tool).is_some_and(|count| *count > 1);
                let name = if collides { format!("{}_{tool}", offer.connector) } else { tool.to_string() };
                view.add(name, &offer.connector, &offer.title, tool, &definition);
            }
        }
        view
    }

    /// The tools in order.
    pub fn tools(&self) -> &[Offered] {
        &self.tools
    }

    /// The tool that assistants call by this name.
    pub fn tool(&self, name: &str) -> Option<&Offered> {
        self.by_name.get(name).map(|&at| &self.tools[at])
    }

    fn add(&mut self, name: String, connector: &ConnectorId, title: &str, tool: ToolName, raw: &RawValue) {
        if name.parse::<ToolName>().is_err() || self.by_name.contains_key(&name) {
            self.left_out.push(format!("{connector}: {tool} cannot be offered as {name}"));
            return;
        }
        let Some(entry) = ToolEntry::new(name.clone(), raw) else {
            self.left_out.push(format!("{connector}: {tool} has no usable definition"));
            return;
        };
        if let Err(fault) = &entry.mirrored {
            self.left_out.push(format!("{connector}: {tool} is left out for newer assistants: {fault}"));
        }
        self.by_name.insert(name, self.tools.len());
        self.tools.push(Offered {
            connector: connector.clone(),
            connector_title: title.to_owned(),
            tool,
            entry,
        });
    }
}

/// The snapshot in force, and notice of the next. Cheap to clone.
#[derive(Clone)]
pub struct Snapshots {
    current: Arc<RwLock<Arc<Snapshot>>>,
    version: Arc<watch::Sender<u64>>,
}

impl Snapshots {
    /// Begins with `snapshot`.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: Arc::new(RwLock::new(Arc::new(snapshot))), version: Arc::new(watch::Sender::new(0)) }
    }

    /// The snapshot in force.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a new snapshot in force. Calls in flight finish on the old one.
    pub fn replace(&self, snapshot: Snapshot) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.version.send_modify(|version| *version += 1);
    }

    /// Counts the replacements.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(connector: &str, tools: &[&str]) -> Offer {
        let tool = |name: &&str| {
            let raw = mcp::raw(&serde_json::json!({"name": name, "inputSchema": {"type": "object"}}));
            (name.parse().unwrap(), raw)
        };
        Offer {
            connector: connector.parse().unwrap(),
            title: connector.to_owned(),
            tools: tools.iter().map(tool).collect(),
        }
    }

    #[test]
    fn names_stay_unless_they_collide() {
        let view = ServerView::assemble(
            "T".to_owned(),
            vec![offer("files", &["read", "search"]), offer("mail", &["search", "send"])],
        );
        let names: Vec<_> = view.tools().iter().map(|tool| tool.entry.name.as_str()).collect();
        assert_eq!(names, ["read", "files_search", "mail_search", "send"]);
        let offered = view.tool("mail_search").unwrap();
        assert_eq!((offered.connector.as_str(), offered.tool.as_str()), ("mail", "search"));
        assert!(view.tool("search").is_none(), "the bare name would be ambiguous");
    }

    #[test]
    fn a_policy_is_obeyed_until_its_end_and_no_longer() {
        let policy = |code: &str| Arc::new(Policy::deny_all(model::Advice::new(code, "x", "", "")));
        let end = Timestamp::from_seconds(100);
        let snapshot = Snapshot {
            policy: policy("in-force"),
            until: Some((end, policy("over"))),
            servers: BTreeMap::new(),
            capture_arguments: false,
        };
        let at = |seconds| {
            snapshot.policy_at(Timestamp::from_seconds(seconds)).refuses_all().unwrap().code.clone()
        };
        assert_eq!((at(99).as_str(), at(100).as_str(), at(1_000).as_str()), ("in-force", "over", "over"));
    }

    #[test]
    fn a_made_up_collision_is_left_out_and_said() {
        let view = ServerView::assemble(
            "T".to_owned(),
            vec![offer("files", &["search"]), offer("mail", &["search"]), offer("x", &["mail_search"])],
        );
        assert_eq!(view.tools().len(), 2);
        assert_eq!(view.left_out.len(), 1, "{:?}", view.left_out);
    }
}
