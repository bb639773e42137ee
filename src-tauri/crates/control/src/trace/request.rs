//! A request as a span (OpenTelemetry, "Semantic conventions for HTTP spans", server): its method, its route's template, how it ended.
//! Never its path or query, which hold names.

use axum::http::{HeaderMap, Method, StatusCode};
use model::TraceParent;
use opentelemetry::trace::SpanKind;
use org_protocol::TRACE_PARENT_HEADER;
use url::Url;

use super::{Span, Traces};

/// Those who look whether the server lives ask all the time.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Begins a request's span, below the sender's where they name one.
pub(crate) fn of_request(
    traces: &Traces,
    method: &Method,
    route: Option<&str>,
    headers: &HeaderMap,
    public: &Url,
) -> Span {
    if route.is_some_and(|route| PROBES.contains(&route)) {
        return Traces::default().begin("", SpanKind::Server, None);
    }
    // What is no method of the standard was typed by somebody.
    let known = [
        Method::GET,
        Method::POST,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::PATCH,
    ];
    let known = known.contains(method);
    let told = if known { method.as_str() } else { "_OTHER" };
    let name = match (known, route) {
        (true, Some(route)) => format!("{told} {route}"),
        (true, None) => told.to_owned(),
        (false, _) => "HTTP".to_owned(),
    };
    let span = traces.begin(name, SpanKind::Server, parent(headers));
    span.set("http.request.method", told.to_owned());
    if let Some(route) = route {
        span.set("http.route", route.to_owned());
    }
    span.set("url.scheme", public.scheme().to_owned());
    whose(&span, public);
    span
}

/// Says how a request was answered.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.as_u16().to_string());
    }
}

/// Says whose address it is.
pub(crate) fn whose(span: &Span, url: &Url) {
    if let Some(host) = url.host_str() {
        span.set("server.address", host.to_owned());
    }
    if let Some(port) = url.port_or_known_default() {
        span.set("server.port", i64::from(port));
    }
}

/// The sender's span. More than one is none (W3C Trace Context, section 3.2), and what else they say of the trace (`tracestate`,
/// `baggage`) is not taken.
fn parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut said = headers.get_all(TRACE_PARENT_HEADER).iter();
    let only = said.next().filter(|_| said.next().is_none())?;
    only.to_str().ok()?.parse().ok()
}
