//! The organisation's collector of records and traces: PyPI `rotel`, an OTLP receiver that prints what it receives. No secret may be
//! in that.

use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use crate::canary::Guard;
use crate::place::tools;
use crate::{PeerFault, Process, Spec, free_port};

/// A running collector.
#[derive(Debug)]
pub struct Collector {
    process: Process,
    url: Url,
    _folder: TempDir,
}

impl Collector {
    /// Starts one and waits until it can be asked.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start() -> Result<Self, PeerFault> {
        let folder = tempfile::tempdir()?;
        let (http, grpc) = (free_port()?, free_port()?);
        let mut process = Spec::new("collector", program()?)
            .arg("start")
            .arg("--pid-file")
            .arg(folder.path().join("pid"))
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--exporter", "blackhole", "--debug-log", "logs", "--debug-log", "traces"])
            .args(["--debug-log-verbosity", "detailed"])
            .guarded(Guard::default())
            .start()?;
        process
            .ready("an open port", Duration::from_secs(60), async |_| {
                tokio::net::TcpStream::connect(("127.0.0.1", http)).await.is_ok().then_some(())
            })
            .await?;
        Ok(Self { process, url: Url::parse(&format!("http://127.0.0.1:{http}/"))?, _folder: folder })
    }

    /// Where it takes OTLP over HTTP: what the standard's variables name.
    pub fn endpoint(&self) -> &Url {
        &self.url
    }

    /// Where logs are sent.
    pub fn logs(&self) -> Url {
        let mut logs = self.url.clone();
        logs.set_path("/v1/logs");
        logs
    }

    /// Everything received so far, as the collector prints it.
    pub fn received(&self) -> String {
        self.process.log()
    }

    /// Waits until something that was received contains `text`.
    ///
    /// # Errors
    /// At the deadline.
    pub async fn receives(&mut self, text: &str, deadline: Duration) -> Result<(), PeerFault> {
        let what = format!("a record with {text:?}");
        self.process.ready(&what, deadline, async |log| log.contains(text).then_some(())).await
    }
}

/// The package has no entry point for its program; it lies beside its modules.
fn program() -> Result<std::path::PathBuf, PeerFault> {
    let libraries = std::fs::read_dir(tools().join("venv/lib")).into_iter().flatten().flatten();
    libraries
        .map(|version| version.path().join("site-packages/rotel/rotel-agent"))
        .find(|program| program.is_file())
        .ok_or_else(|| PeerFault::Missing("rotel".to_owned()))
}
