//! `cargo xtask bench`: builds the programs as measured and starts the harness, which lives in testkit.

use std::path::Path;
use std::process::Command;

use crate::run::{Fault, run, say};
use crate::{landing, package, workspace};

/// Builds with the profile `bench` and runs the harness.
///
/// # Errors
/// If the build or the measurement fails.
pub(crate) fn bench(json: Option<&Path>, calls: u32, rounds: u32) -> Result<(), Fault> {
    // As they are released, and before the profile that shares the folder puts its own there.
    let small = landing::step("sizes of the released programs", || {
        package::build("release")?;
        package::print_sizes(&package::programs("release"))
    });
    if !landing::step("build for measurement", || {
        run(landing::cargo().args([
            "build",
            "--locked",
            "--profile",
            "bench",
            "--package",
            "cli",
            "--package",
            "testkit",
            "--package",
            "deskgate-desktop",
            "--bins",
        ]))
        .map(|()| true)
    }) {
        return Err(Fault::Tests);
    }
    // The profile `bench` shares the folder of `release`.
    let programs = workspace::root().join("target/release");
    let mut harness = Command::new(programs.join("deskgate-bench"));
    harness.arg("measure").arg("--programs").arg(&programs);
    harness.args(["--calls", &calls.to_string(), "--rounds", &rounds.to_string()]);
    if let Some(json) = json {
        harness.arg("--json").arg(json);
    }
    let outcome = run(&mut harness).and_then(|()| parts());
    let (passed, failed) = [small, outcome.is_ok()].iter().fold((0, 0), |(passed, failed), good| {
        if *good { (passed + 1, failed) } else { (passed, failed + 1) }
    });
    say(&format!("{passed} passed, {failed} failed"));
    outcome?;
    if small { Ok(()) } else { Err(Fault::Tests) }
}

/// What the parts of a call cost by themselves.
fn parts() -> Result<(), Fault> {
    for (package, bench) in [("policy", "decision"), ("audit", "intents")] {
        run(landing::cargo().args(["bench", "--locked", "--quiet", "--package", package, "--bench", bench]))?;
    }
    Ok(())
}
