//! What IT has set on this machine, in words.

use managed::{Managed, Setting};

/// A setting, as the person sees it.
pub fn machine_setting(setting: Setting) -> String {
    match setting {
        Setting::ConfigUrl => say::machine_config_url(),
        Setting::RootKeyFingerprint => say::machine_fingerprint(),
        Setting::EnrolmentToken => say::machine_enrolment_token(),
        Setting::AllowUserOverride => say::machine_user_override(),
        Setting::AllowTerminalAnswers => say::machine_terminal_answers(),
        Setting::Autostart => say::machine_autostart(),
        Setting::AutomaticUpdates => say::machine_updates(),
        Setting::HiddenMenuItems => say::machine_hidden(),
        Setting::SupportUrl => say::machine_support(),
    }
}

/// What it is set to.
pub fn machine_value(managed: &Managed, setting: Setting) -> String {
    let settings = &managed.settings;
    let yes = |flag: Option<bool>| if flag == Some(true) { say::machine_yes() } else { say::machine_no() };
    match setting {
        Setting::ConfigUrl => {
            settings.organisation.as_ref().map(|it| it.config_url.to_string()).unwrap_or_default()
        }
        Setting::RootKeyFingerprint => {
            settings.organisation.as_ref().map(|it| it.root_key_fingerprint.to_string()).unwrap_or_default()
        }
        Setting::EnrolmentToken => say::machine_enrolment_token_set(),
        Setting::AllowUserOverride if settings.user_settings_count() => say::machine_user_override_counts(),
        Setting::AllowUserOverride => say::machine_user_override_not(),
        Setting::AllowTerminalAnswers => yes(settings.allow_terminal_answers),
        Setting::Autostart => yes(settings.autostart),
        Setting::AutomaticUpdates => say::machine_updates_by(&yes(settings.automatic_updates)),
        Setting::HiddenMenuItems => {
            let names: Vec<_> = settings.hidden_menu_items.iter().map(|item| item.as_str()).collect();
            if names.is_empty() { say::machine_hidden_none() } else { names.join(", ") }
        }
        Setting::SupportUrl => settings.support_url.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// What is set, each with its value and its place, for the command line.
pub fn machine(managed: &Managed) -> String {
    let mut text = format!("Set by IT on this computer ({}):", managed.source);
    for (setting, from) in &managed.from {
        text.push_str(&format!("\n    {}: {}", setting.name(), machine_value(managed, *setting)));
        if *from != managed.source {
            text.push_str(&format!("  [{from}]"));
        }
    }
    text
}
