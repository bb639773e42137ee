//! The side towards assistants: reading what they send in either era, and writing answers they understand.

mod answer;
mod conversation;
mod declared;
mod incoming;
mod mirrored;

pub use answer::{Answer, ServerFace, ToolEntry, acknowledged, list_changed, renamed};
pub use conversation::{Conversation, Said, refused};
pub use declared::Declared;
pub use incoming::{Dialect, Headers, Incoming, Refusal, Request, read};
pub use mirrored::{MirrorFault, Mirrored};
