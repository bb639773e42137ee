//! The messages of an answer, whether it is one JSON text or a stream of events.

use serde_json::Value;
use testkit::PeerFault;

/// An answer under way.
pub(crate) struct Messages {
    response: reqwest::Response,
    is_stream: bool,
    buffer: Vec<u8>,
}

impl Messages {
    pub(crate) fn of(response: reqwest::Response) -> Self {
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let is_stream = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        Self { response, is_stream, buffer: Vec::new() }
    }

    /// The next message; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, PeerFault> {
        loop {
            if self.is_stream
                && let Some(message) = self.event()?
            {
                return Ok(Some(message));
            }
            match self.response.chunk().await? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None if self.is_stream || self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(serde_json::from_slice(&std::mem::take(&mut self.buffer))?)),
            }
        }
    }

    /// Takes whole lines from the buffer until one has a message.
    fn event(&mut self) -> Result<Option<Value>, PeerFault> {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = line.trim_ascii();
            if let Some(data) = line.strip_prefix(b"data:")
                && !data.trim_ascii().is_empty()
            {
                return Ok(Some(serde_json::from_slice(data)?));
            }
        }
        Ok(None)
    }
}
