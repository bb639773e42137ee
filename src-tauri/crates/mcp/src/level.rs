//! How grave a log message is (MCP 2025-11-25, server/utilities/logging, "Log Levels"; the names are those of RFC 5424).

use serde::{Deserialize, Serialize};

/// A level, the least grave first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For whoever looks for a mistake.
    Debug,
    /// Progress of an operation.
    Info,
    /// Normal, but of note.
    Notice,
    /// A warning.
    Warning,
    /// An error.
    Error,
    /// A critical condition.
    Critical,
    /// Action must be taken at once.
    Alert,
    /// Nothing works.
    Emergency,
}
