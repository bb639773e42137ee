//! Keeping a rotating token alive: read it back, ask for it, renew it before it ends, never twice at once.
//!
//! [`Machine`] decides and does nothing; [`Keeper`] does what it says and decides nothing. What it is kept for — the
//! organisation's session, a connector's grant — is a [`Place`].
//!
//! The laws, each shown by a test of the machine:
//! - at most one request to the authorization server is under way;
//! - a token is used only after it is durable;
//! - a renewal whose answer was lost is tried once more, and then a person is asked;
//! - a refused renewal is not repeated;
//! - everybody who waits is answered.

mod held;
mod keeper;
mod machine;
mod step;

use model::{BoxFuture, Digest};

use crate::{FaultKind, Life, RenewFault};

pub use keeper::{Keeper, KeeperRules};
pub use machine::{Effect, Input, Machine, Rules, State, Who};

#[cfg(test)]
mod tests;

/// A token set as it is kept. Cloning is cheap: implement it on a shared pointer.
pub trait Kept: Clone + Send + Sync + 'static {
    /// The life of what is handed out.
    fn life(&self) -> Life;

    /// Whether it can be renewed without a person: it has a refresh token.
    fn renewable(&self) -> bool;

    /// How many uses of its refresh token were noted when it was last written: their answers are not known.
    fn uses(&self) -> u8;

    /// Names the token that is handed out, without revealing it.
    fn fingerprint(&self) -> Digest;
}

/// Where one signs in: what the [`Keeper`] needs done there. Each future is run once, and never two at a time.
pub trait Place: Send + Sync + 'static {
    /// What is kept.
    type Kept: Kept;
    /// What a sign-in is given.
    type Ask: Clone + Send + Sync + 'static;

    /// Reads back what was saved; `None` if there is nothing that fits this place any more.
    fn read(&self) -> BoxFuture<'_, Result<Option<Self::Kept>, FaultKind>>;

    /// Asks the person. The result is not yet saved.
    fn sign_in(&self, ask: Self::Ask) -> BoxFuture<'_, Result<Self::Kept, FaultKind>>;

    /// Notes durably that the refresh token is used for the `use_number`th time, then renews. The result is not yet saved.
    fn renew(&self, kept: Self::Kept, use_number: u8) -> BoxFuture<'_, Result<Self::Kept, RenewFault>>;

    /// Saves durably.
    fn save(&self, kept: Self::Kept) -> BoxFuture<'_, Result<(), FaultKind>>;

    /// Forgets what is saved. With `revoke`, the server is also told, after and without waiting for its answer.
    fn erase(&self, kept: Self::Kept, revoke: bool) -> BoxFuture<'_, Result<(), FaultKind>>;

    /// Is told of every change of state.
    fn changed(&self, status: &Status<Self::Kept>);
}

/// What can be seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status<K> {
    /// Not looked yet.
    Unknown,
    /// Nobody is signed in; after a fault, or not.
    SignedOut {
        /// Why, if it was not by wish.
        after: Option<FaultKind>,
    },
    /// A person is being asked.
    SigningIn,
    /// Somebody is signed in.
    SignedIn {
        /// What is kept.
        kept: K,
        /// Whether it can be used now.
        usable: bool,
        /// What went wrong last, if it still matters.
        trouble: Option<FaultKind>,
    },
}
