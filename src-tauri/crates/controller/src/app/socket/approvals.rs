//! What the person has allowed for more than one call, for the command line.

use model::Advice;
use serde_json::json;

use super::{Desk, Report, refused};
use crate::event::Act;
use crate::view;

impl Desk {
    pub(super) fn approvals(&self) -> Report {
        let approvals = view::window(&self.state.borrow()).approvals;
        let line = |it: &view::StandingView| {
            let until = if it.always { "until you take it back" } else { "for this session" };
            let (id, who, what, of, on) =
                (&it.id, &it.assistant, &it.what, &it.connector_title, &it.server_title);
            format!("{id}  {who} may use {what} of {of} through {on}, {until}")
        };
        let text = if approvals.is_empty() {
            "You have allowed nothing for more than one call.".to_owned()
        } else {
            approvals.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        Report::Ok { text, json: json!(approvals) }
    }

    pub(super) fn forget_approval(&self, id: String) -> Report {
        if self.state.borrow().approvals.iter().any(|approval| approval.id == id) {
            return self.act(Act::ForgetApproval(id), "You will be asked again.");
        }
        refused(Advice::new(
            "approval-unknown",
            format!("Nothing that you have allowed has the id {id}."),
            "",
            "See what there is with: deskgate approvals",
        ))
    }
}
