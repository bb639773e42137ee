//! A collector over OTLP/HTTP with JSON (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).

use url::Url;

use super::sink::{Batch, SinkFault, good, http};

/// The collector.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    url: Url,
    http: reqwest::Client,
}

impl Collector {
    /// `url` is where logs are posted.
    pub(super) fn new(url: Url) -> Result<Self, SinkFault> {
        Ok(Self { url, http: http()? })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The collector has them when it answers.
    pub(super) async fn take(&self, batch: Batch<'_>) -> Result<(), SinkFault> {
        let body = ::audit::siem::otlp_request(batch.records, batch.org, batch.observed);
        let said = good(self.http.post(self.url.clone()).json(&body).send().await?).await?;
        if let Some((rejected, reason)) = ::audit::siem::otlp_rejected(&said) {
            tracing::error!(rejected, reason, "the collector rejected records");
        }
        Ok(())
    }
}
