//! The port that assistants know: kept from start to start, given up only by the person's own word. What assistants said
//! while another program had it may have been heard, so their access ends.

use std::sync::Arc;

use gateway::{BindFault, Listening};
use issuer::Issuer;
use model::{Advice, ForPerson as _};
use vault::Vault;

use super::fault::StartFault;
use super::home::Home;
use super::settings::Settings;
use super::tell::server_url;
use crate::effect::{Effect, Notice, Place, Shell};

/// Ports below belong to the system.
const LOWEST: u16 = 1024;

/// The port was given up for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The port before, if there was one.
    pub before: Option<u16>,
    /// The port from the next start on.
    pub port: u16,
    /// What assistants connect to from then on: titles and addresses. Empty where an organisation decides them.
    pub servers: Vec<(String, String)>,
}

/// Binds the kept port, or the first free one at first start, and keeps it.
pub(super) async fn bind(home: &Home) -> Result<Listening, StartFault> {
    let listening = gateway::bind(home.kept_port()).await.inspect_err(|fault| {
        if let BindFault::Taken { .. } = fault
            && let Err(fault) = home.note_overheard()
        {
            tracing::error!(%fault, "that another program has the port could not be remembered");
        }
    })?;
    home.keep_port(listening.port())?;
    Ok(listening)
}

/// Ends every access where another program had the port meanwhile. While the keychain is out of reach nothing of it is known; it is done
/// again once it is (`vault` says so).
pub(super) async fn end_overheard(
    home: &Home,
    issuer: &Issuer,
    vault: &Vault,
    shell: Option<&Arc<dyn Shell>>,
) {
    if !home.was_overheard() {
        return;
    }
    let known = vault.is_durable();
    let ended = match issuer.revoke_all().await {
        Ok(ended) => ended,
        Err(fault) => {
            tracing::error!(%fault, "access that another program may have overheard is ended again at the next start");
            return;
        }
    };
    tracing::warn!(ended, "another program had the port: access that it may have overheard has ended");
    if let Some(shell) = shell.filter(|_| ended > 0) {
        shell.perform(told());
    }
    if known && let Err(fault) = home.forget_overheard() {
        tracing::error!(%fault, "access ends once more at the next start");
    }
}

fn told() -> Effect {
    Effect::Notify(Notice::new(say::notice_overheard(), say::notice_overheard_what(), Place::Assistants))
}

/// Gives Deskgate another port from its next start on: `wanted`, or the next that is free. Nothing may run meanwhile.
///
/// # Errors
/// The words; the port stays as it was.
pub async fn move_port(home: &Home, wanted: Option<u16>) -> Result<Moved, Advice> {
    home.create().map_err(|fault| fault.advice())?;
    let _alone = os::lock_instance(&home.lock()).map_err(|_| running())?;
    let before = home.kept_port();
    let port = match wanted {
        Some(port) => usable(port).await?,
        None => gateway::free_port(before.unwrap_or_default().saturating_add(1).max(LOWEST))
            .await
            .ok_or_else(none_free)?,
    };
    home.keep_port(port).map_err(|fault| fault.advice())?;
    let address = format!("http://127.0.0.1:{port}");
    let settings = std::fs::read_to_string(home.settings()).ok().and_then(|text| Settings::parse(&text).ok());
    let servers = settings.map(|settings| settings.servers).unwrap_or_default();
    let servers = servers.iter().map(|(id, server)| (server.title.clone(), server_url(&address, id)));
    Ok(Moved { before, port, servers: servers.collect() })
}

async fn usable(port: u16) -> Result<u16, Advice> {
    if port < LOWEST {
        return Err(Advice::new(
            "port-of-system",
            format!("Ports below {LOWEST} belong to the system."),
            "The port stays as it was.",
            "Choose a larger number, or none: then the next free port is taken.",
        ));
    }
    match gateway::is_free(port).await {
        Ok(true) => Ok(port),
        Ok(false) => {
            let holder =
                tokio::task::spawn_blocking(move || os::owner_of_listener(port)).await.ok().flatten();
            let who = holder.map_or_else(
                || "Another program".to_owned(),
                |it| format!("{} (process {})", it.executable, it.pid),
            );
            Err(Advice::new(
                "port-in-use",
                format!("{who} uses port {port}."),
                "The port stays as it was.",
                "Choose another, or none: then the next free port is taken.",
            ))
        }
        Err(fault) => Err(Advice::new(
            "port-unusable",
            format!("Port {port} cannot be used: {fault}."),
            "The port stays as it was.",
            "Choose another, or none: then the next free port is taken.",
        )),
    }
}

fn none_free() -> Advice {
    Advice::new(
        "no-port",
        "No port is free.",
        "The port stays as it was.",
        "Quit programs that you do not need, or name a port.",
    )
}

fn running() -> Advice {
    Advice::new(
        "port-in-service",
        "Deskgate is running, and your assistants reach it where it is.",
        "The port stays as it was.",
        "If you want another all the same: deskgate quit, then this once more.",
    )
}

impl std::fmt::Display for Moved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deskgate will be at http://127.0.0.1:{} from its next start on", self.port)?;
        match self.before {
            Some(before) if before != self.port => {
                writeln!(f, ", and no longer at http://127.0.0.1:{before}.")?;
                writeln!(
                    f,
                    "Start it, then give your assistants their new addresses; each asks you for access anew."
                )?;
            }
            Some(_) | None => writeln!(f, ".")?,
        }
        for (title, url) in &self.servers {
            writeln!(f, "  {title}: {url}")?;
        }
        if self.servers.is_empty() {
            writeln!(f, "The addresses are said by: deskgate status")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        (folder, home)
    }

    #[tokio::test]
    async fn the_port_moves_to_one_that_is_free_and_says_the_addresses() {
        let (_folder, home) = home();
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        home.keep_port(port).unwrap();
        let settings = "[connectors.x]\ntitle = \"X\"\ncommand = [\"x\"]\n[servers.desk]\ntitle = \"Desk\"\nconnectors = [\"x\"]\n";
        std::fs::write(home.settings(), settings).unwrap();
        let refused = move_port(&home, Some(port)).await.unwrap_err();
        assert_eq!(refused.code, "port-in-use");
        assert!(refused.happened.contains(&std::process::id().to_string()), "{refused}");
        assert_eq!(home.kept_port(), Some(port));

        let moved = move_port(&home, None).await.unwrap();
        assert_eq!((moved.before, home.kept_port()), (Some(port), Some(moved.port)));
        assert_ne!(moved.port, port);
        let url = format!("http://127.0.0.1:{}/s/desk/mcp", moved.port);
        assert_eq!(moved.servers, [("Desk".to_owned(), url.clone())]);
        assert!(moved.to_string().contains(&url), "{moved}");
    }

    #[tokio::test]
    async fn the_port_stays_where_an_instance_runs_or_the_system_has_it() {
        let (_folder, home) = home();
        assert_eq!(move_port(&home, Some(80)).await.unwrap_err().code, "port-of-system");
        let _lock = os::lock_instance(&home.lock()).unwrap();
        assert_eq!(move_port(&home, None).await.unwrap_err().code, "port-in-service");
        assert_eq!(home.kept_port(), None);
    }

    #[tokio::test]
    async fn a_taken_port_is_remembered_until_access_has_ended() {
        let (_folder, home) = home();
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        home.keep_port(port).unwrap();
        let Err(StartFault::Bind(fault)) = bind(&home).await else { panic!("the port is taken") };
        let advice = fault.advice();
        assert!(advice.happened.contains(&format!("(process {}, ", std::process::id())), "{advice}");
        assert!(advice.todo.contains("deskgate port --move"), "{advice}");
        assert!(home.was_overheard());
        assert_eq!(home.kept_port(), Some(port), "assistants' addresses stay as they were");
        home.forget_overheard().unwrap();
        assert!(!home.was_overheard());
    }
}
