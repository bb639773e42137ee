//! Follows what a connector tells of its lists, as long as the session lasts. Holds neither session nor connector: it
//! ends with the person or the account that the session belongs to, and with the connector as it is defined now.

use std::sync::{Arc, Weak};
use std::time::Duration;

use model::{AccountId, Subject};
use os::Hearing;
use tokio::sync::watch;
use tokio::time::Instant;
use upstream::{Bearer, Changes, News, Notice, Notices, Session, UpstreamFault};

use crate::connector::{Connector, Means};
use crate::connectors::Connectors;
use crate::fault::CallFault;
use crate::seams::Asking;

/// A stream that ended is opened again after this time, and after twice as long each time that it does not last.
const REOPEN: Duration = Duration::from_secs(1);
/// The longest such time; a stream that lasted as long counts as a good one.
const REOPEN_AT_MOST: Duration = Duration::from_secs(5 * 60);

/// How long a server may take to open a stream or to take an answer.
const OPENS_WITHIN: Duration = Duration::from_secs(30);
/// A stream that was silent for so long is opened anew.
const SILENT_AT_MOST: Duration = Duration::from_secs(10 * 60);

/// How many lists a connector may ask for at once, and how long it takes until it may ask for one more.
const LISTS_AT_ONCE: u32 = 4;
const ONE_MORE_AFTER: Duration = Duration::from_secs(1);

/// The first notices are followed at once. Those that come all the time must not keep everybody busy.
struct Pace {
    left: u32,
    since: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { left: LISTS_AT_ONCE, since: Instant::now() }
    }

    async fn keep(&mut self) {
        let earned = self.since.elapsed().as_secs() / ONE_MORE_AFTER.as_secs();
        if earned > 0 {
            self.left =
                LISTS_AT_ONCE.min(self.left.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)));
            self.since = Instant::now();
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => {
                tokio::time::sleep_until(self.since + ONE_MORE_AFTER).await;
                self.since = Instant::now();
            }
        }
    }
}

/// Why a stream is not listened to any more.
#[derive(PartialEq, Eq)]
enum Heard {
    /// It ended.
    End,
    /// Another is to be opened in its place.
    Outdated,
    /// It may be dead without anybody having told.
    Doubtful,
}

pub(crate) struct Follower {
    pub(crate) connectors: Connectors,
    pub(crate) id: AccountId,
    pub(crate) connector: Weak<Connector>,
    pub(crate) subject: Subject,
    pub(crate) session: Weak<Session>,
}

impl Follower {
    pub(crate) async fn run(self, changes: Changes) {
        match changes {
            Changes::Told(told) => self.told(told).await,
            Changes::Streamed(mut news, mut life) => {
                let gone = async { while life.changed().await.is_ok() {} };
                tokio::select! {
                    () = self.streamed(&mut news) => {}
                    () = gone => {}
                }
            }
        }
    }

    async fn told(&self, mut told: watch::Receiver<u64>) {
        let mut pace = Pace::new();
        while told.changed().await.is_ok() {
            pace.keep().await;
            told.mark_unchanged();
            if !self.session.upgrade().is_some_and(|session| session.is_alive()) {
                return;
            }
            self.list().await;
        }
    }

    async fn streamed(&self, news: &mut News) {
        let mut pause = REOPEN;
        let mut first = true;
        let mut again = self.connectors.seams().http.again().hear();
        loop {
            let opened = Instant::now();
            match self.open(news).await {
                Ok(None) | Err(CallFault::Unknown(_)) => return,
                Err(CallFault::Upstream(UpstreamFault::SessionGone)) => return self.discard().await,
                Ok(Some(notices)) => {
                    // What changed while nobody listened was not heard.
                    if !std::mem::take(&mut first) {
                        self.list().await;
                    }
                    match self.listen(news, notices, &mut again).await {
                        Heard::End => {}
                        Heard::Outdated => {
                            // Nothing went wrong, so nothing is waited for, nor looked for.
                            first = true;
                            continue;
                        }
                        Heard::Doubtful => {
                            pause = REOPEN;
                            continue;
                        }
                    }
                }
                Err(fault) => {
                    tracing::debug!(connector = %self.id, %fault, "no stream of news");
                }
            }
            pause = if opened.elapsed() >= REOPEN_AT_MOST { REOPEN } else { pause };
            pause = if again.pause(pause).await { REOPEN } else { (pause * 2).min(REOPEN_AT_MOST) };
        }
    }

    /// The server has forgotten the session, and with it what was followed over it.
    async fn discard(&self) {
        if let (Some(connector), Some(session)) = (self.connector.upgrade(), self.session.upgrade()) {
            connector.discard(&self.subject, Means::default(), &session).await;
        }
    }

    /// `None` where there is nothing to follow.
    async fn open(&self, news: &mut News) -> Result<Option<Notices>, CallFault> {
        let bearer = self.bearer().await?;
        Ok(tokio::time::timeout(OPENS_WITHIN, news.open(bearer.as_ref()))
            .await
            .unwrap_or(Err(UpstreamFault::Deadline))?)
    }

    /// The token to follow with: only as long as the connector is the one that the session was opened with. A server that
    /// the connector has left must not be sent the token of the one that it went to.
    async fn bearer(&self) -> Result<Option<Bearer>, CallFault> {
        let unknown = || CallFault::Unknown(self.id.clone());
        let connector = self.connector.upgrade().ok_or_else(unknown)?;
        if !Arc::ptr_eq(&connector, &self.connectors.find(&self.id)?) {
            return Err(unknown());
        }
        connector.bearer(&self.subject, Asking::Never).await
    }

    async fn listen(&self, news: &mut News, mut notices: Notices, again: &mut Hearing) -> Heard {
        let mut pace = Pace::new();
        loop {
            // A connection that was lost while the computer slept is silent for ever.
            let next = tokio::select! {
                next = tokio::time::timeout(SILENT_AT_MOST, notices.next()) => next,
                () = news.outdated() => return Heard::Outdated,
                () = again.called() => return Heard::Doubtful,
            };
            match next {
                Ok(Ok(Some(Notice::Changed(_)))) => {
                    pace.keep().await;
                    self.list().await;
                }
                Ok(Ok(Some(Notice::Reply(reply)))) => self.reply(news, reply).await,
                Ok(Ok(None)) | Err(_) => return Heard::End,
                Ok(Err(fault)) => {
                    tracing::debug!(connector = %self.id, %fault, "the stream of news broke");
                    return Heard::End;
                }
            }
        }
    }

    async fn reply(&self, news: &News, reply: String) {
        let replied = async {
            let bearer = self.bearer().await?;
            Ok::<_, CallFault>(news.reply(reply, bearer.as_ref()).await?)
        };
        match tokio::time::timeout(OPENS_WITHIN, replied).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::debug!(connector = %self.id, %fault, "a question was not answered"),
            Err(_) => tracing::debug!(connector = %self.id, "an answer was not taken"),
        }
    }

    async fn list(&self) {
        if let Err(fault) = self.connectors.refresh(&self.id, &self.subject, Asking::Never).await {
            tracing::warn!(connector = %self.id, %fault, "its changed lists could not be had");
        }
    }
}
