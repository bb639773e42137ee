//! Diagnostics that the organisation asks for: whether it does is asked with each session and each notice of a change. What goes is
//! handed in from outside, by a person's word; nothing here collects or sends by itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Subject, Timestamp};
use org_protocol::{
    DIAGNOSTICS_FORMAT, DIAGNOSTICS_NOT_ASKED, DIAGNOSTICS_PATH, DIAGNOSTICS_TYPE, DiagnosticsAsked,
    DiagnosticsRequest,
};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use vault::Kind;

use crate::backoff::Backoff;
use crate::wire::{ORDINARY, SMALL, body};
use crate::{Org, OrgFault, OrgSession};

/// The key in the vault of what the person does not send.
const REFUSED: &str = "org-diagnostics-refused";
/// The format version of [`RefusedRequest`].
const REFUSED_FORMAT: u32 = 1;
/// How long sending may take: an archive is larger than an ordinary request.
const SENDING: Duration = Duration::from_secs(120);
/// What a server answers that knows nothing of diagnostics.
const NOT_FOUND: u16 = 404;

/// What the person has said no to, until the organisation knows. Numbers may come again after a restored backup, times do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct RefusedRequest {
    format: u32,
    id: u64,
    since: Timestamp,
}

impl Org {
    /// What is asked for, as far as it is known, and each change. Nothing while there is no session: then nobody is here to answer.
    pub fn diagnostics_asked(&self) -> watch::Receiver<Option<Arc<DiagnosticsRequest>>> {
        self.0.diagnostics.subscribe()
    }

    /// Keeps that up to date, for as long as it runs, which is until it is dropped: with each session, each `nudge`, and now and then.
    pub async fn follow_diagnostics(&self, nudge: &Notify) {
        let mut sessions = self.session();
        let mut backoff = Backoff::usual();
        let mut again = self.again().hear();
        loop {
            sessions.mark_unchanged();
            let pause = match self.0.live_session() {
                Err(_) => {
                    self.now_asked(None);
                    Duration::MAX
                }
                Ok(session) => match self.ask_diagnostics(&session).await {
                    Ok(request) => {
                        self.now_asked(request);
                        backoff.reset();
                        Self::poll_pause()
                    }
                    Err(fault) => {
                        tracing::debug!(%fault, "whether diagnostics are wanted could not be asked");
                        if fault.ends_session() {
                            self.0.lost(&session);
                        }
                        backoff.next()
                    }
                },
            };
            tokio::select! {
                called = again.pause(pause) => if called { backoff.reset() },
                () = nudge.notified() => {}
                changed = sessions.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Sends an archive in answer to a request, once, in the name of the person who says so.
    ///
    /// # Errors
    /// An [`OrgFault`]. The request stands as before, unless nobody waits for the answer any more.
    pub async fn send_diagnostics(
        &self,
        request: &DiagnosticsRequest,
        person: &Subject,
        archive: Bytes,
    ) -> Result<(), OrgFault> {
        // Since the last look somebody else may have signed in: they have not seen it.
        if !self.0.live_session()?.subject.is_same_person(person) {
            return Err(OrgFault::OtherPerson);
        }
        let answered = self.answer(Method::POST, request, Some(archive)).await;
        match &answered {
            Ok(()) => self.ended_request(request),
            Err(fault) if is_over(fault) => self.ended_request(request),
            Err(_) => {}
        }
        answered
    }

    /// Remembers that the person does not send what was asked for, and tells the organisation: now, or when it is reached.
    ///
    /// # Errors
    /// An [`OrgFault`] where it could neither be remembered nor told.
    pub async fn refuse_diagnostics(&self, request: &DiagnosticsRequest) -> Result<(), OrgFault> {
        let refused = RefusedRequest { format: REFUSED_FORMAT, id: request.id, since: request.since };
        let json = serde_json::to_vec(&refused).unwrap_or_default();
        let remembered = self.0.vault.put(Kind::Session, REFUSED, &json).await;
        match self.answer(Method::DELETE, request, None).await {
            Err(fault) if !is_over(&fault) => {
                tracing::info!(%fault, "that diagnostics are not sent is told later");
                remembered?;
            }
            Ok(()) | Err(_) => {}
        }
        self.ended_request(request);
        Ok(())
    }

    /// What is asked for that the person has not said no to.
    async fn ask_diagnostics(&self, session: &OrgSession) -> Result<Option<DiagnosticsRequest>, OrgFault> {
        let key = self.0.vault.device_key().await?;
        let now = self.0.clock.now();
        let asking = self.0.wire.proved(Method::GET, DIAGNOSTICS_PATH, &*key, Some(&session.token), now)?;
        let answer = match body(self.0.wire.send(asking.timeout(ORDINARY)).await?, SMALL).await {
            Err(OrgFault::Refused { status: NOT_FOUND, .. }) => return Ok(None),
            answer => answer?,
        };
        let asked: DiagnosticsAsked =
            serde_json::from_slice(&answer).map_err(|fault| OrgFault::Unusable(fault.to_string()))?;
        if asked.format != DIAGNOSTICS_FORMAT {
            return Err(OrgFault::Unusable(format!("diagnostics have format {}", asked.format)));
        }
        let Some(request) = asked.request else { return Ok(None) };
        if !self.was_refused(&request).await {
            return Ok(Some(request));
        }
        match self.answer(Method::DELETE, &request, None).await {
            Err(fault) if !is_over(&fault) => Err(fault),
            Ok(()) | Err(_) => Ok(None),
        }
    }

    async fn was_refused(&self, request: &DiagnosticsRequest) -> bool {
        let stored = match self.0.vault.get(Kind::Session, REFUSED).await {
            Ok(stored) => stored,
            Err(fault) => {
                tracing::warn!(%fault, "which diagnostics are not sent is not known");
                return false;
            }
        };
        let read = |json: &[u8]| serde_json::from_slice::<RefusedRequest>(json).ok();
        let refused = stored.as_ref().and_then(|stored| read(stored.expose_secret()));
        refused.is_some_and(|refused| {
            (refused.format, refused.id, refused.since) == (REFUSED_FORMAT, request.id, request.since)
        })
    }

    async fn answer(
        &self,
        method: Method,
        to: &DiagnosticsRequest,
        archive: Option<Bytes>,
    ) -> Result<(), OrgFault> {
        let session = self.0.live_session()?;
        let key = self.0.vault.device_key().await?;
        let now = self.0.clock.now();
        let mut request =
            self.0.wire.proved(method, &to.path(), &*key, Some(&session.token), now)?.timeout(SENDING);
        if let Some(archive) = archive {
            request = request.header(CONTENT_TYPE, DIAGNOSTICS_TYPE).body(archive);
        }
        let answered = body(self.0.wire.send(request).await?, SMALL).await;
        if answered.as_ref().is_err_and(OrgFault::ends_session) {
            self.0.lost(&session);
        }
        answered.map(drop)
    }

    fn now_asked(&self, request: Option<DiagnosticsRequest>) {
        let request = request.map(Arc::new);
        self.0.diagnostics.send_if_modified(|asked| {
            let changed = *asked != request;
            *asked = request;
            changed
        });
    }

    /// Nobody waits for it any more.
    fn ended_request(&self, request: &DiagnosticsRequest) {
        let is_it =
            |asked: &mut Arc<DiagnosticsRequest>| (asked.id, asked.since) == (request.id, request.since);
        self.0.diagnostics.send_if_modified(|asked| asked.take_if(is_it).is_some());
    }
}

fn is_over(fault: &OrgFault) -> bool {
    matches!(fault, OrgFault::Refused { advice, .. } if advice.code == DIAGNOSTICS_NOT_ASKED)
}
