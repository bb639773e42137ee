//! What payload rules found, as records keep it: never what was found.

use serde::{Deserialize, Serialize};

use crate::content::PayloadAction;

/// What one rule found of one kind in a payload.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadFinding {
    /// The rule, by its id.
    pub rule: String,
    /// What was found, as rules name it, such as `personal_data.iban`; `unscanned` where a part was too long to be looked through.
    pub class: String,
    /// What became of it.
    pub action: PayloadAction,
    /// How often.
    pub count: u64,
    /// Where: JSON pointers (RFC 6901) into the payload, the first eight, each cut at 256 bytes. The name of a member in which
    /// something was found is written `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}
