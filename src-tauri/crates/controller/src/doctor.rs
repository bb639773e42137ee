//! What `deskgate doctor` and the window say of an installation: what was looked at ([`Looked`]) is one value, and each check a
//! function from it to what a person reads. Nothing here looks at anything itself, asks anybody or changes anything.
//!
//! No secret is in a finding: addresses are shown without what stands in front of their host, settings by name.

mod calls;
mod checks;

mod looked;
mod surroundings;
#[cfg(test)]
mod tests;

use model::Advice;
use serde::{Deserialize, Serialize};

pub use vault::KeychainState;

pub use looked::{
    Autostart, FolderFound, Instance, Looked, OrganisationFound, PortFound, ProgramFound, ProxyFound,
    RecordsFound, ServerClock,
};

/// The version of this format.
const FORMAT: u32 = 1;

/// Everything that was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
pub struct Examination {
    /// The format's version.
    pub format: u32,
    /// The version of the program that looked.
    pub version: String,
    /// When (RFC 3339).
    pub at: String,
    /// Whether a running gateway looked at itself.
    pub running: bool,
    /// What was found, in the order in which one thing needs another.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
pub struct Check {
    /// A stable name for scripts and support, such as `port`.
    pub name: String,
    /// What was looked at, as a person calls it.
    pub title: String,
    /// How it is.
    pub state: CheckState,
    /// What was found.
    pub found: String,
    /// What it means; empty where that is plain.
    pub means: String,
    /// What to do; empty where nothing is to be done.
    pub todo: String,
}

/// How something is that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Something does not work, or not as it should.
    Problem,
    /// It could not be told.
    NotChecked,
}

impl CheckState {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
            Self::NotChecked => "not checked",
        }
    }
}

impl Check {
    fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        state: CheckState,
        found: impl Into<String>,
    ) -> Self {
        let (means, todo) = (String::new(), String::new());
        Self { name: name.into(), title: title.into(), state, found: found.into(), means, todo }
    }

    fn ok(name: &str, title: &str, found: impl Into<String>) -> Self {
        Self::new(name, title, CheckState::Ok, found)
    }

    fn note(name: &str, title: &str, found: impl Into<String>) -> Self {
        Self::new(name, title, CheckState::Note, found)
    }

    fn problem(name: &str, title: &str, found: impl Into<String>) -> Self {
        Self::new(name, title, CheckState::Problem, found)
    }

    fn not_checked(name: &str, title: &str, found: impl Into<String>) -> Self {
        Self::new(name, title, CheckState::NotChecked, found)
    }

    fn means(self, means: impl Into<String>) -> Self {
        Self { means: means.into(), ..self }
    }

    fn todo(self, todo: impl Into<String>) -> Self {
        Self { todo: todo.into(), ..self }
    }

    /// In the words that are used wherever this is wrong.
    fn advised(
        name: impl Into<String>,
        title: impl Into<String>,
        state: CheckState,
        advice: &Advice,
    ) -> Self {
        Self::new(name, title, state, advice.happened.clone())
            .means(advice.means.clone())
            .todo(advice.todo.clone())
    }
}

/// Says of everything that was looked at how it is.
pub fn examine(looked: &Looked) -> Examination {
    let mut checks = vec![checks::folder(looked), checks::instance(looked), checks::port(looked)];
    checks.push(checks::keychain(looked));
    checks.extend(checks::settings(looked));
    checks.push(checks::organisation(looked));
    checks.extend(checks::clock(looked));
    checks.extend(calls::policy(looked));
    checks.push(calls::records(looked));
    checks.extend(calls::connectors(looked));
    checks.push(calls::assistants(looked));
    checks.extend(calls::others(looked));
    checks.extend(surroundings::session(looked));
    checks.push(surroundings::autostart(looked));
    checks.push(surroundings::browser(looked));
    checks.push(surroundings::proxies(looked));
    checks.push(Check::ok("version", "Version", looked.version.clone()));
    Examination {
        format: FORMAT,
        version: looked.version.clone(),
        at: looked.now.to_string(),
        running: looked.state.is_some(),
        checks,
    }
}

impl Examination {
    /// How many things are in this state.
    pub fn count(&self, state: CheckState) -> usize {
        self.checks.iter().filter(|check| check.state == state).count()
    }

    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.count(CheckState::Problem) == 0
    }

    /// Puts a remark of whoever asked in front.
    #[must_use]
    pub fn with(mut self, name: &str, title: &str, remark: &Advice) -> Self {
        self.checks.insert(0, Check::advised(name, title, CheckState::Problem, remark));
        self
    }

    /// Says beside the version that whoever asked is of another.
    #[must_use]
    pub fn asked_by(mut self, version: &str) -> Self {
        if let Some(check) =
            self.checks.iter_mut().find(|check| check.name == "version" && check.found != version)
        {
            let of_other =
                format!("Deskgate runs as version {}; this command is of version {version}.", check.found);
            *check = Check::note("version", "Version", of_other)
                .means("It was updated while it ran.")
                .todo("Quit it and start it again.");
        }
        self
    }
}

/// The width of the words in front.
const STATE: usize = 12;

impl std::fmt::Display for Examination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.checks.iter().map(|check| check.title.chars().count()).max().unwrap_or_default();
        for Check { title, state, found, means, todo, name: _ } in &self.checks {
            writeln!(f, "{:<STATE$} {title:<width$}  {found}", state.word())?;
            for (sign, more) in [("  ", means), ("→ ", todo)] {
                if !more.is_empty() {
                    writeln!(f, "{:<STATE$} {:<width$}  {sign}{more}", "", "")?;
                }
            }
        }
        let [problems, notes] = [(CheckState::Problem, "problem"), (CheckState::Note, "note")]
            .map(|(state, word)| crate::words::counted(self.count(state), word));
        write!(
            f,
            "\n{problems}, {notes}. {} were looked at.",
            crate::words::counted(self.checks.len(), "thing")
        )
    }
}

/// Bytes, as people read them.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}
