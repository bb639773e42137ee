//! A static web host: Python's `http.server`. Signed documents need no more.

use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::place::python;
use crate::{PeerFault, Process, Spec, free_port};

/// A running host.
#[derive(Debug)]
pub struct StaticHost {
    process: Process,
    url: Url,
}

impl StaticHost {
    /// Serves the files below `folder`, and waits until it can be asked.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start(folder: &Path) -> Result<Self, PeerFault> {
        let port = free_port()?;
        let mut process = Spec::new("static host", python()?)
            .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
            .arg(folder)
            .arg(port.to_string())
            .start()?;
        process
            .ready("an open port", Duration::from_secs(60), async |_| {
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(())
            })
            .await?;
        Ok(Self { process, url: Url::parse(&format!("http://127.0.0.1:{port}/"))? })
    }

    /// Where it serves.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Its process, to kill or to look into.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
