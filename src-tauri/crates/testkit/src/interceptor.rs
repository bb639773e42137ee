//! A proxy that ends TLS in front of a server, with certificates of an authority of its own: PyPI `mitmproxy`. A company that looks
//! into what its computers send has one, and has its authority in their system store.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use crate::place::tools;
use crate::{PeerFault, Process, Spec, free_port};

/// A running proxy.
#[derive(Debug)]
pub struct Interceptor {
    process: Process,
    url: Url,
    folder: TempDir,
}

impl Interceptor {
    /// In front of the server at `behind`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn before(behind: &Url) -> Result<Self, PeerFault> {
        let folder = tempfile::Builder::new().prefix("deskgate-interceptor-").tempdir()?;
        let port = free_port()?;
        let program = tools().join("interceptor/bin/mitmdump");
        if !program.is_file() {
            return Err(PeerFault::Missing("mitmproxy".to_owned()));
        }
        let place = behind.origin().ascii_serialization();
        let mut process = Spec::new("interceptor", program)
            .args(["--mode", &format!("reverse:{place}@127.0.0.1:{port}")])
            .args(["--set", &format!("confdir={}", folder.path().display())])
            // Streams of events are passed on as they come.
            .args(["--set", "stream_large_bodies=1"])
            .args([
                "--set",
                "keep_host_header=true",
                "--set",
                "connection_strategy=lazy",
                "--flow-detail",
                "1",
            ])
            .start()?;
        process
            .ready("an open port", Duration::from_secs(60), async |_| {
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(())
            })
            .await?;
        Ok(Self { process, url: Url::parse(&format!("https://localhost:{port}/"))?, folder })
    }

    /// Where it answers, with encryption.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The certificate of its authority (PEM).
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("mitmproxy-ca-cert.pem")
    }

    /// What it has read: a line for each request.
    pub fn seen(&self) -> String {
        self.process.log()
    }
}
