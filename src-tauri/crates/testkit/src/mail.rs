//! The organisation's mail: PyPI `fastmcp` over Streamable HTTP, an OAuth resource server.

use std::time::Duration;

use serde_json::json;
use url::Url;

use crate::place::{python, script};
use crate::{Idp, PeerFault, Process, Spec};

/// A running mail server. Its tools are `list_messages` and `send_message`; each answer names the token's account.
#[derive(Debug)]
pub struct Mail {
    process: Process,
    url: Url,
}

impl Mail {
    /// Starts one that takes tokens of `idp` for its own URL, and waits until it can be asked.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start(idp: &Idp) -> Result<Self, PeerFault> {
        let settings = json!({ "port": 0, "issuer": idp.issuer() });
        let mut process = Spec::new("mail", python()?)
            .arg(script("python/mail.py"))
            .arg(settings.to_string())
            .env("PYTHONUNBUFFERED", "1")
            .start()?;
        let url = process.ready_line("ready ", Duration::from_secs(90)).await?;
        Ok(Self { process, url: Url::parse(&url)? })
    }

    /// The MCP endpoint, which is also the audience of its tokens.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Its process, to kill or to look into.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
