//! The gateway as it is measured: everything on, a hundred policies, ten of which reach the tool.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::LEGACY;
use super::echo::{TOOLS, another, many};
use super::load::{Speaker, Target, round};
use super::search::Desk;
use crate::{Bridge, Gateway, PeerFault, Setup, until};

/// How many policies are in force, beside the built-in one.
pub(super) const POLICIES: usize = 100;
/// How many of them are about the tool that is called.
pub(super) const REACHING: usize = 10;

/// How much a gateway has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Connectors of the virtual server; all but the first have ten tools.
    pub connectors: usize,
    /// Tools of the first connector.
    pub tools: usize,
    /// Sessions that are open; none where requests stand alone.
    pub sessions: usize,
}

impl Size {
    /// The least that can be measured.
    pub(super) const LEAST: Self = Self { connectors: 1, tools: TOOLS, sessions: 0 };
}

/// The most sessions that one client of several opens.
const SESSIONS_EACH: usize = 50;

/// A gateway that has let the load generator in.
pub(super) struct Subject {
    pub(super) gateway: Gateway,
    speakers: Vec<Speaker>,
}

impl Subject {
    pub(super) async fn start(programs: &Path, upstream: SocketAddr, size: Size) -> Result<Self, PeerFault> {
        let setup = Setup {
            settings: settings(upstream, size),
            policies: policies(),
            usual_log: true,
            ..Setup::default()
        };
        let gateway = Gateway::start(&programs.join("deskgate"), setup).await?;
        let mut subject = Self { gateway, speakers: Vec::new() };
        for client in 0..size.sessions.div_ceil(SESSIONS_EACH).max(1) {
            subject.let_in(SESSIONS_EACH.min(size.sessions - client * SESSIONS_EACH)).await?;
        }
        subject.first_answer().await?;
        subject.offers(TOOLS * (size.connectors - 1) + size.tools).await?;
        Ok(subject)
    }

    /// Lets one more client in, with so many sessions.
    async fn let_in(&mut self, sessions: usize) -> Result<(), PeerFault> {
        let token = self.gateway.connect("bench", "Load generator").await?.tokens.access_token;
        if sessions == 0 {
            self.speakers.push(Speaker { token: Some(token), session: None });
            return Ok(());
        }
        for _ in 0..sessions {
            let session = Some(self.open(&token).await?);
            self.speakers.push(Speaker { token: Some(token.clone()), session });
        }
        Ok(())
    }

    /// Opens a session (MCP 2025-11-25, basic/lifecycle).
    async fn open(&self, token: &str) -> Result<String, PeerFault> {
        let params = json!({
            "protocolVersion": LEGACY,
            "capabilities": {},
            "clientInfo": {"name": "load generator", "version": "1.0.0"},
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let request = reqwest::Client::new().post(self.gateway.url("bench")?).bearer_auth(token);
        let request = request.header("accept", "application/json, text/event-stream").json(&body);
        let answer = request.send().await?.error_for_status()?;
        let session = answer.headers().get("mcp-session-id").and_then(|id| id.to_str().ok());
        session.map(str::to_owned).ok_or_else(|| PeerFault::answer("initialize", "there is no session id"))
    }

    /// Waits until so many tools are listed.
    async fn offers(&self, wanted: usize) -> Result<(), PeerFault> {
        let token = self.speakers.first().and_then(|speaker| speaker.token.clone()).unwrap_or_default();
        let desk = Desk::with(&self.gateway, "bench", token)?;
        let mut last = 0;
        let listed = until("all tools", Duration::from_secs(300), async || {
            last = desk.count().await.ok()?;
            (last == wanted).then_some(())
        });
        listed.await.map_err(|fault| PeerFault::answer("gateway", format!("{fault}: {last} of {wanted}")))
    }

    pub(super) fn target(&self) -> Target {
        Target {
            name: "gateway",
            address: ([127, 0, 0, 1], self.gateway.port()).into(),
            path: "/s/bench/mcp".to_owned(),
            speakers: self.speakers.clone(),
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

/// One virtual server over as many connectors as asked for.
fn settings(upstream: SocketAddr, size: Size) -> String {
    let mut text = "policies = \"policies\"\nanswer_in_terminal = true\n\n".to_owned();
    let mut ids = Vec::new();
    for number in 0..size.connectors {
        let (id, path) = if number == 0 {
            ("bench".to_owned(), many(size.tools))
        } else {
            (format!("c{number}"), another(number))
        };
        let _infallible =
            write!(text, "[connectors.{id}]\ntitle = \"{id}\"\nurl = \"http://{upstream}{path}\"\n\n");
        ids.push(format!("\"{id}\""));
    }
    let _infallible = write!(text, "[servers.bench]\ntitle = \"Bench\"\nconnectors = [{}]\n", ids.join(", "));
    text
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
