//! `deskgate logs`: what a connector prints, as the running instance has it in memory.

use std::io::Write as _;
use std::process::ExitCode;

use controller::app::{Client, Command, Home, Report};
use model::{AccountId, ForPerson as _};
use serde_json::Value;

/// Prints the log; goes on with what comes where `follow` is set, until the connector or the instance is gone.
pub(crate) async fn show(home: Home, connector: AccountId, follow: bool, json: bool) -> ExitCode {
    let client = Client::new(home);
    let mut command = Command::Logs { connector: connector.clone(), after: 0, wait: false };
    loop {
        let (text, page) = match client.ask(&command).await {
            Ok(Report::Ok { text, json }) => (text, json),
            Ok(Report::Refused { advice }) => return crate::fail(&advice),
            Err(fault) => return crate::fail(&fault.advice()),
        };
        // Whoever reads may have had enough.
        if print(&text, &page, json).is_err() {
            return ExitCode::SUCCESS;
        }
        if !follow {
            if text.is_empty() && !json {
                eprintln!("{connector} has printed nothing so far.");
            }
            return ExitCode::SUCCESS;
        }
        let after = page["next"].as_u64().unwrap_or_default();
        command = Command::Logs { connector: connector.clone(), after, wait: true };
    }
}

/// For a person as text, for a script one JSON object a line.
fn print(text: &str, page: &Value, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        for entry in page["entries"].as_array().into_iter().flatten() {
            writeln!(out, "{entry}")?;
        }
    } else if !text.is_empty() {
        writeln!(out, "{text}")?;
    }
    out.flush()
}
