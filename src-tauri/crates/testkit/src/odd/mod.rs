//! An MCP server with everything that a typed relay loses: unknown members, unknown kinds of content, numbers of 23 digits,
//! one malformed tool. It speaks one era only, over HTTP or standard streams, and writes every answer as text.

mod content;
mod http;
mod lists;
mod server;
mod stdio;

pub use http::OddHttp;
pub use lists::OddList;
pub use server::{Manner, OddEra};
pub use stdio::serve_stdio;
