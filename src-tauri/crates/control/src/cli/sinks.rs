//! Where `serve` passes audit records on to.

use std::path::{Path, PathBuf};

use clap::Args;
use control::{SinkConfig, SplunkConfig, SyslogConfig};
use secrecy::SecretString;
use url::Url;

use super::Failure;

/// Splunk's token, where no file is named.
const SPLUNK_TOKEN: &str = "DESKGATE_SPLUNK_TOKEN";
/// The port of syslog over TLS (RFC 5425, section 4.1).
const SYSLOG_PORT: u16 = 6514;

#[derive(Debug, Args)]
pub(super) struct SinkArgs {
    /// A collector to which audit records are passed on over OTLP/HTTP, such as http://127.0.0.1:4318/v1/logs.
    #[arg(long)]
    otlp_url: Option<Url>,
    /// Splunk's HTTP Event Collector to which they are passed on, such as https://splunk.example:8088/. Its token must acknowledge.
    #[arg(long, value_name = "URL")]
    splunk_url: Option<Url>,
    /// The file of its token; else it is taken from DESKGATE_SPLUNK_TOKEN.
    #[arg(long, value_name = "FILE", requires = "splunk_url")]
    splunk_token: Option<PathBuf>,
    /// A syslog server to which they are passed on over TLS (RFC 5425), such as logs.example:6514. Best effort: syslog confirms nothing.
    #[arg(long, value_name = "HOST[:PORT]")]
    syslog: Option<String>,
    /// The authorities that may have issued its certificate (PEM); those of the system if not given.
    #[arg(long, value_name = "FILE", requires = "syslog")]
    syslog_ca: Option<PathBuf>,
    /// Our certificate for it with its chain (PEM), where it wants one.
    #[arg(long, value_name = "FILE", requires = "syslog", requires = "syslog_key")]
    syslog_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "syslog_cert")]
    syslog_key: Option<PathBuf>,
    /// A folder in which they are kept as files of NDJSON, one a day, each line an OCSF event.
    #[arg(long, value_name = "FOLDER")]
    records_folder: Option<PathBuf>,
}

impl SinkArgs {
    pub(super) fn config(self) -> Result<SinkConfig, Failure> {
        let splunk = self
            .splunk_url
            .map(|url| token(self.splunk_token.as_deref()).map(|token| SplunkConfig { url, token }));
        let identity = self.syslog_cert.zip(self.syslog_key);
        let authorities = self.syslog_ca;
        let syslog = self.syslog.map(|address| {
            address_of(&address).map(|(host, port)| SyslogConfig { host, port, authorities, identity })
        });
        Ok(SinkConfig {
            otlp_url: self.otlp_url,
            splunk: splunk.transpose()?,
            syslog: syslog.transpose()?,
            folder: self.records_folder,
        })
    }
}

fn token(file: Option<&Path>) -> Result<SecretString, Failure> {
    let token = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|fault| Failure::new(format!("{} cannot be read: {fault}", file.display())))?,
        None => std::env::var(SPLUNK_TOKEN).map_err(|_| {
            Failure::new(format!(
                "Splunk wants a token: name its file with --splunk-token, or set {SPLUNK_TOKEN}."
            ))
        })?,
    };
    Ok(SecretString::from(token.trim().to_owned()))
}

/// A host's name or address, and its port.
fn address_of(text: &str) -> Result<(String, u16), Failure> {
    let bad = || Failure::new(format!("{text} is no address of a syslog server: write HOST or HOST:PORT."));
    let url = Url::parse(&format!("syslog-tls://{text}")).map_err(|_| bad())?;
    let is_bare = url.path().is_empty() && url.username().is_empty() && url.query().is_none();
    let host = url.host_str().filter(|_| is_bare).ok_or_else(bad)?;
    Ok((host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(SYSLOG_PORT)))
}
