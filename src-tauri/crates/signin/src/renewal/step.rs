//! One step of a [`super::Machine`]: each state takes each input.

use model::Digest;

use super::Kept;
use super::held::Held;
use super::machine::{Effect, Input, Pending, Rules, SignedOut, State, Who};
use crate::{FaultKind, Moment, RenewFault};

/// The next state, and what is to be done.
type Step<K, A> = (State<K, A>, Vec<Effect<K, A>>);

/// One step: the rules and the time it is taken at.
#[derive(Clone, Copy)]
pub(super) struct Stepping {
    pub(super) rules: Rules,
    pub(super) now: Moment,
    pub(super) ended: Option<Digest>,
}

impl Stepping {
    /// Takes one input in any state.
    pub(super) fn take<K: Kept, A: Clone>(self, state: State<K, A>, input: Input<K, A>) -> Step<K, A> {
        match state {
            State::Unread(fault) => self.unread(fault, input),
            State::Reading(pending) => self.reading(pending, input),
            State::SignedOut(state) => self.signed_out(state, input),
            State::SigningIn(previous) => self.signing_in(previous, input),
            State::Held(held) => self.held(held, input),
            State::Renewing(held, pending) => self.renewing(held, pending, input),
            State::Saving(held, signed_in, pending) => self.saving(held, signed_in, pending, input),
            State::Erasing(held, why, pending) => self.erasing(held, why, pending, input),
        }
    }

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
        let Input::Read(found) = input else { return (State::Reading(absorb(pending, input)), vec![]) };
        match found {
            Ok(Some(kept)) if self.ended == Some(kept.fingerprint()) => {
                if pending.sign_out {
                    return self.resume(State::Held(Box::new(Held::ended(kept))), pending);
                }
                let after = Some(FaultKind::Ended("it had ended before".to_owned()));
                self.resume(State::SignedOut(SignedOut { after, quiet_until: None }), pending)
            }
            Ok(Some(kept)) => {
                let held = Box::new(Held::read(kept, self.rules.renew_when_read));
                self.resume(State::Held(held), pending)
            }
            Ok(None) => self.signed_out_now(SignedOut::default(), pending),
            Err(fault) => {
                let mut effects = vec![Effect::Settle(Who::Everyone, Err(fault.clone()))];
                if pending.sign_out {
                    effects.push(Effect::SignedOut(Err(fault.clone())));
                }
                (State::Unread(Some(fault)), effects)
            }
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
            Input::Need(None) => {
                (State::SignedOut(state), vec![Effect::Settle(Who::Waiting, Err(FaultKind::SignInNeeded))])
            }
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
        if let Input::Need(_) = &input
            && held.usable(self.now)
        {
            let answer = Effect::Settle(Who::Waiting, Ok(held.kept().clone()));
            return (State::Renewing(held, pending), vec![answer]);
        }
        if let Input::Rejected(token) = &input
            && held.kept().fingerprint() == *token
        {
            held.rejected(self.now);
        }
        let Input::Renewed(result) = input else {
            return (State::Renewing(held, absorb(pending, input)), vec![]);
        };
        match result {
            Ok(kept) => self.save(Box::new(held.renewed(kept)), pending),
            Err(RenewFault::Ended(why)) => self.end(held, FaultKind::Ended(why), pending),
            Err(RenewFault::NotDone(fault)) => {
                held.not_renewed(fault, false, self.now);
                self.resume(State::Held(held), pending)
            }
            Err(RenewFault::Unknown(fault)) => {
                held.not_renewed(fault, true, self.now);
                self.resume(State::Held(held), pending)
            }
        }
    }

    fn saving<K: Kept, A: Clone>(
        self,
        mut held: Box<Held<K>>,
        signed_in: bool,
        mut pending: Pending<A>,
        input: Input<K, A>,
    ) -> Step<K, A> {
        let Input::Saved(result) = input else {
            return (State::Saving(held, signed_in, absorb(pending, input)), vec![]);
        };
        let mut effects = vec![];
        let wanted = std::mem::take(&mut pending.wanted);
        match result {
            Ok(()) => {
                held.saved();
                // Whoever waits gets what just came, without a look at its age.
                let answer = Ok(held.kept().clone());
                if signed_in {
                    pending.forced = None;
                    effects.push(Effect::Settle(Who::Everyone, answer));
                } else if wanted {
                    effects.push(Effect::Settle(Who::Waiting, answer));
                }
            }
            Err(fault) => {
                held.not_saved(fault.clone(), self.now);
                pending.forced = None;
                effects.push(Effect::Settle(Who::Everyone, Err(fault)));
            }
        }
        let (state, more) = self.resume(State::Held(held), pending);
        effects.extend(more);
        (state, effects)
    }

    fn erasing<K: Kept, A: Clone>(
        self,
        held: Box<Held<K>>,
        why: Option<FaultKind>,
        mut pending: Pending<A>,
        input: Input<K, A>,
    ) -> Step<K, A> {
        let Input::Erased(result) = input else {
            return (State::Erasing(held, why, absorb(pending, input)), vec![]);
        };
        let Err(fault) = result else {
            return self.signed_out_now(SignedOut { after: why, quiet_until: None }, pending);
        };
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
        let (state, more) = self.take(state, next);
        effects.extend(more);
        (state, effects)
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
