//! The page on the wire.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use secrecy::SecretString;
use tokio::net::TcpStream;
use url::Url;

use super::Page;

/// How long one connection may take. A browser needs milliseconds.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);
/// The longest form, in bytes. A key of 4096 bits takes a twentieth of it.
const LONGEST_FORM: usize = 64 * 1024;

/// Answers what comes over one connection, if it is this user's own.
pub(super) async fn answer(stream: TcpStream, peer: SocketAddr, page: Arc<Page>) {
    if !is_own(&stream, peer).await {
        tracing::warn!("another user of this computer tried the page for a secret");
        return;
    }
    let service = hyper::service::service_fn(|asked: Request<Incoming>| {
        let page = Arc::clone(&page);
        async move { Ok::<_, Infallible>(reply(&page, asked).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(32 * 1024)
        .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
    if let Ok(Err(fault)) = tokio::time::timeout(CONNECTION_LIMIT, connection).await {
        tracing::debug!(%fault, "a connection to the page for a secret ended badly");
    }
}

async fn is_own(stream: &TcpStream, peer: SocketAddr) -> bool {
    let Ok(local) = stream.local_addr() else { return false };
    let whose = tokio::task::spawn_blocking(move || os::user_of_connection(peer, local)).await;
    whose.ok().flatten() == Some(os::current_user().0)
}

/// What is asked for.
enum Asked {
    Page,
    Entered,
    Cancelled,
}

async fn reply(page: &Page, asked: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(what) = what(page, &asked) else { return nothing_here() };
    match what {
        Asked::Page => shown(page, None),
        Asked::Cancelled => see(&page.given_up()),
        Asked::Entered => match entered(page, asked).await {
            Some(secret) => page.take(secret).map_or_else(nothing_here, |back| see(&back)),
            None => shown(page, Some("This is not what is asked for. Copy it again, as a whole.")),
        },
    }
}

/// `None` for everything that this page's own browser would not ask.
fn what(page: &Page, asked: &Request<Incoming>) -> Option<Asked> {
    let authority = format!("127.0.0.1:{}", page.address.port()?);
    let headers = asked.headers();
    // The Host header is compared, so that a name that was rebound to loopback does not count.
    if only(headers, &header::HOST)? != authority || page.is_done() {
        return None;
    }
    let (base, path) = (page.address.path(), asked.uri().path());
    if *asked.method() == Method::GET && path == base {
        return Some(Asked::Page);
    }
    let posted = *asked.method() == Method::POST && comes_from_here(headers, &authority);
    match path.strip_prefix(base).filter(|_| posted)? {
        "/enter" => Some(Asked::Entered),
        "/cancel" => Some(Asked::Cancelled),
        _ => None,
    }
}

/// Whether a form was sent by the page itself (Fetch, "Origin" header; Fetch Metadata).
fn comes_from_here(headers: &HeaderMap, authority: &str) -> bool {
    let origin = !headers.contains_key(header::ORIGIN)
        || only(headers, &header::ORIGIN).is_some_and(|origin| origin == format!("http://{authority}"));
    let site = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
    origin && site
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

async fn entered(page: &Page, asked: Request<Incoming>) -> Option<SecretString> {
    let body = Limited::new(asked.into_body(), LONGEST_FORM).collect().await.ok()?.to_bytes();
    let mut fields = url::form_urlencoded::parse(&body).filter(|(name, _)| name == "secret");
    let (_, value) = fields.next()?;
    let value = value.trim();
    (fields.next().is_none() && !value.is_empty() && (page.fits)(value)).then(|| SecretString::from(value))
}

fn shown(page: &Page, fault: Option<&str>) -> Response<Full<Bytes>> {
    let mut words: String = page.words.iter().map(|words| format!("<p>{}</p>\n", escaped(words))).collect();
    if let Some(fault) = fault {
        words.push_str(&format!("<p class=\"fault\" role=\"alert\">{}</p>\n", escaped(fault)));
    }
    let html = include_str!("page.html")
        .replace("{path}", page.address.path())
        .replace("{title}", &escaped(&page.title))
        .replace("{label}", &escaped(&page.label))
        .replace("{words}", &words);
    let mut reply = Response::new(Full::new(Bytes::from(html)));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let back = page.redirect_uri.origin().ascii_serialization();
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {back}; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    guarded(reply)
}

fn see(place: &Url) -> Response<Full<Bytes>> {
    let Ok(mut location) = HeaderValue::from_str(place.as_str()) else { return nothing_here() };
    location.set_sensitive(true);
    let mut reply = Response::new(Full::new(Bytes::new()));
    *reply.status_mut() = StatusCode::SEE_OTHER;
    reply.headers_mut().insert(header::LOCATION, location);
    guarded(reply)
}

fn nothing_here() -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(Bytes::from_static(b"There is nothing here.\n")));
    *reply.status_mut() = StatusCode::NOT_FOUND;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    guarded(reply)
}

/// Nothing of it is stored, and its address goes nowhere else. The page's own form still says where it comes from.
fn guarded(mut reply: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let headers = reply.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    reply
}

fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\'' => "&#39;".to_owned(),
            other => other.to_string(),
        })
        .collect()
}
