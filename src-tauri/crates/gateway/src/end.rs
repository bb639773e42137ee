//! The assistant's end of a conversation that has a beginning: a session over HTTP, or the connection of a bridge. Knows
//! what it can be asked, and which questions it has not answered yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp::assistant::{self, Dialect, Response};
use mcp::{Ask, Capabilities, LogLevel};
use serde_json::value::RawValue;
use tokio::sync::{Notify, oneshot};

use crate::followed::Followed;
use crate::outlet::Outlet;

/// How long a person may think about an answer.
pub(crate) const THOUGHT_ABOUT: Duration = Duration::from_secs(10 * 60);
/// The most questions that one assistant has not answered.
const MOST_OPEN: usize = 64;

/// The assistant's result, or its error object.
pub(crate) type Answered = Result<Box<RawValue>, Box<RawValue>>;

/// One end.
#[derive(Debug)]
pub(crate) struct End {
    /// Tells ends apart.
    pub(crate) owner: Arc<str>,
    /// How it speaks.
    pub(crate) dialect: Dialect,
    /// What it can be asked.
    pub(crate) capabilities: Capabilities,
    level: Mutex<Option<LogLevel>>,
    asked: Mutex<HashMap<u64, oneshot::Sender<Answered>>>,
    next: AtomicU64,
    /// The resources that it follows.
    pub(crate) followed: Arc<Followed>,
    /// Requests that are not answered yet, by id as it was written.
    under_way: Mutex<HashMap<String, Arc<Notify>>>,
}

impl End {
    pub(crate) fn new(dialect: Dialect, capabilities: Capabilities) -> Self {
        // Ids of sessions are words of assistants, and memory is used again: neither tells two ends apart.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self {
            owner: format!("end {}", COUNT.fetch_add(1, Ordering::Relaxed)).into(),
            dialect,
            capabilities,
            level: Mutex::default(),
            asked: Mutex::default(),
            next: AtomicU64::new(1),
            followed: Arc::default(),
            under_way: Mutex::default(),
        }
    }

    /// Which log messages it wants to hear, once it said so.
    pub(crate) fn level(&self) -> Option<LogLevel> {
        *lock(&self.level)
    }

    pub(crate) fn set_level(&self, level: LogLevel) {
        *lock(&self.level) = Some(level);
    }

    /// Asks, and waits for the answer. `None` when there will be none.
    pub(crate) async fn ask(&self, ask: &Ask, outlet: &Outlet) -> Option<Answered> {
        if !self.capabilities.allow(ask.kind()) {
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let question = assistant::question(self.dialect, id, ask)?;
        let (answer, awaited) = oneshot::channel();
        {
            let mut asked = lock(&self.asked);
            if asked.len() >= MOST_OPEN {
                return None;
            }
            asked.insert(id, answer);
        }
        let _forget = Forget { end: self, id };
        outlet.say(question).await;
        tokio::time::timeout(THOUGHT_ABOUT, awaited).await.ok()?.ok()
    }

    /// Takes an answer to wherever it is waited for. What nobody asked is of no consequence.
    pub(crate) fn answer(&self, response: &Response<'_>) {
        let waiting = assistant::answers(response).and_then(|id| lock(&self.asked).remove(&id));
        if let Some(waiting) = waiting {
            let answer = response.outcome.map(ToOwned::to_owned).map_err(ToOwned::to_owned);
            // Whoever asked may have stopped waiting.
            let _ = waiting.send(answer);
        }
    }

    /// Notes a request until the value is dropped, so that it can be cancelled.
    pub(crate) fn begins(self: &Arc<Self>, id: &RawValue) -> Begun {
        let cancelled = Arc::new(Notify::new());
        lock(&self.under_way).insert(id.get().to_owned(), Arc::clone(&cancelled));
        Begun { end: Arc::clone(self), id: id.get().to_owned(), cancelled }
    }

    /// Ends the request with this id, if it is under way.
    pub(crate) fn cancel(&self, id: &RawValue) {
        if let Some(cancelled) = lock(&self.under_way).get(id.get()) {
            cancelled.notify_one();
        }
    }

    /// Whether a request is under way, or a stream of notices open.
    pub(crate) fn is_busy(&self) -> bool {
        !lock(&self.under_way).is_empty() || self.followed.is_heard()
    }
}

/// A request that is under way.
pub(crate) struct Begun {
    end: Arc<End>,
    id: String,
    cancelled: Arc<Notify>,
}

impl Begun {
    /// Returns when the assistant says that it waits no longer.
    pub(crate) async fn cancelled(&self) {
        self.cancelled.notified().await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut under_way = lock(&self.end.under_way);
        // Another request may have taken the id, which is the assistant's mistake and not to be made worse.
        if under_way.get(&self.id).is_some_and(|noted| Arc::ptr_eq(noted, &self.cancelled)) {
            under_way.remove(&self.id);
        }
    }
}

struct Forget<'a> {
    end: &'a End,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.end.asked).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use mcp::RawObject;

    use super::*;

    fn value(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[tokio::test]
    async fn answers_find_their_question_and_others_none() {
        let capabilities = Capabilities::read(Some(&value(r#"{"roots":{}}"#)));
        let end = End::new(Dialect::default(), capabilities);
        let outlet = Outlet::frames();
        let ask = Ask::read("roots/list", &RawObject::default()).unwrap();
        let answered = async {
            while outlet.take().is_none() {
                tokio::task::yield_now().await;
            }
            for id in ["7", "\"1\"", "1"] {
                end.answer(&Response { id: &value(id), outcome: Ok(&value("[1.50]")) });
            }
        };
        let (answer, ()) = tokio::join!(end.ask(&ask, &outlet), answered);
        assert_eq!(answer.unwrap().unwrap().get(), "[1.50]");
        let sampling = Ask::read("sampling/createMessage", &RawObject::default()).unwrap();
        assert!(end.ask(&sampling, &outlet).await.is_none(), "not declared");
        assert!(outlet.take().is_none(), "nor said");
    }

    #[test]
    fn no_two_ends_are_the_same_owner() {
        let owner = || End::new(Dialect::default(), Capabilities::default()).owner;
        assert_ne!(owner(), owner(), "not even one after the other");
    }

    #[tokio::test]
    async fn a_request_is_cancelled_by_its_own_id() {
        let end = Arc::new(End::new(Dialect::default(), Capabilities::default()));
        let begun = end.begins(&value("7"));
        end.cancel(&value("\"7\""));
        end.cancel(&value("7"));
        begun.cancelled().await;
        assert!(end.is_busy());
        drop(begun);
        assert!(!end.is_busy());
    }
}
