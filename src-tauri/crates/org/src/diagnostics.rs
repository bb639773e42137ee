//! Diagnostics that the organisation asks for: whether it does is asked with each session and each notice of a change. What goes is
//! handed in from outside, by a person's word; nothing here collects or sends by itself.

use std::sync::{Arc, Mutex, PoisonError};
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
/// The key in the vault of what the person was told of.
const TOLD: &str = "org-diagnostics-told";
/// The format version of [`KnownRequest`].
const KNOWN_FORMAT: u32 = 1;
/// How long sending may take: an archive is larger than an ordinary request.
const SENDING: Duration = Duration::from_secs(120);
/// What a server answers that knows nothing of diagnostics.
const NOT_FOUND: u16 = 404;

/// A request that is remembered over a restart. Numbers may come again after a restored backup, times do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct KnownRequest {
    format: u32,
    id: u64,
    since: Timestamp,
}

impl KnownRequest {
    fn of(request: &DiagnosticsRequest) -> Self {
        Self { format: KNOWN_FORMAT, id: request.id, since: request.since }
    }
}

/// What is asked for, as far as it is known.
#[derive(Default)]
pub(crate) struct Asked {
    now: watch::Sender<Option<Arc<DiagnosticsRequest>>>,
    /// What was answered or is over. It is locked while `now` changes.
    ended: Mutex<Ended>,
}

/// The last request that ended here, and how many have.
#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    count: u64,
    last: Option<KnownRequest>,
}

impl Asked {
    fn ended(&self) -> std::sync::MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many have ended: to be read before the organisation is asked.
    fn count(&self) -> u64 {
        self.ended().count
    }

    /// Takes what the organisation said when `count` had ended. What has ended since does not come back.
    fn is_now(&self, request: Option<DiagnosticsRequest>, count: u64) {
        let ended = self.ended();
        let is_late = |request: &DiagnosticsRequest| {
            ended.count != count && ended.last == Some(KnownRequest::of(request))
        };
        let request = request.filter(|request| !is_late(request)).map(Arc::new);
        self.now.send_if_modified(|asked| {
            let changed = *asked != request;
            *asked = request;
            changed
        });
    }

    /// Nobody is here to answer any more.
    fn forget(&self) {
        self.now.send_if_modified(|asked| asked.take().is_some());
    }

    /// Nobody waits for it any more.
    fn is_over(&self, request: &DiagnosticsRequest) {
        let over = KnownRequest::of(request);
        let mut ended = self.ended();
        ended.count += 1;
        ended.last = Some(over);
        let is_it = |asked: &mut Arc<DiagnosticsRequest>| KnownRequest::of(asked) == over;
        self.now.send_if_modified(|asked| asked.take_if(is_it).is_some());
    }
}

impl Org {
    /// What is asked for, as far as it is known, and each change. It stands while the session or the network is away for a while; once
    /// the person has signed out or is another, it is nothing until the organisation is asked again.
    pub fn diagnostics_asked(&self) -> watch::Receiver<Option<Arc<DiagnosticsRequest>>> {
        self.0.diagnostics.now.subscribe()
    }

    /// Keeps that up to date, for as long as it runs, which is until it is dropped: with each session, each `nudge`, and now and then.
    pub async fn follow_diagnostics(&self, nudge: &Notify) {
        let mut sessions = self.session();
        let mut backoff = Backoff::usual();
        let mut again = self.again().hear();
        // Whom it was asked of, and after how many sign-outs.
        let mut person: Option<(Subject, u64)> = None;
        loop {
            sessions.mark_unchanged();
            let (sign_outs, live) = (self.0.sign_outs(), self.0.live_session());
            let stays = person.as_ref().is_some_and(|(person, then)| {
                let is_other = |session: &OrgSession| !session.subject.is_same_person(person);
                *then == sign_outs && !live.as_ref().is_ok_and(is_other)
            });
            if !stays {
                self.0.diagnostics.forget();
                person = None;
            }
            let pause = match live {
                Err(_) => Duration::MAX,
                Ok(session) => {
                    person = Some((session.subject.clone(), sign_outs));
                    self.look_for_diagnostics(&session, &mut backoff).await
                }
            };
            tokio::select! {
                called = again.pause(pause) => if called { backoff.reset() },
                () = nudge.notified() => {}
                changed = sessions.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Asks once, and says when to ask again.
    async fn look_for_diagnostics(&self, session: &OrgSession, backoff: &mut Backoff) -> Duration {
        let count = self.0.diagnostics.count();
        match self.ask_diagnostics(session).await {
            Ok(request) => {
                self.0.diagnostics.is_now(request, count);
                backoff.reset();
                Self::poll_pause()
            }
            Err(fault) => {
                tracing::debug!(%fault, "whether diagnostics are wanted could not be asked");
                if fault.ends_session() {
                    self.0.lost(session);
                }
                if fault.ends_sign_in() {
                    self.0.diagnostics.forget();
                }
                backoff.next()
            }
        }
    }

    /// Whether the person is told of a request for the first time, also over restarts; remembers that they are.
    pub async fn first_told_of_diagnostics(&self, request: &DiagnosticsRequest) -> bool {
        if self.is_known(TOLD, request).await {
            return false;
        }
        if let Err(fault) = self.remember(TOLD, request).await {
            tracing::warn!(%fault, "which diagnostics were asked for could not be kept");
        }
        true
    }

    /// Sends an archive in answer to a request, once, in the name of the person who says so.
    ///
    /// # Errors
    /// An [`OrgFault`]. The request stands as before, unless nobody waits for the answer any more. Where it is not
    /// [before the effect](OrgFault::before_effect), the archive may have arrived: the same may be sent again.
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
            Ok(()) => self.0.diagnostics.is_over(request),
            Err(fault) if is_over(fault) => self.0.diagnostics.is_over(request),
            Err(_) => {}
        }
        answered
    }

    /// Remembers that the person does not send what was asked for, and tells the organisation: now, or when it is reached.
    ///
    /// # Errors
    /// An [`OrgFault`] where it could neither be remembered nor told.
    pub async fn refuse_diagnostics(&self, request: &DiagnosticsRequest) -> Result<(), OrgFault> {
        let remembered = self.remember(REFUSED, request).await;
        match self.answer(Method::DELETE, request, None).await {
            Err(fault) if !is_over(&fault) => {
                tracing::info!(%fault, "that diagnostics are not sent is told later");
                remembered?;
            }
            Ok(()) | Err(_) => {}
        }
        self.0.diagnostics.is_over(request);
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
        if !self.is_known(REFUSED, &request).await {
            return Ok(Some(request));
        }
        match self.answer(Method::DELETE, &request, None).await {
            Err(fault) if !is_over(&fault) => Err(fault),
            Ok(()) | Err(_) => Ok(None),
        }
    }

    /// Keeps a request in the vault under a key, in the place of an earlier one.
    async fn remember(&self, key: &str, request: &DiagnosticsRequest) -> Result<(), OrgFault> {
        let json = serde_json::to_vec(&KnownRequest::of(request)).unwrap_or_default();
        Ok(self.0.vault.put(Kind::Session, key, &json).await?)
    }

    /// Whether a request is the one in the vault under a key.
    async fn is_known(&self, key: &str, request: &DiagnosticsRequest) -> bool {
        let stored = match self.0.vault.get(Kind::Session, key).await {
            Ok(stored) => stored,
            Err(fault) => {
                tracing::warn!(%fault, key, "a request for diagnostics that was kept cannot be read");
                return false;
            }
        };
        let read = |json: &[u8]| serde_json::from_slice::<KnownRequest>(json).ok();
        let known = stored.as_ref().and_then(|stored| read(stored.expose_secret()));
        known == Some(KnownRequest::of(request))
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
}

fn is_over(fault: &OrgFault) -> bool {
    matches!(fault, OrgFault::Refused { advice, .. } if advice.code == DIAGNOSTICS_NOT_ASKED)
}
