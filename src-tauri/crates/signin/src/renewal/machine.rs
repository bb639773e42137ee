//! The states of a kept token, without IO.

use std::time::Duration;

use model::Digest;

use super::held::Held;
use super::{Kept, Status};
use crate::{FaultKind, Moment, RenewFault};

/// How patient the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// After a failed sign-in, how long calls do not ask again by themselves. A person who asks for it is not held up.
    pub cool_down: Duration,
    /// Shortest time between two attempts to renew or to save.
    pub gap: Duration,
    /// Longest time between two attempts to renew in the background.
    pub longest_gap: Duration,
    /// Renew as soon as something was read back, so that what it says about a person is of today.
    pub renew_when_read: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            cool_down: Duration::from_secs(30),
            gap: Duration::from_secs(5),
            longest_gap: Duration::from_secs(300),
            renew_when_read: false,
        }
    }
}

/// What happens to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<K, A> {
    /// A call needs a token; with an ask, a person may be asked for it.
    Need(Option<A>),
    /// A person wants to sign in, whatever is held.
    Ask(A),
    /// The server of the resource refused this token, although it was fresh.
    Rejected(Digest),
    /// A person wants to sign out.
    SignOut,
    /// What is held may no longer fit: read it again.
    Reload,
    /// Time has passed.
    Look,
    /// [`Effect::Read`] is done.
    Read(Result<Option<K>, FaultKind>),
    /// [`Effect::SignIn`] is done.
    SignedIn(Result<K, FaultKind>),
    /// [`Effect::Renew`] is done.
    Renewed(Result<K, RenewFault>),
    /// [`Effect::Save`] is done.
    Saved(Result<(), FaultKind>),
    /// [`Effect::Erase`] is done.
    Erased(Result<(), FaultKind>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<K, A> {
    /// Read back what was saved.
    Read,
    /// Ask the person.
    SignIn(A),
    /// Withdraw the question to the person.
    Withdraw,
    /// Renew; the number counts the uses of this refresh token that may have been answered.
    Renew(K, u8),
    /// Save.
    Save(K),
    /// Forget.
    Erase {
        /// What is forgotten.
        kept: K,
        /// Whether the server is told.
        revoke: bool,
    },
    /// Answer those who wait for a token.
    Settle(Who, Result<K, FaultKind>),
    /// Answer those who wait for the sign-out.
    SignedOut(Result<(), FaultKind>),
}

/// Which of those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Those who may not ask a person.
    Silent,
    /// All who need a token, whichever it is.
    Waiting,
    /// Those too who wait for a sign-in of their own.
    Everyone,
}

type Step<K, A> = (State<K, A>, Vec<Effect<K, A>>);

/// A state, named for what it awaits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State<K, A> {
    /// Somebody to need a token: nothing was read yet.
    Unread(Option<FaultKind>),
    /// What was saved.
    Reading(Pending<A>),
    /// A sign-in.
    SignedOut(SignedOut),
    /// The person.
    SigningIn(Option<Box<Held<K>>>),
    /// A need, or the time to renew.
    Held(Box<Held<K>>),
    /// The authorization server.
    Renewing(Box<Held<K>>, Pending<A>),
    /// The vault. The flag says that the token comes from a sign-in.
    Saving(Box<Held<K>>, bool, Pending<A>),
    /// The vault. With a fault, the grant ended by itself; without, a person signs out.
    Erasing(Box<Held<K>>, Option<FaultKind>, Pending<A>),
}

/// Nobody is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignedOut {
    after: Option<FaultKind>,
    quiet_until: Option<Duration>,
}

/// What came in while the machine was busy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending<A> {
    wanted: bool,
    asked: Option<A>,
    forced: Option<A>,
    sign_out: bool,
    reload: bool,
}

impl<A> Default for Pending<A> {
    fn default() -> Self {
        Self { wanted: false, asked: None, forced: None, sign_out: false, reload: false }
    }
}

impl<A> Pending<A> {
    fn need(asked: Option<A>) -> Self {
        Self { wanted: true, asked, ..Self::default() }
    }

    fn sign_out() -> Self {
        Self { sign_out: true, ..Self::default() }
    }

    fn forced(ask: A) -> Self {
        Self { forced: Some(ask), ..Self::default() }
    }
}

/// A token set and what to do about it next.
#[derive(Debug, Clone)]
pub struct Machine<K, A> {
    state: State<K, A>,
    rules: Rules,
    /// The token that ended last: it may still lie on a disk that refused to erase it.
    ended: Option<Digest>,
}

impl<K: Kept, A: Clone> Machine<K, A> {
    /// A machine that has read nothing yet.
    pub fn new(rules: Rules) -> Self {
        Self { state: State::Unread(None), rules, ended: None }
    }

    /// Where it stands.
    pub fn state(&self) -> &State<K, A> {
        &self.state
    }

    /// Takes one input.
    #[must_use]
    pub fn handle(self, input: Input<K, A>, now: Moment) -> (Self, Vec<Effect<K, A>>) {
        let Self { rules, mut ended, .. } = self;
        let step = Stepping { rules, now, ended };
        let (state, effects) = match self.state {
            State::Unread(fault) => step.unread(fault, input),
            State::Reading(pending) => step.reading(pending, input),
            State::SignedOut(state) => step.signed_out(state, input),
            State::SigningIn(previous) => step.signing_in(previous, input),
            State::Held(held) => step.held(held, input),
            State::Renewing(held, pending) => step.renewing(held, pending, input),
            State::Saving(held, signed_in, pending) => step.saving(held, signed_in, pending, input),
            State::Erasing(held, why, pending) => step.erasing(held, why, pending, input),
        };
        if let State::Erasing(held, Some(_), _) = &state {
            ended = Some(held.kept().fingerprint());
        }
        (Self { state, rules, ended }, effects)
    }

    /// What can be seen from outside.
    pub fn status(&self, now: Moment) -> Status<K> {
        match &self.state {
            State::Unread(None) | State::Reading(_) => Status::Unknown,
            State::Unread(Some(fault)) => Status::SignedOut { after: Some(fault.clone()) },
            State::SignedOut(state) => Status::SignedOut { after: state.after.clone() },
            State::SigningIn(_) => Status::SigningIn,
            State::Held(held)
            | State::Renewing(held, _)
            | State::Saving(held, _, _)
            | State::Erasing(held, _, _) => Status::SignedIn {
                kept: held.kept().clone(),
                usable: held.usable(now),
                trouble: held.trouble(),
            },
        }
    }

    /// The token that may be handed out without asking the machine, for as long as it is [usable](crate::Life::usable).
    pub fn live(&self, now: Moment) -> Option<&K> {
        match &self.state {
            State::Held(held) | State::Renewing(held, _) | State::SigningIn(Some(held)) => {
                held.usable(now).then_some(held.kept())
            }
            State::Unread(_)
            | State::Reading(_)
            | State::SignedOut(_)
            | State::SigningIn(None)
            | State::Saving(..)
            | State::Erasing(..) => None,
        }
    }

    /// When [`Input::Look`] is wanted next, from now; `None` if nothing is due by time.
    pub fn until_look(&self, now: Moment) -> Option<Duration> {
        match &self.state {
            State::Held(held) => held.until_look(&self.rules, now),
            State::Unread(_)
            | State::Reading(_)
            | State::SignedOut(_)
            | State::SigningIn(_)
            | State::Renewing(..)
            | State::Saving(..)
            | State::Erasing(..) => None,
        }
    }
}

/// One step: the rules and the time it is taken at.
#[derive(Clone, Copy)]
struct Stepping {
    rules: Rules,
    now: Moment,
    ended: Option<Digest>,
}

impl Stepping {
    fn unread<K: Kept, A: Clone>(self, fault: Option<FaultKind>, input: Input<K, A>) -> Step<K, A> {
        match input {
            Input::Need(asked) => (State::Reading(Pending::need(asked)), vec![Effect::Read]),
            Input::Ask(ask) => (State::Reading(Pending::forced(ask)), vec![Effect::Read]),
            Input::SignOut => (State::Reading(Pending::sign_out()), vec![Effect::Read]),
            Input::Look | Input::Reload => (State::Reading(Pending::default()), vec![Effect::Read]),
            Input::Rejected(_)
            | Input::Read(_)
            | Input::SignedIn(_)
            | Input::Renewed(_)
            | Input::Saved(_)
            | Input::Erased(_) => (State::Unread(fault), vec![]),
        }
    }

    fn reading<K: Kept, A: Clone>(self, pending: Pending<A>, input: Input<K, A>) -> Step<K, A> {
        match input {
            Input::Read(Ok(Some(kept))) if self.ended == Some(kept.fingerprint()) => {
                if pending.sign_out {
                    return self.resume(State::Held(Box::new(Held::ended(kept))), pending);
                }
                let after = Some(FaultKind::Ended("it had ended before".to_owned()));
                self.resume(State::SignedOut(SignedOut { after, quiet_until: None }), pending)
            }
            Input::Read(Ok(Some(kept))) => {
                let held = Box::new(Held::read(kept, self.rules.renew_when_read));
                self.resume(State::Held(held), pending)
            }
            Input::Read(Ok(None)) => self.signed_out_now(SignedOut::default(), pending),
            Input::Read(Err(fault)) => {
                let mut effects = vec![Effect::Settle(Who::Everyone, Err(fault.clone()))];
                if pending.sign_out {
                    effects.push(Effect::SignedOut(Err(fault.clone())));
                }
                (State::Unread(Some(fault)), effects)
            }
            other => (State::Reading(absorb(pending, other)), vec![]),
        }
    }

    fn signed_out<K: Kept, A: Clone>(self, state: SignedOut, input: Input<K, A>) -> Step<K, A> {
        match input {
            Input::Need(Some(ask)) => match (&state.after, state.quiet_until) {
                (Some(fault), Some(until)) if self.now.boot < until => {
                    let answer = Effect::Settle(Who::Waiting, Err(fault.clone()));
                    (State::SignedOut(state), vec![answer])
                }
                (Some(_) | None, Some(_) | None) => self.ask(None, ask),
            },
            Input::Need(None) => (
                State::SignedOut(state),
                vec![Effect::Settle(Who::Waiting, Err(FaultKind::SignInNeeded))],
            ),
            Input::Ask(ask) => self.ask(None, ask),
            // Something may still lie on disk.
            Input::SignOut => (State::Reading(Pending::sign_out()), vec![Effect::Read]),
            Input::Reload => (State::Reading(Pending::default()), vec![Effect::Read]),
            Input::Look
            | Input::Rejected(_)
            | Input::Read(_)
            | Input::SignedIn(_)
            | Input::Renewed(_)
            | Input::Saved(_)
            | Input::Erased(_) => (State::SignedOut(state), vec![]),
        }
    }

    /// Begins to ask the person. Those who may not ask are answered with what there is.
    fn ask<K: Kept, A: Clone>(self, previous: Option<Box<Held<K>>>, ask: A) -> Step<K, A> {
        let silent = self.silent(previous.as_deref());
        (State::SigningIn(previous), vec![silent, Effect::SignIn(ask)])
    }

    fn silent<K: Kept, A>(self, previous: Option<&Held<K>>) -> Effect<K, A> {
        let answer = match previous {
            Some(held) if held.usable(self.now) => Ok(held.kept().clone()),
            Some(_) | None => Err(FaultKind::SignInNeeded),
        };
        Effect::Settle(Who::Silent, answer)
    }

    fn signing_in<K: Kept, A: Clone>(
        self,
        mut previous: Option<Box<Held<K>>>,
        input: Input<K, A>,
    ) -> Step<K, A> {
        match input {
            Input::SignedIn(Ok(kept)) => {
                let held = Box::new(Held::unsaved(kept.clone()));
                (State::Saving(held, true, Pending::default()), vec![Effect::Save(kept)])
            }
            Input::SignedIn(Err(fault)) => {
                let quiet_until = Some(self.now.boot.saturating_add(self.rules.cool_down));
                let state = match previous {
                    Some(mut held) => {
                        held.sign_in_failed(fault.clone(), quiet_until);
                        State::Held(held)
                    }
                    None => State::SignedOut(SignedOut { after: Some(fault.clone()), quiet_until }),
                };
                (state, vec![Effect::Settle(Who::Everyone, Err(fault))])
            }
            Input::Need(None) => {
                let silent = self.silent(previous.as_deref());
                (State::SigningIn(previous), vec![silent])
            }
            Input::SignOut => {
                let mut effects =
                    vec![Effect::Withdraw, Effect::Settle(Who::Everyone, Err(FaultKind::Cancelled))];
                match previous {
                    Some(held) => {
                        effects.push(Effect::Erase { kept: held.kept().clone(), revoke: true });
                        (State::Erasing(held, None, Pending::sign_out()), effects)
                    }
                    None => {
                        effects.push(Effect::SignedOut(Ok(())));
                        (State::SignedOut(SignedOut::default()), effects)
                    }
                }
            }
            Input::Rejected(token) => {
                if let Some(held) = previous.as_mut().filter(|held| held.kept().fingerprint() == token) {
                    held.rejected(self.now);
                }
                (State::SigningIn(previous), vec![])
            }
            Input::Need(Some(_))
            | Input::Ask(_)
            | Input::Reload
            | Input::Look
            | Input::Read(_)
            | Input::Renewed(_)
            | Input::Saved(_)
            | Input::Erased(_) => (State::SigningIn(previous), vec![]),
        }
    }

    fn held<K: Kept, A: Clone>(self, mut held: Box<Held<K>>, input: Input<K, A>) -> Step<K, A> {
        match input {
            Input::Need(asked) => self.need(held, asked),
            Input::Ask(ask) => self.ask(Some(held), ask),
            Input::Rejected(token) if held.kept().fingerprint() == token => {
                if held.rejected(self.now) {
                    (State::Held(held), vec![])
                } else {
                    let why = FaultKind::Ended("a fresh token is refused again".to_owned());
                    self.end(held, why, Pending::default())
                }
            }
            Input::SignOut => {
                let erase = Effect::Erase { kept: held.kept().clone(), revoke: true };
                (State::Erasing(held, None, Pending::sign_out()), vec![erase])
            }
            // What is not saved exists only here.
            Input::Reload if !held.is_unsaved() => (State::Reading(Pending::default()), vec![Effect::Read]),
            Input::Look if held.save_is_due(&self.rules, self.now) => self.save(held, Pending::default()),
            Input::Look if held.renewal_is_due(&self.rules, self.now) => self.renew(held, Pending::default()),
            Input::Rejected(_)
            | Input::Reload
            | Input::Look
            | Input::Read(_)
            | Input::SignedIn(_)
            | Input::Renewed(_)
            | Input::Saved(_)
            | Input::Erased(_) => (State::Held(held), vec![]),
        }
    }

    fn need<K: Kept, A: Clone>(self, held: Box<Held<K>>, asked: Option<A>) -> Step<K, A> {
        if held.is_unsaved() {
            return self.save(held, Pending::need(asked));
        }
        if held.usable(self.now) {
            let answer = Effect::Settle(Who::Waiting, Ok(held.kept().clone()));
            return (State::Held(held), vec![answer]);
        }
        if held.may_renew() {
            return match held.failed_just_now(&self.rules, self.now) {
                Some(fault) => (State::Held(held), vec![Effect::Settle(Who::Waiting, Err(fault))]),
                None => self.renew(held, Pending::need(asked)),
            };
        }
        match (held.quiet(self.now), asked) {
            (None, Some(ask)) => self.ask(Some(held), ask),
            (Some(fault), Some(_)) => (State::Held(held), vec![Effect::Settle(Who::Waiting, Err(fault))]),
            (_, None) => {
                (State::Held(held), vec![Effect::Settle(Who::Waiting, Err(FaultKind::SignInNeeded))])
            }
        }
    }

    fn renew<K: Kept, A>(self, held: Box<Held<K>>, pending: Pending<A>) -> Step<K, A> {
        let renew = Effect::Renew(held.kept().clone(), held.next_use());
        (State::Renewing(held, pending), vec![renew])
    }

    fn save<K: Kept, A>(self, held: Box<Held<K>>, pending: Pending<A>) -> Step<K, A> {
        let kept = held.kept().clone();
        (State::Saving(held, false, pending), vec![Effect::Save(kept)])
    }

    fn end<K: Kept, A>(self, held: Box<Held<K>>, why: FaultKind, pending: Pending<A>) -> Step<K, A> {
        let kept = held.kept().clone();
        (State::Erasing(held, Some(why), pending), vec![Effect::Erase { kept, revoke: false }])
    }

    fn renewing<K: Kept, A: Clone>(
        self,
        mut held: Box<Held<K>>,
        pending: Pending<A>,
        input: Input<K, A>,
    ) -> Step<K, A> {
        match input {
            Input::Renewed(Ok(kept)) => self.save(Box::new(held.renewed(kept)), pending),
            Input::Renewed(Err(RenewFault::Ended(why))) => self.end(held, FaultKind::Ended(why), pending),
            Input::Renewed(Err(RenewFault::NotDone(fault))) => {
                held.not_renewed(fault, false, self.now);
                self.resume(State::Held(held), pending)
            }
            Input::Renewed(Err(RenewFault::Unknown(fault))) => {
                held.not_renewed(fault, true, self.now);
                self.resume(State::Held(held), pending)
            }
            Input::Need(_) if held.usable(self.now) => {
                let answer = Effect::Settle(Who::Waiting, Ok(held.kept().clone()));
                (State::Renewing(held, pending), vec![answer])
            }
            Input::Rejected(token) if held.kept().fingerprint() == token => {
                held.rejected(self.now);
                (State::Renewing(held, pending), vec![])
            }
            other => (State::Renewing(held, absorb(pending, other)), vec![]),
        }
    }

    fn saving<K: Kept, A: Clone>(
        self,
        mut held: Box<Held<K>>,
        signed_in: bool,
        mut pending: Pending<A>,
        input: Input<K, A>,
    ) -> Step<K, A> {
        match input {
            Input::Saved(Ok(())) => {
                held.saved();
                let mut effects = vec![];
                if signed_in {
                    // Whoever waits gets what the person just signed in for, without a look at its age.
                    pending.wanted = false;
                    pending.forced = None;
                    effects.push(Effect::Settle(Who::Everyone, Ok(held.kept().clone())));
                } else if std::mem::take(&mut pending.wanted) {
                    effects.push(Effect::Settle(Who::Waiting, Ok(held.kept().clone())));
                }
                let (state, more) = self.resume(State::Held(held), pending);
                effects.extend(more);
                (state, effects)
            }
            Input::Saved(Err(fault)) => {
                held.not_saved(fault.clone(), self.now);
                pending.wanted = false;
                pending.forced = None;
                let mut effects = vec![Effect::Settle(Who::Everyone, Err(fault))];
                let (state, more) = self.resume(State::Held(held), pending);
                effects.extend(more);
                (state, effects)
            }
            other => (State::Saving(held, signed_in, absorb(pending, other)), vec![]),
        }
    }

    fn erasing<K: Kept, A: Clone>(
        self,
        held: Box<Held<K>>,
        why: Option<FaultKind>,
        mut pending: Pending<A>,
        input: Input<K, A>,
    ) -> Step<K, A> {
        match input {
            Input::Erased(Ok(())) => self.signed_out_now(SignedOut { after: why, quiet_until: None }, pending),
            Input::Erased(Err(fault)) => {
                // A grant that the provider ended is of no use, erased or not. A sign-out that failed must be seen.
                let mut effects = vec![];
                let mut state = State::SignedOut(SignedOut { after: why.clone(), quiet_until: None });
                if std::mem::take(&mut pending.sign_out) {
                    effects.push(Effect::SignedOut(Err(fault)));
                    if why.is_none() {
                        state = State::Held(held);
                    }
                }
                let (state, more) = self.resume(state, pending);
                effects.extend(more);
                (state, effects)
            }
            other => (State::Erasing(held, why, absorb(pending, other)), vec![]),
        }
    }

    /// Nothing is held, and nothing lies on disk.
    fn signed_out_now<K: Kept, A: Clone>(self, state: SignedOut, mut pending: Pending<A>) -> Step<K, A> {
        if std::mem::take(&mut pending.sign_out) {
            let effects =
                vec![Effect::Settle(Who::Everyone, Err(FaultKind::Cancelled)), Effect::SignedOut(Ok(()))];
            return (State::SignedOut(SignedOut::default()), effects);
        }
        self.resume(State::SignedOut(state), pending)
    }

    /// Does in a resting state what came in while the machine was busy.
    fn resume<K: Kept, A: Clone>(self, state: State<K, A>, pending: Pending<A>) -> Step<K, A> {
        if pending.reload && !pending.sign_out && may_reload(&state) {
            return (State::Reading(Pending { reload: false, ..pending }), vec![Effect::Read]);
        }
        let Pending { wanted, asked, forced, sign_out, reload: _ } = pending;
        let next = if sign_out {
            Some(Input::SignOut)
        } else if let Some(ask) = forced.clone() {
            Some(Input::Ask(ask))
        } else if wanted {
            Some(Input::Need(asked))
        } else {
            None
        };
        let Some(next) = next else { return (state, vec![]) };
        let mut effects = vec![];
        if sign_out && (wanted || forced.is_some()) {
            effects.push(Effect::Settle(Who::Everyone, Err(FaultKind::Cancelled)));
        }
        let machine = Machine { state, rules: self.rules, ended: self.ended };
        let (machine, more) = machine.handle(next, self.now);
        effects.extend(more);
        (machine.state, effects)
    }
}

/// What is not saved exists only here.
fn may_reload<K: Kept, A>(state: &State<K, A>) -> bool {
    match state {
        State::Held(held) => !held.is_unsaved(),
        State::SignedOut(_) => true,
        State::Unread(_)
        | State::Reading(_)
        | State::SigningIn(_)
        | State::Renewing(..)
        | State::Saving(..)
        | State::Erasing(..) => false,
    }
}

/// Notes for later what comes in while the machine is busy; results of other work are of no interest.
fn absorb<K, A>(mut pending: Pending<A>, input: Input<K, A>) -> Pending<A> {
    match input {
        Input::Need(asked) => {
            pending.wanted = true;
            pending.asked = pending.asked.or(asked);
        }
        Input::Ask(ask) => pending.forced = pending.forced.or(Some(ask)),
        Input::SignOut => pending.sign_out = true,
        Input::Reload => pending.reload = true,
        Input::Rejected(_)
        | Input::Look
        | Input::Read(_)
        | Input::SignedIn(_)
        | Input::Renewed(_)
        | Input::Saved(_)
        | Input::Erased(_) => {}
    }
    pending
}
