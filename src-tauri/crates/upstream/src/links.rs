//! The connections to one server: kept open between requests, and driven by whoever waits for the answer, so that no
//! other task has to be woken on the way of a call. Each session has its own: nothing of two people or accounts ever
//! travels over one connection.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::Scheme;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use os::Again;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service as _;
use url::Url;

use crate::fault::UpstreamFault;

/// Idle connections are closed after this time.
const IDLE: Duration = Duration::from_secs(60);
/// The most idle connections that are kept for one session.
const MOST_IDLE: usize = 64;
/// How long the end of an answer that nobody needs any more is waited for.
const ENDS_WITHIN: Duration = Duration::from_secs(1);
/// How long a connection may take to be made.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How connections to connectors behind URLs are made. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient {
    connector: HttpsConnector<HttpConnector>,
    again: Again,
}

impl HttpClient {
    /// A client that trusts what the operating system trusts.
    ///
    /// # Errors
    /// [`UpstreamFault::Unreachable`] when the system's trust store cannot be used.
    pub fn new() -> Result<Self, UpstreamFault> {
        let unusable = |error: rustls::Error| UpstreamFault::Unreachable(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_platform_verifier()
            .map_err(unusable)?
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_DEADLINE));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self { connector, again: Again::default() })
    }

    /// Has whoever waits between two attempts try at once, and nobody use a connection that was made before: it may have died
    /// while the machine slept, which nobody told.
    pub fn again(&self) -> &Again {
        &self.again
    }
}

/// The connections of one session.
#[derive(Debug)]
pub(crate) struct Links {
    client: HttpClient,
    server: Uri,
    host: HeaderValue,
    path: Uri,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The one used last is at the end.
    links: Vec<(Instant, Box<Link>)>,
    /// Whether a task closes them when they have rested long enough.
    swept: bool,
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A connection, with what sends on it.
#[derive(Debug)]
struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it is closed: a request that it has not taken comes back when it is dropped.
    connection: Option<Connection<Stream, Full<Bytes>>>,
    /// The round of [`HttpClient::again`] in which it was made.
    round: u64,
}

/// An answer that is coming in, with the connection that it comes over.
#[derive(Debug)]
pub(crate) struct Exchange {
    response: Response<Incoming>,
    link: Box<Link>,
    home: Weak<Links>,
}

/// Why a request got no answer.
enum SendFault {
    /// The connection was closed before anything was sent: here it is again.
    Unsent(Box<Request<Full<Bytes>>>),
    Failed(UpstreamFault),
}

impl Links {
    pub(crate) fn new(client: HttpClient, url: &Url) -> Result<Arc<Self>, UpstreamFault> {
        let unusable = || UpstreamFault::Unreachable("not a usable URL".to_owned());
        let server: Uri = url.as_str().parse().map_err(|_| unusable())?;
        if server.scheme() != Some(&Scheme::HTTP) && server.scheme() != Some(&Scheme::HTTPS) {
            return Err(unusable());
        }
        let host = url.host_str().ok_or_else(unusable)?;
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let host = HeaderValue::from_str(&host).map_err(|_| unusable())?;
        let path = server.path_and_query().cloned().ok_or_else(unusable)?.into();
        Ok(Arc::new(Self { client, server, host, path, idle: Mutex::default() }))
    }

    /// Sends a request; its target and `Host` are set here. A request that certainly was not sent goes over another
    /// connection.
    pub(crate) async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Exchange, UpstreamFault> {
        *request.uri_mut() = self.path.clone();
        request.headers_mut().insert(header::HOST, self.host.clone());
        loop {
            let (mut link, is_new) = match self.rested().await {
                Some(link) => (link, false),
                None => (Box::pin(self.open()).await?, true),
            };
            match link.send(request).await {
                Ok(response) => return Ok(Exchange { response, link, home: Arc::downgrade(self) }),
                Err(SendFault::Unsent(back)) if !is_new => request = *back,
                Err(SendFault::Unsent(_)) => {
                    return Err(UpstreamFault::Unreachable("it closed the connection at once".to_owned()));
                }
                Err(SendFault::Failed(fault)) => return Err(fault),
            }
        }
    }

    async fn open(&self) -> Result<Box<Link>, UpstreamFault> {
        let round = self.client.again.round();
        let mut connector = self.client.connector.clone();
        let made = poll_fn(|cx| connector.poll_ready(cx)).await;
        let stream = match made {
            Ok(()) => connector.call(self.server.clone()).await,
            Err(error) => Err(error),
        };
        let stream =
            stream.map_err(|error| UpstreamFault::Unreachable(model::with_causes(error.as_ref())))?;
        let (sender, connection) = http1::handshake(stream).await.map_err(|error| unreachable(&error))?;
        Ok(Box::new(Link { sender, connection: Some(connection), round }))
    }

    /// The connection that was used last, if the server has not closed it meanwhile.
    async fn rested(&self) -> Option<Box<Link>> {
        loop {
            let (since, mut link) = self.idle().links.pop()?;
            // Servers and what lies between close older ones, and not every end is told.
            if since.elapsed() < IDLE && link.round == self.client.again.round() && link.is_ready().await {
                return Some(link);
            }
        }
    }

    /// Takes a connection back for the next request.
    fn rest(self: &Arc<Self>, link: Box<Link>) {
        let mut idle = self.idle();
        if idle.links.len() >= MOST_IDLE {
            return;
        }
        idle.links.push((Instant::now(), link));
        if !idle.swept {
            idle.swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that have rested long enough, as long as there are any.
async fn sweep(links: Weak<Links>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let Some(links) = links.upgrade() else { return };
        let mut idle = links.idle();
        idle.links.retain(|(since, _)| since.elapsed() < IDLE);
        if idle.links.is_empty() {
            idle.swept = false;
            return;
        }
    }
}

impl Link {
    /// Lets the connection do what it can now.
    fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.connection, cx);
    }

    /// Whether another request can be sent at once.
    async fn is_ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(
                self.connection.is_some() && matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(()))),
            )
        })
        .await
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, SendFault> {
        let mut sent = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        let answer = poll_fn(|cx| {
            drive(connection, cx);
            sent.as_mut().poll(cx)
        });
        answer.await.map_err(|mut fault| match fault.take_message() {
            Some(request) => SendFault::Unsent(Box::new(request)),
            None => SendFault::Failed(unreachable(fault.error())),
        })
    }
}

/// Lets a connection do what it can now. What goes wrong is told to whoever waits for an answer.
fn drive(connection: &mut Option<Connection<Stream, Full<Bytes>>>, cx: &mut Context<'_>) {
    if connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
        *connection = None;
    }
}

impl Exchange {
    pub(crate) fn response(&self) -> &Response<Incoming> {
        &self.response
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamFault> {
        let Self { response, link, .. } = self;
        loop {
            let frame = poll_fn(|cx| {
                link.drive(cx);
                Pin::new(response.body_mut()).poll_frame(cx)
            });
            match frame.await {
                None => return Ok(None),
                // Trailers say nothing here.
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some(chunk));
                    }
                }
                Some(Err(error)) => return Err(unreachable(&error)),
            }
        }
    }

    /// The whole body, if it is not longer than `limit` bytes. The connection is kept for the next request.
    pub(crate) async fn body(mut self, limit: usize) -> Result<Bytes, UpstreamFault> {
        let Some(first) = self.chunk().await? else {
            self.finish().await;
            return Ok(Bytes::new());
        };
        // Mostly there is one piece, which need not be copied.
        let mut body = first;
        while body.len() <= limit {
            let Some(chunk) = self.chunk().await? else {
                self.finish().await;
                return Ok(body);
            };
            let mut longer = body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
            longer.extend_from_slice(&chunk);
            body = longer.freeze();
        }
        Err(UpstreamFault::TooLarge)
    }

    /// For whoever has all they need before the end. Most servers end the answer right after that; then the connection
    /// is kept for the next request.
    pub(crate) fn let_go(mut self) {
        tokio::spawn(async move {
            let rest = async { while let Ok(Some(_)) = self.chunk().await {} };
            if tokio::time::timeout(ENDS_WITHIN, rest).await.is_ok() {
                self.finish().await;
            }
        });
    }

    async fn finish(mut self) {
        if let Some(home) = self.home.upgrade()
            && self.link.is_ready().await
        {
            home.rest(self.link);
        }
    }
}

fn unreachable(error: &hyper::Error) -> UpstreamFault {
    UpstreamFault::Unreachable(model::with_causes(error))
}

#[cfg(test)]
mod tests;
