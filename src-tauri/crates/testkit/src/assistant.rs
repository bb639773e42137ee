//! An assistant: the MCP client of PyPI `mcp`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::place::{python, script};
use crate::{PeerFault, Spec};

/// How an assistant gets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Without a token.
    None,
    /// With this bearer token.
    Bearer(String),
    /// It registers, asks for authorization and keeps its tokens for the next time.
    OAuth,
}

/// One thing that an assistant does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// List the tools.
    ListTools,
    /// Call a tool.
    Call {
        /// Its name.
        tool: String,
        /// Its arguments: a JSON object.
        arguments: Value,
    },
}

impl Step {
    /// A call.
    pub fn call(tool: impl Into<String>, arguments: Value) -> Self {
        Self::Call { tool: tool.into(), arguments }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Transcript {
    /// The protocol revision that was agreed on.
    pub protocol: String,
    /// The server's name and version, where it told.
    pub server: Option<Value>,
    /// One answer for each step: the server's result, or an object with `error`.
    pub answers: Vec<Value>,
}

impl Transcript {
    /// The names of the tools in the answer to a [`Step::ListTools`].
    pub fn tool_names(&self, step: usize) -> Vec<String> {
        let tools = self.answers.get(step).and_then(|answer| answer["tools"].as_array());
        let name = |tool: &Value| tool["name"].as_str().map(str::to_owned);
        tools.into_iter().flatten().filter_map(name).collect()
    }

    /// The text of the first content block in the answer to a [`Step::Call`].
    pub fn text(&self, step: usize) -> Option<&str> {
        self.answers.get(step)?["content"][0]["text"].as_str()
    }
}

/// What an assistant connects to.
#[derive(Debug)]
enum Server {
    /// An MCP endpoint.
    At(Url),
    /// A program that it starts, with variables of its environment.
    Started { command: Vec<String>, environment: Vec<(String, String)> },
}

/// An assistant that remembers its registration and tokens.
#[derive(Debug)]
pub struct Assistant {
    server: Server,
    access: Access,
    mode: String,
    memory: PathBuf,
    _home: TempDir,
}

impl Assistant {
    /// An assistant for one MCP endpoint.
    ///
    /// # Errors
    /// If it gets no folder of its own.
    pub fn new(url: Url, access: Access) -> Result<Self, PeerFault> {
        Self::of(Server::At(url), access)
    }

    /// An assistant that starts its server as a program and speaks over standard input and output.
    ///
    /// # Errors
    /// If it gets no folder of its own.
    pub fn starting(command: &[String], environment: &[(String, String)]) -> Result<Self, PeerFault> {
        let server = Server::Started { command: command.to_vec(), environment: environment.to_vec() };
        Self::of(server, Access::None)
    }

    fn of(server: Server, access: Access) -> Result<Self, PeerFault> {
        let home = tempfile::Builder::new().prefix("deskgate-assistant-").tempdir()?;
        Ok(Self { server, access, mode: "auto".to_owned(), memory: home.path().to_owned(), _home: home })
    }

    /// Makes it keep its registration and tokens in this folder, for others after it.
    #[must_use]
    pub fn remembering(mut self, folder: impl Into<PathBuf>) -> Self {
        self.memory = folder.into();
        self
    }

    /// Makes it speak `legacy` (2025-11-25 with a handshake) or one protocol revision, instead of finding out.
    #[must_use]
    pub fn speaking(mut self, mode: impl Into<String>) -> Self {
        self.mode = mode.into();
        self
    }

    /// Does all steps in one connection. `path` is its search path, such as [`Opened::path`](crate::Opened::path), if
    /// a person is there to answer the pages that it opens; they must do it at the same time.
    ///
    /// # Errors
    /// If no connection came about; the answer to a step is never an error here.
    pub async fn run(&self, path: Option<OsString>, steps: &[Step]) -> Result<Transcript, PeerFault> {
        let (url, started) = match &self.server {
            Server::At(url) => (Some(url.as_str()), None),
            Server::Started { command, environment } => {
                let environment: serde_json::Map<_, _> =
                    environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                (None, Some(json!({"command": command, "environment": environment})))
            }
        };
        let request = json!({
            "url": url,
            "started": started,
            "token": match &self.access { Access::Bearer(token) => Some(token), Access::None | Access::OAuth => None },
            "oauth": (self.access == Access::OAuth).then(|| self.memory()),
            "mode": self.mode,
            "steps": steps.iter().map(encode).collect::<Vec<_>>(),
        });
        let mut spec =
            Spec::new("assistant", python()?).arg(script("python/client.py")).arg(request.to_string());
        if let Some(path) = path {
            spec = spec.env("PATH", path);
        }
        let mut process = spec.start()?;
        process.wait(Duration::from_secs(120)).await?;
        let log = process.log();
        let last = log.lines().last().unwrap_or_default();
        let answer: Value =
            serde_json::from_str(last).map_err(|_| PeerFault::answer("assistant", log.clone()))?;
        match answer["failed"].as_str() {
            Some(why) => Err(PeerFault::answer("assistant", why)),
            None => Ok(serde_json::from_value(answer)?),
        }
    }

    /// The access token that it keeps, if it has one.
    pub fn token(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.memory()).ok()?;
        let memory: Value = serde_json::from_str(&text).ok()?;
        memory["tokens"]["access_token"].as_str().map(str::to_owned)
    }

    /// The bearer token that it was given, if it was.
    pub fn bearer(&self) -> Option<&str> {
        match &self.access {
            Access::Bearer(token) => Some(token),
            Access::None | Access::OAuth => None,
        }
    }

    fn memory(&self) -> PathBuf {
        self.memory.join("oauth.json")
    }
}

fn encode(step: &Step) -> Value {
    match step {
        Step::ListTools => json!(["list"]),
        Step::Call { tool, arguments } => json!(["call", tool, arguments]),
    }
}
