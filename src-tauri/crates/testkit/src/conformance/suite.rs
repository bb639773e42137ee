//! The suite as it is installed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use testkit::{PeerFault, conformance_suite};
use tokio::process::Command;
use url::Url;

use crate::findings::Findings;
use crate::requirements::Requirements;

/// What a scenario may take, in milliseconds. All of them are done in a fraction, if nothing is waited for in vain.
const SCENARIO: &str = "20000";

/// What the client of a scenario may take, in milliseconds: it starts a gateway first, beside others that do.
const CLIENT: &str = "120000";

/// The suite, and a folder for what it finds.
pub(crate) struct Suite {
    program: PathBuf,
    package: PathBuf,
    results: PathBuf,
}

impl Suite {
    /// The suite with this folder for results, which is emptied.
    ///
    /// # Errors
    /// If it is not installed, or the folder cannot be made.
    pub(crate) fn at(results: PathBuf) -> Result<Self, PeerFault> {
        let (program, package) = conformance_suite()?;
        if results.exists() {
            std::fs::remove_dir_all(&results)?;
        }
        std::fs::create_dir_all(&results)?;
        Ok(Self { program, package, results })
    }

    /// What a revision requires.
    ///
    /// # Errors
    /// If its list cannot be read.
    pub(crate) fn requirements(&self, revision: &str) -> Result<Requirements, PeerFault> {
        let list = self.package.join("requirements").join(format!("{revision}.yaml"));
        Requirements::read(&std::fs::read_to_string(list)?)
    }

    /// Runs what a revision requires of a server.
    ///
    /// # Errors
    /// If the suite cannot be run; what it found is no error.
    pub(crate) async fn server(&self, cell: &str, revision: &str, url: &Url) -> Result<Findings, PeerFault> {
        let mut command = self.command();
        command.args(["server", "--url", url.as_str(), "--requirements", revision, "--timeout", SCENARIO]);
        self.run(cell, command).await
    }

    /// Runs what a revision requires of a client, with this program as the client.
    ///
    /// # Errors
    /// If the suite cannot be run; what it found is no error.
    pub(crate) async fn client(
        &self,
        cell: &str,
        revision: &str,
        client: &str,
    ) -> Result<Findings, PeerFault> {
        let mut command = self.command();
        command.args(["client", "--command", client, "--requirements", revision, "--timeout", CLIENT]);
        self.run(cell, command).await
    }

    /// Runs its scenarios for authorization servers, as this client and with its redirect at this port. A person has to
    /// open the address that [`Suite::log`] then holds.
    ///
    /// # Errors
    /// If the suite cannot be run; what it found is no error.
    pub(crate) async fn authorization(
        &self,
        cell: &str,
        issuer: &str,
        client: &str,
        port: u16,
        resource: &Url,
    ) -> Result<Findings, PeerFault> {
        let mut command = self.command();
        command.args([
            "authorization",
            "--url",
            issuer,
            "--client-id",
            client,
            "--resource",
            resource.as_str(),
        ]);
        command.args(["--port", &port.to_string()]);
        self.run(cell, command).await
    }

    /// What the suite has printed in a cell so far.
    pub(crate) fn log(&self, cell: &str) -> String {
        std::fs::read_to_string(log_of(&self.folder(cell))).unwrap_or_default()
    }

    /// A file beside the results.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.results.join(name)
    }

    fn folder(&self, cell: &str) -> PathBuf {
        self.results.join(cell.replace(' ', "-"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(self.package.join("dist/index.js"));
        command
    }

    async fn run(&self, cell: &str, mut command: Command) -> Result<Findings, PeerFault> {
        let folder = self.folder(cell);
        std::fs::create_dir_all(&folder)?;
        let log = std::fs::File::create(log_of(&folder))?;
        command
            .arg("--output-dir")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        // The exit status repeats what the results say.
        command.status().await.map_err(|source| PeerFault::Start { name: "the suite".to_owned(), source })?;
        Findings::read(&folder)
    }
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("log.txt")
}
