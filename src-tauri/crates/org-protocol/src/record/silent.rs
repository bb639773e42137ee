//! What is recorded where nothing is: gaps, and times in which nothing happened.

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// Records are missing, and how many.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRecord {
    /// How many calls were made without a record.
    pub missing: u64,
    /// Since when.
    pub since: Timestamp,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Deskgate runs, though nothing happened: silence is then a finding.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeartbeatRecord {
    /// Calls that are under way.
    pub open_calls: u64,
}
