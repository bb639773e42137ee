//! The gateway as it is measured: everything on, a hundred policies, ten of which reach the tool.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::load::{Target, round};
use crate::{Bridge, Gateway, PeerFault, Setup, until};

/// How many policies are in force, beside the built-in one.
pub(super) const POLICIES: usize = 100;
/// How many of them are about the tool that is called.
pub(super) const REACHING: usize = 10;

/// A gateway that has let the load generator in.
pub(super) struct Subject {
    pub(super) gateway: Gateway,
    token: String,
}

impl Subject {
    pub(super) async fn start(programs: &Path, upstream: SocketAddr) -> Result<Self, PeerFault> {
        let settings = format!(
            "policies = \"policies\"\nanswer_in_terminal = true\n\n\
             [connectors.bench]\ntitle = \"Bench\"\nurl = \"http://{upstream}/mcp\"\n\n\
             [servers.bench]\ntitle = \"Bench\"\nconnectors = [\"bench\"]\n"
        );
        let setup = Setup { settings, policies: policies(), usual_log: true, ..Setup::default() };
        let gateway = Gateway::start(&programs.join("deskgate"), setup).await?;
        let token = gateway.connect("bench", "Load generator").await?.tokens.access_token;
        let subject = Self { gateway, token };
        subject.first_answer().await?;
        Ok(subject)
    }

    pub(super) fn target(&self) -> Target {
        Target {
            name: "gateway",
            address: ([127, 0, 0, 1], self.gateway.port()).into(),
            path: "/s/bench/mcp".to_owned(),
            token: Some(self.token.clone()),
        }
    }

    pub(super) fn process(&mut self) -> Result<u32, PeerFault> {
        let process =
            self.gateway.process().ok_or_else(|| PeerFault::answer("gateway", "it does not run"))?;
        Ok(process.id())
    }

    /// The bytes written to the journal.
    pub(super) fn journal(&self) -> Result<usize, PeerFault> {
        super::meter::written(&self.gateway.home().join("journal"))
    }

    /// Kills and starts it again; the time from the start of the program to the first call that it answers.
    pub(super) async fn cold_start(&mut self) -> Result<Duration, PeerFault> {
        self.gateway.stop();
        let start = Instant::now();
        self.gateway.spawn()?;
        self.first_answer().await?;
        Ok(start.elapsed())
    }

    /// Starts a bridge; the time from its start to its first answer.
    pub(super) async fn bridge(&self) -> Result<(Bridge, Duration), PeerFault> {
        let discover = json!({
            "jsonrpc": "2.0",
            "id": 1,
            "method": "server/discover",
            "params": {"_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            }},
        });
        let start = Instant::now();
        let mut bridge = self.gateway.bridge("bench")?;
        let answer = bridge.ask(&discover).await?;
        let took = start.elapsed();
        if answer["result"]["supportedVersions"].is_array() {
            return Ok((bridge, took));
        }
        Err(PeerFault::answer("bridge", answer.to_string()))
    }

    async fn first_answer(&self) -> Result<(), PeerFault> {
        let target = self.target();
        let mut last = None;
        let answered = until("the gateway's first answer", Duration::from_secs(30), async || {
            let outcome = round(&target, 1, 1).await;
            last = outcome.as_ref().err().map(ToString::to_string);
            outcome.ok()
        })
        .await;
        let told = |fault| {
            PeerFault::answer(
                "gateway",
                format!("{fault}; last: {}\n{}", last.unwrap_or_default(), self.gateway.log()),
            )
        };
        answered.map(drop).map_err(told)
    }
}

/// One file for each tool: ten policies that look at an argument.
fn policies() -> Vec<(String, String)> {
    let tools = std::iter::once("echo".to_owned())
        .chain((1..POLICIES / REACHING).map(|number| format!("tool-{number}")));
    tools
        .map(|tool| {
            let mut text = String::new();
            for number in 0..REACHING {
                let _infallible = write!(
                    text,
                    "@id(\"{tool}-{number}\")\n@reason(\"measured\")\n\
                     forbid (principal, action == Action::\"bench/{tool}\", resource)\n\
                     when {{ context.input.message == \"forbidden {number}\" }};\n\n"
                );
            }
            (format!("{tool}.cedar"), text)
        })
        .collect()
}
