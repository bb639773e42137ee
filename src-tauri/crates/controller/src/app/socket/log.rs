//! What a connector prints, for the command line.

use std::sync::Arc;

use model::{AccountId, Advice};

use super::{Desk, Report, refused};
use crate::state::Runs;
use crate::{view, words};

impl Desk {
    /// What a connector's log holds from the entry of this number on.
    pub(super) fn log(&self, connector: &AccountId, after: u64) -> Report {
        let state = Arc::clone(&self.state.borrow());
        if let Some(elsewhere) = state.connectors.get(connector).filter(|it| it.runs == Runs::AtOrganisation)
        {
            return refused(Advice::new(
                "log-elsewhere",
                format!("{} runs at {}.", elsewhere.title, words::organisation(&state)),
                "What it prints stays there.",
                "",
            ));
        }
        let Some(page) = self.logs.page(connector, after) else {
            return refused(Advice::new(
                "connector-unknown",
                format!("There is no connector {connector}."),
                "",
                "Name it as the settings do.",
            ));
        };
        match serde_json::to_value(view::log(&page)) {
            Ok(json) => Report::Ok { text: words::log(&page), json },
            Err(fault) => refused(Advice::new("log", format!("The log cannot be shown: {fault}."), "", "")),
        }
    }
}
