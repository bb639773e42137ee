//! Catches the redirect that ends a sign-in (RFC 8252, section 7.3): one listener on loopback for one attempt.
//!
//! It answers only `GET` of the attempt's own path with the attempt's own `state`, looks at nothing else, and never redeems
//! a code: whoever asked checks the parameters.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, LOCATION, REFERRER_POLICY,
};
use hyper::{Method, Request, Response, StatusCode};
use model::{SignInPurpose, SignInRequest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::{Host, Url};

/// How long one connection may take. A browser needs milliseconds.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);

/// How many connections may be open at once; browsers open a few ahead of need.
const MOST_CONNECTIONS: usize = 16;

/// Why the redirect cannot be caught.
#[derive(Debug, thiserror::Error)]
pub enum RedirectFault {
    /// The redirect URI is not `http://127.0.0.1:<port>/...`, or the IPv6 or named form of it.
    #[error("the sign-in would not come back to this computer")]
    NotLoopback,
    /// The port is taken.
    #[error("port {port} for the sign-in's answer is taken by another program")]
    Port {
        /// The port.
        port: u16,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Whether `url` is the redirect of this attempt: the redirect URI, with an answer or an error, and the `state` that the
/// authorization request carried (RFC 6749, sections 4.1.2 and 10.12; OpenID Connect RP-Initiated Logout 1.0, section 3).
pub fn is_redirect(request: &SignInRequest, url: &Url) -> bool {
    let place = &request.redirect_uri;
    let here = url.scheme() == place.scheme()
        && url.host() == place.host()
        && url.port_or_known_default() == place.port_or_known_default()
        && url.path() == place.path()
        && url.username().is_empty();
    // Who comes back from signing out brings nothing but the state.
    let answers = matches!(request.purpose, SignInPurpose::SignOut { .. })
        || one(url, "code").is_some()
        || one(url, "error").is_some();
    here && answers
        && match one(&request.authorize_url, "state") {
            Some(expected) => one(url, "state").as_ref() == Some(&expected),
            // A pushed authorization request (RFC 9126) hides the state; the caller alone can compare it.
            None => one(url, "state").is_some(),
        }
}

/// The value of a parameter that is there exactly once.
fn one(url: &Url, name: &str) -> Option<String> {
    let mut values = url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// Listens for the redirect of one attempt.
pub struct RedirectListener {
    listener: TcpListener,
    attempt: Arc<Attempt>,
}

/// One attempt, and whether somebody has come in by its entrance.
struct Attempt {
    request: SignInRequest,
    entered: AtomicBool,
}

impl RedirectListener {
    /// Takes the redirect URI's port. From here on no other program can catch the answer.
    ///
    /// # Errors
    /// [`RedirectFault`].
    pub async fn bind(request: &SignInRequest) -> Result<Self, RedirectFault> {
        let place = &request.redirect_uri;
        let loopback = match place.host() {
            Some(Host::Ipv4(address)) if address.is_loopback() => SocketAddr::from((address, 0)).ip(),
            Some(Host::Ipv6(address)) if address.is_loopback() => SocketAddr::from((address, 0)).ip(),
            Some(Host::Domain("localhost")) => Ipv4Addr::LOCALHOST.into(),
            Some(Host::Ipv4(_) | Host::Ipv6(_) | Host::Domain(_)) | None => {
                return Err(RedirectFault::NotLoopback);
            }
        };
        let port = place.port().filter(|_| place.scheme() == "http").ok_or(RedirectFault::NotLoopback)?;
        let listener = TcpListener::bind((loopback, port))
            .await
            .map_err(|source| RedirectFault::Port { port, source })?;
        let attempt = Attempt { request: request.clone(), entered: AtomicBool::new(false) };
        Ok(Self { listener, attempt: Arc::new(attempt) })
    }

    /// Waits for the redirect and answers it with a small page.
    pub async fn caught(self) -> Url {
        let (send, mut receive) = mpsc::channel(1);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(url) = receive.recv() => {
                    // The page is still being sent; its own limit ends the connection.
                    connections.detach_all();
                    return url;
                }
                Some(_) = connections.join_next() => {}
                Ok((stream, _)) = self.listener.accept(), if connections.len() < MOST_CONNECTIONS => {
                    connections.spawn(serve(stream, Arc::clone(&self.attempt), send.clone()));
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, attempt: Arc<Attempt>, caught: mpsc::Sender<Url>) {
    let service = hyper::service::service_fn(move |asked: Request<hyper::body::Incoming>| {
        let reply = match address(&attempt.request, &asked) {
            Some(url) if is_redirect(&attempt.request, &url) => {
                let reply = page(&attempt.request.purpose, &url);
                // Only the first redirect counts; a reload gets the same page and changes nothing.
                let _ = caught.try_send(url);
                reply
            }
            Some(url) => attempt.entered_by(&url).unwrap_or_else(nothing_here),
            None => nothing_here(),
        };
        std::future::ready(Ok::<_, Infallible>(reply))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(32 * 1024)
        .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
    if let Ok(Err(fault)) = tokio::time::timeout(CONNECTION_LIMIT, connection).await {
        tracing::debug!(%fault, "a connection to the redirect port ended badly");
    }
}

impl Attempt {
    /// Leads whoever comes in by the entrance first to where the attempt begins, and nobody else.
    fn entered_by(&self, url: &Url) -> Option<Response<Full<Bytes>>> {
        if self.request.entrance.as_ref() != Some(url) || self.entered.swap(true, Ordering::AcqRel) {
            return None;
        }
        let mut to = HeaderValue::from_str(self.request.authorize_url.as_str()).ok()?;
        to.set_sensitive(true);
        let mut reply = Response::new(Full::new(Bytes::new()));
        *reply.status_mut() = StatusCode::SEE_OTHER;
        let headers = reply.headers_mut();
        headers.insert(LOCATION, to);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Some(reply)
    }
}

/// What is asked for, of this listener under its own name.
fn address<B>(request: &SignInRequest, asked: &Request<B>) -> Option<Url> {
    let place = &request.redirect_uri;
    let authority = format!("{}:{}", place.host_str()?, place.port()?);
    // The Host header is compared, so that a name that was rebound to loopback does not count.
    let host = asked.headers().get(HOST)?.to_str().ok()?;
    if asked.method() != Method::GET || !host.eq_ignore_ascii_case(&authority) {
        return None;
    }
    Url::parse(&format!("http://{authority}{}", asked.uri().path_and_query()?)).ok()
}

fn nothing_here() -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(Bytes::from_static(b"There is nothing here.\n")));
    *reply.status_mut() = StatusCode::NOT_FOUND;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    reply
}

fn page(purpose: &SignInPurpose, redirect: &Url) -> Response<Full<Bytes>> {
    let (title, heading, text) = match purpose {
        SignInPurpose::SignOut { .. } => ("Signed out", "You are signed out", "You can close this page."),
        SignInPurpose::Organisation { .. } | SignInPurpose::Connector { .. }
            if one(redirect, "code").is_some() =>
        {
            let done = "Deskgate has what it needs. You can close this page and go back to your work.";
            ("Thank you", "Thank you", done)
        }
        SignInPurpose::Organisation { .. } | SignInPurpose::Connector { .. } => (
            "You are not signed in",
            "You are not signed in",
            "The sign-in was refused or given up. You can close this page; Deskgate says what to do next.",
        ),
    };
    let html = include_str!("redirect/page.html")
        .replace("{title}", title)
        .replace("{heading}", heading)
        .replace("{text}", text);
    let mut reply = Response::new(Full::new(Bytes::from(html)));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    );
    reply
}

#[cfg(test)]
pub(crate) mod tests;
