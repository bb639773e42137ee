//! The settings that there are: names, kinds and meanings, in one place.

use std::str::FromStr;

/// How a setting is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A line of text.
    Text,
    /// A line of text that nobody is shown.
    Secret,
    /// Yes or no: `true` and `false`, or 1 and 0 where a platform has numbers only.
    Flag,
    /// Several words: a list, or one text with commas in between.
    List,
}

/// Something that IT can set on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// The organisation's configuration URL.
    ConfigUrl,
    /// The fingerprint of the organisation's root keys.
    RootKeyFingerprint,
    /// The token with which this machine may be enrolled.
    EnrolmentToken,
    /// Whether the employee's own settings file counts.
    AllowUserOverride,
    /// Whether `deskgate answer` may answer.
    AllowTerminalAnswers,
    /// Whether the desktop application starts with the session.
    Autostart,
    /// Whether the program may update itself.
    AutomaticUpdates,
    /// Entries that menus leave out.
    HiddenMenuItems,
    /// Where people find help.
    SupportUrl,
}

impl Setting {
    /// Every setting, in the order of the templates.
    pub const ALL: [Self; 9] = [
        Self::ConfigUrl,
        Self::RootKeyFingerprint,
        Self::EnrolmentToken,
        Self::AllowUserOverride,
        Self::AllowTerminalAnswers,
        Self::Autostart,
        Self::AutomaticUpdates,
        Self::HiddenMenuItems,
        Self::SupportUrl,
    ];

    /// The name under which every platform keeps it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigUrl => "ConfigURL",
            Self::RootKeyFingerprint => "RootKeyFingerprint",
            Self::EnrolmentToken => "EnrolmentToken",
            Self::AllowUserOverride => "AllowUserOverride",
            Self::AllowTerminalAnswers => "AllowTerminalAnswers",
            Self::Autostart => "Autostart",
            Self::AutomaticUpdates => "AutomaticUpdates",
            Self::HiddenMenuItems => "HiddenMenuItems",
            Self::SupportUrl => "SupportURL",
        }
    }

    /// How it is written.
    pub fn kind(self) -> Kind {
        match self {
            Self::ConfigUrl | Self::RootKeyFingerprint | Self::SupportUrl => Kind::Text,
            Self::EnrolmentToken => Kind::Secret,
            Self::AllowUserOverride
            | Self::AllowTerminalAnswers
            | Self::Autostart
            | Self::AutomaticUpdates => Kind::Flag,
            Self::HiddenMenuItems => Kind::List,
        }
    }

    /// What it is called in an administrator's console.
    pub fn title(self) -> &'static str {
        match self {
            Self::ConfigUrl => "Configuration URL",
            Self::RootKeyFingerprint => "Fingerprint of the root keys",
            Self::EnrolmentToken => "Enrolment token",
            Self::AllowUserOverride => "Let employees use settings of their own",
            Self::AllowTerminalAnswers => "Let questions be answered in a terminal",
            Self::Autostart => "Start with the session",
            Self::AutomaticUpdates => "Update by itself",
            Self::HiddenMenuItems => "Hidden menu entries",
            Self::SupportUrl => "Where people find help",
        }
    }

    /// What it means, for administrators.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ConfigUrl => {
                "Where Deskgate fetches what your organisation has published. It begins with https. Goes with \
                 RootKeyFingerprint."
            }
            Self::RootKeyFingerprint => {
                "By what Deskgate recognises your organisation: the fingerprint that deskgate-control prints. Nothing is \
                 believed that keys of another fingerprint have signed. Goes with ConfigURL."
            }
            Self::EnrolmentToken => {
                "Shows your control plane that this machine is one of yours when it is enrolled. Whoever uses the computer \
                 can read it; it enrols nobody without signing in."
            }
            Self::AllowUserOverride => {
                "Whether the employee's own file, deskgate.toml, counts for what is not set here or by your organisation. \
                 Without it there is no other organisation, no connector and no virtual server of their own."
            }
            Self::AllowTerminalAnswers => {
                "Whether deskgate answer may allow assistants in where no desktop runs. An assistant that has a shell can \
                 then let itself in."
            }
            Self::Autostart => {
                "Whether the desktop application starts, in the tray only, when the employee signs in."
            }
            Self::AutomaticUpdates => {
                "Whether Deskgate itself may offer and install updates. Without them it is updated by whatever installed it."
            }
            Self::HiddenMenuItems => {
                "Entries that tray and window leave out: quit, sign-out, pause, settings. Hidden is not forbidden: the \
                 command line still has them."
            }
            Self::SupportUrl => {
                "The page that \"Get help\" opens; it wins over the one that your organisation published."
            }
        }
    }

    /// What holds where it is not set.
    pub fn default(self) -> &'static str {
        match self {
            Self::ConfigUrl | Self::RootKeyFingerprint => "no organisation, unless the employee may name one",
            Self::EnrolmentToken => "none",
            Self::AllowUserOverride => "no where an organisation is set here, else yes",
            Self::AllowTerminalAnswers => "what the employee's own file says if it counts, else no",
            Self::Autostart => "left as it is",
            Self::AutomaticUpdates => "not decided",
            Self::HiddenMenuItems => "nothing is hidden",
            Self::SupportUrl => "what your organisation published",
        }
    }

    /// A value that shows how it is written; the templates hold it.
    pub(crate) fn sample(self) -> &'static [&'static str] {
        match self {
            Self::ConfigUrl => &["https://deskgate.example.com/"],
            Self::RootKeyFingerprint => {
                &["sha256:0000000000000000000000000000000000000000000000000000000000000000"]
            }
            Self::EnrolmentToken => &["the-token-that-deskgate-control-printed"],
            Self::AllowUserOverride | Self::AllowTerminalAnswers => &["false"],
            Self::Autostart | Self::AutomaticUpdates => &["true"],
            Self::HiddenMenuItems => &["quit", "pause"],
            Self::SupportUrl => &["https://help.example.com/deskgate"],
        }
    }

    /// The setting of this name, exactly as it is written.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.name() == name)
    }
}

/// A menu entry that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MenuItem {
    /// Ending the program.
    Quit,
    /// Signing out of the organisation.
    SignOut,
    /// Refusing calls for a while.
    Pause,
    /// The place that shows the settings.
    Settings,
}

impl MenuItem {
    /// Every entry.
    pub const ALL: [Self; 4] = [Self::Quit, Self::SignOut, Self::Pause, Self::Settings];

    /// Its name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::SignOut => "sign-out",
            Self::Pause => "pause",
            Self::Settings => "settings",
        }
    }
}

/// No entry has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no menu entry of this name; there are quit, sign-out, pause and settings")]
pub struct UnknownMenuItem;

impl FromStr for MenuItem {
    type Err = UnknownMenuItem;

    fn from_str(name: &str) -> Result<Self, UnknownMenuItem> {
        Self::ALL.into_iter().find(|item| item.as_str() == name).ok_or(UnknownMenuItem)
    }
}
