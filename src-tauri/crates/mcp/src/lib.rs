//! The MCP wire in every revision, and the translation between the two eras; raw JSON, no sockets.
#![forbid(unsafe_code)]
