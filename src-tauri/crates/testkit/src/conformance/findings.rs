//! What the suite found.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use testkit::PeerFault;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Success,
    Failure,
    Warning,
    Info,
    Skipped,
}

/// One check of a scenario. Several may share an id; then they have different names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    /// What it is about.
    pub(crate) id: String,
    /// Which of several.
    pub(crate) name: String,
    /// How it ended.
    pub(crate) status: Status,
    /// What the suite says.
    #[serde(default)]
    pub(crate) error_message: Option<String>,
}

impl Check {
    /// Whether it is the same check of another run.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.name == other.name
    }
}

/// The checks of each scenario of one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings(BTreeMap<String, Vec<Check>>);

impl Findings {
    /// Reads a folder of results.
    ///
    /// # Errors
    /// If it cannot be read, or the suite wrote something unknown.
    pub(crate) fn read(folder: &Path) -> Result<Self, PeerFault> {
        let mut found = Self::default();
        found.collect(folder, "")?;
        Ok(found)
    }

    /// These.
    #[cfg(test)]
    pub(crate) fn of(scenarios: BTreeMap<String, Vec<Check>>) -> Self {
        Self(scenarios)
    }

    /// The checks of a scenario; `None` if it has no result.
    pub(crate) fn scenario(&self, name: &str) -> Option<&[Check]> {
        self.0.get(name).map(Vec::as_slice)
    }

    fn collect(&mut self, folder: &Path, prefix: &str) -> Result<(), PeerFault> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let checks = entry.path().join("checks.json");
            if checks.is_file() {
                let mut read: Vec<Check> = serde_json::from_slice(&std::fs::read(checks)?)?;
                read.extend(complaint(&entry.path()));
                self.0.insert(scenario(&name).to_owned(), read);
            } else if entry.path().is_dir() {
                // Names of scenarios may have a slash.
                self.collect(&entry.path(), &format!("{name}/"))?;
            }
        }
        Ok(())
    }
}

/// What the client of a scenario said, where there was one: it only speaks when it could not do what it should. The suite
/// looks at what it did and not at what it got.
fn complaint(folder: &Path) -> Option<Check> {
    let said = std::fs::read_to_string(folder.join("stdout.txt")).ok().filter(|said| !said.is_empty())?;
    let (id, name) = ("assistant".to_owned(), "Assistant".to_owned());
    Some(Check { id, name, status: Status::Failure, error_message: said.lines().next().map(str::to_owned) })
}

/// The scenario of a folder `server-ping-2026-11-26T02-53-35-493Z`; what is run for a client has no leg in front.
fn scenario(folder: &str) -> &str {
    let legs = ["server-", "authorization-server-"];
    let name = legs.iter().find_map(|leg| folder.strip_prefix(leg)).unwrap_or(folder);
    let time = "-2026-11-26T02-53-35-493Z".len();
    let end = name.len().saturating_sub(time);
    match name.get(end..) {
        Some(rest) if rest.starts_with('-') && rest.ends_with('Z') => &name[..end],
        Some(_) | None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_by_scenario() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in
            ["server-server-initialize-2026-11-26T02-53-35-493Z", "auth/dpop-2026-11-26T02-53-35-493Z"]
        {
            let scenario = folder.path().join(name);
            std::fs::create_dir_all(&scenario).expect("a folder");
            let checks = r#"[{"id":"a","name":"A","description":"d","status":"SUCCESS","details":{}}]"#;
            std::fs::write(scenario.join("checks.json"), checks).expect("written");
        }
        std::fs::write(folder.path().join("log.txt"), "").expect("written");
        let said = folder.path().join("auth/dpop-2026-11-26T02-53-35-493Z/stdout.txt");
        std::fs::write(said, "refused\nand why").expect("written");
        let read = Findings::read(folder.path()).expect("readable");
        assert_eq!(read.0.keys().collect::<Vec<_>>(), ["auth/dpop", "server-initialize"]);
        assert_eq!(read.0["auth/dpop"].len(), 2, "what the client said is a failure: {read:?}");
        assert_eq!(read.0["auth/dpop"][1].error_message.as_deref(), Some("refused"));
    }
}
