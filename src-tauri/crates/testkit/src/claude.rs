//! An assistant that people have: the `claude mcp` commands of npm `@anthropic-ai/claude-code`. No account is needed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use crate::place::{debian, node, npm_file, path_with};
use crate::{Opened, PeerFault, Process, Spec};

/// Claude Code with settings of its own.
#[derive(Debug)]
pub struct Claude {
    program: PathBuf,
    home: TempDir,
}

impl Claude {
    /// A fresh installation.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn new() -> Result<Self, PeerFault> {
        let program = Self::program()?;
        let home = tempfile::Builder::new().prefix("deskgate-claude-").tempdir()?;
        Ok(Self { program, home })
    }

    /// Where the program lies.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn program() -> Result<PathBuf, PeerFault> {
        npm_file("@anthropic-ai/claude-code-linux-x64/claude")
    }

    /// The same, started by another program in its place.
    #[must_use]
    pub fn started_by(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    /// The person's folder, where its settings lie.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// `claude mcp add`: makes an MCP endpoint known under a name.
    ///
    /// # Errors
    /// If the command fails.
    pub async fn add(&self, name: &str, url: &Url) -> Result<(), PeerFault> {
        self.make_known(&["--transport", "http", name, url.as_str()]).await
    }

    /// `claude mcp add`: makes a program known under a name, which is started with a variable of its environment and
    /// spoken to over standard input and output.
    ///
    /// # Errors
    /// If the command fails.
    pub async fn add_program(&self, name: &str, variable: &str, command: &[&str]) -> Result<(), PeerFault> {
        self.make_known(&[&[name, "--env", variable, "--"], command].concat()).await
    }

    async fn make_known(&self, words: &[&str]) -> Result<(), PeerFault> {
        let mut process = self.spec().args(["mcp", "add", "--scope", "user"]).args(words).start()?;
        let status = process.wait(Duration::from_secs(120)).await?;
        if status.success() { Ok(()) } else { Err(PeerFault::answer("claude mcp add", process.log())) }
    }

    /// `claude mcp list`: connects to every endpoint and prints a line for each.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn list(&self) -> Result<String, PeerFault> {
        let mut process = self.spec().args(["mcp", "list"]).start()?;
        process.wait(Duration::from_secs(120)).await?;
        Ok(process.log())
    }

    /// Starts `claude mcp login`, which opens the authorization page by `xdg-open` and waits for the redirect. Who
    /// holds `opened` answers the page; then wait for the end of the process.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_login(&self, name: &str, opened: &Opened) -> Result<Process, PeerFault> {
        // It insists on a terminal, which `script` gives it.
        let command = format!("'{}' mcp login '{name}'", self.program.display());
        let node = node()?;
        let folder = node.parent().unwrap_or(&node);
        self.environment(Spec::new("claude mcp login", debian("script")?))
            .env("PATH", path_with(&[opened.folder(), folder]))
            // Without a display it asks no opener but one that is named.
            .env("BROWSER", opened.folder().join("xdg-open"))
            .args(["-q", "-e", "-c", &command, "/dev/null"])
            .start()
    }

    fn spec(&self) -> Spec {
        self.environment(Spec::new("claude", &self.program))
    }

    fn environment(&self, spec: Spec) -> Spec {
        spec.env("HOME", self.home.path())
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("DISABLE_AUTOUPDATER", "1")
            .env("TERM", "xterm-256color")
            .folder(self.home.path())
    }
}
