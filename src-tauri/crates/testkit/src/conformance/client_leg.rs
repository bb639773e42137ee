//! The suite as a connector: behind a gateway that an assistant of ours calls.

use testkit::PeerFault;

use crate::matrix::{Kind, Matrix};
use crate::requirements::{Leg, Scenarios};
use crate::suite::{REVISIONS, Suite};
use crate::verdict::Verdict;

/// Runs the leg, without the scenarios about signing in at a connector.
///
/// # Errors
/// If the suite cannot be run.
pub(crate) async fn run(suite: &Suite, only: &str, matrix: &mut Matrix) -> Result<(), PeerFault> {
    // The suite hands this to a shell.
    let (own, turns) = (std::env::current_exe()?, suite.file("turns"));
    let client = format!("'{}' client --turns '{}'", own.display(), turns.display());
    for revision in REVISIONS {
        let name = format!("client {revision}");
        if !name.contains(only) {
            continue;
        }
        let found = suite.client(&name, revision, &client).await?;
        let requirements = suite.requirements(revision)?;
        let scenarios = without_sign_in(requirements.of(Leg::Client));
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
