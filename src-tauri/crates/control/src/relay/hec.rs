//! Splunk's HTTP Event Collector, with indexer acknowledgement: records count as passed on once Splunk has said that they are
//! indexed (Splunk, "About HTTP Event Collector Indexer Acknowledgment").

use std::time::Duration;

use model::CallId;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use url::Url;

use super::sink::{Batch, SinkFault, SplunkConfig, good, http};

/// Where events go, below the base URL.
const EVENTS: &str = "services/collector/event";
/// Where it is asked what has been indexed.
const ACKNOWLEDGEMENTS: &str = "services/collector/ack";
/// The header that names the channel.
const CHANNEL: &str = "x-splunk-request-channel";
/// The first and the longest pause between two questions, and how long it is asked for.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
const PATIENCE: Duration = Duration::from_secs(120);

/// The collector.
#[derive(Debug)]
pub(crate) struct Splunk {
    url: Url,
    events: Url,
    acknowledgements: Url,
    authorization: HeaderValue,
    /// What acknowledgements are counted in: one for each run.
    channel: String,
    http: reqwest::Client,
}

impl Splunk {
    pub(super) fn new(config: SplunkConfig) -> Result<Self, SinkFault> {
        let SplunkConfig { url, token } = config;
        let unusable = || SinkFault::Url(url.clone());
        let is_safe = url.scheme() == "https" || model::is_on_this_machine(&url);
        if !is_safe || !url.path().ends_with('/') {
            return Err(unusable());
        }
        let at = |path: &str| url.join(path).map_err(|_| unusable());
        let (events, acknowledgements) = (at(EVENTS)?, at(ACKNOWLEDGEMENTS)?);
        let text = format!("Splunk {}", token.expose_secret().trim());
        let mut authorization = HeaderValue::from_str(&text).map_err(|_| SinkFault::Token)?;
        authorization.set_sensitive(true);
        let channel = CallId::new().to_string();
        Ok(Self { events, acknowledgements, authorization, channel, http: http()?, url })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) async fn take(&self, batch: Batch<'_>) -> Result<(), SinkFault> {
        let body: String = batch
            .records
            .iter()
            .map(|record| format!("{}\n", ::audit::siem::hec_event(record, batch.org)))
            .collect();
        let said = self.ask(&self.events, body).await?;
        let id = said["ackId"].as_u64().ok_or(SinkFault::NoAcknowledgement)?;
        let indexed = tokio::time::timeout(PATIENCE, self.indexed(id)).await;
        indexed.map_err(|_| SinkFault::NotIndexed)?
    }

    /// Asks until what was sent is indexed.
    async fn indexed(&self, id: u64) -> Result<(), SinkFault> {
        let mut pause = PAUSES.0;
        loop {
            let said = self.ask(&self.acknowledgements, json!({ "acks": [id] }).to_string()).await?;
            if said["acks"][id.to_string()] == true {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn ask(&self, url: &Url, body: String) -> Result<Value, SinkFault> {
        let request = self.http.post(url.clone()).header(AUTHORIZATION, self.authorization.clone());
        good(request.header(CHANNEL, &self.channel).body(body).send().await?).await
    }
}
