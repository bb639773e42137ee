//! The suite as a connector: behind a gateway that an assistant of ours calls, of the same era and of the other.

use testkit::PeerFault;

use crate::era::Era;
use crate::matrix::{Kind, Matrix};
use crate::requirements::{Leg, Scenarios};
use crate::suite::Suite;
use crate::verdict::Verdict;

/// Runs the leg.
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
        let scenarios = performed(suite.requirements(revision)?.of(Leg::Client), assistant);
        matrix.add(name, Kind::Through, Verdict::of(&scenarios, &found, None));
    }
    Ok(())
}

/// Whether a scenario is about signing in at a connector.
pub(crate) fn is_sign_in(scenario: &str) -> bool {
    scenario.starts_with("auth/")
}

/// Whether a scenario is performed. Who the assistant is makes no difference to signing in, so one of them has to do; and of
/// signing in only what the protocol itself asks for.
pub(crate) fn is_performed(scenario: &str, assistant: Era) -> bool {
    !is_sign_in(scenario) || (assistant == Era::Modern && !EXTENSIONS.contains(&scenario))
}

/// Ways to sign in that are extensions of the protocol and not performed: one is not built, and the suite's identity
/// provider signs nobody in, so that there is nobody for whom it could vouch.
const EXTENSIONS: [&str; 2] = ["auth/enterprise-managed-authorization", "auth/wif-jwt-bearer"];

fn performed(all: &Scenarios, assistant: Era) -> Scenarios {
    let kept = |names: &std::collections::BTreeSet<String>| {
        names.iter().filter(|name| is_performed(name, assistant)).cloned().collect()
    };
    Scenarios { scored: kept(&all.scored), unscored: kept(&all.unscored) }
}
