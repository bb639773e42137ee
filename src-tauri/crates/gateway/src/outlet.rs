//! Where an assistant is spoken to before the answer to its request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

/// Where messages go.
#[derive(Debug, Clone)]
pub(crate) enum Outlet {
    /// Nowhere: the assistant takes an answer and nothing else.
    Closed,
    /// Into the stream that the request is answered with. Whoever lets the request go on takes them out.
    Frames(Arc<Mutex<VecDeque<String>>>),
    /// Onto a line of their own.
    Lines(mpsc::Sender<Vec<u8>>),
}

impl Outlet {
    /// An outlet into a stream.
    pub(crate) fn frames() -> Self {
        Self::Frames(Arc::default())
    }

    /// Says one message.
    pub(crate) async fn say(&self, message: String) {
        let message = mcp::one_line(message);
        match self {
            Self::Closed => {}
            Self::Frames(frames) => {
                frames.lock().unwrap_or_else(PoisonError::into_inner).push_back(message);
            }
            // Whoever does not listen any more has gone, and so has the connection.
            Self::Lines(lines) => drop(lines.send(message.into_bytes()).await),
        }
    }

    /// The next message of a stream.
    pub(crate) fn take(&self) -> Option<String> {
        match self {
            Self::Frames(frames) => frames.lock().unwrap_or_else(PoisonError::into_inner).pop_front(),
            Self::Closed | Self::Lines(_) => None,
        }
    }

    /// Whether anything is heard of what is said.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self, Self::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_in_a_message_becomes_a_message_of_its_own() {
        let (sender, mut lines) = mpsc::channel(1);
        let message = "{\"a\":\n{\"jsonrpc\":\"2.0\",\"id\":7}\r\n}";
        for outlet in [Outlet::frames(), Outlet::Lines(sender)] {
            outlet.say(message.to_owned()).await;
            let said = match outlet.take() {
                Some(said) => said,
                None => String::from_utf8(lines.recv().await.unwrap()).unwrap(),
            };
            assert_eq!(said, r#"{"a":{"jsonrpc":"2.0","id":7}}"#);
        }
    }
}
