//! For tests of this crate and of the desktop's client: a stand-in provider, and an organisation that is really served.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot set itself up ends at once")]

mod collector;
mod log;
mod org;
mod provider;
mod vault;

pub use collector::{StandInCollector, ToldSpan};
pub use log::KeptLog;
pub use org::{ANALYST_SECRET, FINANCE_SECRET, Kept, ServedOrg, start_simulated};
pub use provider::{CLIENT_ID, StandInProvider, public_jwk, signed};
pub use vault::StandInVault;
