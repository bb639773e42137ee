//! The machine that is looked at: platform, folders and search path. Tests make their own.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The kind of operating system, which decides where applications keep their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Linux and its relatives.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

/// A machine, as one person has it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The kind of operating system.
    pub platform: Platform,
    /// The person's folder.
    pub home: PathBuf,
    /// Variables of the environment that move folders, such as `XDG_CONFIG_HOME` and `CODEX_HOME`.
    pub variables: BTreeMap<String, PathBuf>,
    /// Where programs are looked for.
    pub path: Vec<PathBuf>,
}

/// A place, said without a machine. A place of another platform is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the person's folder, on every platform.
    Home(&'static str),
    /// In the person's folder, on macOS only.
    MacHome(&'static str),
    /// Linux: in `XDG_CONFIG_HOME`, or else `~/.config`.
    Config(&'static str),
    /// macOS: in `~/Library/Application Support`.
    Support(&'static str),
    /// macOS: the whole path.
    Applications(&'static str),
    /// Windows: in `%APPDATA%`.
    Roaming(&'static str),
    /// Windows: in `%LOCALAPPDATA%`.
    Local(&'static str),
    /// What a variable of the environment names, with something below it.
    Variable(&'static str, &'static str),
}

impl Machine {
    /// The machine that this program runs on; nothing where the environment names no folder of a person.
    pub fn of_this() -> Option<Self> {
        let platform = if cfg!(target_os = "windows") {
            Platform::Windows
        } else if cfg!(target_os = "macos") {
            Platform::MacOs
        } else {
            Platform::Linux
        };
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = set(if cfg!(target_os = "windows") { "USERPROFILE" } else { "HOME" })?;
        let named = crate::table::variables().chain(["XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA"]);
        let variables = named.filter_map(|name| Some((name.to_owned(), PathBuf::from(set(name)?)))).collect();
        let path = set("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
        Some(Self { platform, home: home.into(), variables, path })
    }

    /// Where a program lies that the search path leads to.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let endings: &[&str] = if self.platform == Platform::Windows { &[".exe", ".cmd", ""] } else { &[""] };
        let mut candidates = self
            .path
            .iter()
            .flat_map(|folder| endings.iter().map(move |ending| folder.join(format!("{name}{ending}"))));
        candidates.find(|candidate| os::is_program(candidate))
    }

    pub(crate) fn resolve(&self, place: Place) -> Option<PathBuf> {
        let variable = |name: &str| self.variables.get(name).filter(|path| path.is_absolute());
        let on = |platform| (self.platform == platform).then_some(());
        match place {
            Place::Home(rest) => Some(self.home.join(rest)),
            Place::MacHome(rest) => on(Platform::MacOs).map(|()| self.home.join(rest)),
            Place::Config(rest) => on(Platform::Linux).map(|()| {
                variable("XDG_CONFIG_HOME").cloned().unwrap_or_else(|| self.home.join(".config")).join(rest)
            }),
            Place::Support(rest) => {
                on(Platform::MacOs).map(|()| self.home.join("Library/Application Support").join(rest))
            }
            Place::Applications(whole) => on(Platform::MacOs).map(|()| PathBuf::from(whole)),
            Place::Roaming(rest) => {
                on(Platform::Windows).and_then(|()| Some(variable("APPDATA")?.join(rest)))
            }
            Place::Local(rest) => {
                on(Platform::Windows).and_then(|()| Some(variable("LOCALAPPDATA")?.join(rest)))
            }
            Place::Variable(name, "") => variable(name).cloned(),
            Place::Variable(name, rest) => Some(variable(name)?.join(rest)),
        }
    }
}

impl Place {
    /// As a person reads it.
    pub(crate) fn shown(self) -> String {
        match self {
            Self::Home(rest) | Self::MacHome(rest) => format!("~/{rest}"),
            Self::Config(rest) => format!("~/.config/{rest}"),
            Self::Support(rest) => format!("~/Library/Application Support/{rest}"),
            Self::Applications(whole) => whole.to_owned(),
            Self::Roaming(rest) => format!("%APPDATA%/{rest}"),
            Self::Local(rest) => format!("%LOCALAPPDATA%/{rest}"),
            Self::Variable(name, "") => format!("${name}"),
            Self::Variable(name, rest) => format!("${name}/{rest}"),
        }
    }
}
