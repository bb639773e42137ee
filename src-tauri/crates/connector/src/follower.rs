//! Follows what a connector tells of its tool list, as long as the session lasts. Holds no session: it ends with the
//! person or the account that the session belongs to.

use std::sync::{Arc, Weak};
use std::time::Duration;

use model::Subject;
use tokio::sync::watch;
use tokio::time::Instant;
use upstream::{Changes, Notice, Notices, Session, UpstreamFault};

use crate::connector::Connector;
use crate::connectors::Connectors;
use crate::seams::Asking;

/// A stream that ended is opened again after this time, and after twice as long each time that it does not last.
const REOPEN: Duration = Duration::from_secs(1);
/// The longest such time; a stream that lasted as long counts as a good one.
const REOPEN_AT_MOST: Duration = Duration::from_secs(5 * 60);

/// The shortest time between two lists that a connector asks for.
const LIST_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The first notice is followed at once. One that comes all the time must not keep everybody busy.
#[derive(Default)]
struct Pace(Option<Instant>);

impl Pace {
    async fn keep(&mut self) {
        if let Some(last) = self.0 {
            tokio::time::sleep_until(last + LIST_AGAIN_AFTER).await;
        }
        self.0 = Some(Instant::now());
    }
}

pub(crate) struct Follower {
    pub(crate) connectors: Connectors,
    pub(crate) connector: Arc<Connector>,
    pub(crate) subject: Subject,
    pub(crate) session: Weak<Session>,
}

impl Follower {
    pub(crate) async fn run(self, changes: Changes) {
        match changes {
            Changes::Told(told) => self.told(told).await,
            Changes::Streamed(mut life) => {
                let gone = async { while life.changed().await.is_ok() {} };
                tokio::select! {
                    () = self.streamed() => {}
                    () = gone => {}
                }
            }
        }
    }

    async fn told(&self, mut told: watch::Receiver<u64>) {
        let mut pace = Pace::default();
        while told.changed().await.is_ok() {
            pace.keep().await;
            told.mark_unchanged();
            if !self.session.upgrade().is_some_and(|session| session.is_alive()) {
                return;
            }
            self.list().await;
        }
    }

    async fn streamed(&self) {
        let mut pause = REOPEN;
        let mut first = true;
        loop {
            let opened = Instant::now();
            match self.open().await {
                Ok(None) | Err(UpstreamFault::SessionGone) => return,
                Ok(Some(notices)) => {
                    // What changed while nobody listened was not heard.
                    if !std::mem::take(&mut first) {
                        self.list().await;
                    }
                    self.listen(notices).await;
                }
                Err(fault) => {
                    tracing::debug!(connector = %self.connector.id, %fault, "no stream of news");
                }
            }
            pause = if opened.elapsed() >= REOPEN_AT_MOST { REOPEN } else { pause };
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(REOPEN_AT_MOST);
        }
    }

    /// `None` where there is nothing to follow any more.
    async fn open(&self) -> Result<Option<Notices>, UpstreamFault> {
        let Some(session) = self.session.upgrade() else { return Ok(None) };
        let Ok(bearer) = self.connector.bearer(&self.subject, Asking::Never).await else { return Ok(None) };
        session.notices(bearer.as_ref()).await
    }

    async fn listen(&self, mut notices: Notices) {
        let mut pace = Pace::default();
        loop {
            match notices.next().await {
                Ok(Some(Notice::ToolsChanged)) => {
                    pace.keep().await;
                    self.list().await;
                }
                Ok(Some(Notice::Reply(reply))) => self.reply(reply).await,
                Ok(None) => return,
                Err(fault) => {
                    tracing::debug!(connector = %self.connector.id, %fault, "the stream of news broke");
                    return;
                }
            }
        }
    }

    async fn reply(&self, reply: String) {
        let Some(session) = self.session.upgrade() else { return };
        let Ok(bearer) = self.connector.bearer(&self.subject, Asking::Never).await else { return };
        if let Err(fault) = session.reply(reply, bearer.as_ref()).await {
            tracing::debug!(connector = %self.connector.id, %fault, "a question was not answered");
        }
    }

    async fn list(&self) {
        if let Err(fault) = self.connectors.refresh(&self.connector.id, &self.subject, Asking::Never).await {
            tracing::warn!(connector = %self.connector.id, %fault, "its changed tools could not be listed");
        }
    }
}
