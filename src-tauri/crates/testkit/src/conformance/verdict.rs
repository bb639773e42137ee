//! What of the suite's findings counts.

use crate::findings::{Check, Findings, Status};
use crate::requirements::Scenarios;

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
                let direct = direct.map(|direct| direct.scenario(name));
                let Some(checks) = found.scenario(name) else {
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
        Findings::of(scenarios.iter().map(|(name, checks)| ((*name).to_owned(), checks.to_vec())).collect())
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
}
