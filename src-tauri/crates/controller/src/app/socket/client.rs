//! The command line's side of the local socket.

use std::time::Duration;

use model::{Advice, ForPerson};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::{Command, DEADLINE, Report};
use crate::app::home::Home;

/// The command line's side.
#[derive(Debug, Clone)]
pub struct Client {
    home: Home,
}

/// Why the running instance gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// None is running.
    #[error("no instance is running")]
    NotRunning,
    /// It did not answer.
    #[error("the running instance did not answer")]
    Silent(#[source] std::io::Error),
}

impl ForPerson for ClientFault {
    fn advice(&self) -> Advice {
        match self {
            Self::NotRunning => Advice::new(
                "not-running",
                "Deskgate is not running.",
                "",
                "Start the desktop application, or: deskgate serve",
            ),
            Self::Silent(error) => Advice::new(
                "instance-silent",
                format!("The running Deskgate does not answer: {error}."),
                "",
                "Quit it and start it again.",
            ),
        }
    }
}

/// What was asked for lasts until this is dropped.
#[derive(Debug)]
pub struct Stay(BufReader<UnixStream>);

impl Stay {
    /// Waits until the running instance ends it.
    pub async fn ended(&mut self) {
        // It says nothing more, so whatever comes is its end.
        let _ = self.0.fill_buf().await;
    }
}

impl Client {
    /// For the instance that owns `home`.
    pub fn new(home: Home) -> Self {
        Self { home }
    }

    /// Asks the running instance.
    ///
    /// # Errors
    /// A [`ClientFault`].
    pub async fn ask(&self, command: &Command) -> Result<Report, ClientFault> {
        self.ask_within(command, DEADLINE).await
    }

    /// Asks for what lasts as long as whoever asked stays, and waits for a person's answer for as long as they take.
    ///
    /// # Errors
    /// A [`ClientFault`].
    pub async fn stay(&self, command: &Command) -> Result<(Report, Stay), ClientFault> {
        let stream = UnixStream::connect(self.home.socket()).await.map_err(|_| ClientFault::NotRunning)?;
        let exchange = async {
            let mut stay = Stay(BufReader::new(stream));
            let mut line = serde_json::to_vec(command)?;
            line.push(b'\n');
            stay.0.write_all(&line).await?;
            let mut answer = String::new();
            stay.0.read_line(&mut answer).await?;
            Ok((serde_json::from_str(&answer)?, stay))
        };
        exchange.await.map_err(ClientFault::Silent)
    }

    /// Asks what may take so long.
    ///
    /// # Errors
    /// A [`ClientFault`].
    pub async fn ask_within(&self, command: &Command, deadline: Duration) -> Result<Report, ClientFault> {
        let stream = UnixStream::connect(self.home.socket()).await.map_err(|_| ClientFault::NotRunning)?;
        let exchange = async {
            let (reading, mut writing) = stream.into_split();
            let mut line = serde_json::to_vec(command)?;
            line.push(b'\n');
            writing.write_all(&line).await?;
            let mut answer = String::new();
            BufReader::new(reading).read_line(&mut answer).await?;
            Ok(serde_json::from_str(&answer)?)
        };
        tokio::time::timeout(deadline, exchange)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(ClientFault::Silent)
    }
}
