//! What connectors say otherwise than it was accepted, for whoever asks at a terminal.

use model::{AccountId, Advice};
use serde_json::json;

use super::Report;
use crate::state::{AppState, Connector, HeldPart};
use crate::view;

/// Every change that is held.
pub(super) fn list(state: &AppState) -> Report {
    let held = state.connectors.values().flat_map(|it| it.held.iter().map(move |part| (it, part)));
    let texts: Vec<String> = held.map(|(connector, part)| text(connector, part)).collect();
    let text = if texts.is_empty() {
        "Nothing is held: your connectors say what they said when it was accepted.".to_owned()
    } else {
        texts.join("\n\n")
    };
    let connectors = view::window(state).connectors;
    let json: Vec<_> = connectors
        .iter()
        .filter(|connector| !connector.held.is_empty())
        .map(|connector| json!({"connector": connector.id, "held": connector.held}))
        .collect();
    Report::Ok { text, json: json!(json) }
}

/// The connector whose change has this id.
pub(super) fn account(state: &AppState, change: &str) -> Option<AccountId> {
    let is_it = |connector: &Connector| connector.held.iter().any(|part| part.id == change);
    state.connectors.iter().find(|(_, connector)| is_it(connector)).map(|(id, _)| id.clone())
}

/// The words for an id that is none.
pub(super) fn unknown(change: &str) -> Advice {
    Advice::new(
        "change-unknown",
        format!("No change that is held has the id {change}."),
        "It may be accepted already, or the connector says something else again.",
        "See what is held with: deskgate held",
    )
}

fn text(connector: &Connector, part: &HeldPart) -> String {
    let indented = |text: String| text.replace('\n', "\n  ");
    let mut text = format!("{}  {}, {}", part.id, connector.title, part.part);
    for difference in &part.differences {
        text.push_str(&format!("\n  {}", indented(difference.to_string())));
    }
    for flag in &part.flags {
        text.push_str(&format!("\n  ! {}", indented(flag.clone())));
    }
    text.push_str(if part.may_accept {
        "\n  Accept it with: deskgate held --accept "
    } else {
        "\n  Your organisation has to accept it."
    });
    if part.may_accept {
        text.push_str(&part.id);
    }
    text
}
