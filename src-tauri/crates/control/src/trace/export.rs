//! Passing spans on, beside the requests: at most once, out of a queue that is full at some point.

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use model::DeviceId;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector as _, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use prometheus_client::metrics::counter::Counter;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use url::Url;

use super::{TraceConfig, Traces};

/// How many spans wait at most; more are dropped.
const QUEUE: usize = 2048;
/// How many spans go at once.
const BATCH: usize = 512;
/// How long the first of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long a collector may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long the last spans may take when the server ends.
const FLUSH: Duration = Duration::from_secs(3);
/// The longest answer of a collector that is read, in bytes.
const ANSWER: usize = 64 * 1024;

/// What became of spans.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// The collector has them.
    pub(crate) told: Counter,
    /// Nobody has them.
    pub(crate) dropped: Counter,
}

/// Passing on, while it goes on.
pub(crate) struct Export {
    ending: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Export {
    /// Begins to pass on what the traces tell that are given back; nothing, where nobody is told. `own` tells several control planes
    /// apart.
    ///
    /// # Errors
    /// What the HTTP client reports.
    pub(crate) fn begin(
        config: Option<TraceConfig>,
        own: DeviceId,
        counts: &Counts,
    ) -> Result<(Traces, Option<Self>), reqwest::Error> {
        let Some(config) = config else { return Ok((Traces::default(), None)) };
        let http = crate::identity::client_to(&config.url).timeout(DEADLINE).build()?;
        let resource = resource(config.service, own);
        let (sender, spans) = mpsc::channel(QUEUE);
        let (ending, ended) = watch::channel(false);
        tracing::info!(collector = config.url.host_str(), "traces are told");
        let post = Post {
            http,
            url: config.url,
            headers: config.headers,
            resource: ResourceAttributesWithSchema::from(&resource),
        };
        let queue = Queue { spans: sender, dropped: counts.dropped.clone() };
        let provider = SdkTracerProvider::builder().with_span_processor(queue).with_resource(resource);
        let provider = provider.with_sampler(config.share).build();
        let traces = Traces::by(provider.tracer(env!("CARGO_PKG_NAME")));
        let sender = Sender { spans, ending: ended, post, counts: counts.clone(), away: false };
        Ok((traces, Some(Self { ending, task: tokio::spawn(sender.run()) })))
    }

    /// Passes on what is there, for a moment, and takes no more.
    pub(crate) async fn end(mut self) {
        self.ending.send_replace(true);
        if tokio::time::timeout(FLUSH, &mut self.task).await.is_err() {
            tracing::warn!("the last traces did not reach their collector in time");
            self.task.abort();
        }
    }
}

/// Who tells.
fn resource(service: Option<String>, own: DeviceId) -> Resource {
    let named = EnvResourceDetector::new().detect().get(&Key::new("service.name")).is_some();
    let service = service.or_else(|| (!named).then(|| TraceConfig::usual_service().to_owned()));
    Resource::builder_empty()
        .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())])
        .with_attributes(service.map(|name| KeyValue::new("service.name", name)))
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", own.to_string()),
        ])
        .build()
}

/// Takes spans that have ended, and keeps nobody waiting.
#[derive(Debug)]
struct Queue {
    spans: mpsc::Sender<SpanData>,
    dropped: Counter,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends what was taken.
struct Sender {
    spans: mpsc::Receiver<SpanData>,
    ending: watch::Receiver<bool>,
    post: Post,
    counts: Counts,
    /// Whether it was said that the collector does not take them.
    away: bool,
}

impl Sender {
    async fn run(mut self) {
        loop {
            let batch = self.gathered().await;
            if batch.is_empty() {
                return;
            }
            self.deliver(batch).await;
        }
    }

    /// The next spans; none where there will be no more.
    async fn gathered(&mut self) -> Vec<SpanData> {
        let mut batch = Vec::new();
        tokio::select! {
            _ = self.spans.recv_many(&mut batch, BATCH) => {}
            () = asked_to_end(&mut self.ending) => {
                self.spans.close();
                self.spans.recv_many(&mut batch, BATCH).await;
            }
        }
        if !batch.is_empty() {
            rest(&mut self.ending, GATHER).await;
        }
        while batch.len() < BATCH
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(span);
        }
        batch
    }

    /// Sends spans until the collector has them, does not want them, or the server ends.
    async fn deliver(&mut self, batch: Vec<SpanData>) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let body = self.post.body(batch);
        let mut pause = PAUSES.0;
        loop {
            match self.post.send(body.clone()).await {
                Ok(rejected) => {
                    self.counts.told.inc_by(count.saturating_sub(rejected));
                    self.counts.dropped.inc_by(rejected.min(count));
                    if std::mem::take(&mut self.away) {
                        tracing::info!("traces reach their collector again");
                    }
                    return;
                }
                Err(fault) => {
                    // Once, and not again with each batch.
                    if !std::mem::replace(&mut self.away, true) {
                        tracing::warn!(%fault, "traces do not reach their collector; what becomes too much is dropped and counted");
                    }
                    if !fault.may_pass() || !rest(&mut self.ending, pause).await {
                        self.counts.dropped.inc_by(count);
                        return;
                    }
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }
}

/// Waits until the server ends.
async fn asked_to_end(ending: &mut watch::Receiver<bool>) {
    if ending.wait_for(|ending| *ending).await.is_err() {
        // Nobody is there any more to ask for it.
        std::future::pending().await
    }
}

/// Waits for so long; `false` where the server ends meanwhile.
async fn rest(ending: &mut watch::Receiver<bool>, pause: Duration) -> bool {
    tokio::select! {
        biased;
        () = asked_to_end(ending) => false,
        () = tokio::time::sleep(pause) => true,
    }
}

/// Why spans were not taken.
#[derive(Debug, thiserror::Error)]
enum PostFault {
    #[error("it is not reached: {0}")]
    Unreachable(reqwest::Error),
    #[error("it answers with HTTP status {0}")]
    Status(StatusCode),
}

impl PostFault {
    /// Whether it may be otherwise later (OTLP, "OTLP/HTTP Response", "Retryable Response Codes").
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

/// How spans are sent.
struct Post {
    http: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    resource: ResourceAttributesWithSchema,
}

impl Post {
    fn body(&self, batch: Vec<SpanData>) -> axum::body::Bytes {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
    }

    /// How many of them the collector does not want.
    async fn send(&self, body: axum::body::Bytes) -> Result<u64, PostFault> {
        let unreachable = |fault: reqwest::Error| PostFault::Unreachable(fault.without_url());
        let request = self.http.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let mut answer = request.send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(PostFault::Status(answer.status()));
        }
        let mut said = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            if said.len() + chunk.len() > ANSWER {
                return Ok(0);
            }
            said.extend_from_slice(&chunk);
        }
        // Sending them again would not help (OTLP, "Partial Success").
        let partial =
            ExportTraceServiceResponse::decode(said.as_slice()).ok().and_then(|said| said.partial_success);
        let rejected = partial.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0));
        if rejected > 0 {
            tracing::debug!(rejected, "the collector does not want spans");
        }
        Ok(rejected)
    }
}

#[cfg(test)]
mod tests;
