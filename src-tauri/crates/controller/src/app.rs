//! The composition root: puts the real parts together and keeps them in step with settings, connectors and policy.
//!
//! Read [`start`](start::start) first. Everything here is wiring; what is decided is decided in the parts.

mod accounts;
mod addresses;
mod approvals;
mod bridge;
mod bridges;
mod catalog;
mod counted;
mod definitions;
mod diagnostics;
mod discover;
mod doctor;
mod end;
mod engine;
mod explain;
mod fault;
mod follow;
mod home;
mod introduction;
mod ledger;
mod logs;
mod machine;
mod membership;
mod offered;
mod offering;
mod open;
mod pins;
mod port;
mod present;
mod program_log;
mod published;
mod records;
mod runtime;
mod settings;
mod socket;
mod start;
mod tell;

pub use addresses::{Address, addresses};
pub use bridge::{BridgeFault, bridge};
pub use catalog::{Acceptances, LIST_GRACE};
pub use diagnostics::{Diagnostics, Entry};
pub use doctor::Doctor;
pub use explain::{Explained, Standpoint};
pub use fault::StartFault;
pub use home::Home;
pub use introduction::Introduction;
pub use logs::Logs;
pub use port::{Moved, move_port};
pub use program_log::log;
pub use records::Records;
pub use runtime::runtime;
pub use settings::{OrganisationSettings, Settings, SettingsFault};
pub use socket::{Client, ClientFault, Command, PendingLine, Report};
pub use start::{App, Options, start};
