//! The landing tier: what has to pass before a change is taken.

use std::process::Command;

use clap::ValueEnum;

use crate::run::{Fault, Watch, follow, run, say};
use crate::tally::Tally;
use crate::{conformance, package, provision, ui, workspace};

/// A part of the product whose tests can be run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Area {
    /// The MCP wire, the loopback server, the connectors' transports, and the protocol's conformance suite.
    Protocol,
    /// Sign-in, the issuer and the connectors' grants.
    SignIn,
    /// The signed bundle, the control plane and its client.
    Org,
    /// The decision.
    Policy,
    /// Journal, receipts and export.
    Audit,
    /// The tray application.
    Desktop,
}

impl Area {
    /// The packages whose tests belong to the area, and the modules of the end-to-end tests as a regular expression.
    fn scope(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Protocol => {
                (&["mcp", "upstream", "gateway"], "protocol|hostile|limits|logs|threats|isolation")
            }
            Self::SignIn => (
                &["claims", "signin", "issuer", "connector", "vault"],
                "sign_in|sign_in_windows|renewal|threats_to_secrets",
            ),
            Self::Org => (&["org", "org-protocol", "control"], "org"),
            Self::Policy => (&["payload", "policy"], "policy"),
            Self::Audit => (&["audit"], "audit"),
            Self::Desktop => {
                (&["assistants", "controller", "deskgate-desktop"], "books|connect|desktop|doctor|windows")
            }
        }
    }
}

/// `cargo xtask test`.
///
/// # Errors
/// [`Fault::Tests`] if anything failed, after everything that could be run was run.
pub(crate) fn test(full: bool, once: bool, area: Option<Area>) -> Result<(), Fault> {
    let watch = Watch::start();
    let tier = Tier { full, once };
    let mut tally = Tally::default();
    let provisioned = step("setup", || provision::setup(false).map(|()| true));
    tally.check(provisioned);
    if full {
        tally.check(step("setup of the full tests", || for_full().map(|()| true)));
    }
    if provisioned {
        match area {
            Some(area) => tier.area(area, &mut tally),
            None => tier.everything(&mut tally),
        }
    }
    say(&format!("all of it took {}", watch.text()));
    say(&tally);
    if tally.failed == 0 { Ok(()) } else { Err(Fault::Tests) }
}

/// `-D warnings` as `cargo clippy` hands it on.
const DENY_WARNINGS: &str = "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__";

struct Tier {
    full: bool,
    /// Whether this machine builds once and is thrown away.
    once: bool,
}

impl Tier {
    fn everything(&self, tally: &mut Tally) {
        tally.check(step("format", || run(cargo().args(["fmt", "--all", "--check"])).map(|()| true)));
        tally.add(self.tests("architecture", &["--package", "xtask"]));
        ui::checks(tally);
        if !self.once {
            let lints = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
            tally.check(step("lints", || run(cargo().args(lints)).map(|()| true)));
        }
        if self.full {
            tally.check(step("licences and banned crates", || deny().map(|()| true)));
        }
        if self.build(tally) {
            tally.add(self.tests("tests", &["--workspace", "--exclude", "xtask"]));
            tally.add(conformance::matrix(""));
        }
        if self.full {
            package::packages(package::Wish { profile: "release", trial: true }, tally);
        }
    }

    fn area(&self, area: Area, tally: &mut Tally) {
        let (packages, modules) = area.scope();
        let selected: Vec<&str> =
            packages.iter().chain(&["end-to-end"]).flat_map(|name| ["--package", name]).collect();
        if !self.build(tally) {
            return;
        }
        if has_nextest() {
            let own: Vec<String> = packages.iter().map(|name| format!("package({name})")).collect();
            let filter = format!("{} | (package(end-to-end) & test(/^({modules})::/))", own.join(" | "));
            tally.add(self.tests("tests", &["--workspace", "--filterset", &filter]));
        } else {
            tally.add(self.tests("tests", &selected));
        }
        if matches!(area, Area::Protocol) {
            tally.add(conformance::matrix(""));
        }
    }

    fn build(&self, tally: &mut Tally) -> bool {
        let mut cargo = self.cargo();
        let title = if self.once { "build and lints" } else { "build" };
        // Lints look at what no test runs as well.
        let more = if self.once { &["--examples", "--benches"][..] } else { &[] };
        let built = step(title, || run(whole(&mut cargo).arg("--workspace").args(more)).map(|()| true));
        tally.check(built);
        built
    }

    /// Where all is built once, our own crates are compiled by Clippy, which is the compiler with more lints: what other crates say
    /// of themselves is then worked out once and not twice, which is a third of the time. Elsewhere that would keep everything twice,
    /// for those who build without it.
    fn cargo(&self) -> Command {
        let mut cargo = cargo();
        if self.once {
            cargo.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver").env("CLIPPY_ARGS", DENY_WARNINGS);
            cargo.env("CARGO_INCREMENTAL", "0");
        }
        cargo
    }

    fn tests(&self, title: &str, what: &[&str]) -> Tally {
        let mut command = self.cargo();
        if has_nextest() {
            command.args(["nextest", "run", "--locked", "--no-fail-fast"]);
        } else {
            command.args(["test", "--locked", "--no-fail-fast"]);
        }
        command.args(what).env("DESKGATE_PROGRAMS_BUILT", "1");
        if self.full {
            command.env("DESKGATE_TEST_FULL", "1");
        }
        let mut counted = Tally::default();
        let passed = step(title, || {
            follow(&mut command, &mut |line| counted.add(Tally::of_line(line).unwrap_or_default()))
        });
        if !passed && counted.failed == 0 {
            // The runner failed before or beside its tests.
            counted.check(false);
        }
        counted
    }
}

/// Builds programs and tests together, so that the end-to-end tests find programs of the same build.
pub(crate) fn build(what: &[&str], tally: &mut Tally) -> bool {
    let built = step("build", || run(whole(&mut cargo()).args(what)).map(|()| true));
    tally.check(built);
    built
}

/// Builds the programs and tests of all crates.
///
/// # Errors
/// If they cannot be built.
pub(crate) fn build_all() -> Result<(), Fault> {
    run(whole(&mut cargo()).arg("--workspace"))
}

fn whole(cargo: &mut Command) -> &mut Command {
    cargo.args(["build", "--locked", "--bins", "--tests"])
}

/// One line before and one after, the latter with the time. An error counts as a failure.
pub(crate) fn step(title: &str, body: impl FnOnce() -> Result<bool, Fault>) -> bool {
    say(&format!("--- {title}"));
    let watch = Watch::start();
    let (passed, word) = match body() {
        Ok(true) => (true, "ok".to_owned()),
        Ok(false) => (false, "FAILED".to_owned()),
        Err(fault) => (false, format!("FAILED: {fault}")),
    };
    say(&format!("--- {title}: {word} ({})", watch.text()));
    passed
}

pub(crate) fn cargo() -> Command {
    let mut command = Command::new(workspace::cargo());
    command
        .current_dir(workspace::root())
        .env("PATH", provision::node_path())
        .env("CARGO_TERM_COLOR", "never");
    // Cargo sets these for this program; handed on, they make build scripts believe that something changed.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

fn has_nextest() -> bool {
    workspace::on_path("cargo-nextest").is_some()
}

/// Runs cargo-deny, installing it first where it is missing. Advisories need a database that no registry serves.
fn deny() -> Result<(), Fault> {
    let program = provision::program("cargo-deny", "0.20.2", "cargo-deny", &[])?;
    run(Command::new(program)
        .args(["--workspace", "--all-features", "check", "bans", "licenses", "sources"])
        .current_dir(workspace::root()))
}

/// Builds what only the full tests talk to: a server of secrets with the API of Vault.
fn for_full() -> Result<(), Fault> {
    provision::own_program("rusty_vault", "0.2.1", "rvault", &[]).map(drop)
}
