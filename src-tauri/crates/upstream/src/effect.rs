//! One effect at a connector, from the request to its answer.

use std::pin::pin;
use std::sync::PoisonError;
use std::time::Duration;

use mcp::connector::{self, Hop, Outgoing};
use mcp::{CallParams, LogLevel, Method};

use crate::authority::Authority;
use crate::bearer::Bearer;
use crate::calls::Registered;
use crate::ear::{Ear, LogWish};
use crate::fault::UpstreamFault;
use crate::session::{Answer, Session, Unanswered, VERSION, within};

/// How long what a server said before its answer may take to come by another stream. A program has but one way.
const STRAGGLERS: Duration = Duration::from_millis(150);

/// One effect that a session is used for. What is rare on its way is on the heap: each call carries the rest along.
pub(crate) struct Effect<'a> {
    pub(crate) session: &'a Session,
    pub(crate) params: &'a CallParams<'a>,
    pub(crate) authority: Authority<'a>,
    pub(crate) bearer: Option<&'a Bearer>,
    pub(crate) ear: Option<&'a Ear>,
}

impl Effect<'_> {
    pub(crate) async fn attempt(&self, deadline: Duration) -> Result<Answer, UpstreamFault> {
        let work = pin!(self.exchange());
        let tasks = self.ear.is_some_and(|ear| ear.wants().capabilities.tasks());
        let outcome = match self.ear {
            Some(ear) => ear.within(deadline, work).await,
            None => within(deadline, work).await,
        };
        match outcome {
            Ok(Ok(result)) if !connector::is_relayed(&result, tasks) => {
                Err(UpstreamFault::Unusable("it answers in a way that was not offered to it".to_owned()))
            }
            outcome => outcome,
        }
    }

    async fn exchange(&self) -> Result<Answer, UpstreamFault> {
        let Self { session, bearer, ear, .. } = *self;
        if let (Some(LogWish::From(level)), false) =
            (ear.map(|ear| ear.wants().log), session.dialect.is_stateless())
        {
            Box::pin(session.raise_level(level, bearer)).await?;
        }
        session.hears().await;
        let answer = if self.is_job() {
            Box::pin(self.done_as_task()).await?
        } else {
            match self.sent(self.params).await? {
                // Some tools are called as tasks or not at all; nothing was done.
                Err(error) if self.may_be_job() && connector::is_no_method(&error) => {
                    Box::pin(self.done_as_task()).await?
                }
                answer => answer,
            }
        };
        Ok(answer)
    }

    /// Leaves what the server said before its answer time to come, while the call is still known as under way.
    async fn stragglers(&self) {
        if self.ear.is_some_and(Ear::heard_aside) && self.session.has_streams() {
            tokio::time::sleep(STRAGGLERS).await;
        }
    }

    async fn sent(&self, params: &CallParams<'_>) -> Result<Answer, UpstreamFault> {
        let Self { session, bearer, ear, .. } = *self;
        let id = session.number();
        let _under_way = self.registered(id);
        let mut unanswered = Unanswered { session, id, bearer, abandoned: true };
        let outcome = session.exchange(id, self.message(id, params), bearer, ear).await;
        unanswered.abandoned = false;
        self.stragglers().await;
        outcome
    }

    /// Has the ear hear what is said while the request of this number is under way.
    fn registered(&self, id: u64) -> Registered<'_> {
        let Self { session, bearer, ear, .. } = *self;
        session.calls.register(id, ear.map(|ear| (ear, session.replier(bearer))))
    }

    fn may_be_job(&self) -> bool {
        !self.session.dialect.is_stateless()
            && self.params.method() == Method::CallTool
            && connector::takes_tasks(&self.session.about)
    }

    fn is_job(&self) -> bool {
        let jobs = self.session.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        self.authority.permit().tool().is_some_and(|tool| jobs.contains(tool)) && self.may_be_job()
    }

    /// Calls the tool as a task and waits for the task's result.
    async fn done_as_task(&self) -> Result<Answer, UpstreamFault> {
        let Self { session, bearer, ear, .. } = *self;
        let begun = match self.sent(&self.params.as_task()).await? {
            Ok(begun) => begun,
            Err(error) => return Ok(Err(error)),
        };
        let Some(task) = connector::task_of(&begun) else { return Ok(Ok(begun)) };
        if let Some(tool) = self.authority.permit().tool() {
            session.jobs.lock().unwrap_or_else(PoisonError::into_inner).insert(tool.clone());
        }
        let id = session.number();
        let _under_way = self.registered(id);
        let mut abandoned = Abandoned { session, bearer, task: Some(&task) };
        let message = connector::task_result(session.dialect, id, &task);
        let answer = session.exchange(id, message, bearer, ear).await.map_err(UpstreamFault::after_effect)?;
        abandoned.task = None;
        self.stragglers().await;
        Ok(answer.map(|result| connector::without_task(&result)))
    }

    fn message(&self, id: u64, params: &CallParams<'_>) -> Outgoing {
        let Self { session, authority, ear, .. } = *self;
        let wants = ear.map(Ear::wants);
        let hop = Hop {
            dialect: session.dialect,
            version: VERSION,
            capabilities: wants.map(|wants| &wants.capabilities),
            log: wants.and_then(|wants| match wants.log {
                LogWish::Nothing => None,
                LogWish::Whatever => Some(LogLevel::Info),
                LogWish::From(level) => Some(level),
            }),
            progress: wants.is_some_and(|wants| wants.progress),
        };
        let mut message = connector::effect(hop, id, params, authority.name(params));
        if let Some(known) = &*session.mirrored.read().unwrap_or_else(PoisonError::into_inner)
            && let Some(mirrored) = authority.permit().tool().and_then(|tool| known.get(tool))
        {
            message.repeated = mirrored.headers(params.arguments());
        }
        message
    }
}

/// A task that nobody waits for any more is given up.
struct Abandoned<'a> {
    session: &'a Session,
    bearer: Option<&'a Bearer>,
    task: Option<&'a str>,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            let id = self.session.number();
            let message = connector::cancel_task(self.session.dialect, id, task);
            self.session.tell(message, self.bearer);
        }
    }
}
