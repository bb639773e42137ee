//! Following the control plane's events, from where the last stream ended.

use std::time::Duration;

use org_protocol::{EVENTS_PATH, Event, EventKind, HEARTBEAT};
use reqwest::{Method, Response};

use crate::backoff::Backoff;
use crate::sse::Reader;
use crate::wire::{SMALL, body};
use crate::{Org, OrgFault, OrgSession};

/// A stream without even a heartbeat for so long is dead.
pub(crate) const SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT.as_secs());

impl Org {
    /// Follows the events for as long as it runs, which is until it is dropped; `tell` hears of each. A stream that
    /// breaks is taken up where it ended. Without a session it waits for one; with another one the stream is another.
    ///
    /// An event only says that something changed: whoever hears of one fetches and verifies.
    pub async fn follow(&self, mut tell: impl FnMut(EventKind) + Send) {
        let mut sessions = self.session();
        let mut last = None;
        let mut backoff = Backoff::usual();
        let mut again = self.again().hear();
        loop {
            let Ok(session) = self.0.live_session() else {
                if sessions.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let before = last;
            let ended = tokio::select! {
                ended = self.stream(&session, &mut last, &mut tell) => ended,
                () = self.0.ended(&session) => continue,
                // It may have died while the machine slept, and be silent for ever.
                () = again.called() => {
                    backoff.reset();
                    continue;
                }
            };
            match ended {
                Ok(()) => tracing::debug!("the event stream ended"),
                Err(fault) => {
                    tracing::debug!(%fault, "the event stream broke");
                    if fault.ends_session() {
                        self.0.lost(&session);
                        continue;
                    }
                }
            }
            if last != before {
                backoff.reset();
            }
            if again.pause(backoff.next()).await {
                backoff.reset();
            }
        }
    }

    async fn stream(
        &self,
        session: &OrgSession,
        last: &mut Option<u64>,
        tell: &mut (impl FnMut(EventKind) + Send),
    ) -> Result<(), OrgFault> {
        let mut answer = self.begin_stream(session, *last).await?;
        let mut reader = Reader::default();
        loop {
            let chunk = tokio::time::timeout(SILENCE, answer.chunk())
                .await
                .map_err(|_| OrgFault::Unreachable("the event stream is silent".to_owned()))??;
            let Some(chunk) = chunk else { return Ok(()) };
            self.0.heard.send_replace(Some(self.0.clock.boot_time()));
            let messages =
                reader.push(&chunk).map_err(|_| OrgFault::Unusable("an event is too long".to_owned()))?;
            for message in messages {
                let event: Event = serde_json::from_str(&message.data)
                    .map_err(|fault| OrgFault::Unusable(format!("an event: {fault}")))?;
                *last = Some(event.seq);
                let ends = matches!(
                    event.what,
                    EventKind::SessionRevoked | EventKind::DeviceSuspended | EventKind::SignInEnded
                );
                if ends {
                    self.0.lost(session);
                }
                // Where another session was opened meanwhile, the server has let the person in since.
                if !ends || self.0.live_session().is_err() {
                    tell(event.what);
                }
            }
        }
    }

    async fn begin_stream(&self, session: &OrgSession, last: Option<u64>) -> Result<Response, OrgFault> {
        let key = self.0.vault.device_key().await?;
        let now = self.0.clock.now();
        let mut request = self
            .0
            .wire
            .proved(Method::GET, EVENTS_PATH, &*key, Some(&session.token), now)?
            .header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let answer = tokio::time::timeout(SILENCE, self.0.wire.send(request))
            .await
            .map_err(|_| OrgFault::Unreachable("the event stream does not begin".to_owned()))??;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(body(answer, SMALL).await.err().unwrap_or(OrgFault::NoSession))
        }
    }
}
