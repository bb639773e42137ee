//! Where the running server is asked: at its socket on this machine, or over HTTP by somebody who has signed in.

use std::path::{Path, PathBuf};

use clap::Args;
use control::admin::remote::{RemoteFault, RemoteSession, sign_in};
use control::admin::{Answer, Ask, ask};
use serde_json::json;
use url::Url;

use super::{Failure, complain, said};

/// Where the running server is asked.
#[derive(Debug, Args)]
pub(super) struct Socket {
    /// The administrators' socket of the server that runs on this machine.
    #[arg(long, default_value = "/var/lib/deskgate-control/admin.sock", env = "DESKGATE_CONTROL_SOCKET")]
    admin_socket: PathBuf,
    /// The configuration URL of a server that runs elsewhere, to which you have signed in; instead of the socket.
    #[arg(long, env = "DESKGATE_CONTROL_SERVER")]
    server: Option<Url>,
}

/// Signing in to a server that runs elsewhere.
#[derive(Debug, Args)]
pub(super) struct SignInArgs {
    /// The server's configuration URL.
    #[arg(long, env = "DESKGATE_CONTROL_SERVER")]
    server: Url,
    /// Only print the address of the sign-in page; open no browser.
    #[arg(long)]
    no_browser: bool,
}

/// Signing out of it.
#[derive(Debug, Args)]
pub(super) struct SignOutArgs {
    /// The server's configuration URL.
    #[arg(long, env = "DESKGATE_CONTROL_SERVER")]
    server: Url,
}

impl Socket {
    /// Asks the server.
    pub(super) async fn ask(&self, question: &Ask) -> Result<Answer, Failure> {
        match &self.server {
            None => ask(&self.admin_socket, question).await,
            Some(server) => {
                let session = RemoteSession::load(&session_file()?, server).map_err(Failure::new)?;
                session.ask(question).await
            }
        }
        .map_err(Failure::new)
    }
}

pub(super) async fn enter(args: SignInArgs, json: bool) -> Result<(), Failure> {
    let show = |page: &Url| {
        complain(&format!("Sign in with your browser: {page}"));
        if !args.no_browser && open::that_detached(page.as_str()).is_err() {
            complain("No browser could be started; open the address yourself.");
        }
    };
    let file = session_file()?;
    let session = sign_in(&args.server, show).await.map_err(Failure::new)?;
    session.save(&file).map_err(Failure::new)?;
    let RemoteSession { who, expires, roles, .. } = &session;
    said(json, &json!({"who": who, "roles": roles, "expires": expires}), || {
        let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        format!("{who} is signed in until {expires}: {}.", roles.join(", "))
    });
    Ok(())
}

pub(super) async fn leave(args: &SignOutArgs, json: bool) -> Result<(), Failure> {
    let file = session_file()?;
    let told = match RemoteSession::load(&file, &args.server) {
        Ok(session) => session.end().await,
        Err(fault) => Err(fault),
    };
    forget(&file)?;
    match told {
        Ok(()) | Err(RemoteFault::NoSession(_)) => {}
        Err(fault) => {
            return Err(Failure::new(format!(
                "The session is forgotten here, but the server was not told: {fault}"
            )));
        }
    }
    said(json, &json!({"signed_out": true}), || "You are signed out.".to_owned());
    Ok(())
}

fn forget(file: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(file) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("{} cannot be removed: {fault}", file.display())))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Where the session lies: it is state, and its owner's alone.
fn session_file() -> Result<PathBuf, Failure> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    let state =
        state.ok_or_else(|| Failure::new("There is no home folder in which a session could be kept."))?;
    Ok(state.join("deskgate-control/session.json"))
}
