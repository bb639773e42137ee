//! The served control plane: one port and one folder of data, over any number of starts.

use rustix::process::Signal;
use serde::Deserialize;
use url::Url;

use super::SOON;
use super::desk::Desk;
use crate::{PeerFault, Process, free_port};

#[derive(Debug)]
pub(super) struct Server {
    process: Option<Process>,
    port: u16,
    config_url: Url,
    otlp: Option<Url>,
    /// Where others find it, if a proxy stands in front.
    public: Option<Url>,
    /// What was printed before the last stop.
    earlier: String,
}

/// What `serve` tells when it takes requests.
#[derive(Debug, Deserialize)]
struct Told {
    config_url: Url,
}

impl Server {
    pub(super) async fn start(desk: &Desk, otlp: Option<Url>) -> Result<Self, PeerFault> {
        let port = free_port()?;
        let (process, config_url) = launch(desk, port, otlp.as_ref(), None).await?;
        Ok(Self { process: Some(process), port, config_url, otlp, public: None, earlier: String::new() })
    }

    /// Starts it again where it was.
    pub(super) async fn launch(&mut self, desk: &Desk) -> Result<(), PeerFault> {
        let (process, config_url) = launch(desk, self.port, self.otlp.as_ref(), self.public.as_ref()).await?;
        self.process = Some(process);
        self.config_url = config_url;
        Ok(())
    }

    pub(super) async fn stop(&mut self) -> Result<(), PeerFault> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        // One that was killed is gone already.
        if process.ended()?.is_none() {
            process.signal(Signal::TERM)?;
        }
        let ended = process.wait(SOON).await;
        self.earlier.push_str(&process.log());
        ended.map(drop)
    }

    /// From its next start on others find it there.
    pub(super) fn stands_behind(&mut self, public: &Url) {
        self.public = Some(public.clone());
    }

    pub(super) fn config_url(&self) -> &Url {
        &self.config_url
    }

    pub(super) fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    pub(super) fn log(&self) -> String {
        let current = self.process.as_ref().map(Process::log).unwrap_or_default();
        format!("{}{current}", self.earlier)
    }
}

async fn launch(
    desk: &Desk,
    port: u16,
    otlp: Option<&Url>,
    public: Option<&Url>,
) -> Result<(Process, Url), PeerFault> {
    let spec = desk.serve(port);
    let spec = match otlp {
        Some(url) => spec
            .arg("--otlp-url")
            .arg(format!("{url}v1/logs"))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        None => spec,
    };
    let spec = match public {
        Some(url) => spec.arg("--public-url").arg(url.as_str()),
        None => spec,
    };
    // Asked to end, it ends the connectors that it runs.
    let mut process = spec.start()?.stopped_by(Signal::TERM);
    let told = process
        .ready("where it serves", SOON, async |log| {
            log.lines().find_map(|line| serde_json::from_str::<Told>(line).ok())
        })
        .await?;
    Ok((process, told.config_url))
}
