//! `deskgate bridge` as an assistant sees it that speaks line by line: for tests that look at single messages.

use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::PeerFault;

const SOON: Duration = Duration::from_secs(60);

/// A running bridge.
#[derive(Debug)]
pub struct Bridge {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Bridge {
    /// Starts one.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(mut command: Command) -> Result<Self, PeerFault> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(PeerFault::answer("bridge", "it has no pipes"));
        };
        Ok(Self { child, input: Some(input), output: BufReader::new(output).lines() })
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If it does not take it.
    pub async fn say(&mut self, message: &Value) -> Result<(), PeerFault> {
        self.write(message.to_string().as_bytes()).await
    }

    /// Sends a line as it is.
    ///
    /// # Errors
    /// If it does not take it.
    pub async fn write(&mut self, line: &[u8]) -> Result<(), PeerFault> {
        let Some(input) = &mut self.input else {
            return Err(PeerFault::answer("bridge", "its input is closed"));
        };
        input.write_all(line).await?;
        input.write_all(b"\n").await?;
        Ok(input.flush().await?)
    }

    /// The next message.
    ///
    /// # Errors
    /// If none comes in time, or something else than a message.
    pub async fn next(&mut self) -> Result<Value, PeerFault> {
        let line = timeout(SOON, self.output.next_line()).await;
        let line = line.map_err(|_| PeerFault::answer("bridge", "it says nothing"))??;
        let line = line.ok_or_else(|| PeerFault::answer("bridge", "its output ended"))?;
        Ok(serde_json::from_str(&line)?)
    }

    /// The next answer; notices on the way are passed over.
    ///
    /// # Errors
    /// If none comes in time.
    pub async fn answer(&mut self) -> Result<Value, PeerFault> {
        loop {
            let heard = self.next().await?;
            if heard["method"].is_null() {
                return Ok(heard);
            }
        }
    }

    /// Sends a request and returns the next answer.
    ///
    /// # Errors
    /// If none comes in time.
    pub async fn ask(&mut self, message: &Value) -> Result<Value, PeerFault> {
        self.say(message).await?;
        self.answer().await
    }

    /// Ends its input, as an assistant does that ends.
    pub fn close(&mut self) {
        drop(self.input.take());
    }

    /// Waits for its end; how it ended, and what it said on standard error.
    ///
    /// # Errors
    /// If it does not end in time, or has still an answer to give.
    pub async fn ended(mut self) -> Result<(ExitStatus, String), PeerFault> {
        let end = async {
            let mut told = String::new();
            if let Some(errors) = &mut self.child.stderr {
                errors.read_to_string(&mut told).await?;
            }
            while let Some(line) = self.output.next_line().await? {
                if serde_json::from_str::<Value>(&line)?["method"].is_null() {
                    return Err(PeerFault::answer("bridge", line));
                }
            }
            Ok((self.child.wait().await?, told))
        };
        timeout(SOON, end).await.map_err(|_| PeerFault::answer("bridge", "it does not end"))?
    }
}
