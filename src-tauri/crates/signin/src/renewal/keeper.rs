//! Does what a [`Machine`] says: one task for one place, so that nothing happens twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::Digest;
use os::Clock;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::machine::{Effect, Input, Machine, Rules, Who};
use super::{Kept, Place, Status};
use crate::{FaultKind, Moment, RenewFault};

/// How a keeper behaves.
#[derive(Debug, Clone, Copy)]
pub struct KeeperRules {
    /// The machine's patience.
    pub machine: Rules,
    /// Longest time without a look at the clock while a token is held. Timers stand still while the machine sleeps; this
    /// bounds how late a renewal can be after it wakes.
    pub look: Duration,
}

impl Default for KeeperRules {
    fn default() -> Self {
        Self { machine: Rules::default(), look: Duration::from_secs(30) }
    }
}

/// Keeps one token alive. Clones share it; when all are gone, the work under way is finished and the task ends.
pub struct Keeper<P: Place> {
    inbox: mpsc::UnboundedSender<Message<P>>,
    seen: watch::Receiver<Seen<P::Kept>>,
    clock: Arc<dyn Clock>,
}

impl<P: Place> Clone for Keeper<P> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), seen: self.seen.clone(), clock: Arc::clone(&self.clock) }
    }
}

/// What the task shows.
struct Seen<K> {
    status: Status<K>,
    live: Option<K>,
}

/// An operation's end: its id and its result, or a panic.
type Finished<P> = Result<(Id, Input<<P as Place>::Kept, <P as Place>::Ask>), JoinError>;

type Reply<T> = oneshot::Sender<Result<T, FaultKind>>;

enum Message<P: Place> {
    Need(Option<P::Ask>, Reply<P::Kept>),
    Ask(P::Ask, Reply<P::Kept>),
    Rejected(Digest, oneshot::Sender<()>),
    SignOut(Reply<()>),
    TryNow,
    Reload(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

impl<P: Place> Keeper<P> {
    /// Starts the task, which at once reads what is saved. Must be called within a Tokio runtime.
    pub fn start(place: Arc<P>, clock: Arc<dyn Clock>, rules: KeeperRules) -> Self {
        let (send, inbox) = mpsc::unbounded_channel();
        let (show, seen) = watch::channel(Seen { status: Status::Unknown, live: None });
        let task = Task {
            machine: Some(Machine::new(rules.machine)),
            place,
            clock: Arc::clone(&clock),
            look: rules.look,
            inbox,
            show,
            running: JoinSet::new(),
            operations: HashMap::new(),
            question: None,
            waiting: Vec::new(),
            signing_out: Vec::new(),
            reload_later: false,
            closing: None,
        };
        tokio::spawn(task.run());
        Self { inbox: send, seen, clock }
    }

    /// A token that can be used now: the one at hand, a renewed one, or with `ask` one that a person signs in for.
    ///
    /// # Errors
    /// [`FaultKind`]: why there is none.
    pub async fn token(&self, ask: Option<P::Ask>) -> Result<P::Kept, FaultKind> {
        if let Some(kept) = self.at_hand() {
            return Ok(kept);
        }
        self.request(|reply| Message::Need(ask, reply)).await
    }

    /// Asks a person to sign in, whatever is held. What is held stays if the sign-in fails.
    ///
    /// # Errors
    /// [`FaultKind`].
    pub async fn sign_in(&self, ask: P::Ask) -> Result<P::Kept, FaultKind> {
        self.request(|reply| Message::Ask(ask, reply)).await
    }

    /// Notes that the resource refused this token: once this returns, it is not handed out again.
    pub async fn reject(&self, token: Digest) {
        self.noted(|done| Message::Rejected(token, done)).await;
    }

    /// Forgets what is held, and tells the server in the background.
    ///
    /// # Errors
    /// [`FaultKind::Vault`] if it could not be erased.
    pub async fn sign_out(&self) -> Result<(), FaultKind> {
        self.request(Message::SignOut).await
    }

    /// Reads again what is saved, because the place has changed. Once this returns, what was at hand before is not handed
    /// out until it was read again.
    pub async fn reload(&self) {
        self.noted(Message::Reload).await;
    }

    /// Does what is due without waiting any longer after what failed. Never asks a person.
    pub fn try_now(&self) {
        self.tell(Message::TryNow);
    }

    /// What is kept and what is wrong with it, as of the last change.
    pub fn status(&self) -> Status<P::Kept> {
        self.seen.borrow().status.clone()
    }

    /// Waits until what is saved was read, and says what came of it.
    pub async fn known(&self) -> Status<P::Kept> {
        let mut seen = self.seen.clone();
        match seen.wait_for(|seen| !matches!(seen.status, Status::Unknown)).await {
            Ok(seen) => seen.status.clone(),
            Err(_) => Status::Unknown,
        }
    }

    /// Ends the task after the work under way; a question to a person is withdrawn.
    pub async fn close(&self) {
        self.noted(Message::Close).await;
    }

    fn at_hand(&self) -> Option<P::Kept> {
        let now = Moment::of(&*self.clock);
        self.seen.borrow().live.as_ref().filter(|kept| kept.life().usable(now)).cloned()
    }

    async fn request<T>(&self, message: impl FnOnce(Reply<T>) -> Message<P>) -> Result<T, FaultKind> {
        let (reply, answer) = oneshot::channel();
        self.tell(message(reply));
        answer.await.unwrap_or(Err(FaultKind::Closing))
    }

    async fn noted(&self, message: impl FnOnce(oneshot::Sender<()>) -> Message<P>) {
        let (done, noted) = oneshot::channel();
        self.tell(message(done));
        // An error means that the task has ended: then nothing is handed out any more.
        let _ = noted.await;
    }

    fn tell(&self, message: Message<P>) {
        // Without a receiver the task has ended; who waits for an answer notices.
        let _ = self.inbox.send(message);
    }
}

/// One who waits for a token.
struct Waiter<K> {
    how: Who,
    reply: Reply<K>,
}

/// What is under way, to be able to say what failed if it ends without a result.
#[derive(Clone, Copy)]
enum Operation {
    Read,
    SignIn,
    Renew,
    Save,
    Erase,
}

struct Task<P: Place> {
    /// Absent only within [`Task::feed`].
    machine: Option<Machine<P::Kept, P::Ask>>,
    place: Arc<P>,
    clock: Arc<dyn Clock>,
    look: Duration,
    inbox: mpsc::UnboundedReceiver<Message<P>>,
    show: watch::Sender<Seen<P::Kept>>,
    running: JoinSet<Input<P::Kept, P::Ask>>,
    operations: HashMap<Id, Operation>,
    question: Option<(Id, AbortHandle)>,
    waiting: Vec<Waiter<P::Kept>>,
    signing_out: Vec<Reply<()>>,
    /// What is saved is to be read again once the person has answered.
    reload_later: bool,
    closing: Option<Vec<oneshot::Sender<()>>>,
}

impl<P: Place> Task<P> {
    async fn run(mut self) {
        self.feed(Input::Look);
        while self.closing.is_none() || !self.operations.is_empty() {
            let pause = self.until_look();
            tokio::select! {
                message = self.inbox.recv(), if self.closing.is_none() => match message {
                    Some(message) => self.take(message),
                    None => self.begin_to_close(None),
                },
                Some(done) = self.running.join_next_with_id() => self.finished(done),
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => self.feed(Input::Look),
            }
        }
        for done in self.closing.take().into_iter().flatten() {
            let _ = done.send(());
        }
    }

    fn until_look(&self) -> Option<Duration> {
        if self.closing.is_some() {
            return None;
        }
        let now = Moment::of(&*self.clock);
        self.machine.as_ref()?.until_look(now).map(|due| due.min(self.look))
    }

    fn take(&mut self, message: Message<P>) {
        match message {
            Message::Need(ask, reply) => {
                let how = if ask.is_some() { Who::Waiting } else { Who::Silent };
                self.waiting.push(Waiter { how, reply });
                self.feed(Input::Need(ask));
            }
            Message::Ask(ask, reply) => {
                self.waiting.push(Waiter { how: Who::Everyone, reply });
                self.feed(Input::Ask(ask));
            }
            Message::Rejected(token, done) => {
                self.feed(Input::Rejected(token));
                let _ = done.send(());
            }
            Message::SignOut(reply) => {
                self.signing_out.push(reply);
                self.feed(Input::SignOut);
            }
            Message::Reload(done) => {
                self.reload_later |= self.is_asking();
                self.feed(Input::Reload);
                let _ = done.send(());
            }
            Message::TryNow => {
                self.machine = self.machine.take().map(Machine::undaunted);
                self.feed(Input::Look);
            }
            Message::Close(done) => self.begin_to_close(Some(done)),
        }
    }

    fn begin_to_close(&mut self, done: Option<oneshot::Sender<()>>) {
        self.withdraw();
        self.closing.get_or_insert_default().extend(done);
        self.settle(Who::Everyone, &Err(FaultKind::Closing));
    }

    fn finished(&mut self, done: Finished<P>) {
        let (id, input) = match done {
            Ok((id, input)) => (id, Some(input)),
            Err(fault) => (fault.id(), None),
        };
        // What was withdrawn may still have ended; its result belongs to nobody.
        let Some(operation) = self.operations.remove(&id) else { return };
        if self.question.as_ref().is_some_and(|(question, _)| *question == id) {
            self.question = None;
        }
        self.feed(input.unwrap_or_else(|| broken(operation)));
    }

    fn feed(&mut self, input: Input<P::Kept, P::Ask>) {
        let now = Moment::of(&*self.clock);
        let Some(machine) = self.machine.take() else { return };
        let (machine, effects) = machine.handle(input, now);
        // What can be seen changes first, so that whoever is answered does not see the past.
        self.present(&machine, now);
        self.machine = Some(machine);
        for effect in effects {
            self.act(effect);
        }
        if self.reload_later && !self.is_asking() {
            // The person was being asked when it came.
            self.reload_later = false;
            self.feed(Input::Reload);
        }
    }

    /// Whether a person is asked while nothing is held.
    fn is_asking(&self) -> bool {
        self.machine.as_ref().is_some_and(|machine| matches!(machine.state(), super::State::SigningIn(None)))
    }

    fn present(&self, machine: &Machine<P::Kept, P::Ask>, now: Moment) {
        let status = machine.status(now);
        let live = machine.live(now).cloned();
        let told = !same(&self.show.borrow().status, &status);
        self.show.send_replace(Seen { status: status.clone(), live });
        if told {
            self.place.changed(&status);
        }
    }

    fn act(&mut self, effect: Effect<P::Kept, P::Ask>) {
        // Nothing new begins at the end; what was begun is saved.
        if self.closing.is_some() && matches!(effect, Effect::SignIn(_) | Effect::Renew(..)) {
            return;
        }
        let place = Arc::clone(&self.place);
        match effect {
            Effect::Read => self.start(Operation::Read, async move { Input::Read(place.read().await) }),
            Effect::SignIn(ask) => {
                self.start(Operation::SignIn, async move { Input::SignedIn(place.sign_in(ask).await) });
            }
            Effect::Renew(kept, use_number) => {
                let work = async move { Input::Renewed(place.renew(kept, use_number).await) };
                self.start(Operation::Renew, work);
            }
            Effect::Save(kept) => {
                self.start(Operation::Save, async move { Input::Saved(place.save(kept).await) });
            }
            Effect::Erase { kept, revoke } => {
                self.start(Operation::Erase, async move { Input::Erased(place.erase(kept, revoke).await) });
            }
            Effect::Withdraw => self.withdraw(),
            Effect::Settle(who, answer) => self.settle(who, &answer),
            Effect::SignedOut(answer) => {
                for reply in self.signing_out.drain(..) {
                    let _ = reply.send(answer.clone());
                }
            }
        }
    }

    fn start(
        &mut self,
        operation: Operation,
        work: impl Future<Output = Input<P::Kept, P::Ask>> + Send + 'static,
    ) {
        let handle = self.running.spawn(work);
        self.operations.insert(handle.id(), operation);
        if matches!(operation, Operation::SignIn) {
            self.question = Some((handle.id(), handle));
        }
    }

    fn withdraw(&mut self) {
        if let Some((id, handle)) = self.question.take() {
            handle.abort();
            self.operations.remove(&id);
        }
    }

    fn settle(&mut self, who: Who, answer: &Result<P::Kept, FaultKind>) {
        let (settled, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiter| includes(who, waiter.how));
        self.waiting = waiting;
        for waiter in settled {
            // Whoever stopped waiting needs no answer.
            let _ = waiter.reply.send(answer.clone());
        }
    }
}

fn includes(who: Who, how: Who) -> bool {
    match who {
        Who::Silent => how == Who::Silent,
        Who::Waiting => how != Who::Everyone,
        Who::Everyone => true,
    }
}

fn same<K: Kept>(one: &Status<K>, other: &Status<K>) -> bool {
    match (one, other) {
        (Status::SignedIn { kept, usable, trouble }, Status::SignedIn { kept: k, usable: u, trouble: t }) => {
            kept.fingerprint() == k.fingerprint() && usable == u && trouble == t
        }
        (Status::SignedOut { after }, Status::SignedOut { after: other }) => after == other,
        (Status::Unknown, Status::Unknown) | (Status::SigningIn, Status::SigningIn) => true,
        (Status::SignedIn { .. } | Status::SignedOut { .. } | Status::Unknown | Status::SigningIn, _) => {
            false
        }
    }
}

/// What an operation that ended without a result means.
fn broken<K, A>(operation: Operation) -> Input<K, A> {
    let fault = FaultKind::Internal("an operation ended without a result".to_owned());
    match operation {
        Operation::Read => Input::Read(Err(fault)),
        Operation::SignIn => Input::SignedIn(Err(fault)),
        Operation::Renew => Input::Renewed(Err(RenewFault::Unknown(fault))),
        Operation::Save => Input::Saved(Err(fault)),
        Operation::Erase => Input::Erased(Err(fault)),
    }
}
