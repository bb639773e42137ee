//! Calls that wait for an assistant of the stateless revision to come back with answers (MCP 2026-07-28,
//! basic/patterns/mrtr): their connectors keep sessions and wait as well.
//!
//! The request state that the assistant carries is a random name and nothing else; everything that it stands for stays
//! here, bound to who was given it and for what.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector::CallFault;
use issuer::AccessGrant;
use mcp::{Ask, AskKind, CallParams, InputRequired, RpcError};
use model::{ConnectorId, Digest};
use policy::{Aim, CredentialChoice, Permit};
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use upstream::{Answer, Asked, Authority, Event, Hearing};

use crate::approval::Leave;
use crate::end::THOUGHT_ABOUT;
use crate::voice::Voice;
use crate::whose::{Whose, make_room};

/// What request states of the gateway's own begin with.
const MARK: &str = "dgp_";
/// What a connector asks within this time after a question is asked together with it.
const ASKED_TOGETHER: Duration = Duration::from_millis(25);
/// The most questions of one round.
const MOST_QUESTIONS: usize = 32;
/// The most calls that wait for one assistant.
const MOST_PARKED: usize = 32;

type Work = Pin<Box<dyn Future<Output = Result<Answer, CallFault>> + Send>>;

/// A call under way that can be left and taken up again.
pub(crate) struct Running {
    work: Work,
    hearing: Hearing,
    /// What was permitted when it began.
    right: Right,
    /// The keys of this request's answers that were handed on: a question that comes again is a new one.
    answered: HashSet<String>,
}

/// Where a permitted call goes, with which credential, and by whose leave.
#[derive(Debug, Clone)]
pub(crate) struct Right {
    connector: ConnectorId,
    aim: Aim,
    credential: CredentialChoice,
    leave: Option<Leave>,
}

impl Right {
    pub(crate) fn of(permit: &Permit) -> Self {
        Self {
            connector: permit.connector().clone(),
            aim: permit.aim().clone(),
            credential: permit.credential().clone(),
            leave: Leave::of(permit),
        }
    }

    /// Whether a later permit is for the same: each has a leave of its own.
    fn is_that_of(&self, permit: &Permit) -> bool {
        (&self.connector, &self.aim, &self.credential)
            == (permit.connector(), permit.aim(), permit.credential())
    }
}

/// How far a call has come.
pub(crate) enum Step {
    /// To its end; with what was asked in vain.
    Done(Result<Answer, CallFault>, Option<AskKind>),
    /// The connector has questions.
    Asks(Waiting),
}

/// A call whose connector waits for answers.
pub(crate) struct Waiting {
    running: Running,
    /// By the keys under which the answers come.
    open: Vec<(String, Asked)>,
}

/// All calls that wait.
#[derive(Clone, Default)]
pub(crate) struct Parked(Arc<Mutex<HashMap<Digest, Entry>>>);

struct Entry {
    bound: Bound,
    since: Instant,
    waiting: Waiting,
}

/// What a request state is good for.
#[derive(PartialEq, Eq)]
struct Bound {
    whose: Whose,
    request: Digest,
}

impl Running {
    pub(crate) fn new(
        work: impl Future<Output = Result<Answer, CallFault>> + Send + 'static,
        hearing: Hearing,
        right: Right,
    ) -> Self {
        Self { work: Box::pin(work), hearing, right, answered: HashSet::new() }
    }

    /// Goes on until the end, or until the connector asks what the request has no answer to.
    pub(crate) async fn go_on(mut self, voice: &Voice, params: &CallParams<'_>) -> Step {
        let mut open: Vec<(String, Asked)> = Vec::new();
        let mut until = None;
        loop {
            let together = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.hearing.next() => match event {
                    // Nobody answers so many; what is dropped is refused.
                    Event::Asked(_) if open.len() >= MOST_QUESTIONS => {}
                    Event::Asked(asked) => {
                        let key = key(&asked.ask, &open);
                        match params.response(&key).filter(|_| self.answered.insert(key.clone())) {
                            Some(answer) => asked.answer(Ok(answer)),
                            None => {
                                open.push((key, asked));
                                until.get_or_insert_with(|| Instant::now() + ASKED_TOGETHER);
                            }
                        }
                    }
                    notice @ (Event::Progress(_) | Event::Log(_) | Event::Waiting(_)) => {
                        voice.tell(notice).await;
                    }
                },
                done = &mut self.work => {
                    voice.tell_rest(&mut self.hearing).await;
                    return Step::Done(done, self.hearing.undeclared());
                }
                () = together => return Step::Asks(Waiting { running: self, open }),
            }
        }
    }
}

/// A name for a question, unlike those of the others that are open.
fn key(ask: &Ask, open: &[(String, Asked)]) -> String {
    let name = ask.key();
    let is_free = |key: &String| open.iter().all(|(taken, _)| taken != key);
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name)
}

impl Waiting {
    /// The leave that it was begun by, where a person was asked.
    pub(crate) fn leave(&self) -> Option<Leave> {
        self.running.right.leave
    }

    /// The questions, under a name by which the call is found again.
    fn required(&self, state: &str) -> InputRequired {
        let ask = |(key, asked): &(String, Asked)| -> (String, Ask) { (key.clone(), asked.ask.clone()) };
        InputRequired { asks: self.open.iter().map(ask).collect(), state: Some(state.to_owned()) }
    }

    /// Hands the answers on that came with the request, which was permitted and recorded like the first. What is still
    /// open has to be asked again.
    ///
    /// # Errors
    /// The request is not the one that was permitted.
    pub(crate) fn answer(
        mut self,
        authority: Authority<'_>,
        params: &CallParams<'_>,
    ) -> Result<Result<Running, Self>, CallFault> {
        // What a round continues must be what this one was permitted, whatever is offered under the name by now.
        if !authority.covers(params) || !self.running.right.is_that_of(authority.permit()) {
            return Err(CallFault::Upstream(upstream::UpstreamFault::NotPermitted));
        }
        self.running.answered.clear();
        for (key, asked) in std::mem::take(&mut self.open) {
            match params.response(&key) {
                Some(answer) => {
                    asked.answer(Ok(answer));
                    self.running.answered.insert(key);
                }
                None => self.open.push((key, asked)),
            }
        }
        Ok(if self.open.is_empty() { Ok(self.running) } else { Err(self) })
    }
}

impl Parked {
    /// Parks a call, and gives the result that asks for the answers. Meanwhile the call goes on by itself, and ends when
    /// nobody comes back.
    ///
    /// # Errors
    /// There is no randomness.
    pub(crate) fn park(
        &self,
        grant: &AccessGrant,
        params: &CallParams<'_>,
        waiting: Waiting,
    ) -> Result<Box<RawValue>, RpcError> {
        let bound = Bound::to(grant, params);
        let state = name()?;
        let required = waiting.required(&state).to_raw();
        let mut parked = self.lock();
        // What an assistant has left unanswered for the longest time it has most likely forgotten.
        let of_client = |_: &Digest, entry: &Entry| entry.bound.whose.is_client(&bound.whose);
        make_room(&mut parked, MOST_PARKED, of_client, |_| true, |entry| entry.since);
        let key = Digest::of(state.as_bytes());
        let Waiting { running: Running { work, hearing, right, .. }, open } = waiting;
        let work = Driven(tokio::spawn(work));
        let running = Running::new(async move { work.outcome().await }, hearing, right);
        parked.insert(key, Entry { bound, since: Instant::now(), waiting: Waiting { running, open } });
        drop(parked);
        self.forget_later(key);
        Ok(required)
    }

    /// Takes up the call that a request belongs to. `None`: the state is the connector's own.
    ///
    /// # Errors
    /// The state is of the gateway and of no call that waits for this request.
    pub(crate) fn take(
        &self,
        grant: &AccessGrant,
        params: &CallParams<'_>,
    ) -> Option<Result<Waiting, RpcError>> {
        let state = params.state().filter(|state| state.starts_with(MARK))?;
        let key = Digest::of(state.as_bytes());
        let mut parked = self.lock();
        // Whoever comes with what is another's, or for something else, takes nothing away.
        let is_good = parked.get(&key).is_some_and(|entry| entry.bound == Bound::to(grant, params));
        let found = is_good.then(|| parked.remove(&key)).flatten();
        Some(found.map(|entry| entry.waiting).ok_or_else(|| {
            let text = "Nothing waits for this answer any more. Make the request again from the start.";
            RpcError::new(RpcError::INVALID_PARAMS, text)
        }))
    }

    fn forget_later(&self, key: Digest) {
        let parked = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(THOUGHT_ABOUT).await;
            if let Some(parked) = parked.upgrade() {
                parked.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bound {
    fn to(grant: &AccessGrant, params: &CallParams<'_>) -> Self {
        let request = [params.method().as_str(), params.name(), params.arguments()].join("\n");
        Self { whose: Whose::of(grant), request: Digest::of(request.as_bytes()) }
    }
}

/// A call that goes on beside, and ends when nobody has it any more.
struct Driven(JoinHandle<Result<Answer, CallFault>>);

impl Driven {
    async fn outcome(mut self) -> Result<Answer, CallFault> {
        let unusable =
            |_| CallFault::Upstream(upstream::UpstreamFault::Unusable("it was dropped".to_owned()));
        (&mut self.0).await.map_err(unusable)?
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn name() -> Result<String, RpcError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|_| RpcError::new(RpcError::INTERNAL, "This computer has no randomness."))?;
    Ok(format!("{MARK}{}", URL_SAFE_NO_PAD.encode(random)))
}
