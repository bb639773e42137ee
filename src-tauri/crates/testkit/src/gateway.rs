//! A running `deskgate serve` in a session of its own, with its home folder, and the person in front of it who answers
//! by `deskgate answer`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use crate::canary::Guard;
use crate::{
    Assistant, Bridge, Browser, Employee, OAuthClient, PeerFault, Process, Session, SessionParts, Tokens,
    free_port, until,
};

const SOON: Duration = Duration::from_secs(60);

/// What lies in the home folder before the first start.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// `deskgate.toml`.
    pub settings: String,
    /// Files of the folder `policies`, by name.
    pub policies: Vec<(String, String)>,
    /// Folders that come first in the search path, such as [`Opened::folder`](crate::Opened::folder).
    pub path: Vec<PathBuf>,
    /// Variables of its environment beside those of the session.
    pub environment: Vec<(String, String)>,
    /// What `deskgate serve` is told beside.
    pub arguments: Vec<String>,
    /// Whether the log is kept as a user's is, rather than in every detail.
    pub usual_log: bool,
    /// Whether programs that it starts are lent shared accounts.
    pub borrows: bool,
}

/// An assistant that was let in.
#[derive(Debug)]
pub struct Connected {
    /// The client, to renew with.
    pub client: OAuthClient,
    /// What it was granted.
    pub tokens: Tokens,
    /// The words in which the person was asked.
    pub question: String,
}

/// A running gateway in personal mode.
#[derive(Debug)]
pub struct Gateway {
    process: Option<Process>,
    program: PathBuf,
    setup: Setup,
    port: u16,
    home: TempDir,
    session: Session,
}

impl Gateway {
    /// Starts `deskgate serve` and waits until it answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn start(program: &Path, setup: Setup) -> Result<Self, PeerFault> {
        let session = Session::start(SessionParts::HEADLESS).await?;
        let home = tempfile::Builder::new().prefix("deskgate-home-").tempdir()?;
        std::fs::write(home.path().join("deskgate.toml"), &setup.settings)?;
        // Gateways of other tests begin at the same port; one that is down for a moment must not lose its own to them.
        std::fs::write(home.path().join("port"), format!("{}\n", free_port()?))?;
        std::fs::create_dir(home.path().join("policies"))?;
        for (name, text) in &setup.policies {
            std::fs::write(home.path().join("policies").join(name), text)?;
        }
        let mut gateway = Self { process: None, program: program.to_owned(), setup, port: 0, home, session };
        gateway.launch().await?;
        Ok(gateway)
    }

    /// Kills it as a crash would, and starts it again on the same home.
    ///
    /// # Errors
    /// If it does not come back.
    pub async fn restart(&mut self) -> Result<(), PeerFault> {
        self.stop();
        self.launch().await
    }

    /// Replaces it by another program file, as an update does, and starts that on the same home.
    ///
    /// # Errors
    /// If it does not come back.
    pub async fn update(&mut self, program: &Path) -> Result<(), PeerFault> {
        self.stop();
        program.clone_into(&mut self.program);
        self.launch().await
    }

    /// Kills it as a crash would.
    pub fn stop(&mut self) {
        drop(self.process.take());
    }

    /// Starts the program without waiting for anything.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(&mut self) -> Result<(), PeerFault> {
        let mut spec =
            self.session.spec("deskgate serve", &self.program).arg("serve").env("DESKGATE_HOME", self.home());
        spec = spec.envs(self.setup.environment.iter().map(|(name, value)| (name, value)));
        spec = spec.args(&self.setup.arguments);
        if !self.setup.usual_log {
            spec = spec.env("DESKGATE_LOG", "debug");
        }
        self.process = Some(spec.env("PATH", self.path()).guarded(self.guard()).start()?);
        Ok(())
    }

    /// Its own folder, and those of the stand-ins for programs that it starts.
    fn guard(&self) -> Guard {
        let folders = [self.home().to_owned()].into_iter().chain(self.setup.path.iter().cloned()).collect();
        Guard { folders, lends_to_children: self.setup.borrows }
    }

    /// Variables of its environment from its next start on, beside those of the session.
    pub fn environment(&mut self) -> &mut Vec<(String, String)> {
        &mut self.setup.environment
    }

    /// Its folder, `DESKGATE_HOME`.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The session that it runs in.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Its process, while it runs.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// What it has printed since its last start.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The MCP endpoint of a virtual server.
    ///
    /// # Errors
    /// If `server` makes no URL.
    pub fn url(&self, server: &str) -> Result<Url, PeerFault> {
        Ok(Url::parse(&format!("http://127.0.0.1:{}/s/{server}/mcp", self.port))?)
    }

    /// Runs `deskgate` with these arguments in the same session, on the same home.
    ///
    /// # Errors
    /// If it cannot be run; how it ends is in the output.
    pub async fn deskgate(&self, arguments: &[&str]) -> Result<Output, PeerFault> {
        let mut command = tokio::process::Command::from(self.command(arguments));
        Ok(command.kill_on_drop(true).output().await?)
    }

    /// As [`Gateway::deskgate`], of a person whose folder `home` is, with further variables of the environment that name folders.
    ///
    /// # Errors
    /// If it cannot be run; how it ends is in the output.
    pub async fn deskgate_of(
        &self,
        home: &Path,
        variables: &[(&str, &Path)],
        arguments: &[&str],
    ) -> Result<Output, PeerFault> {
        let mut command = self.command(arguments);
        command.env("HOME", home).envs(variables.iter().copied());
        Ok(tokio::process::Command::from(command).kill_on_drop(true).output().await?)
    }

    /// A shell in the same session, on the same home, that finds `deskgate` by its name and ends with this line.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = self.session.command("/bin/sh");
        let folder = self.program.parent().unwrap_or(&self.program);
        let first: Vec<&Path> = self.setup.path.iter().map(PathBuf::as_path).chain([folder]).collect();
        command.args(["-c", line]).env("DESKGATE_HOME", self.home());
        command.env("PATH", crate::place::path_with(&first));
        command
    }

    /// Starts `deskgate` with these arguments in the same session, on the same home, and leaves it running.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn starting(&self, arguments: &[&str]) -> Result<Process, PeerFault> {
        let name = format!("deskgate {}", arguments.join(" "));
        let spec = self.session.spec(&name, &self.program).args(arguments);
        spec.env("DESKGATE_HOME", self.home()).env("PATH", self.path()).start()
    }

    /// Starts `deskgate bridge` for a virtual server, as an assistant does that is this test itself.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn bridge(&self, server: &str) -> Result<Bridge, PeerFault> {
        Bridge::start(self.command(&["bridge", server]))
    }

    /// An assistant of its own that starts `deskgate bridge` for a virtual server.
    ///
    /// # Errors
    /// If it gets no folder of its own.
    pub fn bridged(&self, server: &str) -> Result<Assistant, PeerFault> {
        let command = [crate::place::text(&self.program), "bridge".to_owned(), server.to_owned()];
        let home = ("DESKGATE_HOME".to_owned(), crate::place::text(self.home()));
        Assistant::starting(&command, &[home])
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.session.command(&self.program);
        command.args(arguments).env("DESKGATE_HOME", self.home()).env("PATH", self.path());
        command
    }

    /// As [`Gateway::deskgate`], with `--json` at the end, and reads what it prints.
    ///
    /// # Errors
    /// If it fails, or prints no JSON.
    pub async fn deskgate_json(&self, arguments: &[&str]) -> Result<Value, PeerFault> {
        let output = self.deskgate(&[arguments, &["--json"]].concat()).await?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(PeerFault::answer(format!("deskgate {arguments:?}"), told));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Waits until something waits for the person, answers it, and returns the words of the question.
    ///
    /// # Errors
    /// If nothing comes, or the answer is refused.
    pub async fn answer(&self, allow: bool) -> Result<String, PeerFault> {
        let (id, question) = until("something that waits for the person", SOON, async || {
            let pending = self.deskgate_json(&["pending"]).await.ok()?;
            let first = pending.as_array()?.first()?;
            Some((first["id"].as_str()?.to_owned(), first["question"].as_str()?.to_owned()))
        })
        .await?;
        let output = self.deskgate(&["answer", &id, if allow { "allow" } else { "deny" }]).await?;
        if output.status.success() {
            return Ok(question);
        }
        Err(PeerFault::answer("deskgate answer", String::from_utf8_lossy(&output.stderr)))
    }

    /// Lets an assistant of this name in: it registers and asks, the browser is opened, the person allows.
    ///
    /// # Errors
    /// If any of it fails.
    pub async fn connect(&self, server: &str, name: &str) -> Result<Connected, PeerFault> {
        self.offers(server).await?;
        let client = OAuthClient::register(&self.url(server)?, name).await?;
        let page = client.authorize_url(None)?;
        // The gateway needs no identity of the browser: consent is given elsewhere.
        let mut browser = Browser::new(Employee::alice())?;
        let (shown, redirected, question) =
            tokio::join!(browser.open(&page), client.redirected(SOON), self.answer(true));
        shown?;
        let (redirected, question) = (redirected?, question?);
        let code = redirected
            .get("code")
            .ok_or_else(|| PeerFault::answer("authorization", format!("{redirected:?}")))?;
        let tokens = client.redeem(code).await?;
        Ok(Connected { client, tokens, question })
    }

    /// Waits until a virtual server is offered. At the very first start policies that speak of a connector's tools can
    /// only be understood when the connector has told them.
    ///
    /// # Errors
    /// If it is not in time.
    pub async fn offers(&self, server: &str) -> Result<(), PeerFault> {
        let mut about = self.url(server)?;
        about.set_path(&format!("/.well-known/oauth-protected-resource/s/{server}/mcp"));
        until("the virtual server", SOON, async || {
            reqwest::get(about.clone()).await.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await
    }

    async fn launch(&mut self) -> Result<(), PeerFault> {
        self.spawn()?;
        let Some(process) = &mut self.process else { return Ok(()) };
        let address = process.ready_line("Deskgate takes calls at ", SOON).await?;
        let port = Url::parse(&address)?.port();
        self.port =
            port.ok_or_else(|| PeerFault::answer("deskgate serve", format!("no port in {address}")))?;
        Ok(())
    }

    fn path(&self) -> std::ffi::OsString {
        let first: Vec<&Path> = self.setup.path.iter().map(PathBuf::as_path).collect();
        crate::place::path_with(&first)
    }
}
