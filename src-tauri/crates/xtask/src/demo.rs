//! `cargo xtask demo`: installs what is missing, builds, and starts the demo, which lives in testkit.

use std::process::Command;

use crate::run::{Fault, run, say};
use crate::{landing, provision, workspace};

const PACKAGES: [&str; 4] = ["cli", "control", "deskgate-desktop", "testkit"];

/// Runs the demo until the person has seen enough; with `check` it is played through unattended. The demo itself says
/// how it ended.
///
/// # Errors
/// If something cannot be installed, built or started.
pub(crate) fn demo(check: bool) -> Result<(), Fault> {
    let ready = landing::step("setup", || provision::setup(false).map(|()| true))
        && landing::step("build", || build().map(|()| true));
    if !ready {
        say("0 passed, 1 failed");
        return Err(Fault::Tests);
    }
    let mut command = Command::new(workspace::root().join("target/debug/deskgate-demo"));
    command.args(check.then_some("--check"));
    hand_over(&mut command)
}

fn build() -> Result<(), Fault> {
    let packages = PACKAGES.into_iter().flat_map(|name| ["--package", name]);
    run(landing::cargo().args(["build", "--locked", "--bins"]).args(packages))
}

/// Becomes the program, so that Ctrl-C reaches it alone and it can end in order.
#[cfg(unix)]
fn hand_over(command: &mut Command) -> Result<(), Fault> {
    use std::os::unix::process::CommandExt as _;
    let program = command.get_program().to_string_lossy().into_owned();
    Err(Fault::Start { program, source: command.exec() })
}

#[cfg(not(unix))]
fn hand_over(command: &mut Command) -> Result<(), Fault> {
    run(command)
}
