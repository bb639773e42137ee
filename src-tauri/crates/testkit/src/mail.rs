//! The organisation's mail: PyPI `fastmcp` over Streamable HTTP, an OAuth resource server.

use std::time::Duration;

use serde_json::json;
use url::Url;

use crate::canary;
use crate::place::{python, script};
use crate::{Employee, Idp, PeerFault, Process, Spec};

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
        Self::spawn(&json!({ "port": 0, "issuer": idp.issuer() })).await
    }

    /// Starts one that takes bound tokens of `idp` only (RFC 9449), each request proved with a nonce of its own.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start_with_bound_tokens(idp: &Idp) -> Result<Self, PeerFault> {
        Self::spawn(&json!({ "port": 0, "issuer": idp.issuer(), "bound": true })).await
    }

    /// What it said of each proof that came, in order: `good`, or what is wrong.
    pub fn proofs(&self) -> Vec<String> {
        let log = self.process.log();
        log.lines().filter_map(|line| line.trim().strip_prefix("proof ").map(str::to_owned)).collect()
    }

    async fn spawn(settings: &serde_json::Value) -> Result<Self, PeerFault> {
        let mut process = Spec::new("mail", python()?)
            .arg(script("python/mail.py"))
            .arg(settings.to_string())
            .env("PYTHONUNBUFFERED", "1")
            .start()?;
        let url = process.ready_line("ready ", Duration::from_secs(90)).await?;
        Ok(Self { process, url: Url::parse(&url)? })
    }

    /// Starts one that knows no authorization server: it takes these tokens of these people, as bearer tokens or in a header of
    /// this name.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start_with_tokens(
        header: Option<&str>,
        tokens: &[(&str, &Employee)],
    ) -> Result<Self, PeerFault> {
        for (token, _) in tokens {
            canary::plant("an access token that was handed out", token);
        }
        let tokens: serde_json::Map<_, _> =
            tokens.iter().map(|(token, person)| ((*token).to_owned(), json!(person.login))).collect();
        Self::spawn(&json!({ "port": 0, "header": header, "tokens": tokens })).await
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
