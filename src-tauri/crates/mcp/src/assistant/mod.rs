//! The side towards assistants: reading what they send in either era, and writing answers they understand.

mod answer;
mod conversation;
mod declared;
mod incoming;
mod mirrored;
mod spoken;

pub use answer::{Answer, ServerFace, ToolEntry, renamed};
pub use conversation::{Conversation, refused};
pub use declared::Declared;
pub(crate) use incoming::encoded;
pub use incoming::{
    Asked, Dialect, Headers, Incoming, Means, Notification, Refusal, Request, Response, read,
};
pub use mirrored::{MirrorFault, Mirrored};
pub use spoken::{
    acknowledged, answers, list_changed, log_message, progress, question, refusal_text, resource_updated,
    unanswered, waiting,
};
