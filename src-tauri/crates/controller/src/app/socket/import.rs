//! Taking an assistant's servers over, and giving them back, for whoever sits at a terminal.

use serde_json::json;

use super::super::imports::{GivesBack, ImportWish};
use super::{Desk, Report, done, refused};

impl Desk {
    pub(super) async fn propose_import(&self, wish: ImportWish) -> Report {
        match self.imports.propose(wish, self.gives_back()).await {
            Ok(proposed) => Report::Ok { text: proposed.diff.clone(), json: json!(proposed) },
            Err(advice) => refused(advice),
        }
    }

    pub(super) async fn import(&self, id: u32) -> Report {
        match self.imports.make(id, self.gives_back()).await {
            Ok(()) => done("Done."),
            Err(advice) => refused(advice),
        }
    }

    /// Secrets leave the vault on the word of a person only, and a terminal is a person's where it may answer for one.
    fn gives_back(&self) -> GivesBack {
        if self.pending.answers_from_terminal().is_ok() { GivesBack::Yes } else { GivesBack::InWindow }
    }
}
