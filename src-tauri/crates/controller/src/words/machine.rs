//! What IT has set on this machine, in words.

use managed::{Managed, Setting};

/// A setting, as the person sees it.
pub fn machine_setting(setting: Setting) -> &'static str {
    match setting {
        Setting::ConfigUrl => "Organisation's address",
        Setting::RootKeyFingerprint => "Organisation's fingerprint",
        Setting::EnrolmentToken => "Enrolment token",
        Setting::AllowUserOverride => "Settings of your own",
        Setting::AllowTerminalAnswers => "Answers in a terminal",
        Setting::Autostart => "Starts when you sign in",
        Setting::AutomaticUpdates => "Updates by itself",
        Setting::HiddenMenuItems => "Left out of menus",
        Setting::SupportUrl => "Help is found at",
    }
}

/// What it is set to.
pub fn machine_value(managed: &Managed, setting: Setting) -> String {
    let settings = &managed.settings;
    let yes = |flag: Option<bool>| if flag == Some(true) { "yes" } else { "no" }.to_owned();
    match setting {
        Setting::ConfigUrl => {
            settings.organisation.as_ref().map(|it| it.config_url.to_string()).unwrap_or_default()
        }
        Setting::RootKeyFingerprint => {
            settings.organisation.as_ref().map(|it| it.root_key_fingerprint.to_string()).unwrap_or_default()
        }
        Setting::EnrolmentToken => "set".to_owned(),
        Setting::AllowUserOverride if settings.user_settings_count() => {
            "count for what is not set for you".to_owned()
        }
        Setting::AllowUserOverride => "do not count on this computer".to_owned(),
        Setting::AllowTerminalAnswers => yes(settings.allow_terminal_answers),
        Setting::Autostart => yes(settings.autostart),
        Setting::AutomaticUpdates => {
            format!("{}; this version is updated by whatever installed it", yes(settings.automatic_updates))
        }
        Setting::HiddenMenuItems => {
            let names: Vec<_> = settings.hidden_menu_items.iter().map(|item| item.as_str()).collect();
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
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
