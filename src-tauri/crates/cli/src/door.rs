//! `deskgate door`: a socket for assistants in a container or on another computer, open for as long as this runs.

use std::path::Path;
use std::process::ExitCode;

use controller::app::{Client, Command, Home, Report};
use model::{Advice, ForPerson as _, ServerId};
use serde_json::json;

use crate::assistants::tell;

/// Opens it and stays.
pub(crate) async fn door(home: Home, server: ServerId, path: &Path, json: bool) -> ExitCode {
    match opened(home, server, path, json).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(advice) => crate::fail(&advice),
    }
}

async fn opened(home: Home, server: ServerId, path: &Path, json: bool) -> Result<(), Advice> {
    let path = std::path::absolute(path).map_err(|fault| {
        let happened = format!("{} is no path: {fault}.", path.display());
        Advice::new("path", happened, "Nothing was opened.", "Name a file in a folder of yours.")
    })?;
    eprintln!("Deskgate asks you whether this may be opened.");
    let command = Command::Door { server: server.clone(), path: path.clone() };
    let (report, mut stay) = Client::new(home).stay(&command).await.map_err(|fault| fault.advice())?;
    if let Report::Refused { advice } = report {
        return Err(advice);
    }
    let text = format!(
        "Open: {} leads to {server}. Whoever can use this file can use {server} as you, until you end this with Ctrl+C.",
        path.display()
    );
    tell(json, &text, &json!({ "socket": path, "server": server }));
    tokio::select! {
        () = stay.ended() => Err(Advice::new(
            "door-closed",
            "Deskgate has closed the socket: it was quit, or access was taken back.",
            "",
            "",
        )),
        ended = tokio::signal::ctrl_c() => {
            drop(stay);
            ended.map_err(|fault| Advice::new("signal", format!("It cannot be ended so: {fault}."), "", ""))
        }
    }
}
