//! Which lists of a virtual server have changed, for the assistants that are told.

use std::sync::Arc;

use mcp::assistant::{list_changed, resource_updated};
use mcp::{Filter, Topic};
use model::ServerId;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::end::End;
use crate::followed::Updates;
use crate::snapshot::{Snapshot, Snapshots};

/// What one listener is told of changes: nothing that it did not ask for, and nothing that the virtual server does not
/// declare.
pub(crate) struct Changes {
    snapshots: Snapshots,
    replaced: watch::Receiver<u64>,
    server: ServerId,
    wanted: Wanted,
    /// The updates of the resources that are followed.
    updates: Option<Updates>,
    seen: [Seen; Topic::ALL.len()],
}

/// What a listener wants.
enum Wanted {
    /// All there is: revisions with sessions have no filter.
    Everything,
    /// What a request of this id asked for.
    Filtered { id: Box<RawValue>, filter: Filter },
}

/// What decides whether a topic has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    declared: bool,
    mark: u64,
    rules: u64,
}

impl Changes {
    /// For an assistant of a revision with sessions.
    pub(crate) fn all(snapshots: &Snapshots, server: &ServerId, end: Option<&Arc<End>>) -> Self {
        let updates = end.map(|end| end.followed.updates());
        Self::new(snapshots, server, Wanted::Everything, updates)
    }

    /// For a `subscriptions/listen` request, of whose filter this was granted.
    pub(crate) fn filtered(
        snapshots: &Snapshots,
        server: &ServerId,
        id: &RawValue,
        granted: Filter,
        updates: Updates,
    ) -> Self {
        Self::new(snapshots, server, Wanted::Filtered { id: id.to_owned(), filter: granted }, Some(updates))
    }

    fn new(snapshots: &Snapshots, server: &ServerId, wanted: Wanted, updates: Option<Updates>) -> Self {
        let replaced = snapshots.changes();
        let seen = seen(&snapshots.current(), server);
        Self { snapshots: snapshots.clone(), replaced, server: server.clone(), wanted, updates, seen }
    }

    /// Waits for the next snapshot or update and gives the notices that follow from it, which may be none; `None` at the end
    /// of all. Nothing is lost when it is dropped while it waits.
    pub(crate) async fn next(&mut self) -> Option<Vec<String>> {
        let updated = async {
            match &mut self.updates {
                Some(updates) => updates.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            replaced = self.replaced.changed() => replaced.ok()?,
            update = updated => return Some(vec![self.wanted.update(&update?)]),
        }
        let now = seen(&self.snapshots.current(), &self.server);
        let before = std::mem::replace(&mut self.seen, now);
        let changed =
            Topic::ALL.into_iter().zip(before.iter().zip(&now)).filter_map(|(topic, (before, now))| {
                ((before.declared || now.declared) && before != now).then_some(topic)
            });
        Some(changed.filter_map(|topic| self.wanted.notice(topic)).collect())
    }
}

impl Wanted {
    fn update(&self, params: &RawValue) -> String {
        match self {
            Self::Everything => resource_updated(params, None),
            Self::Filtered { id, .. } => resource_updated(params, Some(id)),
        }
    }

    fn notice(&self, topic: Topic) -> Option<String> {
        match self {
            Self::Everything => Some(list_changed(topic, None)),
            Self::Filtered { id, filter } => {
                filter.topics.contains(&topic).then(|| list_changed(topic, Some(id)))
            }
        }
    }
}

fn seen(snapshot: &Snapshot, server: &ServerId) -> [Seen; Topic::ALL.len()] {
    let view = snapshot.servers.get(server);
    Topic::ALL.map(|topic| Seen {
        declared: view.is_some_and(|view| view.declared().has(topic)),
        mark: view.map_or(0, |view| view.mark_of(topic)),
        rules: snapshot.rules,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use mcp::connector::read_initialized;
    use policy::Policy;

    use super::*;
    use crate::followed::Followed;
    use crate::snapshot::{Offer, ServerView};

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    /// A virtual server over a connector that declares prompts, with these.
    fn snapshot(prompts: &[&str], rules: u64) -> Snapshot {
        let about = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"prompts":{}}}"#;
        let prompt = |name: &&str| ((*name).to_owned(), mcp::raw(&serde_json::json!({"name": name})));
        let offer = Offer {
            account: "odd".parse().unwrap(),
            title: "Odd".to_owned(),
            tools: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            prompts: prompts.iter().map(prompt).collect(),
            about: Some(read_initialized(&raw(about)).unwrap().about),
            withdrawn: None,
        };
        let server: ServerId = "desk".parse().unwrap();
        let view = ServerView::assemble(&server, "Desk".to_owned(), vec![offer]);
        Snapshot {
            policy: Arc::new(Policy::deny_all(model::Advice::new("test", "x", "", ""))),
            until: None,
            servers: BTreeMap::from([(server, view)]),
            rules,
            capture_arguments: false,
        }
    }

    fn topics(notices: &[String]) -> Vec<Topic> {
        let method = |notice: &String| -> String {
            let notice: serde_json::Value = serde_json::from_str(notice).unwrap();
            notice["method"].as_str().unwrap().to_owned()
        };
        notices.iter().map(|notice| Topic::of_notice(&method(notice)).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_changed_is_told_to_those_who_want_it_and_nothing_else() {
        let snapshots = Snapshots::new(snapshot(&["a"], 1));
        let server = "desk".parse().unwrap();
        let mut all = Changes::all(&snapshots, &server, None);
        let granted = Filter::of(|topic| topic != Topic::Prompts);
        let mut some =
            Changes::filtered(&snapshots, &server, &raw("7"), granted, Arc::<Followed>::default().updates());

        snapshots.replace(snapshot(&["a", "b"], 1));
        assert_eq!(topics(&all.next().await.unwrap()), [Topic::Prompts]);
        assert_eq!(topics(&some.next().await.unwrap()), [], "not asked for");
        snapshots.replace(snapshot(&["a", "b"], 1));
        assert_eq!(topics(&all.next().await.unwrap()), [], "nothing changed");
        assert_eq!(topics(&some.next().await.unwrap()), []);
        snapshots.replace(snapshot(&["a", "b"], 2));
        let both = [Topic::Tools, Topic::Prompts];
        assert_eq!(topics(&all.next().await.unwrap()), both, "other rules may show otherwise");
        assert_eq!(topics(&some.next().await.unwrap()), [Topic::Tools]);
        drop(snapshots);
    }
}
