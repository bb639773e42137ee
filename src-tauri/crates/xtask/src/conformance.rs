//! `cargo xtask conformance`: installs what is missing, builds, and starts the harness, which lives in testkit.

use std::process::Command;

use crate::run::{Fault, Watch, follow, say};
use crate::tally::Tally;
use crate::{landing, provision, workspace};

/// Runs the protocol's conformance suite through the gateway and prints the matrix.
///
/// # Errors
/// [`Fault::Tests`] if anything that counts failed.
pub(crate) fn conformance(only: &str) -> Result<(), Fault> {
    let watch = Watch::start();
    let mut tally = Tally::default();
    let ready = landing::step("setup", || provision::setup(false).map(|()| true))
        && landing::build(&["--workspace"], &mut tally);
    if ready {
        tally.add(matrix(only));
    } else {
        tally.check(false);
    }
    say(&format!("all of it took {}", watch.text()));
    say(&tally);
    if tally.failed == 0 { Ok(()) } else { Err(Fault::Tests) }
}

/// Runs the harness, whose programs have been built.
pub(crate) fn matrix(only: &str) -> Tally {
    let mut command = Command::new(workspace::root().join("target/debug/deskgate-conformance"));
    command.arg("run").arg("--results").arg(workspace::root().join("target/conformance"));
    if !only.is_empty() {
        command.args(["--only", only]);
    }
    let mut counted = Tally::default();
    let passed = landing::step("conformance", || {
        follow(&mut command, &mut |line| counted.add(Tally::of_line(line).unwrap_or_default()))
    });
    if !passed && counted.failed == 0 {
        // The harness failed before or beside the suite.
        counted.check(false);
    }
    counted
}
