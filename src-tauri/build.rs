//! Builds the interface with Vite and prepares what Tauri compiles in.
//!
//! `DESKGATE_UI=skip` leaves the interface as it lies in `ui/dist`, for machines without npm that only check the code.
#![expect(clippy::print_stderr, reason = "a build script speaks to the person")]

use std::path::Path;
use std::process::{Command, ExitCode};

/// What the interface is built from, beside its sources.
const UI_FILES: [&str; 7] = [
    "ui/src",
    "ui/words",
    "ui/index.html",
    "ui/question.html",
    "ui/package.json",
    "ui/package-lock.json",
    "ui/vite.config.ts",
];

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=src-tauri/capabilities");
    println!("cargo:rerun-if-changed=src-tauri/permissions");
    println!("cargo:rerun-if-env-changed=DESKGATE_UI");
    for file in UI_FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    if let Err(why) = interface() {
        eprintln!("The interface could not be built: {why}");
        return ExitCode::FAILURE;
    }
    let attributes =
        tauri_build::Attributes::new().capabilities_path_pattern("src-tauri/capabilities/**/*").app_manifest(
            tauri_build::AppManifest::new().permissions_path_pattern("src-tauri/permissions/*.toml"),
        );
    if let Err(why) = tauri_build::try_build(attributes) {
        eprintln!("{why:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn interface() -> Result<(), String> {
    if std::env::var("DESKGATE_UI").is_ok_and(|value| value == "skip") {
        return match Path::new("ui/dist/index.html").exists() {
            true => Ok(()),
            false => Err("DESKGATE_UI=skip wants an interface that was built before, in ui/dist.".to_owned()),
        };
    }
    packages()?;
    npm(&["run", "--silent", "build"])
}

/// `npm ci`, unless what lies there was installed from this very lock file (`cargo xtask` keeps the same note).
fn packages() -> Result<(), String> {
    let stamp = Path::new("ui/node_modules/.installed-from");
    let wanted = std::fs::read("ui/package-lock.json").map_err(|error| error.to_string())?;
    if std::fs::read(stamp).ok().as_ref() == Some(&wanted) {
        return Ok(());
    }
    npm(&["ci", "--loglevel=error"])?;
    std::fs::write(stamp, wanted).map_err(|error| error.to_string())
}

fn npm(arguments: &[&str]) -> Result<(), String> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(program).args(arguments).current_dir("ui").output().map_err(|error| {
        format!("npm could not be started ({error}). Install Node 22 with npm, or set DESKGATE_UI=skip.")
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "npm {} failed.\n{}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}
