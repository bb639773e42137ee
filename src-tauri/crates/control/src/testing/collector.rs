//! A stand-in for a collector of traces (OTLP/HTTP with Protobuf).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tokio::sync::watch;
use url::Url;

/// How long it waits for what is awaited.
const SOON: Duration = Duration::from_secs(60);

/// A span, as it came.
#[derive(Debug, Clone)]
pub struct ToldSpan {
    /// What it is called.
    pub name: String,
    /// The trace's id, in hexadecimal digits.
    pub trace: String,
    /// Its own.
    pub id: String,
    /// The one that it is below; nothing where there is none.
    pub parent: String,
    /// What it says of itself; with its status as `status`, where that is an error, and what happened in it as `event`.
    pub says: BTreeMap<String, String>,
    /// What its sender says of itself.
    pub sender: BTreeMap<String, String>,
}

/// A running one.
#[derive(Debug, Clone)]
pub struct StandInCollector {
    address: SocketAddr,
    answer: Arc<Mutex<StatusCode>>,
    received: watch::Sender<Vec<Bytes>>,
}

impl StandInCollector {
    /// Starts it at a free port.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts it at this address.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start_at(address: SocketAddr) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let collector = Self {
            address,
            answer: Arc::new(Mutex::new(StatusCode::OK)),
            received: watch::Sender::default(),
        };
        let own = collector.clone();
        let take = post(async move |body: Bytes| {
            own.received.send_modify(|received| received.push(body));
            *own.answer.lock().unwrap_or_else(PoisonError::into_inner)
        });
        let app = Router::new().route("/v1/traces", take);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(collector)
    }

    /// Where traces are posted.
    pub fn url(&self) -> Url {
        format!("http://{}/v1/traces", self.address).parse().expect("a URL")
    }

    /// Answers so from now on.
    pub fn answers(&self, status: StatusCode) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// All that came, as it came.
    pub fn received(&self) -> Vec<Bytes> {
        self.received.borrow().clone()
    }

    /// The spans that came.
    pub fn spans(&self) -> Vec<ToldSpan> {
        self.received.borrow().iter().flat_map(read).collect()
    }

    /// Waits until something came of which this is found.
    pub async fn until<T>(&self, mut find: impl FnMut(&[ToldSpan]) -> Option<T>) -> T {
        let mut received = self.received.subscribe();
        let found = async {
            loop {
                let spans: Vec<ToldSpan> = received.borrow_and_update().iter().flat_map(read).collect();
                if let Some(found) = find(&spans) {
                    return found;
                }
                received.changed().await.expect("it is there");
            }
        };
        let found = tokio::time::timeout(SOON, found).await;
        found.unwrap_or_else(|_| panic!("it does not come: {:#?}", self.spans()))
    }
}

fn read(body: &Bytes) -> Vec<ToldSpan> {
    let request = ExportTraceServiceRequest::decode(body.clone()).expect("spans");
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let sender = pairs(resource.resource.unwrap_or_default().attributes);
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let mut says = pairs(span.attributes);
            if let Some(status) = span.status.filter(|status| status.code == 2) {
                says.insert("status".to_owned(), format!("error {}", status.message));
            }
            says.extend(span.events.into_iter().map(|event| ("event".to_owned(), event.name)));
            spans.push(ToldSpan {
                name: span.name,
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
                says,
                sender: sender.clone(),
            });
        }
    }
    spans
}

fn pairs(attributes: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<Value>| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|pair| (pair.key, text(pair.value.and_then(|value| value.value)))).collect()
}
