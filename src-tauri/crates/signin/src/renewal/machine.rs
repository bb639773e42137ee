//! The states of a kept token, without IO.

use std::time::Duration;

use model::Digest;

use super::held::Held;
use super::step::Stepping;
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
    pub(super) after: Option<FaultKind>,
    pub(super) quiet_until: Option<Duration>,
}

/// What came in while the machine was busy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending<A> {
    pub(super) wanted: bool,
    pub(super) asked: Option<A>,
    pub(super) forced: Option<A>,
    pub(super) sign_out: bool,
    pub(super) reload: bool,
}

impl<A> Default for Pending<A> {
    fn default() -> Self {
        Self { wanted: false, asked: None, forced: None, sign_out: false, reload: false }
    }
}

impl<A> Pending<A> {
    pub(super) fn need(asked: Option<A>) -> Self {
        Self { wanted: true, asked, ..Self::default() }
    }

    pub(super) fn sign_out() -> Self {
        Self { sign_out: true, ..Self::default() }
    }

    pub(super) fn forced(ask: A) -> Self {
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
        let (rules, mut ended) = (self.rules, self.ended);
        let (state, effects) = Stepping { rules, now, ended }.take(self.state, input);
        if let State::Erasing(held, Some(_), _) = &state {
            ended = Some(held.kept().fingerprint());
        }
        (Self { state, rules, ended }, effects)
    }

    /// Forgets how often a renewal or a saving failed: what was in the way may be gone. A doubt stays one.
    #[must_use]
    pub(super) fn undaunted(mut self) -> Self {
        // What is under way may have begun before that: should it fail, it is the first failure.
        match &mut self.state {
            State::Held(held) | State::Renewing(held, _) | State::Saving(held, ..) => held.forget_failures(),
            State::Unread(_)
            | State::Reading(_)
            | State::SignedOut(_)
            | State::SigningIn(_)
            | State::Erasing(..) => {}
        }
        self
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
