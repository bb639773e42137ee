//! A connector behind a URL: Streamable HTTP (MCP 2025-11-25, basic/transports).

use std::sync::{OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use mcp::connector::FromConnector;
use mcp::sse::Decoder;
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;
use url::Url;

use crate::MESSAGE_LIMIT;
use crate::fault::UpstreamFault;
use crate::stdio::Outcome;

const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";
/// Idle connections to one host are closed after this many seconds.
const IDLE_SECONDS: u64 = 60;

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

/// Pooled connections to all connectors behind URLs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl HttpClient {
    /// A client that trusts what the operating system trusts.
    ///
    /// # Errors
    /// [`UpstreamFault::Unreachable`] when the system's trust store cannot be used.
    pub fn new() -> Result<Self, UpstreamFault> {
        let unusable = |error: rustls::Error| UpstreamFault::Unreachable(error.to_string());
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_platform_verifier()
            .map_err(unusable)?
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(std::time::Duration::from_secs(10)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(std::time::Duration::from_secs(IDLE_SECONDS))
            .build(connector);
        Ok(Self(client))
    }
}

/// One session with a server.
#[derive(Debug)]
pub(crate) struct Http {
    client: HttpClient,
    url: hyper::Uri,
    /// Set by the answer to `initialize`.
    session: RwLock<Option<HeaderValue>>,
    version: OnceLock<&'static str>,
}

impl Http {
    pub(crate) fn new(client: HttpClient, url: &Url) -> Result<Self, UpstreamFault> {
        let url =
            url.as_str().parse().map_err(|_| UpstreamFault::Unreachable("not a usable URL".to_owned()))?;
        Ok(Self { client, url, session: RwLock::new(None), version: OnceLock::new() })
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
        let response = self.post(message, bearer).await?;
        if let Some(session) = response.headers().get(SESSION) {
            *self.session.write().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        }
        if is_event_stream(response.headers()) {
            return self.answer_from_events(id, response.into_body(), bearer).await;
        }
        let bytes = collect(response.into_body()).await?;
        match FromConnector::parse(&bytes).map_err(|fault| UpstreamFault::Unusable(fault.to_string()))? {
            FromConnector::Answer { id: answered, outcome } if answered == id => Ok(outcome),
            FromConnector::Answer { .. }
            | FromConnector::Request { .. }
            | FromConnector::ToolsChanged
            | FromConnector::Other => Err(UpstreamFault::Unusable("it answers another request".to_owned())),
        }
    }

    pub(crate) async fn notify(&self, message: String, bearer: Option<&Bearer>) -> Result<(), UpstreamFault> {
        self.post(message, bearer).await.map(drop)
    }

    async fn post(
        &self,
        message: String,
        bearer: Option<&Bearer>,
    ) -> Result<Response<Incoming>, UpstreamFault> {
        let mut request = Request::new(Full::new(Bytes::from(message)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
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
        let response = self.client.0.request(request).await;
        let response = response.map_err(|error| UpstreamFault::Unreachable(describe(&error)))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED => Err(UpstreamFault::Unauthorized { challenge: challenge(&response) }),
            StatusCode::NOT_FOUND if in_session => Err(UpstreamFault::SessionGone),
            status => Err(UpstreamFault::Status(status.as_u16())),
        }
    }

    async fn answer_from_events(
        &self,
        id: u64,
        mut body: Incoming,
        bearer: Option<&Bearer>,
    ) -> Result<Outcome, UpstreamFault> {
        let mut decoder = Decoder::new(MESSAGE_LIMIT);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| UpstreamFault::Unreachable(error.to_string()))?;
            let Ok(chunk) = frame.into_data() else { continue };
            for event in decoder.push(&chunk).map_err(|_| UpstreamFault::TooLarge)? {
                match FromConnector::parse(event.data.as_bytes()) {
                    Ok(FromConnector::Answer { id: answered, outcome }) if answered == id => {
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

async fn collect(mut body: Incoming) -> Result<Vec<u8>, UpstreamFault> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| UpstreamFault::Unreachable(error.to_string()))?;
        let Ok(chunk) = frame.into_data() else { continue };
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MESSAGE_LIMIT {
            return Err(UpstreamFault::TooLarge);
        }
    }
    Ok(bytes)
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"))
}

fn challenge(response: &Response<Incoming>) -> Option<String> {
    response.headers().get(header::WWW_AUTHENTICATE)?.to_str().ok().map(ToOwned::to_owned)
}

/// The error with its causes; hyper's own text says only that something failed.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// A raw value as text, for faults.
pub(crate) fn shown(value: &RawValue) -> String {
    value.get().chars().take(300).collect()
}
