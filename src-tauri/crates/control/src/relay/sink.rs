//! Where records are passed on to: which kinds of receivers there are, and how they are set up.

use std::path::PathBuf;
use std::time::Duration;

use ::audit::AuditRecord;
use model::Timestamp;
use secrecy::SecretString;
use url::Url;

use super::file::Folder;
use super::hec::Splunk;
use super::otlp::Collector;
use super::syslog::Syslog;

/// How long a receiver may take for one answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where records are passed on to; nowhere where nothing is given.
#[derive(Debug, Clone, Default)]
pub struct SinkConfig {
    /// A collector's logs over OTLP/HTTP, such as `http://127.0.0.1:4318/v1/logs`.
    pub otlp_url: Option<Url>,
    /// Splunk's HTTP Event Collector.
    pub splunk: Option<SplunkConfig>,
    /// A syslog server.
    pub syslog: Option<SyslogConfig>,
    /// A folder of files of NDJSON, one a day.
    pub folder: Option<PathBuf>,
}

/// Splunk's HTTP Event Collector.
#[derive(Debug, Clone)]
pub struct SplunkConfig {
    /// Its base URL, such as `https://splunk.example:8088/`.
    pub url: Url,
    /// The token, which must have indexer acknowledgement switched on.
    pub token: SecretString,
}

/// A syslog server: RFC 5424 over TLS (RFC 5425).
#[derive(Debug, Clone)]
pub struct SyslogConfig {
    /// Its name, which its certificate must have.
    pub host: String,
    /// Its port; 6514 by convention.
    pub port: u16,
    /// The file of the authorities that may have issued its certificate (PEM); those of the system without it.
    pub authorities: Option<PathBuf>,
    /// Our own certificate with its chain, and its key (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why a receiver did not take records, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SinkFault {
    /// There is no HTTP client, or the receiver was not reached.
    #[error("the receiver of audit records is not reached: {0}")]
    Http(#[from] reqwest::Error),
    /// It answered with something else than success.
    #[error("the receiver of audit records answered with HTTP status {0}")]
    Status(u16),
    /// What is given as Splunk's token is none.
    #[error("what is given as Splunk's token has characters that no token has")]
    Token,
    /// Splunk's token acknowledges nothing, so that nothing is known to be kept.
    #[error("Splunk's token does not acknowledge what it takes: switch indexer acknowledgement on for it")]
    NoAcknowledgement,
    /// Splunk has not confirmed in time that what it took is indexed.
    #[error("Splunk has not confirmed that it keeps the records: it may be busy, or its disk full")]
    NotIndexed,
    /// The URL cannot be used.
    #[error("{0} cannot be the address of a receiver of audit records")]
    Url(Url),
    /// A file or connection failed.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("{what} cannot be used for TLS: {why}")]
    Tls {
        /// The file or name.
        what: String,
        /// Why.
        why: String,
    },
    /// It took too long.
    #[error("the receiver of audit records does not answer in time")]
    Late,
}

impl SinkFault {
    /// Whether what was sent is refused for what it is, so that sending it again is of no use.
    pub(super) fn is_of_the_records(&self) -> bool {
        // Bad Request, Content Too Large, Unprocessable Content (RFC 9110, section 15.5).
        matches!(self, Self::Status(400 | 413 | 422))
    }
}

/// Records on their way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) records: &'a [AuditRecord],
    /// The organisation's id.
    pub(super) org: &'a str,
    /// When the last of them came here.
    pub(super) observed: Timestamp,
}

/// A receiver.
#[derive(Debug)]
pub(crate) enum Sink {
    Otlp(Collector),
    Splunk(Box<Splunk>),
    Syslog(Box<Syslog>),
    Folder(Folder),
}

impl Sink {
    /// Every receiver that is set up.
    pub(crate) fn all(config: SinkConfig) -> Result<Vec<Self>, SinkFault> {
        let SinkConfig { otlp_url, splunk, syslog, folder } = config;
        let mut sinks = Vec::new();
        if let Some(url) = otlp_url {
            sinks.push(Self::Otlp(Collector::new(url)?));
        }
        if let Some(splunk) = splunk {
            sinks.push(Self::Splunk(Box::new(Splunk::new(splunk)?)));
        }
        if let Some(syslog) = syslog {
            sinks.push(Self::Syslog(Box::new(Syslog::new(syslog)?)));
        }
        if let Some(folder) = folder {
            sinks.push(Self::Folder(Folder::new(folder)?));
        }
        Ok(sinks)
    }

    /// By what its place is remembered: another address begins from the beginning.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Otlp(collector) => collector.url().to_string(),
            Self::Splunk(splunk) => format!("splunk {}", splunk.url()),
            Self::Syslog(syslog) => format!("syslog {}", syslog.address()),
            Self::Folder(folder) => format!("folder {}", folder.path().display()),
        }
    }

    pub(super) fn url(&self) -> Option<&Url> {
        match self {
            Self::Otlp(collector) => Some(collector.url()),
            Self::Splunk(splunk) => Some(splunk.url()),
            Self::Syslog(_) | Self::Folder(_) => None,
        }
    }

    /// Gives it records; they are kept there, as far as it can say so, when this returns.
    pub(super) async fn take(&self, batch: Batch<'_>) -> Result<(), SinkFault> {
        match self {
            Self::Otlp(collector) => collector.take(batch).await,
            Self::Splunk(splunk) => splunk.take(batch).await,
            Self::Syslog(syslog) => syslog.take(batch).await,
            Self::Folder(folder) => folder.take(batch).await,
        }
    }
}

/// What receivers over HTTP are reached with.
pub(super) fn http() -> Result<reqwest::Client, SinkFault> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(DEADLINE);
    Ok(client.build()?)
}

/// An answer's JSON, if it is one of success.
pub(super) async fn good(answer: reqwest::Response) -> Result<serde_json::Value, SinkFault> {
    let status = answer.status();
    if !status.is_success() {
        return Err(SinkFault::Status(status.as_u16()));
    }
    Ok(answer.json().await.unwrap_or_default())
}

/// A fault of a file or connection.
pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> SinkFault {
    let what = what.into();
    move |source| SinkFault::Io { what, source }
}
