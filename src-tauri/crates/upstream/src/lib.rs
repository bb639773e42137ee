//! Raw MCP client transports. Every effect takes an [`Authority`] — a permit and a durable intent for the same call —
//! and a credential.
//!
//! Answers stay the text they were. Nothing here decides, records or keeps a secret; redirects are never followed,
//! because they would carry one elsewhere.
#![forbid(unsafe_code)]

mod authority;
mod bearer;
mod calls;
mod ear;
mod effect;
mod fault;
mod http;
mod links;
mod lists;
mod log;
mod notices;
mod opening;
mod session;
mod stdio;
mod subscription;

pub use authority::{Authority, Mismatch, Standing};
pub use bearer::{Bearer, Possesses};
pub use ear::{Asked, Ear, Event, Hearing, LogWish, Wants, ear};
pub use fault::UpstreamFault;
pub use links::HttpClient;
pub use lists::{Entries, Listed, ListedTools};
pub use log::{LOG_LIMIT, Log, LogEntry, LogEvent, LogPage, LogWriter};
pub use notices::{Changes, News, Notice, Notices};
pub use session::{Answer, Session};
pub use stdio::Program;
pub use subscription::Subscription;

/// The largest message that is read from a connector, in bytes.
pub const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;
