//! How a virtual server presents itself to an assistant: what it declares, and how its connectors want to be used.

use std::collections::HashSet;

use issuer::AccessGrant;
use mcp::assistant::{Declared, Dialect, ServerFace};
use model::ConnectorId;
use policy::Viewer;
use serde_json::value::RawValue;

use crate::call::{circumstance, listed};
use crate::gate::Gate;
use crate::search;
use crate::snapshot::{ServerView, Snapshot, Speaker};

/// The most of one connector's instructions where there are several, in bytes.
const LONGEST: usize = 8 * 1024;

/// Hands the virtual server's face to `answer`.
pub(crate) fn presented<T>(
    gate: &Gate,
    snapshot: &Snapshot,
    grant: &AccessGrant,
    dialect: Dialect,
    answer: impl FnOnce(ServerFace<'_>) -> T,
) -> T {
    let view = snapshot.servers.get(&grant.server);
    let nothing = Declared::default();
    let instructions = view.and_then(|view| {
        let searching = view.is_searched().then_some(search::INSTRUCTIONS);
        if view.connectors().iter().all(|voice| voice.instructions.is_none()) {
            return searching.map(mcp::raw);
        }
        let circumstance = circumstance(gate, grant);
        let policy = snapshot.policy_at(circumstance.now);
        let tools = listed(gate, snapshot, grant, dialect).into_iter().map(|tool| &tool.connector).collect();
        let viewer = policy.viewer(&grant.subject, &grant.server, &circumstance);
        let sight = Sight { view, tools, viewer };
        led_by(searching, instructions(view, |connector| sight.shows(connector)))
    });
    answer(ServerFace {
        name: grant.server.as_str(),
        title: view.map_or("", |view| view.title.as_str()),
        version: env!("CARGO_PKG_VERSION"),
        declared: view.map_or(&nothing, ServerView::declared),
        instructions: instructions.as_deref(),
    })
}

/// What one person is shown of one virtual server.
struct Sight<'s> {
    view: &'s ServerView,
    tools: HashSet<&'s ConnectorId>,
    viewer: Viewer<'s>,
}

impl Sight<'_> {
    /// Whether the person is shown anything of this connector.
    fn shows(&self, connector: &ConnectorId) -> bool {
        let Self { view, tools, viewer } = self;
        if view.withdrawn(connector).is_some() {
            return false;
        }
        let mut prompts = view.prompts().iter().filter(|one| one.connector == *connector);
        let mut resources = view.resources().iter().filter(|one| one.connector == *connector);
        let has_templates = view.templates().iter().any(|one| one.connector == *connector);
        tools.contains(connector)
            || prompts.any(|one| viewer.shows_prompt(connector, &one.prompt))
            || resources.any(|one| viewer.shows_resource(connector, &one.uri))
            || (has_templates && viewer.shows_templates(connector))
    }
}

/// What the gateway has to say of the virtual server itself comes first.
fn led_by(first: Option<&str>, rest: Option<Box<RawValue>>) -> Option<Box<RawValue>> {
    let Some(first) = first else { return rest };
    let rest: Option<String> = rest.and_then(|rest| serde_json::from_str(rest.get()).ok());
    Some(match rest {
        Some(rest) => mcp::raw(&format!("{first}\n\n{rest}")),
        None => mcp::raw(first),
    })
}

/// A text, as JSON. One connector's own text stands alone; several stand under their titles, in the server's order.
fn instructions(view: &ServerView, is_visible: impl Fn(&ConnectorId) -> bool) -> Option<Box<RawValue>> {
    let visible = |speaker: &&Speaker| is_visible(&speaker.connector);
    match view.connectors() {
        [one] => Some(one).filter(visible)?.instructions.clone(),
        several => {
            let texts: Vec<String> = several.iter().filter(visible).filter_map(under_title).collect();
            (!texts.is_empty()).then(|| mcp::raw(&texts.join("\n\n")))
        }
    }
}

fn under_title(speaker: &Speaker) -> Option<String> {
    let text: String = serde_json::from_str(speaker.instructions.as_deref()?.get()).ok()?;
    Some(format!("## {}\n{}", speaker.title, bounded(text)))
}

fn bounded(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use mcp::connector::{About, read_initialized};

    use super::*;
    use crate::snapshot::Offer;

    fn about(instructions: &str) -> About {
        let text = mcp::raw(instructions);
        let result =
            format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{{}},"instructions":{text}}}"#);
        read_initialized(&serde_json::from_str::<Box<RawValue>>(&result).unwrap()).unwrap().about
    }

    fn told(connectors: &[(&str, &str)], visible: &[&str]) -> Option<String> {
        let offer = |(id, text): &(&str, &str)| Offer {
            account: id.parse().unwrap(),
            title: format!("The {id}"),
            tools: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            prompts: Vec::new(),
            about: Some(about(text)),
            withdrawn: None,
        };
        let offers = connectors.iter().map(offer).collect();
        let view = ServerView::assemble(&"desk".parse().unwrap(), "T".to_owned(), offers);
        let text = instructions(&view, |connector| visible.contains(&connector.as_str()))?;
        Some(serde_json::from_str(text.get()).unwrap())
    }

    #[test]
    fn one_speaks_for_itself_and_several_under_their_titles() {
        assert_eq!(told(&[("a", "use it")], &["a"]).as_deref(), Some("use it"));
        assert_eq!(told(&[("a", "use it")], &[]), None);
        let three = [("a", "one"), ("b", "two"), ("c", "")];
        assert_eq!(
            told(&three, &["a", "b", "c"]).as_deref(),
            Some("## The a\none\n\n## The b\ntwo"),
            "in the server's order"
        );
        assert_eq!(told(&three, &["b"]).as_deref(), Some("## The b\ntwo"), "only what the person may see");
        assert_eq!(told(&three, &["c"]), None);
    }

    #[test]
    fn what_the_gateway_says_itself_comes_first() {
        let led = |first, rest: Option<&str>| {
            let text = led_by(first, rest.map(mcp::raw))?;
            Some(serde_json::from_str::<String>(text.get()).unwrap())
        };
        assert_eq!(led(Some("search"), Some("use it")).as_deref(), Some("search\n\nuse it"));
        assert_eq!(led(Some("search"), None).as_deref(), Some("search"));
        assert_eq!(led(None, Some("use it")).as_deref(), Some("use it"));
        assert_eq!(led(None, None), None);
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let long = "é".repeat(LONGEST);
        let told = told(&[("a", &long), ("b", "two")], &["a", "b"]).unwrap();
        assert!(told.contains("é…\n\n## The b"), "cut");
        assert!(told.len() < LONGEST + 100, "{}", told.len());
        assert_eq!(bounded("x".repeat(LONGEST)).len(), LONGEST);
    }
}
