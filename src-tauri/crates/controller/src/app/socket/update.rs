//! What a terminal is told of an update of the program.

use serde_json::{Value, json};

use super::{Desk, Report};
use crate::app::updates::command_line;
use crate::state::UpdateState;
use crate::words;

impl Desk {
    /// Where the update stands; `look` has it looked for one first, which is over when `looking` is no more.
    pub(super) fn update(&self, look: bool) -> Report {
        if look {
            self.updates.look_now();
        }
        let (state, is_looking) = self.updates.state();
        let running = env!("CARGO_PKG_VERSION");
        let mut text = format!("Deskgate {running}. Updates: {}", words::update(&state));
        let mut json = described(&state);
        json["running"] = json!(running);
        json["looking"] = json!(is_looking);
        if let Some(ready) = state.ready() {
            let older = if ready.is_older { " --allow-older" } else { "" };
            let line = format!("{}{older}", command_line(&ready.package));
            text.push_str(&format!(
                "\nIts publisher has signed it. It lies at {}\nAn administrator installs it by: {line}",
                ready.package.display()
            ));
        }
        Report::Ok { text, json }
    }
}

fn described(state: &UpdateState) -> Value {
    match state {
        UpdateState::Elsewhere => json!({"state": "elsewhere"}),
        UpdateState::Off => json!({"state": "off"}),
        UpdateState::Unable => json!({"state": "unable"}),
        UpdateState::Looking => json!({"state": "looking"}),
        UpdateState::Current => json!({"state": "current"}),
        UpdateState::Fetching { version, percent } => {
            json!({"state": "fetching", "version": version, "percent": percent})
        }
        UpdateState::Ready(ready) => {
            let package = ready.package.display().to_string();
            json!({"state": "ready", "version": ready.version, "package": package, "older": ready.is_older})
        }
        UpdateState::ForIt { version } => json!({"state": "for_it", "version": version}),
        UpdateState::Installing { version } => json!({"state": "installing", "version": version}),
        UpdateState::Installed { version } => json!({"state": "installed", "version": version}),
        UpdateState::Failed(advice) => json!({"state": "failed", "advice": advice}),
    }
}
