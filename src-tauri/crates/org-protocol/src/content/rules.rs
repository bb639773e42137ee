//! Short tables of the organisation's settings.

use serde::{Deserialize, Serialize};

/// Where sign-in opens.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInSurface {
    /// A native window, or the system browser for providers that refuse embedded views.
    #[default]
    Auto,
    /// Always the system browser.
    Browser,
}

/// What works without the control plane.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineRules {
    /// Hours that the last good policy is obeyed after its expiry. Which connectors are used then, their `in_grace` says.
    pub grace_hours: u32,
}

impl Default for OfflineRules {
    fn default() -> Self {
        Self { grace_hours: 72 }
    }
}

/// What becomes of a connector while the policy has run out and is still obeyed.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InGrace {
    /// It is used as before.
    Use,
    /// Nothing of it is offered until the policy is renewed.
    Rest,
}

/// Which devices are enrolled, beside whether somebody signs in on them.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnrolmentRules {
    /// Only those that show an enrolment token: machines on which IT has set one.
    pub require_token: bool,
}

/// What is recorded, and how strictly.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// Record the values of arguments, not only their names, types, sizes and digests.
    pub capture_arguments: bool,
}
