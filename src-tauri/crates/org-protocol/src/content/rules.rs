//! Short tables of the organisation's settings.

use serde::{Deserialize, Serialize};

/// What works without the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineRules {
    /// Hours that the last good policy is obeyed after its expiry.
    pub grace_hours: u32,
}

impl Default for OfflineRules {
    fn default() -> Self {
        Self { grace_hours: 72 }
    }
}

/// Which devices are enrolled, beside whether somebody signs in on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnrolmentRules {
    /// Only those that show an enrolment token: machines on which IT has set one.
    pub require_token: bool,
}

/// What is recorded, and how strictly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// Record the values of arguments, not only their names, types, sizes and digests.
    pub capture_arguments: bool,
}
