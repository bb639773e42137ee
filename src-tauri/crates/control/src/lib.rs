//! The control plane: the server behind the central configuration URL, and the tools with which IT writes and publishes
//! policy.
//!
//! Shared secrets are opened here and nowhere else; they leave only towards the connector that they belong to.
#![forbid(unsafe_code)]

pub mod admin;
mod assertion;
pub mod author;
mod broker;
mod credential;
mod device_secret;
mod identity;
mod keeping;
mod launch;
mod lending;
mod op;
mod publication;
mod relay;
mod replicas;
mod saml;
mod sealing;
mod secret;
mod serve;
mod server;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod testing_org;
mod trace;

pub use credential::{AppRole, OauthSpec, SourceSpec, TransitKey, VaultSpec};
pub use keeping::{RestoreFault, RestorePlan, backup, restore};
pub use launch::CommandsUserFault;
pub use publication::Published;
pub use relay::{SinkConfig, SinkFault, SplunkConfig, SyslogConfig};
pub use saml::CertificateFault;
pub use sealing::{MASTER_KEY_VARIABLE, MasterKey, SealFault};
pub use serve::{DIAGNOSTICS_KEPT, Running, ServeConfig, ServeFault, start};
pub use store::{
    AskedDiagnostics, BackupFault, Database, DatabaseFault, DeniedBy, Device, DiagnosticsState,
    EnrolmentToken, Filter, KnownPerson, LiveLease, Restored, Saved, Sieve, StandingHalt, StoreFault,
    StoredCredential,
};
pub use trace::{Share, TraceConfig, TraceConfigFault};
