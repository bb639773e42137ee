//! The upstream of the measurement: an MCP server that does nothing but answer, in both eras of the protocol.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{LEGACY, MODERN};
use crate::PeerFault;
use crate::http_loop::serve_all;

/// How many tools there are where the path does not say.
pub(super) const TOOLS: usize = 10;

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running echo server: tools `echo` (takes `message`, answers it) and `tool-1` to `tool-9` (the same). Below
/// [`many`] there are more, below [`another`] they have other names. Ends when dropped.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    task: JoinHandle<()>,
    heard: Option<Heard>,
}

/// The messages of the calls that came, in order.
type Heard = Arc<Mutex<Vec<String>>>;

/// What all connections share.
#[derive(Debug, Default)]
struct Setup {
    tools: Option<Vec<serde_json::Value>>,
    heard: Option<Heard>,
}

impl Echo {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start() -> Result<Self, PeerFault> {
        Self::start_at(ANY_PORT).await
    }

    /// Starts one at an address, such as that of one that has ended.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start_at(address: SocketAddr) -> Result<Self, PeerFault> {
        Self::with(address, Setup::default()).await
    }

    /// Starts one with tools of these definitions instead, whatever the path.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn offering(tools: Vec<serde_json::Value>) -> Result<Self, PeerFault> {
        Self::with(ANY_PORT, Setup { tools: Some(tools), heard: None }).await
    }

    /// Starts one that remembers what it was called with: see [`Echo::heard`].
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn listening() -> Result<Self, PeerFault> {
        Self::with(ANY_PORT, Setup { tools: None, heard: Some(Heard::default()) }).await
    }

    async fn with(address: SocketAddr, setup: Setup) -> Result<Self, PeerFault> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let heard = setup.heard.clone();
        let setup = Arc::new(setup);
        let task = tokio::spawn(serve_all(listener, move |request| answer(request, Arc::clone(&setup))));
        Ok(Self { address, task, heard })
    }

    /// The messages of all calls that came so far, in order, as JSON texts; none where it does not remember them.
    pub fn heard(&self) -> Vec<String> {
        let heard = self.heard.as_ref();
        heard.map(|heard| heard.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for ever.
    pub async fn run(mut self) {
        let _never = (&mut self.task).await;
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    arguments: Arguments<'a>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

type Reply = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>, setup: Arc<Setup>) -> Result<Reply, hyper::Error> {
    if request.method() != Method::POST {
        return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let modern = request.headers().get("mcp-protocol-version").is_some_and(|version| version == MODERN);
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    let Some(id) = message.id else { return Ok(empty(StatusCode::ACCEPTED)) };
    let (status, outcome) = match message.method {
        "tools/call" => (StatusCode::OK, called(message.params, modern, &setup)),
        "tools/list" => {
            let tools = setup.tools.clone().unwrap_or_else(|| tools_at(&path));
            (StatusCode::OK, format!(r#""result":{}"#, listed(&tools)))
        }
        "initialize" if !modern => (StatusCode::OK, format!(r#""result":{}"#, initialized())),
        "ping" if !modern => (StatusCode::OK, r#""result":{}"#.to_owned()),
        "server/discover" if modern => (StatusCode::OK, format!(r#""result":{}"#, discovered())),
        _ => (StatusCode::NOT_FOUND, r#""error":{"code":-32601,"message":"unknown method"}"#.to_owned()),
    };
    Ok(json_reply(status, format!(r#"{{"jsonrpc":"2.0","id":{id},{outcome}}}"#)))
}

fn called(params: Option<&RawValue>, modern: bool, setup: &Setup) -> String {
    let call = params.and_then(|params| serde_json::from_str::<Call<'_>>(params.get()).ok());
    // Tools of other definitions may need no argument.
    let nothing = setup.tools.as_ref().map(|_| "\"\"");
    let message = call.and_then(|call| call.arguments.message.map(RawValue::get).or(nothing));
    let Some(message) = message else {
        return r#""error":{"code":-32602,"message":"message is missing"}"#.to_owned();
    };
    if let Some(heard) = &setup.heard {
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(message.to_owned());
    }
    let kind = if modern { r#","resultType":"complete""# } else { "" };
    format!(r#""result":{{"content":[{{"type":"text","text":{message}}}]{kind}}}"#)
}

fn initialized() -> serde_json::Value {
    json!({
        "protocolVersion": LEGACY,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "echo", "version": "1.0.0"},
    })
}

fn discovered() -> serde_json::Value {
    json!({
        "supportedVersions": [MODERN],
        "capabilities": {"tools": {}},
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "public",
    })
}

fn listed(tools: &[serde_json::Value]) -> serde_json::Value {
    json!({"tools": tools, "resultType": "complete", "ttlMs": 0, "cacheScope": "public"})
}

/// The path below which there are so many tools.
pub(super) fn many(tools: usize) -> String {
    format!("/many/{tools}")
}

/// The path below which the tools have names of their own.
pub(super) fn another(number: usize) -> String {
    format!("/another/{number}")
}

fn tools_at(path: &str) -> Vec<serde_json::Value> {
    let after = |start: &str| path.strip_prefix(start).and_then(|rest| rest.parse::<usize>().ok());
    if let Some(number) = after("/another/") {
        return (0..TOOLS).map(|tool| definition(&format!("tool-{tool}-of-{number}"))).collect();
    }
    let tools = after("/many/").unwrap_or(TOOLS);
    let others = (1..tools).map(|number| format!("tool-{number}"));
    std::iter::once("echo".to_owned()).chain(others).map(|name| definition(&name)).collect()
}

fn definition(name: &str) -> serde_json::Value {
    json!({
        "name": name,
        "description": "Answers the message.",
        "inputSchema": {
            "type": "object",
            "properties": {"message": {"type": "string"}},
            "required": ["message"],
        },
    })
}

fn json_reply(status: StatusCode, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    reply
}

fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::new()));
    *reply.status_mut() = status;
    reply
}
