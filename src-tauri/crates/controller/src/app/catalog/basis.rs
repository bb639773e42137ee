//! All that a snapshot follows from, and what virtual servers offer by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use connector::{Entries, Listing};
use gateway::{Offer, ServerView};
use mcp::connector::About;
use model::{AccountId, Advice, ServerId, Subject, ToolName};
use org_protocol::{ConnectorSpec, ServerSpec, ToolList};
use serde_json::value::RawValue;

use super::Tools;
use crate::app::offering::{Accepted, Offering};

/// All that a snapshot follows from.
pub(crate) struct Basis {
    pub(super) offering: Arc<Offering>,
    pub(super) person: Option<Arc<Subject>>,
    pub(super) offered: Arc<Accepted>,
    /// Every tool that was accepted, held or not.
    pub(super) typed: Arc<Accepted>,
    /// What connectors list and say of themselves; of this, policies need nothing but the tools.
    pub(super) heard: Heard,
    /// The connectors of which nothing is offered for now, and why.
    pub(super) withdrawn: Withdrawn,
}

pub(super) type Withdrawn = BTreeMap<AccountId, Advice>;

/// What was last heard of each connector.
pub(super) type Heard = BTreeMap<AccountId, Arc<Listing>>;

impl Basis {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.has_same_policy(other)
            && self.withdrawn == other.withdrawn
            && is_same_beside_tools(&self.heard, &other.heard)
    }

    /// Whether the same policy comes of both.
    pub(super) fn has_same_policy(&self, other: &Self) -> bool {
        self.has_same_rules(other)
            && is_same(&self.offered, &other.offered)
            && is_same(&self.typed, &other.typed)
    }

    /// Whether both show the same person the same of what is offered.
    pub(super) fn has_same_rules(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.offering, &other.offering) && self.person == other.person
    }
}

fn is_same_beside_tools(one: &Heard, other: &Heard) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|((id, one), (other_id, other))| {
            id == other_id && (Arc::ptr_eq(one, other) || one.is_same_beside_tools(other))
        })
}

fn is_same(one: &Accepted, other: &Accepted) -> bool {
    let tools_are = |one: &[(ToolName, Box<RawValue>)], other: &[(ToolName, Box<RawValue>)]| {
        one.len() == other.len()
            && one.iter().zip(other).all(|(one, other)| (&one.0, one.1.get()) == (&other.0, other.1.get()))
    };
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && tools_are(one.1, other.1))
}

pub(super) fn views(basis: &Basis) -> BTreeMap<ServerId, ServerView> {
    let servers = basis.offering.servers.iter();
    let views: BTreeMap<_, _> = servers.map(|(id, spec)| (id.clone(), view(basis, id, spec))).collect();
    for text in views.values().flat_map(|view| &view.left_out) {
        tracing::warn!("{text}");
    }
    views
}

fn view(basis: &Basis, server: &ServerId, spec: &ServerSpec) -> ServerView {
    let offers = spec.connectors.iter().filter_map(|connector| {
        let id = &spec.account(connector);
        let offered = basis.offered.get(id)?.iter();
        let tools = offered.filter(|(name, _)| spec.offers(connector, name)).cloned().collect();
        let connector = basis.offering.accounts.get(id)?;
        let withdrawn = basis.withdrawn.get(id).cloned();
        Some(Offer { withdrawn, ..offer(id, connector, tools, basis.heard.get(id).map(Arc::as_ref)) })
    });
    let view = ServerView::assemble(server, spec.title.clone(), offers.collect());
    match spec.tool_list {
        ToolList::Whole => view,
        ToolList::Search => view.searched(),
    }
}

/// What a connector contributes; nothing but tools where it is at the organisation.
fn offer(id: &AccountId, spec: &ConnectorSpec, tools: Tools, heard: Option<&Listing>) -> Offer {
    let is_elsewhere = spec.credential.is_shared();
    let entries = |of: fn(&Listing) -> &Entries| heard.map(of).cloned().unwrap_or_default();
    Offer {
        account: id.clone(),
        title: spec.title.clone(),
        tools,
        resources: entries(|heard| &heard.resources),
        templates: entries(|heard| &heard.templates),
        prompts: entries(|heard| &heard.prompts),
        about: heard.map(|heard| heard.about.clone()).or_else(|| is_elsewhere.then(About::default)),
        withdrawn: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(tools: &[(&str, &str)]) -> Accepted {
        let tool = |(name, definition): &(&str, &str)| {
            (name.parse().unwrap(), serde_json::from_str(definition).unwrap())
        };
        BTreeMap::from([("files".parse().unwrap(), tools.iter().map(tool).collect())])
    }

    #[test]
    fn only_what_is_new_is_put_in_force() {
        let before = offered(&[("read", r#"{"n":1}"#), ("write", "{}")]);
        assert!(is_same(&before, &offered(&[("read", r#"{"n":1}"#), ("write", "{}")])));
        for other in [
            offered(&[("read", r#"{"n":1.0}"#), ("write", "{}")]),
            offered(&[("write", "{}"), ("read", r#"{"n":1}"#)]),
            offered(&[("read", r#"{"n":1}"#)]),
            Accepted::new(),
        ] {
            assert!(!is_same(&before, &other), "{other:?}");
        }
    }

    fn heard(prompts: &[&str]) -> Heard {
        let prompt = |name: &&str| ((*name).to_owned(), mcp::raw(&serde_json::json!({"name": name})));
        let listing = Listing {
            about: About::default(),
            tools: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            prompts: prompts.iter().map(prompt).collect(),
            left_out: vec!["whatever".to_owned()],
            at: model::Timestamp::from_seconds(0),
        };
        BTreeMap::from([("files".parse().unwrap(), Arc::new(listing))])
    }

    #[test]
    fn lists_beside_the_tools_are_offered_anew_under_the_same_policy() {
        let offering = Arc::new(Offering::personal(&crate::app::settings::Loaded::default()));
        let basis = |heard: Heard, person: &str| Basis {
            offering: Arc::clone(&offering),
            person: Some(Arc::new(Subject::local(person))),
            offered: Arc::new(offered(&[("read", "{}")])),
            typed: Arc::new(offered(&[("read", "{}")])),
            heard,
            withdrawn: Withdrawn::new(),
        };
        let before = basis(heard(&["a"]), "ann");
        assert!(before.is_same(&basis(heard(&["a"]), "ann")));
        let other = basis(heard(&["a", "b"]), "ann");
        assert!(!before.is_same(&other) && before.has_same_policy(&other));
        assert!(!before.is_same(&basis(Heard::new(), "ann")), "one that is heard for the first time");
        assert!(!before.has_same_rules(&basis(heard(&["a"]), "bob")));
        let down = Advice::new("down", "It is down.", "", "");
        let withdrawn = Withdrawn::from([("files".parse().unwrap(), down)]);
        let down = Basis { withdrawn, ..basis(heard(&["a"]), "ann") };
        assert!(!before.is_same(&down) && before.has_same_policy(&down), "policies speak of it all the same");
    }
}
