//! The side towards assistants: reading what they send in either era, and writing answers they understand.

mod answer;
mod conversation;
mod declared;
mod incoming;
mod mirrored;
mod spoken;

pub use answer::{Answer, ServerFace, ToolEntry, acknowledged, list_changed, renamed};
pub use conversation::{Conversation, refused};
pub use declared::Declared;
pub(crate) use incoming::encoded;
pub use incoming::{
    Asked, Dialect, Headers, Incoming, Means, Notification, Refusal, Request, Response, read,
};
pub use mirrored::{MirrorFault, Mirrored};
pub use spoken::{answers, log_message, progress, question, refusal_text, resource_updated, unanswered};
