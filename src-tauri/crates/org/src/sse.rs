//! Reading server-sent events (HTML standard, section 9.2.6) as they arrive in pieces.

/// The longest event, in bytes.
const LONGEST: usize = 64 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    /// Its `id`, if it has one.
    pub(crate) id: Option<String>,
    /// Its `event`, if it has one.
    pub(crate) event: Option<String>,
    /// Its `data` lines, joined.
    pub(crate) data: String,
}

/// Puts pieces together to events. Comments, which keep the stream alive, are passed over.
#[derive(Debug)]
pub(crate) struct Reader {
    line: Vec<u8>,
    message: Message,
    has_data: bool,
    size: usize,
    longest: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self::up_to(LONGEST)
    }
}

/// An event is longer than any may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Reader {
    /// For events of at most so many bytes.
    pub(crate) fn up_to(longest: usize) -> Self {
        Self { line: Vec::new(), message: Message::default(), has_data: false, size: 0, longest }
    }

    /// The events that `piece` completes.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut complete = Vec::new();
        for byte in piece {
            self.size += 1;
            if self.size > self.longest {
                return Err(TooLong);
            }
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
            if line.is_empty() {
                self.size = 0;
                let message = std::mem::take(&mut self.message);
                if std::mem::take(&mut self.has_data) {
                    complete.push(message);
                }
            } else {
                self.field(&line);
            }
        }
        Ok(complete)
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.message.id = Some(value.to_owned()),
            "event" => self.message.event = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            _ => {
                // A comment does not add up to anything.
                if name.is_empty() {
                    self.size = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str =
        ": hello\n\nid: 1\ndata: {\"a\":1}\n\n:alive\n\nid: 2\r\ndata: x\r\ndata: y\r\n\r\ndata\n\n";

    fn expected() -> Vec<Message> {
        vec![
            Message { id: Some("1".to_owned()), event: None, data: "{\"a\":1}".to_owned() },
            Message { id: Some("2".to_owned()), event: None, data: "x\ny".to_owned() },
            Message { id: None, event: None, data: String::new() },
        ]
    }

    #[test]
    fn an_endless_event_is_refused_and_an_endless_silence_is_not() {
        let mut reader = Reader::default();
        assert_eq!(reader.push(&vec![b'x'; LONGEST + 1]), Err(TooLong));
        let mut reader = Reader::default();
        for _ in 0..LONGEST {
            assert_eq!(reader.push(b": alive\n\n"), Ok(Vec::new()));
        }
    }

    proptest! {
        /// However the network cuts the stream, the events are the same.
        #[test]
        fn pieces_do_not_matter(cuts in prop::collection::vec(0..STREAM.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut reader = Reader::default();
            let mut found = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([STREAM.len()]) {
                found.extend(reader.push(&STREAM.as_bytes()[from..cut]).expect("short"));
                from = cut;
            }
            prop_assert_eq!(found, expected());
        }
    }
}
