//! The MCP wire in every revision, and the translation between the two eras.
//!
//! JSON that need not be understood stays the text it was. No sockets, no clock; nothing outside this crate knows
//! protocol revisions.
//!
//! * [`scan()`], [`Message`], [`RawObject`]: strict JSON-RPC with payloads left as text;
//! * [`assistant`]: what assistants send to the gateway, and how it answers them;
//! * [`connector`]: what the gateway sends to connectors, and how they answer.
#![forbid(unsafe_code)]

mod ask;
pub mod assistant;
mod call;
mod canonical;
mod capabilities;
pub mod connector;
mod definition;
mod error;
mod level;
mod list;
mod message;
mod raw;
mod revision;
mod scan;
pub mod sse;

pub use ask::{Ask, AskKind, InputFault, InputRequired};
pub use assistant::{Dialect, MirrorFault, Mirrored};
pub use call::{CallFault, CallParams, Method, Target, begun_task, is_tool_error, tool_error};
pub use canonical::{canonical, is_same};
pub use capabilities::Capabilities;
pub use definition::{Difference, Flag, content, differences, flags};
pub use error::RpcError;
pub use level::LogLevel;
pub use list::{Filter, List, Topic};
pub use message::{Message, MessageFault};
pub use raw::{RawObject, one_line, raw};
pub use revision::{Era, Revision};
pub use scan::{DEPTH_LIMIT, NUMBER_LIMIT, ScanFault, scan};
