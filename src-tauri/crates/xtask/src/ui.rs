//! The interface's own checks: it builds, its types hold, its unit tests pass.

use std::path::Path;

use serde_json::Value;

use crate::landing::step;
use crate::run::{Fault, run};
use crate::tally::Tally;
use crate::{provision, workspace};

/// Runs them, where there is an interface.
pub(crate) fn checks(tally: &mut Tally) {
    let folder = workspace::root().join("ui");
    let Some(package) = read_json(&folder.join("package.json")) else { return };
    let installed = step("interface: packages", || packages(&folder).map(|()| true));
    tally.check(installed);
    if !installed {
        return;
    }
    for (script, title) in [("build", "interface: build"), ("check", "interface: types")] {
        if package["scripts"][script].is_string() {
            tally.check(step(title, || {
                run(provision::npm().args(["run", "--silent", script]).current_dir(&folder)).map(|()| true)
            }));
        }
    }
    if package["devDependencies"]["vitest"].is_string() {
        tally.add(unit_tests(&folder));
    }
}

/// `npm ci`, unless what lies there was installed from this very lock file.
fn packages(folder: &Path) -> Result<(), Fault> {
    let lock = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.installed-from");
    let wanted = std::fs::read(&lock).map_err(|source| Fault::file(&lock, source))?;
    if std::fs::read(&stamp).ok().as_ref() == Some(&wanted) {
        return Ok(());
    }
    run(provision::npm().args(["ci", "--loglevel=error"]).current_dir(folder))?;
    std::fs::write(&stamp, wanted).map_err(|source| Fault::file(&stamp, source))
}

fn unit_tests(folder: &Path) -> Tally {
    let report = workspace::root().join("target/vitest.json");
    // An old report must not be read as this run's.
    drop(std::fs::remove_file(&report));
    let mut counted = Tally::default();
    let passed = step("interface: unit tests", || {
        let outcome = run(provision::npm()
            .args(["exec", "--", "vitest", "run", "--reporter=default", "--reporter=json"])
            .arg(format!("--outputFile.json={}", report.display()))
            .current_dir(folder));
        let figures = read_json(&report).ok_or(Fault::Output("vitest"))?;
        let count = |name: &str| figures[name].as_u64().unwrap_or(0);
        counted.add(Tally {
            passed: count("numPassedTests"),
            failed: count("numFailedTests"),
            skipped: count("numPendingTests"),
        });
        outcome.map(|()| true)
    });
    if !passed && counted.failed == 0 {
        counted.check(false);
    }
    counted
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
