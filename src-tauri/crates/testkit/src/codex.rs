//! Another assistant that people have: the `codex mcp` commands of npm `@openai/codex`. No account is needed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use crate::place::npm_file;
use crate::{Opened, PeerFault, Process, Spec};

/// Codex with settings of its own.
#[derive(Debug)]
pub struct Codex {
    program: PathBuf,
    home: TempDir,
}

impl Codex {
    /// A fresh installation that knows these MCP endpoints by name. It keeps its tokens in a file.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn knowing(servers: &[(&str, Url)]) -> Result<Self, PeerFault> {
        let program = npm_file("@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex")?;
        let home = tempfile::Builder::new().prefix("deskgate-codex-").tempdir()?;
        let known = servers.iter().map(|(name, url)| format!("[mcp_servers.{name}]\nurl = \"{url}\"\n"));
        let settings = format!("mcp_oauth_credentials_store = \"file\"\n\n{}", known.collect::<String>());
        std::fs::write(home.path().join("config.toml"), settings)?;
        Ok(Self { program, home })
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The same, started by another program in its place.
    #[must_use]
    pub fn started_by(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    /// Its folder, `CODEX_HOME`, where `config.toml` lies.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Starts `codex mcp login`, which opens the authorization page by `xdg-open` and waits for the redirect. Who holds
    /// `opened` answers the page; then wait for the end of the process.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_login(&self, name: &str, opened: &Opened) -> Result<Process, PeerFault> {
        self.spec()
            .env("PATH", opened.path())
            .env("BROWSER", opened.folder().join("xdg-open"))
            .args(["mcp", "login", name])
            .start()
    }

    /// `codex mcp list --json`: what it knows of each endpoint, and whether it is signed in there.
    ///
    /// # Errors
    /// If it does not end, or prints no JSON.
    pub async fn list(&self) -> Result<serde_json::Value, PeerFault> {
        let mut process = self.spec().args(["mcp", "list", "--json"]).start()?;
        process.wait(Duration::from_secs(120)).await?;
        let log = process.log();
        // Warnings may stand before it.
        let json =
            log.find("[\n").or_else(|| log.find("[]")).and_then(|at| serde_json::from_str(&log[at..]).ok());
        json.ok_or_else(|| PeerFault::answer("codex mcp list", log))
    }

    fn spec(&self) -> Spec {
        Spec::new("codex", &self.program)
            .env("HOME", self.home.path())
            .env("CODEX_HOME", self.home.path())
            .folder(self.home.path())
    }
}
