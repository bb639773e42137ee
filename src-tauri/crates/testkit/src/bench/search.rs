//! What it takes to search among a thousand tools, and what an assistant reads when it does, beside the list of them all.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tiktoken_rs::CoreBPE;
use tokio::time::Instant;
use url::Url;

use super::MODERN;
use super::echo::Echo;
use super::load::quantile;
use super::report::Aim;
use super::toolbox::{TOOLS, Tool, tools};
use crate::{Gateway, PeerFault, Setup, until};

/// How often each tool is searched for.
const TURNS: usize = 2;
/// Every so many tools are hidden by policy.
const HIDDEN: usize = 100;

/// The figures of searching.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchFigures {
    /// Tools of the connector.
    pub tools: usize,
    /// Of these, hidden by policy.
    pub hidden: usize,
    /// Searches that were timed.
    pub searches: usize,
    /// Median of a search through the gateway, µs.
    pub p50_us: f64,
    /// 99th percentile, µs.
    pub p99_us: f64,
    /// Median of a request on the same way that is refused before anything is looked for, µs: the rest is the search itself.
    pub way_p50_us: f64,
    /// The first search, which makes the index, µs.
    pub first_us: f64,
    /// How often the tool that was meant came first, as a share.
    pub found_first: f64,
    /// How often it was among the five that a search gives, as a share.
    pub found: f64,
    /// Tokens of the whole list.
    pub whole_tokens: usize,
    /// Tokens of the three tools that stand for it.
    pub three_tokens: usize,
    /// Tokens of these, a search and a description, with what was asked: the mean of several.
    pub session_tokens: usize,
}

/// A search takes at most this, µs.
const LONGEST_US: f64 = 10_000.0;
/// An assistant reads at most this share of the whole list.
const MOST_READ: f64 = 0.02;

impl SearchFigures {
    pub(super) fn aims(&self) -> [Aim; 3] {
        let whole = self.whole_tokens as f64;
        let (three, session) = (self.three_tokens as f64 / whole, self.session_tokens as f64 / whole);
        let p99_ms = self.p99_us / 1000.0;
        [
            Aim {
                text: format!("ms: p99 of a search among {} tools <= 10", self.tools),
                ratio: p99_ms,
                reached: self.p99_us <= LONGEST_US,
            },
            Aim {
                text: "% of the whole list's tokens: the three tools <= 2".to_owned(),
                ratio: three * 100.0,
                reached: three <= MOST_READ,
            },
            Aim {
                text: "% of the whole list's tokens: the three tools, a search and a description <= 2"
                    .to_owned(),
                ratio: session * 100.0,
                reached: session <= MOST_READ,
            },
        ]
    }
}

impl fmt::Display for SearchFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "search among {} tools, {} of them hidden, through the gateway: p50 {:.0} µs, p99 {:.0} µs ({} searches)",
            self.tools, self.hidden, self.p50_us, self.p99_us, self.searches
        )?;
        writeln!(
            f,
            "  of the median the search itself: {:.0} µs; the first search, which makes the index: {:.1} ms",
            self.p50_us - self.way_p50_us,
            self.first_us / 1000.0
        )?;
        writeln!(
            f,
            "  the tool that was meant came first in {:.1} %, among the first five in {:.1} %",
            self.found_first * 100.0,
            self.found * 100.0
        )?;
        writeln!(
            f,
            "  tokens (o200k): whole list {}, three tools {}, with a search and a description {}",
            self.whole_tokens, self.three_tokens, self.session_tokens
        )
    }
}

/// Measures with the `deskgate` in this folder: one connector with a thousand tools, behind a virtual server that lists
/// them and one where they are searched for.
///
/// # Errors
/// If it does not start or answers otherwise than it must.
pub(super) async fn search(programs: &Path) -> Result<SearchFigures, PeerFault> {
    let all = tools();
    let echo = Echo::offering(all.iter().map(|tool| tool.definition.clone()).collect()).await?;
    let upstream = format!("http://{}/mcp", echo.address());
    let gateway = Gateway::start(&programs.join("deskgate"), setup(&upstream, &all)).await?;
    let whole = Desk::of(&gateway, "whole").await?;
    let seen = TOOLS - TOOLS / HIDDEN;
    until("all tools", Duration::from_secs(120), async || (whole.count().await.ok()? == seen).then_some(()))
        .await?;
    let listed = whole.list().await?;
    let desk = Desk::of(&gateway, "search").await?;
    let tokenizer =
        tiktoken_rs::o200k_base().map_err(|fault| PeerFault::answer("tokenizer", fault.to_string()))?;

    let (_, first) = desk.search("create issue").await?;
    let mut way = Vec::new();
    let (mut taken, mut found_first, mut found) = (Vec::new(), 0, 0);
    for _ in 0..TURNS {
        for (at, tool) in all.iter().enumerate() {
            let (text, took) = desk.search(&tool.query).await?;
            taken.push(took);
            way.push(desk.refused().await?);
            let line = |line: &str| line.starts_with(&format!("{}(", tool.name));
            if is_hidden(at) && text.lines().any(line) {
                return Err(PeerFault::answer("search", format!("{} is hidden", tool.name)));
            }
            found_first += usize::from(text.lines().nth(1).is_some_and(line));
            found += usize::from(text.lines().any(line));
        }
    }
    taken.sort_unstable();
    way.sort_unstable();
    let wanted = (seen * TURNS) as f64;
    Ok(SearchFigures {
        tools: TOOLS,
        hidden: TOOLS - seen,
        searches: taken.len(),
        p50_us: micros(quantile(&taken, 0.5)),
        p99_us: micros(quantile(&taken, 0.99)),
        way_p50_us: micros(quantile(&way, 0.5)),
        first_us: micros(first),
        found_first: found_first as f64 / wanted,
        found: found as f64 / wanted,
        whole_tokens: count(&tokenizer, &listed),
        three_tokens: count(&tokenizer, &desk.list().await?),
        session_tokens: session(&tokenizer, &desk, &all).await?,
    })
}

/// What an assistant reads and writes that finds one tool and gets to know it, beside calling it.
async fn session(tokenizer: &CoreBPE, desk: &Desk, all: &[Tool]) -> Result<usize, PeerFault> {
    let three = count(tokenizer, &desk.list().await?);
    let (mut total, mut sessions) = (0, 0);
    for (_, tool) in all.iter().enumerate().filter(|(at, _)| at % 50 == 7 && !is_hidden(*at)) {
        let (searched, described) = (json!({"query": tool.query}), json!({"names": [tool.name]}));
        let read = [
            searched.to_string(),
            desk.text("search_tools", &searched).await?,
            described.to_string(),
            desk.text("describe_tools", &described).await?,
        ];
        total += three + read.iter().map(|text| count(tokenizer, text)).sum::<usize>();
        sessions += 1;
    }
    Ok(total / sessions.max(1))
}

fn is_hidden(at: usize) -> bool {
    at.is_multiple_of(HIDDEN)
}

fn setup(upstream: &str, all: &[Tool]) -> Setup {
    let servers: String = [("whole", ""), ("search", "tool_list = \"search\"\n")]
        .map(|(id, more)| format!("[servers.{id}]\ntitle = \"{id}\"\nconnectors = [\"bench\"]\n{more}\n"))
        .concat();
    let settings = format!(
        "policies = \"policies\"\nanswer_in_terminal = true\n\n\
         [connectors.bench]\ntitle = \"Bench\"\nurl = \"{upstream}\"\n\n{servers}"
    );
    let hidden = all.iter().enumerate().filter(|(at, _)| is_hidden(*at)).map(|(at, tool)| {
        let name = &tool.name;
        format!("@id(\"hidden-{at}\")\nforbid (principal, action == Action::\"bench/{name}\", resource);\n")
    });
    let policies = vec![("hidden.cedar".to_owned(), hidden.collect())];
    Setup { settings, policies, usual_log: true, ..Setup::default() }
}

/// An assistant at one virtual server, which keeps its connection.
pub(super) struct Desk {
    http: reqwest::Client,
    url: Url,
    token: String,
}

impl Desk {
    async fn of(gateway: &Gateway, server: &str) -> Result<Self, PeerFault> {
        let token = gateway.connect(server, "Load generator").await?.tokens.access_token;
        Self::with(gateway, server, token)
    }

    /// One that was let in before.
    pub(super) fn with(gateway: &Gateway, server: &str, token: String) -> Result<Self, PeerFault> {
        Ok(Self { http: reqwest::Client::new(), url: gateway.url(server)?, token })
    }

    /// How many tools are listed.
    pub(super) async fn count(&self) -> Result<usize, PeerFault> {
        Ok(serde_json::from_str::<Vec<&RawValue>>(&self.list().await?)?.len())
    }

    /// The text of the list of tools.
    async fn list(&self) -> Result<String, PeerFault> {
        let (answer, _) = self.ask("tools/list", json!({})).await?;
        let tools = answer["result"]["tools"].is_array();
        if tools { Ok(answer["result"]["tools"].to_string()) } else { Err(wrong(&answer)) }
    }

    /// What a search gives, and how long it takes.
    async fn search(&self, query: &str) -> Result<(String, Duration), PeerFault> {
        let params = json!({"name": "search_tools", "arguments": {"query": query}});
        let (answer, took) = self.ask("tools/call", params).await?;
        Ok((text(&answer)?, took))
    }

    /// How long a search takes that is refused.
    async fn refused(&self) -> Result<Duration, PeerFault> {
        let params = json!({"name": "search_tools", "arguments": {"query": "create issue", "limit": 0}});
        let (answer, took) = self.ask("tools/call", params).await?;
        if answer["result"]["isError"] == true { Ok(took) } else { Err(wrong(&answer)) }
    }

    async fn text(&self, tool: &str, arguments: &Value) -> Result<String, PeerFault> {
        let (answer, _) = self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await?;
        text(&answer)
    }

    async fn ask(&self, method: &str, mut params: Value) -> Result<(Value, Duration), PeerFault> {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let mut request = self
            .http
            .post(self.url.clone())
            .bearer_auth(&self.token)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", method);
        if let Some(name) = params["name"].as_str() {
            request = request.header("mcp-name", name);
        }
        let request = request.json(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}));
        let start = Instant::now();
        let body = request.send().await?.bytes().await?;
        let took = start.elapsed();
        Ok((serde_json::from_slice(&body)?, took))
    }
}

fn text(answer: &Value) -> Result<String, PeerFault> {
    let result = &answer["result"];
    let text = result["content"][0]["text"].as_str().filter(|_| result["isError"] != true);
    text.map(str::to_owned).ok_or_else(|| wrong(answer))
}

fn wrong(answer: &Value) -> PeerFault {
    PeerFault::answer("gateway", answer.to_string())
}

fn count(tokenizer: &CoreBPE, text: &str) -> usize {
    tokenizer.encode_ordinary(text).len()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::bench) fn figures() -> SearchFigures {
        SearchFigures {
            tools: 1_000,
            hidden: 10,
            searches: 2_000,
            p50_us: 900.0,
            p99_us: 9_000.0,
            way_p50_us: 300.0,
            first_us: 42_000.0,
            found_first: 0.9,
            found: 0.99,
            whole_tokens: 100_000,
            three_tokens: 500,
            session_tokens: 1_000,
        }
    }

    #[test]
    fn aims_are_what_was_promised() {
        let reached = |figures: &SearchFigures| figures.aims().map(|aim| aim.reached);
        assert_eq!(reached(&figures()), [true; 3]);
        let slow = SearchFigures { p99_us: 10_001.0, ..figures() };
        assert_eq!(reached(&slow), [false, true, true]);
        let long = SearchFigures { three_tokens: 2_001, session_tokens: 2_500, ..figures() };
        assert_eq!(reached(&long), [true, false, false]);
    }

    #[test]
    fn tokens_are_counted_without_asking_anybody() {
        let tokenizer = tiktoken_rs::o200k_base().expect("it is part of the program");
        assert_eq!(count(&tokenizer, "hello world"), 2);
    }
}
