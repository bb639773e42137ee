//! A connector behind a URL: Streamable HTTP (MCP 2025-11-25, basic/transports).

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use mcp::connector::FromConnector;
use mcp::sse::Decoder;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;
use url::Url;

use crate::MESSAGE_LIMIT;
use crate::fault::UpstreamFault;
use crate::links::{Exchange, HttpClient, Links};
use crate::stdio::Outcome;

/// The most that is read of a stream of events before the answer has come, in bytes.
const STREAM_LIMIT: usize = 4 * MESSAGE_LIMIT;
const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";

/// An access token for a connector; never one of the gateway's own.
#[derive(Clone)]
pub struct Bearer(SecretString);

impl Bearer {
    /// Wraps a token.
    pub fn new(token: SecretString) -> Self {
        Self(token)
    }

    fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0.expose_secret())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Whether both are the same token, compared by their digests.
    pub fn same_as(&self, other: &Self) -> bool {
        model::Digest::of(self.0.expose_secret().as_bytes())
            == model::Digest::of(other.0.expose_secret().as_bytes())
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(..)")
    }
}

/// One session with a server.
#[derive(Debug)]
pub(crate) struct Http {
    links: Arc<Links>,
    /// Set by the answer to `initialize`.
    session: RwLock<Option<HeaderValue>>,
    version: OnceLock<&'static str>,
}

impl Http {
    pub(crate) fn new(client: HttpClient, url: &Url) -> Result<Self, UpstreamFault> {
        Ok(Self { links: Links::new(client, url)?, session: RwLock::new(None), version: OnceLock::new() })
    }

    pub(crate) fn speak(&self, version: &'static str) {
        let _ = self.version.set(version);
    }

    pub(crate) async fn request(
        &self,
        id: u64,
        message: String,
        bearer: Option<&Bearer>,
    ) -> Result<Outcome, UpstreamFault> {
        let exchange = self.post(message, bearer).await?;
        let headers = exchange.response().headers();
        if let Some(session) = headers.get(SESSION) {
            *self.session.write().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        }
        if is_event_stream(headers) {
            return self.answer_from_events(id, exchange, bearer).await;
        }
        let bytes = exchange.body(MESSAGE_LIMIT).await?;
        match FromConnector::parse(&bytes).map_err(|fault| UpstreamFault::Unusable(fault.to_string()))? {
            FromConnector::Answer { id: answered, outcome } if answered == id => Ok(outcome),
            FromConnector::Answer { .. }
            | FromConnector::Request { .. }
            | FromConnector::ToolsChanged
            | FromConnector::Other => Err(UpstreamFault::Unusable("it answers another request".to_owned())),
        }
    }

    pub(crate) async fn notify(&self, message: String, bearer: Option<&Bearer>) -> Result<(), UpstreamFault> {
        self.post(message, bearer).await?.body(MESSAGE_LIMIT).await.map(drop)
    }

    async fn post(&self, message: String, bearer: Option<&Bearer>) -> Result<Exchange, UpstreamFault> {
        let mut request = Request::new(Full::new(Bytes::from(message)));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        // Without it a server may choose any encoding (RFC 9110, section 12.5.3), and none is undone here.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(version) = self.version.get() {
            headers.insert(VERSION, HeaderValue::from_static(version));
        }
        let session = self.session.read().unwrap_or_else(PoisonError::into_inner).clone();
        let in_session = session.is_some();
        if let Some(session) = session {
            headers.insert(SESSION, session);
        }
        if let Some(value) = bearer.and_then(Bearer::header) {
            headers.insert(header::AUTHORIZATION, value);
        }
        let exchange = self.links.send(request).await?;
        match exchange.response().status() {
            status if status.is_success() => match encoding(exchange.response().headers()) {
                None => Ok(exchange),
                Some(encoding) => Err(UpstreamFault::Unusable(format!("it is encoded: {encoding}"))),
            },
            StatusCode::UNAUTHORIZED => {
                Err(UpstreamFault::Unauthorized { challenge: challenge(exchange.response()) })
            }
            StatusCode::NOT_FOUND if in_session => Err(UpstreamFault::SessionGone),
            status => Err(UpstreamFault::Status(status.as_u16())),
        }
    }

    async fn answer_from_events(
        &self,
        id: u64,
        mut exchange: Exchange,
        bearer: Option<&Bearer>,
    ) -> Result<Outcome, UpstreamFault> {
        let mut decoder = Decoder::new(MESSAGE_LIMIT);
        let mut received = 0;
        while let Some(chunk) = exchange.chunk().await? {
            received += chunk.len();
            if received > STREAM_LIMIT {
                return Err(UpstreamFault::TooLarge);
            }
            for event in decoder.push(&chunk).map_err(|_| UpstreamFault::TooLarge)? {
                match FromConnector::parse(event.data.as_bytes()) {
                    Ok(FromConnector::Answer { id: answered, outcome }) if answered == id => {
                        exchange.let_go();
                        return Ok(outcome);
                    }
                    Ok(FromConnector::Request { reply }) => self.notify(reply, bearer).await?,
                    Ok(FromConnector::Answer { .. } | FromConnector::ToolsChanged | FromConnector::Other) => {
                    }
                    Err(fault) => tracing::debug!(%fault, "an event of a connector is no message"),
                }
            }
        }
        Err(UpstreamFault::Unusable("the stream ended without the answer".to_owned()))
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"))
}

/// The encoding of an answer that is not plain.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let encoding = headers.get(header::CONTENT_ENCODING)?;
    let plain = encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    (!plain).then(|| String::from_utf8_lossy(encoding.as_bytes()).chars().take(40).collect())
}

fn challenge(response: &Response<Incoming>) -> Option<String> {
    response.headers().get(header::WWW_AUTHENTICATE)?.to_str().ok().map(ToOwned::to_owned)
}

/// A raw value as text, for faults.
pub(crate) fn shown(value: &RawValue) -> String {
    value.get().chars().take(300).collect()
}
