//! A system bus of its own with a logind and a NetworkManager that say what a test wants: python-dbusmock's.

use std::time::Duration;

use tempfile::TempDir;
use zbus::{Connection, Proxy, Variant};

use crate::place::debian;
use crate::{PeerFault, Process, Spec};

const START: Duration = Duration::from_secs(60);
/// Where the mock takes what it is to say.
const MOCK: &str = "org.freedesktop.DBus.Mock";
/// Debian's own Python has Debian's modules.
const PYTHON: &str = "/usr/bin/python3";

/// The services, by their template and their object.
const LOGIND: (&str, &str, &str) = ("logind", "org.freedesktop.login1", "/org/freedesktop/login1");
const NETWORK: (&str, &str, &str) =
    ("networkmanager", "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager");

/// The system bus of a machine that is put to sleep and taken from the network.
#[derive(Debug)]
pub struct MachineBus {
    address: String,
    bus: Connection,
    _programs: Vec<Process>,
    _folder: TempDir,
}

impl MachineBus {
    /// Starts the bus and both services.
    ///
    /// # Errors
    /// If one of them does not come up.
    pub async fn start() -> Result<Self, PeerFault> {
        let folder = tempfile::tempdir()?;
        let at = format!("--address=unix:dir={}", crate::place::text(folder.path()));
        let mut daemon = Spec::new("dbus-daemon", debian("dbus-daemon")?)
            .args(["--session", "--nofork", "--nopidfile", "--print-address=1", &at])
            .start()?;
        let address = format!("unix:{}", daemon.ready_line("unix:", START).await?);
        let bus = zbus::connection::Builder::address(address.as_str()).build().await.map_err(told)?;
        let mut programs = vec![daemon];
        for (template, name, _) in [LOGIND, NETWORK] {
            let mut service = Spec::new(template, PYTHON)
                .args(["-m", "dbusmock", "--system", "--template", template])
                .env("DBUS_SYSTEM_BUS_ADDRESS", &address)
                .start()?;
            service.ready(name, START, async |_| owned(&bus, name).await.then_some(())).await?;
            programs.push(service);
        }
        Ok(Self { address, bus, _programs: programs, _folder: folder })
    }

    /// The variable that leads programs to it.
    pub fn variable(&self) -> (String, String) {
        ("DBUS_SYSTEM_BUS_ADDRESS".to_owned(), self.address.clone())
    }

    /// Says that sleep begins, or that it is over.
    ///
    /// # Errors
    /// If the service does not take it.
    pub async fn sleep(&self, begins: bool) -> Result<(), PeerFault> {
        let (_, name, path) = LOGIND;
        let mock = self.mock(name, path).await?;
        let signal = ("org.freedesktop.login1.Manager", "PrepareForSleep", "b", vec![Variant::from(begins)]);
        mock.call::<_, _, ()>("EmitSignal", &signal).await.map_err(told)
    }

    /// Says how far the network reaches: a number of `NMState`, such as 20, disconnected, or 70, the whole world.
    ///
    /// # Errors
    /// If the service does not take it.
    pub async fn network(&self, state: u32) -> Result<(), PeerFault> {
        let (_, name, path) = NETWORK;
        let mock = self.mock(name, path).await?;
        mock.call::<_, _, ()>("SetGlobalConnectionState", &(state,)).await.map_err(told)
    }

    async fn mock<'a>(&'a self, name: &'static str, path: &'static str) -> Result<Proxy<'a>, PeerFault> {
        Proxy::new(&self.bus, name, path, MOCK).await.map_err(told)
    }
}

async fn owned(bus: &Connection, name: &str) -> bool {
    let asked = bus
        .call_method(
            Some("org.freedesktop.DBus"),
            "/org/freedesktop/DBus",
            Some("org.freedesktop.DBus"),
            "NameHasOwner",
            &(name,),
        )
        .await;
    asked.is_ok_and(|answer| answer.body().deserialize().unwrap_or(false))
}

fn told(problem: impl std::fmt::Display) -> PeerFault {
    PeerFault::answer("the system bus", problem.to_string())
}
