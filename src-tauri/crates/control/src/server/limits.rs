//! How much one device, one address and everybody together may ask for. Whoever asks for more is told when to come again (RFC 6585, section
//! 4; RFC 9110, section 10.2.3).
//!
//! The server listens on loopback, behind a proxy: an address is the last that the proxy names in `X-Forwarded-For`, which the client cannot
//! write.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use model::Advice;
use tokio::sync::Semaphore;

use super::{Fault, Plane, Shared};

/// How many requests may wait for their answer at once.
const AT_ONCE: usize = 1024;
/// How many of them from one address, so that one alone does not keep everybody out.
const AT_ONCE_FROM_ADDRESS: usize = 256;
/// How many brokered calls of one device may be under way at once before they begin to answer.
const AT_ONCE_FROM_DEVICE: usize = 64;
/// How long a request's body may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(60);
/// Whoever looks whether the server lives is answered however much there is to do.
const ALWAYS: &[&str] = &["/healthz", "/readyz"];
/// How many requests a device may make in a second, and how many at once after a rest.
const DEVICE: (u32, u32) = (50, 500);
/// How many requests may come from an address: a whole office may be behind one.
const ADDRESS: (u32, u32) = (500, 5000);
/// The same for what is asked without a proof and costs something: sign-ins, enrolments, sessions.
const SIGN_IN: (u32, u32) = (20, 300);
/// The longest address that is told apart.
const LONGEST: usize = 45;
/// The routes that [`SIGN_IN`] is about.
const COSTLY: &[&str] = &[
    "/v1/admin/act",
    "/v1/admin/session",
    "/v1/admin/sign-in",
    "/v1/enrol",
    "/v1/oidc/authorize",
    "/v1/oidc/backchannel-logout",
    "/v1/oidc/revoke",
    "/v1/oidc/token",
    "/v1/saml/acs",
    "/v1/session",
];

/// What everybody has left.
pub(crate) struct Limits {
    at_once: Arc<Semaphore>,
    waiting: Arc<Waiting>,
    devices: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<String>,
    sign_ins: DefaultKeyedRateLimiter<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::default(),
            devices: RateLimiter::keyed(quota(DEVICE)),
            addresses: RateLimiter::keyed(quota(ADDRESS)),
            sign_ins: RateLimiter::keyed(quota(SIGN_IN)),
        }
    }
}

impl Limits {
    /// One request more of the device whose key it has proved.
    pub(super) fn device(&self, thumbprint: &str) -> Result<(), Fault> {
        checked(&self.devices, thumbprint, "This device asks for more than a device may.")
    }

    /// One brokered call more of a device; it counts until it is dropped.
    pub(super) fn call(&self, device: &str) -> Result<Waits, Fault> {
        self.waiting.one_more(format!("device {device}"), AT_ONCE_FROM_DEVICE).ok_or_else(busy)
    }

    /// Forgets whoever has been quiet.
    pub(crate) fn forget(&self) {
        for limiter in [&self.devices, &self.addresses, &self.sign_ins] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    fn address(&self, address: &str, route: Option<&str>) -> Result<(), Fault> {
        let happened = "More is asked for from this network address than one address may.";
        checked(&self.addresses, address, happened)?;
        if route.is_some_and(|route| COSTLY.contains(&route)) {
            checked(&self.sign_ins, address, happened)?;
        }
        Ok(())
    }
}

/// Around every request.
pub(super) async fn limit(State(plane): Shared, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if route.is_some_and(|route| ALWAYS.contains(&route)) {
        return next.run(request).await;
    }
    let address = address(request.headers());
    if let Err(fault) = plane.limits.address(&address, route) {
        return fault.into_response();
    }
    let waits = plane.limits.waiting.one_more(address, AT_ONCE_FROM_ADDRESS);
    let (Some(_waits), Ok(_running)) = (waits, Arc::clone(&plane.limits.at_once).try_acquire_owned()) else {
        return busy().into_response();
    };
    next.run(request.map(in_time)).await
}

/// The body, which breaks off where it takes too long to come.
fn in_time(body: Body) -> Body {
    let late = Box::pin(tokio::time::sleep(BODY_WITHIN));
    let parts = Some((body.into_data_stream(), late));
    Body::from_stream(futures_util::stream::unfold(parts, async |parts| {
        let (mut stream, mut late) = parts?;
        tokio::select! {
            biased;
            part = stream.next() => Some((part?.map_err(std::io::Error::other), Some((stream, late)))),
            () = &mut late => Some((Err(std::io::ErrorKind::TimedOut.into()), None)),
        }
    }))
}

/// How many requests of whom wait for their answer.
#[derive(Default)]
struct Waiting(Mutex<HashMap<String, usize>>);

/// One of them.
pub(super) struct Waits {
    waiting: Arc<Waiting>,
    whose: String,
}

impl Waiting {
    fn one_more(self: &Arc<Self>, whose: String, most: usize) -> Option<Waits> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(whose.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Waits { waiting: Arc::clone(self), whose })
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut waiting = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = waiting.get_mut(&self.whose).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            waiting.remove(&self.whose);
        }
    }
}

/// Who asks, as the proxy says.
fn address(headers: &HeaderMap) -> String {
    last(headers).filter(|address| address.len() <= LONGEST).unwrap_or("nobody named").to_owned()
}

/// The address that a request came from, as policies read it: what the proxy saw, which whoever asks does not write. `None` where it
/// does not say.
pub(super) fn peer(headers: &HeaderMap) -> Option<IpAddr> {
    last(headers)?.parse().ok()
}

/// What the proxy itself added: the last.
fn last(headers: &HeaderMap) -> Option<&str> {
    let named = headers.get_all("x-forwarded-for").iter().next_back();
    named.and_then(|value| value.to_str().ok()?.rsplit(',').next()).map(str::trim)
}

fn checked(limiter: &DefaultKeyedRateLimiter<String>, key: &str, happened: &str) -> Result<(), Fault> {
    let Err(early) = limiter.check_key(&key.to_owned()) else { return Ok(()) };
    let wait = early.wait_time_from(DefaultClock::default().now());
    let advice = Advice::new(
        "too-many-requests",
        happened,
        "What was asked for was not done.",
        "Deskgate tries again by itself after a moment.",
    );
    Err(Fault::new(StatusCode::TOO_MANY_REQUESTS, advice).after(wait))
}

fn busy() -> Fault {
    let advice = Advice::new(
        "server-busy",
        "The organisation's server has too much to do.",
        "What was asked for was not done.",
        "Deskgate tries again by itself after a moment.",
    );
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, advice).after(Duration::from_secs(1))
}

fn quota((second, burst): (u32, u32)) -> Quota {
    let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(number(second)).allow_burst(number(burst))
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Limits({} devices)", self.devices.len())
    }
}

impl Plane {
    /// Forgets what nobody's limit depends on any more.
    pub(crate) fn forget_limits(&self) {
        self.limits.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_asks_for_too_much_is_slowed_down_alone() {
        let limits = Limits::default();
        let refused =
            (0..100_000).find_map(|_| limits.device("one").err()).expect("somewhere there is an end");
        assert_eq!(refused.into_response().status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(limits.device("other"), Ok(()));
        limits.forget();
        assert!(limits.device("one").is_err(), "nothing is forgotten that counts");
    }

    #[test]
    fn an_address_is_the_one_that_the_proxy_names() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", (*value).parse().expect("a value"));
            }
            address(&headers)
        };
        assert_eq!(of(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of(&["evil, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(of(&["evil", "2001:db8::1"]), "2001:db8::1");
        assert_eq!(of(&[]), of(&["x".repeat(46).leak()]), "what is no address is nobody's");
    }
}
