//! Connectors: the choice of credential, sessions that belong to one account each, isolation and restart.
//!
//! A connector that is slow, dead or hostile delays nobody else: each has its own sessions, deadlines and back-off.
//! Shared credentials are not held here: the [`Broker`] makes those calls, and what a [`Lender`] lends goes to the program that needs it
//! and ends with it. Nothing here decides or records.
#![forbid(unsafe_code)]

mod backoff;
mod connector;
mod connectors;
mod fault;
mod follower;
mod invite;
mod lending;
mod oauth;
mod sealed;
mod seams;

pub use connector::{Health, Listing, Outage};
pub use connectors::Connectors;
pub use fault::CallFault;
pub use invite::{SILENT_AT_FIRST, SILENT_AT_MOST};
pub use oauth::{
    ConnectorGrants, GrantEvent, GrantFault, GrantHappening, GrantStatus, GrantsParts, typed_grant,
};
pub use sealed::{SealedValues, has_sealed, sealed_placeholder};
pub use seams::{
    AccountFault, Accounts, Asking, Broker, BrokerFault, Caller, Lender, Lent, Loan, Seams, Voucher,
};
pub use upstream::{Entries, Log, LogEntry, LogEvent, LogPage};
