//! `deskgate update`: what the running instance has found, and the part of installing it that runs as root.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use controller::app::{Client, Command, Home, InstallWish, Report, install_update};
use model::ForPerson as _;
use serde_json::json;

/// Between two questions about a look that is under way.
const AGAIN: Duration = Duration::from_millis(300);

/// Has the running instance look, says how far it is, and what it has found.
pub(crate) async fn look(home: Home, json: bool) -> ExitCode {
    let client = Client::new(home);
    let mut command = Command::Update { look: true };
    let mut said = String::new();
    loop {
        let (text, found) = match client.ask(&command).await {
            Ok(Report::Ok { text, json }) => (text, json),
            Ok(Report::Refused { advice }) => return crate::fail(&advice),
            Err(fault) => return crate::fail(&fault.advice()),
        };
        if found["looking"] == true {
            if !json && found["state"] == "fetching" && said != text {
                eprintln!("{text}");
                said = text;
            }
            command = Command::Update { look: false };
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        if json {
            println!("{found}");
        } else {
            println!("{text}");
        }
        return if found["state"] == "failed" { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
}

/// Verifies and installs a package, as root.
pub(crate) fn install(package: PathBuf, allow_older: bool, json: bool) -> ExitCode {
    match install_update(&InstallWish { package, allow_older }) {
        Ok(version) => {
            if json {
                println!("{}", json!({"installed": version.to_string()}));
            } else {
                println!("Deskgate {version} is installed. Whoever runs it uses it from the next start on.");
            }
            ExitCode::SUCCESS
        }
        Err(advice) => {
            crate::fail(&advice);
            ExitCode::from(InstallWish::exit_code(&advice))
        }
    }
}
