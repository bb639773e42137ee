//! What a connector tells while a brokered call is under way: progress and log messages, on to the device that asked for the call.
//! A secret in them is taken out as from the answer. The connector can ask nothing: nobody is there.

use mcp::{Capabilities, LogLevel, assistant};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use upstream::{Event, Hearing, LogWish, Wants};

use super::call::Asked;
use super::payload::Heard;
use super::redact::Redactor;

/// How many messages may wait for a device that reads slowly; more are dropped.
const MOST_UNREAD: usize = 64;

/// The way to whoever wants to be told.
pub(crate) struct Told {
    /// What the device calls the request where it hears of its progress.
    progress: Option<Box<RawValue>>,
    log: Option<LogLevel>,
    messages: mpsc::Sender<String>,
}

impl Told {
    /// The way to a device that asked for this; `None` where it wants to hear nothing.
    pub(crate) fn of(
        progress: Option<Box<RawValue>>,
        log: Option<LogLevel>,
    ) -> Option<(Self, mpsc::Receiver<String>)> {
        if progress.is_none() && log.is_none() {
            return None;
        }
        let (messages, received) = mpsc::channel(MOST_UNREAD);
        Some((Self { progress, log, messages }, received))
    }

    pub(super) fn wants(&self, asked: &Asked<'_>) -> Wants {
        Wants {
            owner: format!("{} {}", asked.device, asked.context.call).into(),
            capabilities: Capabilities::default(),
            log: self.log.map_or(LogWish::Nothing, LogWish::From),
            progress: self.progress.is_some(),
        }
    }

    /// Passes on what is told until `work` is done.
    pub(super) async fn carry<T>(
        &self,
        work: impl Future<Output = T>,
        hearing: &mut Hearing,
        (redactor, heard): (&Redactor, &Heard),
    ) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                event = hearing.next() => self.pass_on(event, redactor, heard),
                done = &mut work => {
                    while let Some(event) = hearing.take() {
                        self.pass_on(event, redactor, heard);
                    }
                    return done;
                }
            }
        }
    }

    fn pass_on(&self, event: Event, redactor: &Redactor, heard: &Heard) {
        let clean = |params| heard.notice(redactor.json(params));
        let message = match (event, &self.progress) {
            (Event::Progress(params), Some(token)) => {
                clean(params).map(|params| assistant::progress(token, &params))
            }
            (Event::Log(params), _) => clean(params).map(|params| assistant::log_message(&params)),
            // A question is refused by being dropped.
            (Event::Progress(_), None) | (Event::Waiting(_) | Event::Asked(_), _) => return,
        };
        let Some(message) = message else { return };
        if self.messages.try_send(message).is_err() {
            tracing::debug!("a device does not read what it is told");
        }
    }
}
