//! Diagnostics that IT asks for, for the command line.

use model::{Advice, ForPerson as _};
use serde_json::json;

use super::{Desk, Report, done, refused};

impl Desk {
    /// Shows what would be sent, or sends what was shown under a digest. Neither where a desktop runs or settings keep a person from
    /// deciding at a terminal: a program with a shell would send in their place.
    pub(super) async fn asked_diagnostics(&self, send: Option<String>) -> Report {
        if let Err(fault) = self.diagnostics.may_from_terminal() {
            return refused(fault.advice());
        }
        if let Some(sha256) = send {
            return match self.diagnostics.send(&sha256).await {
                Ok(()) => done("Sent to your IT department."),
                Err(advice) => refused(advice),
            };
        }
        let wanted = match self.diagnostics.wanted() {
            Ok((request, _)) => request,
            Err(advice) => return refused(advice),
        };
        let (diagnostics, view) = match self.diagnostics.show().await {
            Ok(shown) => shown,
            Err(advice) => return refused(advice),
        };
        let who = wanted.by.as_ref().map_or("Your IT department", |by| by.as_str());
        let text = format!("{who} asks for diagnostics, and says: \"{}\"\n{diagnostics}", wanted.reason);
        match serde_json::to_value(&view) {
            Ok(json) => Report::Ok { text, json: json!({"request": &*wanted, "shown": json}) },
            Err(fault) => refused(Advice::new(
                "diagnostics-unshown",
                format!("What would be sent cannot be shown: {fault}."),
                "Nothing was sent.",
                "",
            )),
        }
    }
}
