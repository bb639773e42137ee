//! The load: callers that each send the next call when they have checked the answer to the last one.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{LEGACY, MODERN};
use crate::PeerFault;

/// Where calls go.
#[derive(Debug, Clone)]
pub struct Target {
    /// For messages.
    pub name: &'static str,
    /// Host and port.
    pub address: SocketAddr,
    /// The path of the MCP endpoint.
    pub path: String,
    /// Those in whose names calls are made, in turn; nobody in particular if there are none.
    pub speakers: Vec<Speaker>,
}

/// Somebody in whose name calls are made.
#[derive(Debug, Clone, Default)]
pub struct Speaker {
    /// The bearer token, where one is needed.
    pub token: Option<String>,
    /// The session (2025-11-25); without one, calls stand alone (2026-07-28).
    pub session: Option<String>,
}

/// What one round gave.
#[derive(Debug, Clone)]
pub struct Round {
    /// The time of each call, sorted.
    latencies: Vec<Duration>,
    /// From the first call to the last answer.
    elapsed: Duration,
}

impl Round {
    /// The latency that this share of the calls stayed below, `0.0..=1.0`.
    pub fn quantile(&self, share: f64) -> Duration {
        quantile(&self.latencies, share)
    }

    /// Calls per second over all callers.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// How many calls were made.
    pub fn calls(&self) -> usize {
        self.latencies.len()
    }
}

/// The value below which a share of the sorted values lies.
pub(super) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the list")]
    let rank = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(rank).copied().unwrap_or_default()
}

/// Makes `calls` calls of the tool `echo` with `callers` callers and checks each answer.
///
/// # Errors
/// If a connection fails or an answer is not the one to its call.
pub async fn round(target: &Target, callers: usize, calls: usize) -> Result<Round, PeerFault> {
    let target = Arc::new(target.clone());
    let mut connections = Vec::with_capacity(callers);
    for _ in 0..callers {
        connections.push(connect(&target).await?);
    }
    let start = Instant::now();
    let mut tasks = Vec::with_capacity(callers);
    for (caller, connection) in connections.into_iter().enumerate() {
        let share = calls / callers + usize::from(caller < calls % callers);
        tasks.push(tokio::spawn(call_in_turn(Arc::clone(&target), connection, (caller, callers), share)));
    }
    let mut latencies = Vec::with_capacity(calls);
    for task in tasks {
        let outcome = task.await.map_err(|fault| PeerFault::answer(target.name, fault.to_string()))?;
        latencies.extend(outcome?);
    }
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    Ok(Round { latencies, elapsed })
}

type Connection = SendRequest<Full<Bytes>>;

async fn connect(target: &Target) -> Result<Connection, PeerFault> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let failed = |fault: hyper::Error| PeerFault::answer(target.name, fault.to_string());
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn call_in_turn(
    target: Arc<Target>,
    mut connection: Connection,
    (caller, callers): (usize, usize),
    calls: usize,
) -> Result<Vec<Duration>, PeerFault> {
    let mut latencies = Vec::with_capacity(calls);
    for number in 0..calls {
        let message = format!("caller {caller:02} says number {number:08} to the echo");
        let speaker = speaker(&target, caller + number * callers);
        let request = request(&target, &speaker, number, &message)?;
        let failed = |fault: hyper::Error| PeerFault::answer(target.name, fault.to_string());
        let start = Instant::now();
        connection.ready().await.map_err(failed)?;
        let response = connection.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(failed)?.to_bytes();
        latencies.push(start.elapsed());
        if !(status.is_success() && is_answer(&body, number, &message)) {
            let text = String::from_utf8_lossy(&body).into_owned();
            return Err(PeerFault::answer(target.name, format!("{status} to {message:?}: {text}")));
        }
    }
    Ok(latencies)
}

/// Whose turn it is.
fn speaker(target: &Target, turn: usize) -> Cow<'_, Speaker> {
    let speaker = target.speakers.get(turn % target.speakers.len().max(1));
    speaker.map_or_else(|| Cow::Owned(Speaker::default()), Cow::Borrowed)
}

/// What each request says of itself where requests stand alone.
const ALONE: &str = concat!(
    r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientCapabilities":{}}"#
);

fn request(
    target: &Target,
    speaker: &Speaker,
    number: usize,
    message: &str,
) -> Result<Request<Full<Bytes>>, PeerFault> {
    let meta = if speaker.session.is_some() { "" } else { ALONE };
    let body = format!(
        concat!(
            r#"{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":"echo","#,
            r#""arguments":{{"message":"{message}"}}{meta}}}}}"#
        ),
        number = number,
        message = message,
        meta = meta
    );
    let mut request = Request::post(&target.path)
        .header("host", target.address.to_string())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    request = match &speaker.session {
        Some(session) => {
            request.header("mcp-protocol-version", LEGACY).header("mcp-session-id", session.as_str())
        }
        None => request
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", "tools/call")
            .header("mcp-name", "echo"),
    };
    if let Some(token) = &speaker.token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request
        .body(Full::new(Bytes::from(body)))
        .map_err(|fault| PeerFault::answer(target.name, fault.to_string()))
}

#[derive(Deserialize)]
struct Answer<'a> {
    id: usize,
    #[serde(borrow)]
    result: CallResult<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'a> {
    #[serde(borrow)]
    content: Vec<Block<'a>>,
    #[serde(default)]
    is_error: bool,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// Whether the body is the answer to this call: JSON, or an event stream whose last event is it.
fn is_answer(body: &[u8], number: usize, message: &str) -> bool {
    let json = if body.first() == Some(&b'{') { Some(body) } else { last_event(body) };
    let answer = json.and_then(|json| serde_json::from_slice::<Answer<'_>>(json).ok());
    answer.is_some_and(|answer| {
        answer.id == number
            && !answer.result.is_error
            && answer.result.content.first().is_some_and(|block| block.text == message)
    })
}

fn last_event(body: &[u8]) -> Option<&[u8]> {
    body.split(|byte| *byte == b'\n').rev().find_map(|line| line.strip_prefix(b"data:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Echo, PassThrough};

    fn target(address: SocketAddr) -> Target {
        Target { name: "test", address, path: "/mcp".to_owned(), speakers: Vec::new() }
    }

    #[tokio::test]
    async fn every_call_is_made_and_answered_through_the_pass_through() {
        let echo = Echo::start().await.expect("an echo");
        let relay = PassThrough::start(echo.address()).await.expect("a relay");
        for address in [echo.address(), relay.address()] {
            let round = round(&target(address), 3, 100).await.expect("answered");
            assert_eq!(round.calls(), 100);
            assert!(round.quantile(0.5) <= round.quantile(0.99));
            assert!(round.rate() > 0.0);
        }
    }

    #[test]
    fn only_the_answer_to_the_very_call_counts() {
        let body = |id: u32, text: &str, more: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]{more}}}}}"#
            )
        };
        assert!(is_answer(body(7, "hi", "").as_bytes(), 7, "hi"));
        let stream = format!("event: message\ndata: {}\n\n", body(7, "hi", ""));
        assert!(is_answer(stream.as_bytes(), 7, "hi"));
        assert!(!is_answer(body(8, "hi", "").as_bytes(), 7, "hi"), "another call's");
        assert!(!is_answer(body(7, "ho", "").as_bytes(), 7, "hi"), "another text");
        assert!(!is_answer(body(7, "hi", r#","isError":true"#).as_bytes(), 7, "hi"), "a refusal");
        assert!(!is_answer(b"", 7, "hi"));
    }

    #[tokio::test]
    async fn a_target_that_refuses_ends_the_round() {
        let echo = Echo::start().await.expect("an echo");
        let relay = PassThrough::start(echo.address()).await.expect("a relay");
        drop(echo);
        round(&target(relay.address()), 1, 1).await.expect_err("nobody answers");
    }

    #[test]
    fn quantiles_are_ranks() {
        let values: Vec<Duration> = (1..=101).map(Duration::from_micros).collect();
        assert_eq!(quantile(&values, 0.5), Duration::from_micros(51));
        assert_eq!(quantile(&values, 0.99), Duration::from_micros(100));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
