//! A running `deskgate-desktop` in a desktop session of its own, and the person at the desk: what they see in tray,
//! windows and notifications, and what they do there.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use crate::canary::Guard;
use crate::{Bridge, Employee, PeerFault, Process, Screen, Session, SessionParts, Setup, Spec, Tray, until};

const SOON: Duration = Duration::from_secs(60);

/// A running tray application.
#[derive(Debug)]
pub struct Desktop {
    process: Option<Process>,
    program: PathBuf,
    setup: Setup,
    home: TempDir,
    session: Session,
}

impl Desktop {
    /// Starts `deskgate-desktop` without its window and waits until it takes calls and has a tray icon.
    ///
    /// # Errors
    /// If it does not.
    pub async fn start(program: &Path, setup: Setup) -> Result<Self, PeerFault> {
        let mut desktop = Self::prepared(program, setup, SessionParts::DESKTOP).await?;
        desktop.launch(&["--background"])?;
        desktop.listens().await?;
        desktop.tray().await?;
        Ok(desktop)
    }

    /// Everything but the application itself: the session and the home folder.
    ///
    /// # Errors
    /// If a part cannot be started.
    pub async fn prepared(program: &Path, setup: Setup, parts: SessionParts) -> Result<Self, PeerFault> {
        let session = Session::start(parts).await?;
        let home = tempfile::Builder::new().prefix("deskgate-home-").tempdir()?;
        std::fs::write(home.path().join("deskgate.toml"), &setup.settings)?;
        std::fs::create_dir(home.path().join("policies"))?;
        for (name, text) in &setup.policies {
            std::fs::write(home.path().join("policies").join(name), text)?;
        }
        Ok(Self { process: None, program: program.to_owned(), setup, home, session })
    }

    /// Starts the application and waits for nothing.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn launch(&mut self, arguments: &[&str]) -> Result<(), PeerFault> {
        let mut folders = vec![self.home().to_owned(), self.session.home()];
        folders.extend(self.setup.path.iter().cloned());
        let guard = Guard { folders, lends_to_children: false };
        self.process = Some(self.spec().args(arguments).guarded(guard).start()?);
        Ok(())
    }

    /// The application, ready to be started.
    pub fn spec(&self) -> Spec {
        self.session
            .spec("deskgate-desktop", &self.program)
            .env("DESKGATE_HOME", self.home())
            .env("DESKGATE_LOG", "info")
            .env("PATH", self.path())
    }

    /// Runs the application and waits for its end.
    ///
    /// # Errors
    /// If it cannot be run; how it ends is in the output.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output, PeerFault> {
        let mut command = self.session.command(&self.program);
        command.args(arguments).env("DESKGATE_HOME", self.home()).env("PATH", self.path());
        Ok(tokio::process::Command::from(command).kill_on_drop(true).output().await?)
    }

    /// Waits until the application takes calls, and returns where.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn listens(&mut self) -> Result<Url, PeerFault> {
        let port_file = self.home.path().join("port");
        let Some(process) = &mut self.process else {
            return Err(PeerFault::answer("deskgate-desktop", "it was not started"));
        };
        let port = process
            .ready("an open port", SOON, async |_| {
                let port = std::fs::read_to_string(&port_file).ok()?.trim().parse::<u16>().ok()?;
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok().map(|_| port)
            })
            .await?;
        Ok(Url::parse(&format!("http://127.0.0.1:{port}"))?)
    }

    /// The MCP endpoint of a virtual server, once it is offered.
    ///
    /// # Errors
    /// If it is not in time.
    pub async fn offers(&mut self, server: &str) -> Result<Url, PeerFault> {
        let address = self.listens().await?;
        let about = address.join(&format!("/.well-known/oauth-protected-resource/s/{server}/mcp"))?;
        until("the virtual server", SOON, async || {
            reqwest::get(about.clone()).await.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await?;
        Ok(address.join(&format!("/s/{server}/mcp"))?)
    }

    /// The tray icon, once there is one.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn tray(&mut self) -> Result<Tray, PeerFault> {
        let address = self.bus_address()?;
        let Some(process) = &mut self.process else {
            return Err(PeerFault::answer("deskgate-desktop", "it was not started"));
        };
        process.ready("a tray icon", SOON, async |_| Tray::find(&address, "deskgate").await.ok()).await
    }

    /// What is on the screen, as a screen reader tells it.
    ///
    /// # Errors
    /// If the session has no accessibility bus.
    pub async fn screen(&self) -> Result<Screen, PeerFault> {
        Screen::open(&self.bus_address()?, self.session.environment()).await
    }

    /// Signs an employee in, in the native sign-in window: types name and password, and agrees.
    ///
    /// # Errors
    /// If the window, or what belongs in it, does not appear.
    pub async fn sign_in(&self, window: &str, employee: &Employee) -> Result<(), PeerFault> {
        let screen = self.screen().await?;
        screen.fill(window, &[("Name", &employee.login), ("Password", &employee.password)]).await?;
        screen.press(window, "Sign in").await?;
        screen.press(window, "Allow").await
    }

    /// Runs `deskgate` with these arguments in the same session, on the same home.
    ///
    /// # Errors
    /// If it cannot be run; how it ends is in the output.
    pub async fn deskgate(&self, program: &Path, arguments: &[&str]) -> Result<Output, PeerFault> {
        let mut command = self.session.command(program);
        command.args(arguments).env("DESKGATE_HOME", self.home());
        Ok(tokio::process::Command::from(command).kill_on_drop(true).output().await?)
    }

    /// Starts `deskgate bridge` for a virtual server, as an assistant does that is this test itself.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn bridge(&self, program: &Path, server: &str) -> Result<Bridge, PeerFault> {
        let mut command = self.session.command(program);
        command.args(["bridge", server]).env("DESKGATE_HOME", self.home());
        Bridge::start(command)
    }

    /// The text on the clipboard.
    ///
    /// # Errors
    /// If there is none.
    pub async fn clipboard(&self) -> Result<String, PeerFault> {
        let output = self.run_tool("xclip", &["-selection", "clipboard", "-out"]).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The titles of all notifications so far, the newest first.
    ///
    /// # Errors
    /// If the notification daemon does not answer.
    pub async fn notifications(&self) -> Result<Vec<String>, PeerFault> {
        // Those on the screen are not in the history: they are put there first, as when somebody reads them.
        self.run_tool("dunstctl", &["close-all"]).await?;
        let output = self.run_tool("dunstctl", &["history"]).await?;
        let history: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let all = history["data"][0].as_array().cloned().unwrap_or_default();
        Ok(all.iter().filter_map(|one| one["summary"]["data"].as_str().map(str::to_owned)).collect())
    }

    /// How many notifications are on the screen.
    ///
    /// # Errors
    /// If the notification daemon does not answer.
    pub async fn displayed_notifications(&self) -> Result<usize, PeerFault> {
        self.count_notifications("displayed").await
    }

    async fn count_notifications(&self, which: &str) -> Result<usize, PeerFault> {
        let output = self.run_tool("dunstctl", &["count", which]).await?;
        let count = String::from_utf8_lossy(&output.stdout).trim().parse();
        count.map_err(|_| PeerFault::answer("dunstctl", "no number"))
    }

    /// Holds notifications back, or lets them appear again.
    ///
    /// # Errors
    /// If the notification daemon does not answer.
    pub async fn do_not_disturb(&self, quiet: bool) -> Result<(), PeerFault> {
        self.run_tool("dunstctl", &["set-paused", if quiet { "true" } else { "false" }]).await.map(drop)
    }

    /// How many notifications are held back until the person may be disturbed.
    ///
    /// # Errors
    /// As [`Self::displayed_notifications`].
    pub async fn held_back_notifications(&self) -> Result<usize, PeerFault> {
        self.count_notifications("waiting").await
    }

    /// Clicks on the notifications that are on the screen, with the button that dunst takes for "do it".
    ///
    /// # Errors
    /// If there is none.
    pub async fn click_notification(&self) -> Result<(), PeerFault> {
        let found = self.run_tool("xdotool", &["search", "--onlyvisible", "--name", "Dunst"]).await?;
        let id = String::from_utf8_lossy(&found.stdout).lines().last().map(str::to_owned);
        let id = id.ok_or_else(|| PeerFault::answer("screen", "no notification"))?;
        self.run_tool("xdotool", &["mousemove", "--window", &id, "20", "20", "click", "2"]).await?;
        Ok(())
    }

    /// Chooses "Deny" in the menu of what the notifications on the screen offer.
    ///
    /// # Errors
    /// If the notification daemon does not answer.
    pub async fn deny_in_notification(&self) -> Result<(), PeerFault> {
        self.run_tool("dunstctl", &["context"]).await.map(drop)
    }

    /// The titles of the windows that are visible.
    ///
    /// # Errors
    /// If the display cannot be asked.
    pub async fn windows(&self) -> Result<Vec<String>, PeerFault> {
        let output = self.run_tool("xdotool", &["search", "--onlyvisible", "--name", "."]).await?;
        let mut titles = Vec::new();
        for id in String::from_utf8_lossy(&output.stdout).lines() {
            let named = self.run_tool("xdotool", &["getwindowname", id]).await?;
            titles.push(String::from_utf8_lossy(&named.stdout).trim().to_owned());
        }
        Ok(titles)
    }

    /// Closes a window as its close button does.
    ///
    /// # Errors
    /// If there is no such window.
    pub async fn close_window(&self, title: &str) -> Result<(), PeerFault> {
        let found = self.run_tool("xdotool", &["search", "--onlyvisible", "--name", title]).await?;
        let id = String::from_utf8_lossy(&found.stdout).lines().last().map(str::to_owned);
        let id = id.ok_or_else(|| PeerFault::answer("screen", format!("no window {title}")))?;
        self.run_tool("xdotool", &["windowactivate", "--sync", &id, "key", "--clearmodifiers", "alt+F4"])
            .await?;
        Ok(())
    }

    /// Its folder, `DESKGATE_HOME`.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The session that it runs in.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Its process, while it runs.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    async fn run_tool(&self, tool: &str, arguments: &[&str]) -> Result<Output, PeerFault> {
        let mut command = self.session.command(tool);
        command.args(arguments);
        Ok(tokio::process::Command::from(command).kill_on_drop(true).output().await?)
    }

    fn bus_address(&self) -> Result<String, PeerFault> {
        let address = self.session.environment().iter().find(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS");
        let address = address.and_then(|(_, value)| value.to_str()).map(str::to_owned);
        address.ok_or_else(|| PeerFault::answer("session", "it has no bus"))
    }

    fn path(&self) -> std::ffi::OsString {
        let first: Vec<&Path> = self.setup.path.iter().map(PathBuf::as_path).collect();
        crate::place::path_with(&first)
    }
}
