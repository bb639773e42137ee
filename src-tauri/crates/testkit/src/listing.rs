//! Assistants that people have, of which only the list of MCP servers is asked. No account is needed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::place::{node, npm_file, text};
use crate::{PeerFault, Spec};

/// An assistant with settings of its own, empty at first.
#[derive(Debug)]
pub struct Listing {
    program: PathBuf,
    arguments: Vec<String>,
    home: TempDir,
}

impl Listing {
    /// Gemini CLI: npm `@google/gemini-cli`. It trusts its folder, as people have it say of theirs.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn gemini() -> Result<Self, PeerFault> {
        let script = text(&npm_file("@google/gemini-cli/bundle/gemini.js")?);
        let gemini = Self::of(node()?, vec![script])?;
        let trusted = serde_json::json!({ text(gemini.home()): "TRUST_FOLDER" }).to_string();
        std::fs::create_dir(gemini.home().join(".gemini"))?;
        std::fs::write(gemini.home().join(".gemini/trustedFolders.json"), trusted)?;
        Ok(gemini)
    }

    /// opencode: npm `opencode-linux-x64`.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn opencode() -> Result<Self, PeerFault> {
        Self::of(npm_file("opencode-linux-x64/bin/opencode")?, Vec::new())
    }

    fn of(program: PathBuf, arguments: Vec<String>) -> Result<Self, PeerFault> {
        let home = tempfile::Builder::new().prefix("deskgate-listing-").tempdir()?;
        Ok(Self { program, arguments, home })
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

    /// The person's folder, where its settings lie.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// `mcp list`: a line or more for each server that it knows.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn list(&self) -> Result<String, PeerFault> {
        let mut spec = Spec::new("mcp list", &self.program).env("HOME", self.home()).folder(self.home());
        for (name, folder) in [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_CACHE_HOME", ".cache"),
        ] {
            spec = spec.env(name, self.home().join(folder));
        }
        let mut process = spec.args(&self.arguments).args(["mcp", "list"]).start()?;
        process.wait(Duration::from_secs(120)).await?;
        Ok(process.log())
    }
}
