//! `cargo xtask bench`: builds the programs as measured and starts the harness, which lives in testkit.

use std::path::Path;
use std::process::Command;

use crate::run::{Fault, run, say};
use crate::{landing, workspace};

/// Builds with the profile `bench` and runs the harness.
///
/// # Errors
/// If the build or the measurement fails.
pub(crate) fn bench(json: Option<&Path>, calls: u32, rounds: u32) -> Result<(), Fault> {
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
    say(if outcome.is_ok() { "1 passed, 0 failed" } else { "0 passed, 1 failed" });
    outcome
}

/// What the parts of a call cost by themselves.
fn parts() -> Result<(), Fault> {
    for (package, bench) in [("policy", "decision"), ("audit", "intents")] {
        run(landing::cargo().args(["bench", "--locked", "--quiet", "--package", package, "--bench", bench]))?;
    }
    Ok(())
}
