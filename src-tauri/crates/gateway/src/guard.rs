//! What every request must pass before anything looks at it. Loopback is hostile: any web page can reach it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit::{AuditEvent, EventRecord};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use issuer::Route;
use model::Timestamp;

use crate::gate::Gate;
use crate::routes::VISIT;

/// At most one record of each kind of breach is written within this time: a page that tries again and again must not
/// fill the disk.
const RECORD_EVERY: Duration = Duration::from_secs(10);

/// The hosts that name this server, for one port.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    authorities: [String; 2],
}

/// The guard at its post: what it turns away is recorded.
pub(crate) struct Post {
    guard: Guard,
    gate: Arc<Gate>,
    recorded: Mutex<BTreeMap<Breach, Timestamp>>,
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breach {
    /// `Host` is absent, doubled or names another server (DNS rebinding).
    Host,
    /// `Origin` names another site.
    Origin,
    /// The browser says that another site makes the request (Fetch Metadata).
    Site,
}

impl Guard {
    pub(crate) fn new(port: u16) -> Self {
        Self { authorities: [format!("127.0.0.1:{port}"), format!("localhost:{port}")] }
    }

    /// Checks the headers. `navigable`: a browser may be sent here by another site, as to an authorization endpoint.
    pub(crate) fn check(&self, headers: &HeaderMap, navigable: bool) -> Result<(), Breach> {
        let host = only(headers, &header::HOST).ok_or(Breach::Host)?;
        if !self.authorities.iter().any(|authority| authority.eq_ignore_ascii_case(host)) {
            return Err(Breach::Host);
        }
        if headers.contains_key(header::ORIGIN) {
            let origin = only(headers, &header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
            if !origin.is_some_and(|origin| self.authorities.iter().any(|authority| authority == origin)) {
                return Err(Breach::Origin);
            }
        }
        match headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
            None | Some(b"none" | b"same-origin") => Ok(()),
            Some(_) if navigable && is_navigation(headers) => Ok(()),
            Some(_) => Err(Breach::Site),
        }
    }
}

impl Post {
    pub(crate) fn new(port: u16, gate: Arc<Gate>) -> Self {
        Self { guard: Guard::new(port), gate, recorded: Mutex::default() }
    }

    fn turn_away(&self, breach: Breach, path: &str) -> Response {
        let now = self.gate.clock.now();
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = recorded.get(&breach).is_none_or(|last| now.since(*last) >= RECORD_EVERY || now < *last);
        if is_due {
            recorded.insert(breach, now);
        }
        drop(recorded);
        if is_due {
            tracing::warn!(?breach, "a request was turned away");
            let path: String = path.chars().take(200).collect();
            let record = EventRecord::new(AuditEvent::RequestRefused)
                .with("breach", format!("{breach:?}").to_ascii_lowercase())
                .with("path", path);
            if let Err(fault) = self.gate.journal.note(&record) {
                tracing::error!(%fault, "a refused request could not be recorded");
            }
        }
        refused(breach)
    }
}

/// Turns requests away that fail the check.
pub(crate) async fn guard(State(post): State<Arc<Post>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_page = Route::of(path) == Some(Route::Authorize) || path.starts_with(VISIT);
    let navigable = request.method() == Method::GET && is_page;
    // An absolute-form target names a host of its own, which nothing has checked.
    if request.uri().authority().is_some() {
        return post.turn_away(Breach::Host, path);
    }
    match post.guard.check(request.headers(), navigable) {
        Ok(()) => next.run(request).await,
        Err(breach) => post.turn_away(breach, path),
    }
}

/// Whether a browser shows what it asks for, rather than taking it for a picture or a script of a page (Fetch Metadata).
fn is_navigation(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate")
}

fn refused(breach: Breach) -> Response {
    match breach {
        Breach::Host => (StatusCode::MISDIRECTED_REQUEST, "This server has another name.\n").into_response(),
        Breach::Origin | Breach::Site => {
            (StatusCode::FORBIDDEN, "Web pages have no business here.\n").into_response()
        }
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &'static str)]) -> Result<(), Breach> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Guard::new(7717).check(&map, false)
    }

    #[test]
    fn only_this_server_s_own_names_pass() {
        assert_eq!(check(&[("host", "127.0.0.1:7717")]), Ok(()));
        assert_eq!(check(&[("host", "localhost:7717")]), Ok(()));
        let hosts = [
            "evil.example",
            "evil.example:7717",
            "127.0.0.1.nip.io:7717",
            "localhost.:7717",
            "0.0.0.0:7717",
            "[::1]:7717",
            "127.0.0.1",
            "127.0.0.1:7718",
            "user@127.0.0.1:7717",
            "",
        ];
        for host in hosts {
            assert_eq!(check(&[("host", host)]), Err(Breach::Host), "{host}");
        }
        assert_eq!(check(&[]), Err(Breach::Host));
        assert_eq!(check(&[("host", "127.0.0.1:7717"), ("host", "127.0.0.1:7717")]), Err(Breach::Host));
    }

    #[test]
    fn other_origins_are_turned_away() {
        let host = ("host", "127.0.0.1:7717");
        assert_eq!(check(&[host, ("origin", "http://127.0.0.1:7717")]), Ok(()));
        for origin in
            ["null", "http://evil.example", "http://localhost:3000", "https://127.0.0.1:7717", "file://"]
        {
            assert_eq!(check(&[host, ("origin", origin)]), Err(Breach::Origin), "{origin}");
        }
        let same = ("origin", "http://127.0.0.1:7717");
        assert_eq!(check(&[host, same, same]), Err(Breach::Origin), "two origins");
    }

    #[test]
    fn cross_site_requests_pass_only_where_browsers_are_sent() {
        let headers = [("host", "127.0.0.1:7717"), ("sec-fetch-site", "cross-site")];
        assert_eq!(check(&headers), Err(Breach::Site));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        assert_eq!(Guard::new(7717).check(&map, true), Ok(()));
    }
}
