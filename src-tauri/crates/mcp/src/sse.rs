//! Server-sent events (WHATWG HTML, section 9.2), as far as Streamable HTTP uses them.

use std::time::Duration;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The last event id, where one was sent.
    pub id: Option<String>,
    /// The data lines, joined; empty for an event that only says where the stream is, or when to come back.
    pub data: String,
    /// How long to wait before a stream that broke off is taken up again.
    pub retry: Option<Duration>,
}

/// Reads events from a byte stream, whatever the chunks.
#[derive(Debug)]
pub struct Decoder {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    after_cr: bool,
    limit: usize,
}

/// An event is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {0} bytes")]
pub struct TooLong(pub usize);

impl Decoder {
    /// A decoder that refuses events longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { line: Vec::new(), event: Event::default(), has_data: false, after_cr: false, limit }
    }

    /// Takes a chunk and returns the events that it completes.
    ///
    /// # Errors
    /// [`TooLong`] when an event exceeds the limit; the decoder is then of no further use.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for &byte in chunk {
            let follows_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.event.data.len() > self.limit {
                return Err(TooLong(self.limit));
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let has_data = std::mem::take(&mut self.has_data);
            return (has_data || event.id.is_some() || event.retry.is_some()).then_some(event);
        }
        let text = String::from_utf8_lossy(&line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" => self.event.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.event.retry = value.parse().ok().map(Duration::from_millis);
            }
            // Comments, `event` (always "message" in MCP) and unknown fields.
            _ => {}
        }
        None
    }
}

/// Writes one message event. The data must hold no line break, as JSON written by this program never does.
pub fn encode(data: &str) -> String {
    let mut text = String::with_capacity(data.len() + 8);
    for line in data.lines() {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

/// A comment that keeps the connection alive.
pub const KEEP_ALIVE: &str = ": \n\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_comments_and_line_ends() {
        let mut decoder = Decoder::new(1000);
        let text = concat!(
            ": hello\r\nid: 7\r\nevent: message\ndata: {\"a\":\r\ndata:1}\n\ndata\n\n\n: end\n\n",
            "id: 8\nretry: 250\n\nretry: soon\n\n"
        );
        let events = decoder.push(text.as_bytes());
        assert_eq!(
            events,
            Ok(vec![
                Event { id: Some("7".to_owned()), data: "{\"a\":\n1}".to_owned(), retry: None },
                Event::default(),
                Event {
                    id: Some("8".to_owned()),
                    data: String::new(),
                    retry: Some(Duration::from_millis(250))
                },
            ])
        );
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut decoder = Decoder::new(64);
        assert_eq!(decoder.push(&[b'x'; 65]), Err(TooLong(64)));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(data in "[a-z{}\":é ]{0,40}", cut in 0usize..60) {
            let text = format!("{}{KEEP_ALIVE}{}", encode(&data), encode("x"));
            let (one, two) = text.as_bytes().split_at(cut.min(text.len()));
            let mut decoder = Decoder::new(1000);
            let mut events = decoder.push(one).unwrap();
            events.extend(decoder.push(two).unwrap());
            let texts: Vec<_> = events.into_iter().map(|event| event.data).filter(|d| !d.is_empty()).collect();
            let expected: Vec<_> = [data.as_str(), "x"].into_iter().filter(|d| !d.is_empty()).map(str::to_owned).collect();
            prop_assert_eq!(texts, expected);
        }
    }
}
