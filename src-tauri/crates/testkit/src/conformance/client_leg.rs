//! The suite as a connector: behind a gateway that an assistant of ours calls, of the same era and of the other.

use testkit::PeerFault;

use crate::era::Era;
use crate::matrix::{Kind, Matrix};
use crate::requirements::{Leg, Scenarios};
use crate::suite::Suite;
use crate::verdict::Verdict;

/// Runs the leg, without the scenarios about signing in at a connector.
///
/// # Errors
/// If the suite cannot be run.
pub(crate) async fn run(suite: &Suite, only: &str, matrix: &mut Matrix) -> Result<(), PeerFault> {
    let (own, turns) = (std::env::current_exe()?, suite.file("turns"));
    for (connector, assistant) in Era::BOTH.into_iter().flat_map(|era| Era::BOTH.map(|other| (era, other))) {
        let revision = connector.revision();
        let name = format!("client {revision} {assistant} assistant");
        if !name.contains(only) {
            continue;
        }
        // The suite hands this to a shell.
        let client = format!("'{}' client --era {assistant} --turns '{}'", own.display(), turns.display());
        let found = suite.client(&name, revision, &client).await?;
        let scenarios = without_sign_in(suite.requirements(revision)?.of(Leg::Client));
        matrix.add(name, Kind::Through, Verdict::of(&scenarios, &found, None));
    }
    Ok(())
}

/// Whether a scenario is about signing in at a connector.
pub(crate) fn is_sign_in(scenario: &str) -> bool {
    scenario.starts_with("auth/")
}

fn without_sign_in(all: &Scenarios) -> Scenarios {
    let kept = |names: &std::collections::BTreeSet<String>| {
        names.iter().filter(|name| !is_sign_in(name)).cloned().collect()
    };
    Scenarios { scored: kept(&all.scored), unscored: kept(&all.unscored) }
}
