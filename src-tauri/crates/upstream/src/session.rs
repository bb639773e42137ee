//! One conversation with a connector, whatever the transport and the revision.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use mcp::connector::{self, About, Outgoing};
use mcp::{CallParams, Capabilities, Dialect, LogLevel, Mirrored};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::authority::Authority;
use crate::bearer::Bearer;
use crate::calls::{Calls, Replier};
use crate::ear::Ear;
use crate::effect::Effect;
use crate::fault::UpstreamFault;
use crate::http::{Http, shown};
use crate::notices::{Changes, News};
use crate::stdio::{Outcome, Stdio};
use crate::subscription::FollowedResources;

/// What this program calls its version towards connectors.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a connector may take to hear that nobody waits for its answer any more.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// How long a call waits for the stream over which it may be asked something.
const STREAM_WITHIN: Duration = Duration::from_secs(2);

/// A conversation with a connector whose dialect is known.
#[derive(Debug)]
pub struct Session {
    pub(crate) transport: Transport,
    pub(crate) calls: Arc<Calls>,
    pub(crate) dialect: Dialect,
    /// What the assistants that it is for can be asked.
    pub(crate) capabilities: Capabilities,
    /// The gravity of log messages from which on the connector was asked to send them.
    pub(crate) level: Mutex<Option<LogLevel>>,
    pub(crate) about: About,
    pub(crate) next_id: AtomicU64,
    /// The arguments that headers repeat, by tool; known once the tools were listed.
    pub(crate) mirrored: RwLock<Option<HashMap<model::ToolName, Mirrored>>>,
    pub(crate) followed: AtomicBool,
    /// The resources that are followed over it.
    pub(crate) resources: FollowedResources,
    /// The number of the request that a program tells news under.
    pub(crate) listening: AtomicU64,
    /// Tools that have to be called as tasks.
    pub(crate) jobs: Mutex<HashSet<model::ToolName>>,
    /// Gone with the session, for those who follow it without holding it.
    pub(crate) life: watch::Sender<()>,
}

#[derive(Debug)]
pub(crate) enum Transport {
    Stdio(Stdio),
    Http(Arc<Http>),
}

/// A connector's answer to a call: its result or its error object, as it wrote them.
pub type Answer = Result<Box<RawValue>, Box<RawValue>>;

impl Session {
    /// Has the effect that the authority's permit names, with the parameters as they came. What the connector says until
    /// its answer comes, `ear` hears.
    ///
    /// # Errors
    /// An [`UpstreamFault`]; after [`UpstreamFault::Deadline`], or when dropped, the connector has been told that nobody
    /// waits.
    pub async fn call(
        &self,
        authority: Authority<'_>,
        params: &CallParams<'_>,
        bearer: Option<&Bearer>,
        deadline: Duration,
        ear: Option<&Ear>,
    ) -> Result<Answer, UpstreamFault> {
        if !authority.covers(params) {
            return Err(UpstreamFault::NotPermitted);
        }
        let effect = Effect { session: self, params, authority, bearer, ear };
        let begun = Instant::now();
        let outcome = effect.attempt(deadline).await;
        let contradicts =
            matches!(&outcome, Ok(Err(error)) if connector::is_header_mismatch(error)) && self.stands_alone();
        let rest = deadline.saturating_sub(begun.elapsed());
        // Refused for its headers: nothing was done, and the tool's definition says what they should have been.
        if contradicts && Box::pin(self.list_tools(bearer, rest)).await.is_ok() {
            return Box::pin(effect.attempt(deadline.saturating_sub(begun.elapsed()))).await;
        }
        outcome
    }

    /// Whether it serves an assistant that can be asked this: without sessions each request says so anew.
    pub fn suits(&self, capabilities: &Capabilities) -> bool {
        self.dialect.is_stateless() || self.capabilities == *capabilities
    }

    /// Whether it was opened for nobody who could be asked anything.
    pub fn is_plain(&self) -> bool {
        self.capabilities.is_empty()
    }

    /// Has the connector send log messages from this level on, unless it does already. What it does not know it refuses.
    pub(crate) async fn raise_level(
        &self,
        wanted: LogLevel,
        bearer: Option<&Bearer>,
    ) -> Result<(), UpstreamFault> {
        let known = *self.level.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some_and(|level| level <= wanted) || !self.about.declares("logging") {
            return Ok(());
        }
        let id = self.number();
        let answer = self.exchange(id, connector::set_level(self.dialect, id, wanted), bearer, None).await?;
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = Some(wanted);
        if let Err(error) = answer {
            tracing::debug!(error = shown(&error), "a connector sets no log level");
        }
        Ok(())
    }

    /// Whether headers repeat what the messages of this session say: each request has a connection to itself.
    pub(crate) fn stands_alone(&self) -> bool {
        self.dialect.is_stateless() && self.has_streams()
    }

    /// What the connector said of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// How the connector speaks: a hint for the next session with it.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether, after this answer to a call, another session may do better: this one has ended, or the server speaks another
    /// revision than it did.
    pub fn is_over_after(&self, answer: &Result<Answer, UpstreamFault>) -> bool {
        let is_remote = matches!(self.transport, Transport::Http(_));
        match answer {
            Err(UpstreamFault::SessionGone | UpstreamFault::Ended) => true,
            Err(UpstreamFault::Status(400 | 404 | 405 | 410)) => is_remote,
            Ok(Err(error)) => is_remote && connector::is_misunderstood(self.dialect, error),
            Ok(Ok(_)) | Err(_) => false,
        }
    }

    /// The same after a list that failed, which every server can give.
    pub fn is_over_with(&self, fault: &UpstreamFault) -> bool {
        match fault {
            UpstreamFault::SessionGone | UpstreamFault::Ended => true,
            UpstreamFault::Refused { .. } | UpstreamFault::Status(_) | UpstreamFault::Unusable(_) => {
                matches!(self.transport, Transport::Http(_))
            }
            UpstreamFault::Start { .. }
            | UpstreamFault::Sealed { .. }
            | UpstreamFault::Deadline
            | UpstreamFault::Unreachable(_)
            | UpstreamFault::Unauthorized { .. }
            | UpstreamFault::InsufficientScope { .. }
            | UpstreamFault::TooLarge
            | UpstreamFault::NotPermitted => false,
        }
    }

    /// Whether the transport still works, as far as is known.
    pub fn is_alive(&self) -> bool {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.is_alive(),
            Transport::Http(_) => true,
        }
    }

    /// Ends the program behind it now, and with it calls that are under way. A server elsewhere holds nothing that could be ended.
    pub fn end(&self) {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.end(),
            Transport::Http(_) => {}
        }
    }

    /// `true` for the first who asks: one is enough to follow [`Session::changes`].
    pub fn begins_to_be_followed(&self) -> bool {
        !self.followed.swap(true, Ordering::Relaxed)
    }

    /// How the news of changes of its lists come; `None` where none are promised. A program tells by itself.
    pub fn changes(&self) -> Option<Changes> {
        match &self.transport {
            Transport::Stdio(stdio) => Some(Changes::Told(stdio.lists_changed())),
            Transport::Http(http) => {
                let (lists, resources) = (self.about.tells(), self.resources.subscribe());
                let has_news = !lists.is_empty() || self.about.subscribes() || self.is_asked_over_stream();
                let news = || News {
                    http: Arc::clone(http),
                    id: self.number(),
                    lists,
                    resources,
                    asked: Vec::new(),
                };
                has_news.then(|| Changes::Streamed(news(), self.life.subscribe()))
            }
        }
    }

    /// Whether the server may put its questions on a stream of their own, rather than on the one of the call.
    fn is_asked_over_stream(&self) -> bool {
        !self.dialect.is_stateless() && self.capabilities.any_asks()
    }

    /// Whether what it says may come by several ways.
    pub(crate) fn has_streams(&self) -> bool {
        matches!(self.transport, Transport::Http(_))
    }

    /// Waits until it is heard what may be asked during a call, for as long as is sensible.
    pub(crate) async fn hears(&self) {
        if let (Transport::Http(http), true) = (&self.transport, self.is_asked_over_stream()) {
            let mut listens = http.listens.subscribe();
            if tokio::time::timeout(STREAM_WITHIN, listens.wait_for(|listens| *listens)).await.is_err() {
                // Some servers say nothing until they have something to say. It is waited for once.
                http.listens.send_replace(true);
            }
        }
    }

    pub(crate) async fn ask(
        &self,
        method: &'static str,
        message: impl FnOnce(u64) -> Outgoing,
        bearer: Option<&Bearer>,
    ) -> Result<Box<RawValue>, UpstreamFault> {
        let id = self.number();
        let outcome = self.exchange(id, message(id), bearer, None).await?;
        outcome.map_err(|error| UpstreamFault::Refused { method, error: shown(&error) })
    }

    pub(crate) async fn exchange(
        &self,
        id: u64,
        message: Outgoing,
        bearer: Option<&Bearer>,
        ear: Option<&Ear>,
    ) -> Result<Outcome, UpstreamFault> {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.request(id, message.body).await,
            Transport::Http(http) => http.request(id, message, bearer, ear).await,
        }
    }

    pub(crate) fn replier(&self, bearer: Option<&Bearer>) -> Replier {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.replier(),
            Transport::Http(http) => http.replier(bearer),
        }
    }

    /// Over HTTP without sessions, closing the connection says as much; with them it says nothing (MCP 2025-11-25,
    /// basic/transports, "Sending Messages to the Server").
    pub(crate) fn cancel(&self, id: u64, bearer: Option<&Bearer>) {
        if !self.stands_alone() {
            self.tell(connector::reply(self.dialect, connector::cancelled(id)), bearer);
        }
    }

    /// Sends something whose answer nobody waits for.
    pub(crate) fn tell(&self, message: Outgoing, bearer: Option<&Bearer>) {
        match &self.transport {
            Transport::Stdio(stdio) => stdio.send_if_room(message.body),
            Transport::Http(http) => {
                let (http, bearer) = (Arc::clone(http), bearer.cloned());
                tokio::spawn(async move {
                    if let Err(fault) = within(TOLD_WITHIN, http.notify(message, bearer.as_ref())).await {
                        tracing::debug!(%fault, "a connector does not hear that nobody waits");
                    }
                });
            }
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// A call that nobody waits for any more is cancelled, be it late or the assistant gone.
pub(crate) struct Unanswered<'a> {
    pub(crate) session: &'a Session,
    pub(crate) id: u64,
    pub(crate) bearer: Option<&'a Bearer>,
    pub(crate) abandoned: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.abandoned {
            self.session.cancel(self.id, self.bearer);
        }
    }
}

pub(crate) async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, UpstreamFault>>,
) -> Result<T, UpstreamFault> {
    tokio::time::timeout(deadline, work).await.unwrap_or(Err(UpstreamFault::Deadline))
}
