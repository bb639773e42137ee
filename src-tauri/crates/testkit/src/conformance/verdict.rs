//! What the suite found, and what of it counts.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use testkit::PeerFault;

use crate::requirements::Scenarios;

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
    id: String,
    name: String,
    status: Status,
    #[serde(default)]
    error_message: Option<String>,
}

impl Check {
    fn is(&self, other: &Self) -> bool {
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

/// The scenario of a folder `server-ping-2026-11-26T02-53-35-493Z`.
fn scenario(folder: &str) -> &str {
    let name = folder.strip_prefix("server-").unwrap_or(folder);
    let time = "-2026-11-26T02-53-35-493Z".len();
    let end = name.len().saturating_sub(time);
    match name.get(end..) {
        Some(rest) if rest.starts_with('-') && rest.ends_with('Z') => &name[..end],
        Some(_) | None => name,
    }
}

/// How many checks passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Passed.
    pub(crate) passed: usize,
    /// Failed.
    pub(crate) failed: usize,
}

/// Why a check is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// A requirement is not met.
    Required,
    /// What does not decide for the suite, but works without the gateway.
    Lost,
    /// What fails without the gateway too.
    AlsoDirect,
    /// What should be otherwise.
    Advice,
}

/// A check that is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Why.
    pub(crate) weight: Weight,
    /// `scenario:check`.
    pub(crate) check: String,
    /// What the suite says.
    pub(crate) words: String,
}

/// What one run comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Checks of scenarios that decide.
    pub(crate) scored: Count,
    /// Checks of the others.
    pub(crate) unscored: Count,
    /// All that is not as it should be.
    pub(crate) told: Vec<Told>,
}

impl Verdict {
    /// Judges a run; `direct` is the same run without the gateway.
    pub(crate) fn of(scenarios: &Scenarios, found: &Findings, direct: Option<&Findings>) -> Self {
        let mut verdict = Self::default();
        for (names, scored) in [(&scenarios.scored, true), (&scenarios.unscored, false)] {
            for name in names {
                let direct = direct.map(|direct| direct.0.get(name).map(Vec::as_slice));
                let Some(checks) = found.0.get(name) else {
                    verdict.missing(name, scored, direct);
                    continue;
                };
                for check in checks {
                    verdict.judge(name, scored, check, direct);
                }
            }
        }
        verdict
    }

    /// How many failures count.
    pub(crate) fn failed(&self) -> usize {
        let counts = |told: &&Told| matches!(told.weight, Weight::Required | Weight::Lost);
        self.told.iter().filter(counts).count()
    }

    /// How many failures do not, because they are not the gateway's.
    pub(crate) fn also_direct(&self) -> usize {
        self.told.iter().filter(|told| told.weight == Weight::AlsoDirect).count()
    }

    /// How many checks passed.
    pub(crate) fn passed(&self) -> usize {
        self.scored.passed + self.unscored.passed
    }

    fn count(&mut self, scored: bool) -> &mut Count {
        if scored { &mut self.scored } else { &mut self.unscored }
    }

    fn missing(&mut self, name: &str, scored: bool, direct: Direct<'_>) {
        let broken = Check {
            id: "result".to_owned(),
            name: "Result".to_owned(),
            status: Status::Failure,
            error_message: Some("there is none: the suite broke off".to_owned()),
        };
        self.judge(name, scored, &broken, direct);
    }

    fn judge(&mut self, name: &str, scored: bool, check: &Check, direct: Direct<'_>) {
        let weight = match check.status {
            Status::Success => return self.count(scored).passed += 1,
            Status::Info | Status::Skipped => return,
            Status::Warning if is_known(check, direct) => return,
            Status::Warning => Weight::Advice,
            Status::Failure if scored => Weight::Required,
            Status::Failure if is_known(check, direct) => Weight::AlsoDirect,
            Status::Failure => Weight::Lost,
        };
        if check.status == Status::Failure {
            self.count(scored).failed += 1;
        }
        let words = check.error_message.clone().unwrap_or_default();
        self.told.push(Told { weight, check: format!("{name}:{}", check.id), words });
    }
}

/// What there is to compare a scenario with: a direct run or none, and its checks or none.
type Direct<'a> = Option<Option<&'a [Check]>>;

/// Whether the direct run has the same: the check did not pass there, or was not reached because another failed or the
/// suite broke off.
fn is_known(check: &Check, direct: Direct<'_>) -> bool {
    let Some(direct) = direct else { return false };
    let Some(direct) = direct else { return true };
    let mut same = direct.iter().filter(|other| other.is(check)).peekable();
    if same.peek().is_some() {
        return same.any(|other| matches!(other.status, Status::Failure | Status::Warning));
    }
    direct.iter().any(|other| other.status == Status::Failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, status: Status) -> Check {
        Check { id: id.to_owned(), name: id.to_uppercase(), status, error_message: Some("why".to_owned()) }
    }

    fn findings(scenarios: &[(&str, &[Check])]) -> Findings {
        Findings(scenarios.iter().map(|(name, checks)| ((*name).to_owned(), checks.to_vec())).collect())
    }

    fn scenarios() -> Scenarios {
        Scenarios {
            scored: ["ping".to_owned()].into_iter().collect(),
            unscored: ["tasks".to_owned()].into_iter().collect(),
        }
    }

    fn weights(verdict: &Verdict) -> Vec<(Weight, &str)> {
        verdict.told.iter().map(|told| (told.weight, told.check.as_str())).collect()
    }

    #[test]
    fn a_scored_failure_counts_even_if_the_direct_run_has_it() {
        let found = findings(&[
            ("ping", &[check("a", Status::Failure), check("b", Status::Success)]),
            ("tasks", &[]),
        ]);
        let verdict = Verdict::of(&scenarios(), &found, Some(&found));
        assert_eq!(weights(&verdict), [(Weight::Required, "ping:a")]);
        assert_eq!((verdict.scored, verdict.failed()), (Count { passed: 1, failed: 1 }, 1));
    }

    #[test]
    fn an_unscored_failure_counts_unless_the_direct_run_has_it_too() {
        let found = findings(&[
            ("ping", &[]),
            (
                "tasks",
                &[
                    check("same", Status::Failure),
                    check("lost", Status::Failure),
                    check("new", Status::Failure),
                ],
            ),
        ]);
        let direct =
            findings(&[("tasks", &[check("same", Status::Failure), check("lost", Status::Success)])]);
        let verdict = Verdict::of(&scenarios(), &found, Some(&direct));
        let new = (Weight::AlsoDirect, "tasks:new");
        assert_eq!(
            weights(&verdict),
            [(Weight::AlsoDirect, "tasks:same"), (Weight::Lost, "tasks:lost"), new]
        );
        assert_eq!(
            (verdict.failed(), verdict.also_direct()),
            (1, 2),
            "what was not reached directly is not lost"
        );

        let fine = findings(&[("tasks", &[check("same", Status::Success)])]);
        assert_eq!(Verdict::of(&scenarios(), &found, Some(&fine)).failed(), 3);
        assert_eq!(
            Verdict::of(&scenarios(), &found, None).failed(),
            3,
            "without a direct run nothing is excused"
        );
    }

    #[test]
    fn a_scenario_without_a_result_has_failed() {
        let verdict = Verdict::of(&scenarios(), &Findings::default(), None);
        assert_eq!(weights(&verdict), [(Weight::Required, "ping:result"), (Weight::Lost, "tasks:result")]);
        let none = Findings::default();
        let verdict = Verdict::of(&scenarios(), &none, Some(&none));
        assert_eq!(
            weights(&verdict),
            [(Weight::Required, "ping:result"), (Weight::AlsoDirect, "tasks:result")]
        );
    }

    #[test]
    fn warnings_are_told_and_do_not_count_and_what_was_skipped_is_not_told() {
        let checks = [check("w", Status::Warning), check("s", Status::Skipped), check("i", Status::Info)];
        let found = findings(&[("ping", &checks), ("tasks", &[])]);
        let verdict = Verdict::of(&scenarios(), &found, None);
        assert_eq!(weights(&verdict), [(Weight::Advice, "ping:w")]);
        assert_eq!(verdict.failed(), 0);
    }

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
