//! `cargo xtask package`: the programs as they are released, packages for Debian and for RPM, and a trial of both in a clean
//! Debian root. What a package carries stands in [`contents`]; the packages are made by `dpkg-deb` and `rpmbuild` themselves.

mod contents;
mod deb;
mod licences;
mod rpm;
mod sizes;
mod smoke;
mod stage;
mod statement;

use std::path::PathBuf;
use std::process::Command;

use contents::Package;

use crate::run::{Fault, Watch, ask, run, say};
use crate::tally::Tally;
use crate::{landing, provision, workspace};

pub(crate) use sizes::print as print_sizes;
pub(crate) use statement::statement;

/// The crates whose programs are released.
const RELEASED: [&str; 3] = ["cli", "control", "deskgate-desktop"];

/// How packages are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// The profile that the programs are built with.
    pub(crate) profile: &'a str,
    /// Whether they are tried as well.
    pub(crate) trial: bool,
}

/// `cargo xtask package`.
///
/// # Errors
/// [`Fault::Tests`] if anything failed, after everything that could be done was done.
pub(crate) fn package(wish: Wish<'_>) -> Result<(), Fault> {
    let watch = Watch::start();
    let mut tally = Tally::default();
    packages(wish, &mut tally);
    say(&format!("all of it took {}", watch.text()));
    say(&tally);
    if tally.failed == 0 { Ok(()) } else { Err(Fault::Tests) }
}

/// The same as a part of something larger.
pub(crate) fn packages(wish: Wish<'_>, tally: &mut Tally) {
    let ready = landing::step("setup of packaging", || provision::packaging().map(|()| true))
        && landing::step("release build", || build(wish.profile).map(|()| true));
    tally.check(ready);
    if !ready {
        return;
    }
    // Whether they are small enough is the bench's to judge.
    drop(sizes::print(&programs(wish.profile)));
    let mut made = Vec::new();
    for package in [contents::DESKGATE, contents::CONTROL] {
        tally.check(landing::step(&format!("package {}", package.name), || {
            made.push(make(package, wish.profile)?);
            Ok(true)
        }));
    }
    if wish.trial && made.len() == 2 {
        smoke::trial(&made, tally);
    }
}

/// Builds the programs.
///
/// # Errors
/// If they cannot be built.
pub(crate) fn build(profile: &str) -> Result<(), Fault> {
    let crates = RELEASED.into_iter().flat_map(|name| ["--package", name]);
    run(landing::cargo().args(["build", "--locked", "--bins", "--profile", profile]).args(crates))
}

/// Where the programs of a profile lie.
pub(crate) fn programs(profile: &str) -> PathBuf {
    workspace::root().join("target").join(if profile == "dev" { "debug" } else { profile })
}

/// The packages of one kind of content.
struct Made {
    package: Package,
    deb: PathBuf,
    rpm: PathBuf,
    /// Whether its programs are those that are released, rather than ones to work on this command with.
    is_release: bool,
}

fn make(package: Package, profile: &str) -> Result<Made, Fault> {
    let staged = stage::stage(&package, &programs(profile))?;
    let version = version();
    let deb = deb::make(&package, &staged, &version)?;
    let rpm = rpm::make(&package, &staged, &version)?;
    for path in [&deb, &rpm] {
        say(&format!("made {}", path.display()));
    }
    Ok(Made { package, deb, rpm, is_release: profile != "dev" })
}

/// Where packages and what they are made of lie.
fn output() -> PathBuf {
    workspace::root().join("target/package")
}

/// The version of this release: that of the workspace, which this program has too.
fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// When what is packaged was changed last, in seconds since 1970: what is made twice of the same commit is the same (reproducible-builds.org,
/// `SOURCE_DATE_EPOCH`).
fn epoch() -> String {
    std::env::var("SOURCE_DATE_EPOCH").ok().filter(|set| !set.is_empty()).unwrap_or_else(|| {
        let log = ["log", "-1", "--format=%ct"];
        let asked = ask(Command::new("git").args(log).current_dir(workspace::root()));
        asked.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).unwrap_or("0".to_owned())
    })
}
