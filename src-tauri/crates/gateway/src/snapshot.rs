//! What is offered right now: one policy and the virtual servers' tools, pinned together for the length of a call.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use mcp::assistant::ToolEntry;
use model::{ConnectorId, Digest, ServerId, Timestamp, ToolName};
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
    /// Puts a virtual server together. A tool keeps its name unless another is called the same; those that collide get
    /// their connector's id in front, shortened where models would not take the name.
    pub fn assemble(id: &ServerId, title: String, offers: Vec<Offer>) -> Self {
        let names = names(id, &offers);
        let mut view = Self { title, ..Self::default() };
        let tools = offers.iter().flat_map(|offer| offer.tools.iter().map(move |tool| (offer, tool)));
        let mut count: HashMap<String, usize> = HashMap::new();
        names.iter().for_each(|name| *count.entry(name.clone()).or_default() += 1);
        for (name, (offer, (tool, definition))) in names.into_iter().zip(tools) {
            // Even with prefixes, which takes somebody who computes a digest to fit: neither is offered.
            if count.get(&name) > Some(&1) {
                view.left_out
                    .push(format!("{}: {tool} would be called {name}, as another is", offer.connector));
                continue;
            }
            view.add(name, &offer.connector, &offer.title, tool.clone(), definition);
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

/// The names that assistants use, in the order of the offers' tools. Who takes the form of another's prefixed name gets a
/// prefix too: no connector can pass its tool off as another's.
fn names(server: &ServerId, offers: &[Offer]) -> Vec<String> {
    let all: Vec<(&ConnectorId, &ToolName)> = offers
        .iter()
        .flat_map(|offer| offer.tools.iter().map(move |(tool, _)| (&offer.connector, tool)))
        .collect();
    let mut has_prefix = vec![false; all.len()];
    loop {
        let name = |(at, (connector, tool)): (usize, &(&ConnectorId, &ToolName))| {
            if has_prefix[at] { prefixed(server, connector, tool) } else { tool.to_string() }
        };
        let names: Vec<String> = all.iter().enumerate().map(name).collect();
        let mut count: HashMap<&str, usize> = HashMap::new();
        for name in &names {
            *count.entry(name).or_default() += 1;
        }
        let collides = |at: &usize| !has_prefix[*at] && count.get(names[*at].as_str()) > Some(&1);
        let colliding: Vec<usize> = (0..all.len()).filter(collides).collect();
        if colliding.is_empty() {
            return names;
        }
        colliding.into_iter().for_each(|at| has_prefix[at] = true);
    }
}

/// The longest name that model providers take for a tool, with what assistants put before it: `mcp__<server>__`.
const MODEL_LIMIT: usize = 64;
const MODEL_PREFIX: usize = "mcp____".len();

/// `<connector>_<tool>`. Where that is too long, its tail with a digest of the whole in front: the tail is what tells tools
/// apart to a reader, the digest keeps the name the same every time and different from others.
fn prefixed(server: &ServerId, connector: &ConnectorId, tool: &ToolName) -> String {
    const MARK: usize = 8;
    let whole = format!("{connector}_{tool}");
    let room = MODEL_LIMIT - MODEL_PREFIX - server.as_str().len();
    if whole.len() <= room {
        return whole;
    }
    let digest = Digest::of(whole.as_bytes()).hex();
    // Names are ASCII throughout, so bytes are characters.
    format!("{}_{}", &digest[..MARK], &whole[whole.len() - (room - MARK - 1)..])
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
            &"desk".parse().unwrap(),
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
    fn no_connector_takes_the_name_that_another_s_tool_is_given() {
        for order in [["files", "mail", "x"], ["x", "files", "mail"]] {
            let offer = |connector| match connector {
                "x" => offer("x", &["mail_search"]),
                other => offer(other, &["search"]),
            };
            let id = "desk".parse().unwrap();
            let view = ServerView::assemble(&id, "T".to_owned(), order.into_iter().map(offer).collect());
            let owner = |name: &str| view.tool(name).map(|offered| offered.connector.to_string());
            assert_eq!(owner("mail_search").as_deref(), Some("mail"));
            assert_eq!(owner("x_mail_search").as_deref(), Some("x"));
            assert_eq!(owner("files_search").as_deref(), Some("files"));
            assert_eq!((view.tools().len(), view.left_out.len()), (3, 0));
        }
    }

    #[test]
    fn names_of_ours_fit_what_models_take_and_keep_their_tail() {
        let id: ServerId = "a-virtual-server-of-31-letters-".parse().unwrap();
        let long = format!("{}_by_identifier", "get_customer_account_details".repeat(3));
        let view = ServerView::assemble(
            &id,
            "T".to_owned(),
            vec![offer("crm", &[&long, "get"]), offer("erp", &[&long, "get"])],
        );
        let names: Vec<&str> = view.tools().iter().map(|tool| tool.entry.name.as_str()).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(names.contains(&"crm_get") && names.contains(&"erp_get"), "{names:?}");
        for name in names {
            assert!(format!("mcp__{id}__{name}").len() <= 64, "{name}");
            assert!(name.ends_with("_get") || name.ends_with("_by_identifier"), "{name}");
        }
    }
}
