//! What connectors say otherwise than it was accepted, for whoever asks at a terminal.

use model::{AccountId, Advice, ForPerson as _};
use serde_json::json;

use super::{Desk, Report, done, refused};
use crate::pending::AnswerFault;
use crate::state::{AppState, Connector, HeldPart};
use crate::view;

impl Desk {
    /// Accepts a change that is held.
    pub(super) async fn accept(&self, change: &str) -> Report {
        // Whoever has a shell here could be a program.
        if let Err(fault) = self.pending.answers_from_terminal() {
            return refused(fault.advice());
        }
        let account = account_of_change(&self.state.borrow(), change);
        let Some(account) = account else { return refused(unknown(change)) };
        match self.acceptances.accept(&account, change).await {
            Ok(()) => done("Accepted. Your assistants see it from now on."),
            Err(advice) => refused(advice),
        }
    }
}

/// Every change that is held.
pub(super) fn list(state: &AppState, at_terminal: &Result<(), AnswerFault>) -> Report {
    let held = state.connectors.values().flat_map(|it| it.held.iter().map(move |part| (it, part)));
    let texts: Vec<String> = held.map(|(connector, part)| text(connector, part, at_terminal)).collect();
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
fn account_of_change(state: &AppState, change: &str) -> Option<AccountId> {
    let is_it = |connector: &Connector| connector.held.iter().any(|part| part.id == change);
    state.connectors.iter().find(|(_, connector)| is_it(connector)).map(|(id, _)| id.clone())
}

/// The words for an id that is none.
fn unknown(change: &str) -> Advice {
    Advice::new(
        "change-unknown",
        format!("No change that is held has the id {change}."),
        "It may be accepted already, or the connector says something else again.",
        "See what is held with: deskgate held",
    )
}

fn text(connector: &Connector, part: &HeldPart, at_terminal: &Result<(), AnswerFault>) -> String {
    let indented = |text: String| text.replace('\n', "\n  ");
    let mut text = format!("{}  {}, {}", part.id, connector.title, part.part);
    for difference in &part.differences {
        text.push_str(&format!("\n  {}", indented(difference.to_string())));
        if difference.cut {
            text.push_str("\n  (There is more than is shown.)");
        }
    }
    for flag in &part.flags {
        text.push_str(&format!("\n  ! {}", indented(flag.clone())));
    }
    let how = match (&part.waits_for, at_terminal) {
        (Some(why), _) => why.clone(),
        (None, Ok(())) => format!("Accept it with: deskgate held --accept {}", part.id),
        (None, Err(AnswerFault::OnDesktop)) => "Accept it in the window, under Pending.".to_owned(),
        (None, Err(fault)) => format!("It cannot be accepted here. {}", fault.advice().todo),
    };
    text.push_str(&format!("\n  {how}"));
    text
}
