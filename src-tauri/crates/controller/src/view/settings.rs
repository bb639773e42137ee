//! What is decided for the person, and by whom.

use managed::{Managed, Setting};

use super::SettingView;
use crate::state::{AppState, Mode};
use crate::words;

/// The settings as the window shows them: what IT has set on this machine comes last, each with the place where it is set.
pub(super) fn settings(state: &AppState) -> Vec<SettingView> {
    let manager = match &state.mode {
        Mode::Managed(organisation) => Some(organisation.name.clone()),
        Mode::Personal => None,
    };
    let setting =
        |name: &str, value: String| SettingView { name: name.to_owned(), value, managed_by: manager.clone() };
    let sign_in = match state.sign_in_surface {
        org_protocol::SignInSurface::Auto => {
            "in a window of Deskgate, or in the browser where that is needed"
        }
        org_protocol::SignInSurface::Browser => "always in the browser",
    };
    let records = match state.audit.receipted {
        Some(_) => format!("on this computer and at {}", words::organisation(state)),
        None => "on this computer only".to_owned(),
    };
    let mut all = vec![
        setting("Settings come from", come_from(state)),
        setting(
            "Connectors and virtual servers",
            format!("{} and {}", words::connectors(state.connectors.keys()), state.servers.len()),
        ),
        setting("Sign-in opens", sign_in.to_owned()),
        setting("Records of calls are kept", records),
        SettingView {
            name: "Address for assistants".to_owned(),
            value: state.address.clone().unwrap_or_else(|| "not listening".to_owned()),
            managed_by: None,
        },
    ];
    all.extend(state.managed.iter().flat_map(|managed| on_this_machine(managed)));
    all
}

fn come_from(state: &AppState) -> String {
    match &state.mode {
        Mode::Managed(organisation) => organisation.config_url.as_ref().map_or_else(
            || organisation.name.clone(),
            |url| format!("{} ({})", organisation.name, url.host_str().unwrap_or_default()),
        ),
        Mode::Personal => state.settings_file.clone(),
    }
}

fn on_this_machine(managed: &Managed) -> Vec<SettingView> {
    let of = |(setting, from): (&Setting, &String)| SettingView {
        name: words::machine_setting(*setting).to_owned(),
        value: words::machine_value(managed, *setting),
        managed_by: Some(format!("IT ({from})")),
    };
    managed.from.iter().map(of).collect()
}
