//! The assistant's end of a call under way: what its connector tells and asks until the answer comes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp::connector::Notice;
use mcp::{Ask, AskKind, Capabilities, LogLevel};
use serde_json::value::RawValue;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::fault::UpstreamFault;

/// How much may wait to be heard, in number and in bytes. Notices beyond are dropped, questions are refused.
const MOST_UNHEARD: usize = 256;
const MOST_UNHEARD_BYTES: usize = 4 * 1024 * 1024;
/// The longest that a call may take which shows signs of life, in multiples of its deadline.
const LONGEST: u32 = 15;
/// How often it is looked at whether a person still thinks about an answer.
const LOOK: Duration = Duration::from_secs(1);

/// Which log messages an assistant hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogWish {
    /// None.
    Nothing,
    /// Whatever the connector sends (until 2025-11-25, before a level was set).
    Whatever,
    /// Those that are as grave as this, or graver.
    From(LogLevel),
}

/// The assistant that a call is made for, as far as its connector learns of it.
#[derive(Debug, Clone)]
pub struct Wants {
    /// Tells assistants and their sessions apart. Never sent.
    pub owner: Arc<str>,
    /// What it can be asked.
    pub capabilities: Capabilities,
    /// Which log messages it hears.
    pub log: LogWish,
    /// Whether it hears of progress.
    pub progress: bool,
}

/// What a connector says while a call is under way.
#[derive(Debug)]
pub enum Event {
    /// How far it has come: the parameters of the notification.
    Progress(Box<RawValue>),
    /// A log message: the parameters of the notification.
    Log(Box<RawValue>),
    /// It has not come to the connector yet: a person is waited for. In words.
    Waiting(String),
    /// A question.
    Asked(Asked),
}

impl Event {
    fn bytes(&self) -> usize {
        match self {
            Self::Progress(params) | Self::Log(params) => params.get().len(),
            Self::Waiting(words) => words.len(),
            Self::Asked(asked) => asked.ask.bytes(),
        }
    }
}

/// A question that waits for its answer. Dropping it refuses the answer.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub ask: Ask,
    answer: oneshot::Sender<Answered>,
}

/// The assistant's result, or its error object.
type Answered = Result<Box<RawValue>, Box<RawValue>>;

impl Asked {
    /// Answers it.
    pub fn answer(self, answer: Answered) {
        // Whoever asked may have stopped waiting.
        let _ = self.answer.send(answer);
    }
}

/// Where the connector is heard. Clones are the same ear.
#[derive(Debug, Clone)]
pub struct Ear(Arc<Inner>);

/// The other side of an [`Ear`]. When it is gone, nothing more is heard.
#[derive(Debug)]
pub struct Hearing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wants: Wants,
    state: Mutex<State>,
    said: Notify,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Event>,
    waiting_bytes: usize,
    /// Questions that are not answered yet.
    open: usize,
    /// When the call last showed that it goes on.
    alive: Instant,
    deaf: bool,
    /// Whether anything was said elsewhere than where the answer comes.
    aside: bool,
    /// What was asked that the assistant had not declared.
    undeclared: Option<AskKind>,
}

/// Opens an ear for a call made for this assistant.
pub fn ear(wants: Wants) -> (Ear, Hearing) {
    let state = State {
        waiting: VecDeque::new(),
        waiting_bytes: 0,
        open: 0,
        alive: Instant::now(),
        deaf: false,
        aside: false,
        undeclared: None,
    };
    let inner = Arc::new(Inner { wants, state: Mutex::new(state), said: Notify::new() });
    (Ear(Arc::clone(&inner)), Hearing(inner))
}

impl Hearing {
    /// Waits for what is said next.
    pub async fn next(&mut self) -> Event {
        loop {
            let said = self.0.said.notified();
            if let Some(event) = self.0.take() {
                return event;
            }
            said.await;
        }
    }

    /// What the connector asked in vain, because the assistant had not declared it.
    pub fn undeclared(&self) -> Option<AskKind> {
        self.0.state().undeclared
    }

    /// What was said and not taken yet.
    pub fn take(&mut self) -> Option<Event> {
        self.0.take()
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.deaf = true;
        // Who asked learns that nobody answers.
        state.waiting.clear();
    }
}

impl Ear {
    /// The assistant.
    pub fn wants(&self) -> &Wants {
        &self.0.wants
    }

    /// Tells something that came by another way than the answer will.
    pub(crate) fn tell_aside(&self, notice: Notice) {
        self.0.state().aside = true;
        self.tell(notice);
    }

    /// Whether something came by another way than the answer, so that more may be on it.
    pub(crate) fn heard_aside(&self) -> bool {
        self.0.state().aside
    }

    /// Whether a question is not answered yet.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.state().open > 0
    }

    /// Tells something that concerns this call.
    pub fn tell(&self, notice: Notice) {
        match notice {
            Notice::Progress { params, .. } => {
                self.0.state().alive = Instant::now();
                if self.0.wants.progress {
                    self.0.say(Event::Progress(params));
                }
            }
            Notice::Log { level, params } => {
                let wanted = match self.0.wants.log {
                    LogWish::Nothing => false,
                    LogWish::Whatever => true,
                    LogWish::From(least) => level >= least,
                };
                if wanted {
                    self.0.say(Event::Log(params));
                }
            }
            Notice::Changed(_) | Notice::Updated { .. } => {}
        }
    }

    /// Says, where the assistant hears of progress, that a person is waited for.
    pub fn waits(&self, words: &str) {
        if self.0.wants.progress {
            self.0.say(Event::Waiting(words.to_owned()));
        }
    }

    /// Whether the assistant can be asked this.
    pub fn allows(&self, kind: AskKind) -> bool {
        self.0.wants.capabilities.allow(kind)
    }

    /// Asks, and waits for the answer. `None` when there is nobody who answers.
    pub async fn ask(&self, ask: Ask) -> Option<Answered> {
        if !self.allows(ask.kind()) {
            self.0.state().undeclared = Some(ask.kind());
            return None;
        }
        let (answer, awaited) = oneshot::channel();
        let _open = Open::new(&self.0);
        if !self.0.say(Event::Asked(Asked { ask, answer })) {
            return None;
        }
        awaited.await.ok()
    }

    /// Waits for `work` for as long as `deadline` says. While a person thinks about an answer no time passes, and progress
    /// begins it anew, within bounds.
    pub(crate) async fn within<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, UpstreamFault>>,
    ) -> Result<T, UpstreamFault> {
        let last = Instant::now() + deadline * LONGEST;
        self.0.state().alive = Instant::now();
        tokio::pin!(work);
        loop {
            let rest = self.rest(deadline).min(last.saturating_duration_since(Instant::now()));
            if rest.is_zero() {
                return Err(UpstreamFault::Deadline);
            }
            if let Ok(done) = tokio::time::timeout(rest, &mut work).await {
                return done;
            }
        }
    }

    fn rest(&self, deadline: Duration) -> Duration {
        let state = self.0.state();
        if state.open > 0 { LOOK } else { deadline.saturating_sub(state.alive.elapsed()) }
    }
}

impl Inner {
    fn take(&self) -> Option<Event> {
        let mut state = self.state();
        let event = state.waiting.pop_front()?;
        state.waiting_bytes = state.waiting_bytes.saturating_sub(event.bytes());
        Some(event)
    }

    fn say(&self, event: Event) -> bool {
        let mut state = self.state();
        let bytes = state.waiting_bytes + event.bytes();
        if state.deaf || state.waiting.len() >= MOST_UNHEARD || bytes > MOST_UNHEARD_BYTES {
            return false;
        }
        state.waiting_bytes = bytes;
        state.waiting.push_back(event);
        drop(state);
        self.said.notify_one();
        true
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is not answered yet.
struct Open<'a>(&'a Inner);

impl<'a> Open<'a> {
    fn new(inner: &'a Inner) -> Self {
        inner.state().open += 1;
        Self(inner)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        state.alive = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use mcp::RawObject;

    use super::*;

    fn value(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn wants(capabilities: &str) -> Wants {
        let capabilities = Capabilities::read(Some(&value(capabilities)));
        Wants { owner: "a".into(), capabilities, log: LogWish::From(LogLevel::Warning), progress: true }
    }

    fn roots() -> Ask {
        Ask::read("roots/list", &RawObject::default()).unwrap()
    }

    #[tokio::test]
    async fn only_what_was_declared_is_asked_and_answered() {
        let (ear, mut hearing) = ear(wants(r#"{"roots":{}}"#));
        let answered = async {
            let Event::Asked(asked) = hearing.next().await else { panic!("a question") };
            asked.answer(Ok(value("1.50")));
        };
        let (answer, ()) = tokio::join!(ear.ask(roots()), answered);
        assert_eq!(answer.unwrap().unwrap().get(), "1.50");
        let sampling = Ask::read("sampling/createMessage", &RawObject::default()).unwrap();
        assert!(ear.ask(sampling).await.is_none(), "not declared");
        assert_eq!(hearing.undeclared(), Some(AskKind::Sampling));
        drop(hearing);
        assert!(ear.ask(roots()).await.is_none(), "nobody hears");
    }

    #[tokio::test]
    async fn log_messages_are_heard_from_the_level_that_was_wished_for() {
        let (ear, mut hearing) = ear(wants("{}"));
        for level in [LogLevel::Info, LogLevel::Warning, LogLevel::Emergency] {
            ear.tell(Notice::Log { level, params: mcp::raw(&level) });
        }
        let mut heard = Vec::new();
        while let Some(Event::Log(params)) = hearing.take() {
            heard.push(params.get().to_owned());
        }
        assert_eq!(heard, [r#""warning""#, r#""emergency""#]);
    }

    #[tokio::test]
    async fn whoever_does_not_listen_is_told_within_bounds() {
        let (ear, mut hearing) = ear(wants("{}"));
        let long = mcp::raw(&"x".repeat(MOST_UNHEARD_BYTES / 2));
        for _ in 0..4 {
            ear.tell(Notice::Progress { of: 1, params: long.clone() });
        }
        let heard = std::iter::from_fn(|| hearing.take()).count();
        assert_eq!(heard, 1, "two are more than the bound");
        ear.tell(Notice::Progress { of: 1, params: long });
        assert!(hearing.take().is_some(), "there is room again");
    }

    #[tokio::test(start_paused = true)]
    async fn thinking_takes_no_time_and_progress_gives_more() {
        let deadline = Duration::from_secs(10);
        let (ear, mut hearing) = ear(wants(r#"{"roots":{}}"#));
        let slow = async {
            for _ in 0..4 {
                tokio::time::sleep(deadline * 3 / 4).await;
                ear.tell(Notice::Progress { of: 1, params: value("{}") });
            }
            let (asked, _) = tokio::join!(ear.ask(roots()), async {
                loop {
                    if let Event::Asked(asked) = hearing.next().await {
                        tokio::time::sleep(deadline * 9).await;
                        return asked.answer(Ok(value("1")));
                    }
                }
            });
            Ok(asked.is_some())
        };
        assert_eq!(ear.within(deadline, slow).await, Ok(true));
        let begun = Instant::now();
        let silent = ear.within::<()>(deadline, std::future::pending()).await;
        assert_eq!((silent, begun.elapsed()), (Err(UpstreamFault::Deadline), deadline));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_goes_on_for_ever() {
        let deadline = Duration::from_secs(10);
        let (ear, _hearing) = ear(wants("{}"));
        let endless = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                ear.tell(Notice::Progress { of: 1, params: value("{}") });
            }
        };
        let begun = Instant::now();
        let fault = ear.within::<()>(deadline, endless).await;
        assert_eq!((fault, begun.elapsed()), (Err(UpstreamFault::Deadline), deadline * LONGEST));
    }
}
