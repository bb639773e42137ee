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
    let setting = |name: String, value: String| SettingView { name, value, managed_by: manager.clone() };
    let sign_in = match state.sign_in_surface {
        org_protocol::SignInSurface::Auto => say::setting_sign_in_window(),
        org_protocol::SignInSurface::Browser => say::setting_sign_in_browser(),
    };
    let records = match state.audit.receipted {
        Some(_) => say::setting_records_organisation(&words::organisation(state)),
        None => say::setting_records_here(),
    };
    let mut all = vec![
        setting(say::setting_from(), come_from(state)),
        setting(
            say::setting_connectors(),
            say::setting_connectors_count(words::connectors(state.connectors.keys()), state.servers.len()),
        ),
        setting(say::setting_sign_in(), sign_in),
        setting(say::setting_records(), records),
        SettingView {
            name: say::setting_address(),
            value: state.address.clone().unwrap_or_else(say::setting_address_none),
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
            |url| say::setting_from_organisation(&organisation.name, url.host_str().unwrap_or_default()),
        ),
        Mode::Personal => state.settings_file.clone(),
    }
}

fn on_this_machine(managed: &Managed) -> Vec<SettingView> {
    let of = |(setting, from): (&Setting, &String)| SettingView {
        name: words::machine_setting(*setting),
        value: words::machine_value(managed, *setting),
        managed_by: Some(say::setting_by_it(from)),
    };
    managed.from.iter().map(of).collect()
}
