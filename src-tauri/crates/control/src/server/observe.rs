//! What IT sees of the server: a log line for each request, metrics, and whether it is ready. Of a request only its method, its
//! route's template and its answer's status are told: addresses hold names, and headers hold secrets.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_body::{Frame, SizeHint};
use model::{CallId, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use serde_json::json;
use tokio::net::TcpListener;

use super::{Fault, Plane, Shared, documents};
use crate::trace::{self, Counts};

/// The bounds of the durations that are told apart, in seconds.
const BOUNDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// How long the database may take until whoever asks whether the server is ready is told that it is not.
const PING: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

type OfRoute<M> = Family<Route, M, fn() -> M>;

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    answered: Family<Answered, Counter>,
    took: OfRoute<Histogram>,
    running: Gauge<i64, AtomicI64>,
    streams: Gauge<i64, AtomicI64>,
    kept: Family<Kind, Gauge<i64, AtomicI64>>,
    policy_expires: Gauge<f64, AtomicU64>,
    root_expires: Gauge<f64, AtomicU64>,
    spans: Counts,
    ready: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("deskgate");
        let histogram: fn() -> Histogram = || Histogram::new(BOUNDS);
        let metrics = Self {
            answered: Family::default(),
            took: Family::new_with_constructor(histogram),
            running: Gauge::default(),
            streams: Gauge::default(),
            kept: Family::default(),
            policy_expires: Gauge::default(),
            root_expires: Gauge::default(),
            spans: Counts::default(),
            ready: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests that were answered", metrics.answered.clone());
        registry.register_with_unit(
            "request_duration",
            "How long it took until an answer began",
            Unit::Seconds,
            metrics.took.clone(),
        );
        registry.register("requests_running", "Requests whose answer has not ended", metrics.running.clone());
        registry.register("event_streams", "Desktops that listen for events here", metrics.streams.clone());
        registry.register("kept", "What the database has of each kind", metrics.kept.clone());
        registry.register_with_unit(
            "policy_expires_timestamp",
            "When the published policy expires, since 1970; 0 where none is in force",
            Unit::Seconds,
            metrics.policy_expires.clone(),
        );
        registry.register_with_unit(
            "root_expires_timestamp",
            "When the root document expires, since 1970; 0 where nothing is in force",
            Unit::Seconds,
            metrics.root_expires.clone(),
        );
        registry.register("trace_spans", "Spans that the traces' collector has", metrics.spans.told.clone());
        registry.register("trace_spans_dropped", "Spans that nobody has", metrics.spans.dropped.clone());
        registry.register("ready", "1 where requests can be served", metrics.ready.clone());
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build", "The version that runs", build);
        Self { registry, ..metrics }
    }
}

/// Counts something for as long as it is there.
#[derive(Debug)]
pub(crate) struct Counted(Gauge<i64, AtomicI64>);

impl Counted {
    fn begin(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// A desktop listens, until what is given is dropped.
    pub(crate) fn stream(&self) -> Counted {
        Counted::begin(&self.streams)
    }

    /// What became of the spans that were told.
    pub(crate) fn spans(&self) -> &Counts {
        &self.spans
    }

    /// How many requests there are whose answer has not ended.
    pub(crate) fn running(&self) -> i64 {
        self.running.get()
    }

    fn text(&self) -> Option<String> {
        let mut text = String::new();
        encode(&mut text, &self.registry).ok()?;
        Some(text)
    }
}

/// Around every request: an id, a log line, a span, and counting.
pub(super) async fn request(State(plane): Shared, request: Request, next: Next) -> Response {
    let id = CallId::new().to_string();
    let method = method_name(request.method());
    // What is at no route was typed by somebody: it is not repeated anywhere.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let span = trace::of_request(
        &plane.traces,
        request.method(),
        route.as_deref(),
        request.headers(),
        &plane.public_url,
    );
    span.set("deskgate.request.id", id.clone());
    let route = route.unwrap_or_else(|| "none".to_owned());
    let begun = plane.clock.boot_time();
    let running = Counted::begin(&plane.metrics.running);
    let mut response = span.around(next.run(request)).await;
    let took = plane.clock.boot_time().saturating_sub(begun);
    trace::answered(&span, response.status());
    let status = response.status().as_u16();
    tracing::info!(
        request = id,
        method,
        route,
        status,
        trace = span.parent().map(|parent| format!("{:032x}", parent.trace())),
        milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "answered"
    );
    plane.metrics.took.get_or_create(&Route { route: route.clone() }).observe(took.as_secs_f64());
    plane.metrics.answered.get_or_create(&Answered { method, route, status }).inc();
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
    }
    response.map(|body| Body::new(Watched { body, _running: running }))
}

/// An answer's body, counted until it has ended or nobody waits for it any more.
struct Watched {
    body: Body,
    _running: Counted,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

/// `GET /readyz`: whether requests should come here.
pub(super) async fn ready(State(plane): Shared) -> Response {
    let why = not_ready(&plane).await;
    let status = if why.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": why.is_none(), "why": why}))).into_response()
}

/// Why requests cannot be served.
async fn not_ready(plane: &Plane) -> Option<&'static str> {
    let journal = matches!(&*plane.journal.health().borrow(), ::audit::Health::Writing);
    if *plane.stopping.borrow() {
        Some("the server ends")
    } else if plane.is_twice.load(Ordering::Relaxed) {
        Some("another control plane has this one's id")
    } else if !journal {
        Some("the journal cannot be written")
    } else if !matches!(tokio::time::timeout(PING, plane.store.ping()).await, Ok(Ok(()))) {
        Some("the database does not answer, or cannot be written")
    } else if plane.publication.live().is_none() {
        Some("nothing is published")
    } else {
        None
    }
}

/// `GET /metrics`, for Prometheus.
async fn metrics(State(plane): Shared) -> Result<Response, Fault> {
    let metrics = &plane.metrics;
    metrics.ready.set(i64::from(not_ready(&plane).await.is_none()));
    let published = plane.publication.live().map(|live| live.published());
    let policy = published.as_ref().map(|published| published.expires);
    let root = published.as_ref().and_then(|published| published.root_expires);
    for (gauge, expires) in [(&metrics.policy_expires, policy), (&metrics.root_expires, root)] {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact")]
        gauge.set(expires.map_or(0, Timestamp::seconds) as f64);
    }
    for (kind, count) in plane.store.counts(plane.clock.now()).await? {
        metrics.kept.get_or_create(&Kind { kind }).set(count);
    }
    let text = metrics.text().ok_or_else(Fault::internal)?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Serves metrics and health at an address of their own, until the server ends.
pub(crate) async fn listen(listener: TcpListener, plane: Arc<Plane>) {
    let mut stopping = plane.stopping.clone();
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(documents::health))
        .route("/readyz", get(ready))
        .with_state(plane);
    let stopped = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    if let Err(fault) = axum::serve(listener, routes).with_graceful_shutdown(stopped).await {
        tracing::error!(%fault, "metrics are not served any more");
    }
}

/// Tells the service manager that the server is ready, and from then on that it lives, where it wants to know (systemd, sd_notify(3)).
pub(crate) async fn tell_manager(plane: Arc<Plane>) {
    use sd_notify::NotifyState;
    let tell = |states: &[NotifyState<'_>]| {
        if let Err(fault) = sd_notify::notify(states) {
            tracing::warn!(%fault, "the service manager is not told");
        }
    };
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    tell(&[NotifyState::Ready]);
    let mut stopping = plane.stopping.clone();
    let every = sd_notify::watchdog_enabled().map_or(Duration::MAX, |limit| limit / 3);
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => tell(&[NotifyState::Watchdog]),
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
    }
    tell(&[NotifyState::Stopping]);
}
