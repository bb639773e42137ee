//! The project's own commands: provisioning, a demo, tests and measurements.
//!
//! Thin and blocking: everything real lives in the crates that these commands start. This crate must never depend on
//! them, so that it builds in seconds on a machine that has nothing yet.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command line that talks to the person who started it")]

mod bench;
mod conformance;
mod demo;
mod landing;
mod package;
mod provision;
mod run;
mod tally;
mod ui;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing: Debian packages, Node 22, the npm and Python programs that tests talk to.
    Setup {
        /// Install nothing; say what is missing and fail if anything is.
        #[arg(long)]
        check: bool,
    },
    /// Start a small organisation on this machine, with the tray application in your display, to try out.
    Demo {
        /// Play it through unattended instead, in a desktop session of its own.
        #[arg(long)]
        check: bool,
    },
    /// Format, lints, architecture, unit tests, end-to-end tests and the interface: what has to pass to land.
    Test {
        /// The same tests at full size, the long ones, the check of licences and banned crates, and packages.
        #[arg(long)]
        full: bool,
        /// On a machine that builds once: lints while it builds, and keeps nothing that would make a next build faster.
        #[arg(long)]
        once: bool,
        /// Only the tests of one area, without the checks around them.
        area: Option<landing::Area>,
    },
    /// Run the protocol's conformance suite through the gateway, in front of and behind it, and print what it finds.
    Conformance {
        /// Only the runs whose name contains this, such as `server 2026-07-28` or `client`.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Build the released programs and packages of them for Debian and RPM, and try both in a clean Debian root.
    Package {
        /// Make the packages without trying them.
        #[arg(long)]
        no_trial: bool,
        /// The profile that the programs are built with: `dev` while this command itself is worked on.
        #[arg(long, hide = true, default_value = "release")]
        profile: String,
    },
    /// Write what the publisher signs of the packages that were made (`release.json`), by which installed programs update themselves.
    Statement,
    /// Measure one call through the gateway against the same call made directly and through a bare pass-through.
    Bench {
        /// Also write the figures to this file.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Calls in each round; more is slower and steadier.
        #[arg(long, default_value_t = 2000)]
        calls: u32,
        /// How often the three ways are measured in turn.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Setup { check } => provision::setup(check),
        Command::Demo { check } => demo::demo(check),
        Command::Test { full, once, area } => landing::test(full, once, area),
        Command::Conformance { only } => conformance::conformance(&only),
        Command::Package { no_trial, profile } => {
            package::package(package::Wish { profile: &profile, trial: !no_trial })
        }
        Command::Statement => package::statement(),
        Command::Bench { json, calls, rounds } => bench::bench(json.as_deref(), calls, rounds),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            run::say(&format!("xtask: {fault}"));
            ExitCode::FAILURE
        }
    }
}
