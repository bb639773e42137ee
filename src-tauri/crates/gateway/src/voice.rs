//! How an assistant is spoken to while a request of it is under way, whatever its revision.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use issuer::AccessGrant;
use mcp::assistant::{self, Dialect, Means};
use mcp::{Ask, Capabilities};
use policy::Finding;
use upstream::{Event, Hearing, LogWish, Wants};

use crate::end::{Answered, End};
use crate::followed::Followed;
use crate::outlet::Outlet;
use crate::payload::Censor;

/// The way to the assistant behind one request.
pub(crate) struct Voice {
    /// How it speaks.
    pub(crate) dialect: Dialect,
    /// Its end of the conversation, where there is one; it can be asked over that.
    pub(crate) end: Option<Arc<End>>,
    means: Means,
    outlet: Outlet,
    followed: Option<Arc<Followed>>,
    /// Whether somebody waits, who may be asked to sign in.
    pub(crate) is_waited_for: bool,
    /// How often it was said that a person is waited for.
    waited: AtomicU32,
    /// The payload rules that whatever is said has to pass.
    censor: OnceLock<Censor>,
}

impl Voice {
    pub(crate) fn new(dialect: Dialect, means: Means, end: Option<Arc<End>>, outlet: Outlet) -> Self {
        Self {
            dialect,
            end,
            means,
            outlet,
            followed: None,
            is_waited_for: true,
            waited: AtomicU32::new(0),
            censor: OnceLock::new(),
        }
    }

    /// What a connector learns of the assistant; `None` when there is nothing to learn.
    pub(crate) fn wants(&self, grant: &AccessGrant) -> Option<Wants> {
        // Who stands alone has to be told when it was asked in vain.
        if !self.dialect.is_stateless() && !self.speaks() {
            return None;
        }
        let owner = match &self.end {
            Some(end) => Arc::clone(&end.owner),
            None => format!("{} {}", grant.client_id, grant.server).into(),
        };
        let is_open = self.outlet.is_open();
        let log = self.log().filter(|_| is_open).unwrap_or(LogWish::Nothing);
        let progress = is_open && self.means.progress.is_some();
        let capabilities = self.capabilities().cloned().unwrap_or_default();
        Some(Wants { owner, capabilities, log, progress })
    }

    /// Whether there may be something to say before the answer.
    pub(crate) fn speaks(&self) -> bool {
        let asks = !self.dialect.is_stateless() && self.capabilities().is_some_and(Capabilities::any_asks);
        self.outlet.is_open() && (asks || self.means.progress.is_some() || self.log().is_some())
    }

    /// What it can be asked, as far as there is a way to ask it.
    fn capabilities(&self) -> Option<&Capabilities> {
        if self.dialect.is_stateless() {
            return Some(&self.means.capabilities);
        }
        self.end.as_ref().filter(|_| self.outlet.is_open()).map(|end| &end.capabilities)
    }

    fn log(&self) -> Option<LogWish> {
        if self.dialect.is_stateless() {
            return self.means.log.map(LogWish::From);
        }
        self.end.as_ref().map(|end| end.level().map_or(LogWish::Whatever, LogWish::From))
    }

    /// Whether a call of it may begin a task.
    pub(crate) fn knows_tasks(&self) -> bool {
        self.capabilities().is_some_and(Capabilities::tasks)
    }

    /// Whether it declared that it can be asked this.
    pub(crate) fn allows(&self, ask: &Ask) -> bool {
        self.capabilities().is_some_and(|capabilities| capabilities.allow(ask.kind()))
    }

    /// Whether questions end the request, to be answered with the next one (MCP 2026-07-28, basic/patterns/mrtr).
    pub(crate) fn is_asked_in_rounds(&self) -> bool {
        self.dialect.is_stateless() && self.means.capabilities.any_asks()
    }

    /// Where it follows resources.
    pub(crate) fn followed(&self) -> Option<&Arc<Followed>> {
        self.followed.as_ref().or_else(|| self.end.as_ref().map(|end| &end.followed))
    }

    /// The same voice, for a stream that follows resources.
    pub(crate) fn of_stream(&self, followed: Arc<Followed>) -> Self {
        Self { is_waited_for: true, ..Self::in_background(self.dialect, followed) }
    }

    /// A voice for what nobody waits for.
    pub(crate) fn in_background(dialect: Dialect, followed: Arc<Followed>) -> Self {
        Self { followed: Some(followed), ..Self::unattended(dialect) }
    }

    /// A voice that nobody listens to, and behind which nobody may be asked anything.
    pub(crate) fn unattended(dialect: Dialect) -> Self {
        Self { is_waited_for: false, ..Self::new(dialect, Means::default(), None, Outlet::Closed) }
    }

    /// From now on whatever is said has to pass these rules.
    pub(crate) fn is_heard_by(&self, censor: Option<Censor>) {
        if let Some(censor) = censor {
            // A request is about one thing from beginning to end.
            self.censor.get_or_init(|| censor);
        }
    }

    /// What payload rules found in what was said.
    pub(crate) fn found(&self) -> Vec<Finding> {
        self.censor.get().map(Censor::found).unwrap_or_default()
    }

    /// Asks the assistant over its end of the conversation. `None` when nobody answers.
    pub(crate) async fn ask(&self, ask: &Ask) -> Option<Answered> {
        let end = self.end.as_ref().filter(|_| self.outlet.is_open())?;
        let Some(censor) = self.censor.get() else { return end.ask(ask, &self.outlet).await };
        let answer = end.ask(&censor.question(ask)?, &self.outlet).await?;
        Some(match answer {
            Ok(answer) => Ok(censor.answer(answer)?),
            Err(error) => Err(censor.answer(error)?),
        })
    }

    /// Carries what is said between connector and assistant until `work` is done.
    pub(crate) async fn carry<T>(&self, work: impl Future<Output = T>, hearing: &mut Hearing) -> T {
        tokio::pin!(work);
        let mut asking = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                event = hearing.next() => match event {
                    Event::Asked(asked) => asking.push(async move {
                        let answer = self.ask(&asked.ask).await;
                        asked.answer(answer.unwrap_or_else(|| Err(assistant::unanswered())));
                    }),
                    notice @ (Event::Progress(_) | Event::Log(_) | Event::Waiting(_)) => {
                        self.tell(notice).await;
                    }
                },
                Some(()) = asking.next(), if !asking.is_empty() => {}
                done = &mut work => {
                    self.tell_rest(hearing).await;
                    return done;
                }
            }
        }
    }

    /// Waits for what may need a person, and says so from time to time where the assistant hears of progress: many give up what
    /// is silent for a minute.
    pub(crate) async fn patiently<T>(&self, words: &str, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let mut next = connector::SILENT_AT_FIRST;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(next) => {
                    self.tell(Event::Waiting(words.to_owned())).await;
                    next = connector::SILENT_AT_MOST;
                }
            }
        }
    }

    /// Tells a notice.
    pub(crate) async fn tell(&self, event: Event) {
        let event = match self.censor.get() {
            Some(censor) => censor.notice(event),
            None => Some(event),
        };
        let Some(event) = event else { return };
        match (event, &self.means.progress) {
            (Event::Progress(params), Some(token)) => {
                self.outlet.say(assistant::progress(token, &params)).await;
            }
            (Event::Waiting(words), Some(token)) => {
                let step = self.waited.fetch_add(1, Ordering::Relaxed) + 1;
                self.outlet.say(assistant::waiting(token, step, &words)).await;
            }
            (Event::Log(params), _) => self.outlet.say(assistant::log_message(&params)).await,
            (Event::Progress(_) | Event::Waiting(_), None) | (Event::Asked(_), _) => {}
        }
    }

    /// What came before the answer is told before it.
    pub(crate) async fn tell_rest(&self, hearing: &mut Hearing) {
        while let Some(event) = hearing.take() {
            self.tell(event).await;
        }
    }
}
