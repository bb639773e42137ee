//! Short tables of the organisation's settings.

use serde::{Deserialize, Serialize};
use url::Url;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// Record the values of arguments, not only their names, types, sizes and digests.
    pub capture_arguments: bool,
    /// The most MiB that the journal takes on a device: 16 to 65536. Records that the organisation has not signed for are never given
    /// up, so a device that was away for very long may come to it; then `on_failure` says what happens.
    #[serde(skip_serializing_if = "is_usual_quota")]
    pub quota_mib: u32,
    /// For how many days records stay on a device after the organisation has signed for them: 0 to 90.
    #[serde(skip_serializing_if = "is_usual_keeping")]
    pub keep_days: u32,
    /// What becomes of calls while the journal cannot be written.
    #[serde(skip_serializing_if = "is_refuse")]
    pub on_failure: OnAuditFailure,
    /// Where devices deliver their records themselves, over OTLP/HTTP, such as `https://collector.example/v1/logs`: for an organisation
    /// without a control plane. Where there is one, it passes records on, and no device needs to reach a collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collector: Option<CollectorUrl>,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            capture_arguments: false,
            quota_mib: USUAL_QUOTA,
            keep_days: USUAL_KEEPING,
            on_failure: OnAuditFailure::Refuse,
            collector: None,
        }
    }
}

/// Where a collector takes logs over OTLP/HTTP: `https`, or `http` on the same computer. Every device knows it, so it has no secret: no
/// user name, password, query or fragment.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Url", into = "Url")]
pub struct CollectorUrl(Url);

impl CollectorUrl {
    /// Where logs are posted.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl TryFrom<Url> for CollectorUrl {
    type Error = &'static str;

    fn try_from(url: Url) -> Result<Self, Self::Error> {
        if super::is_plain_https(&url) {
            Ok(Self(url))
        } else {
            Err(
                "a collector's URL is https, without user name, password, query or fragment: every device can read it",
            )
        }
    }
}

impl From<CollectorUrl> for Url {
    fn from(CollectorUrl(url): CollectorUrl) -> Self {
        url
    }
}

/// What becomes of calls while the journal cannot be written: the disk is full or broken, or the journal has reached its quota.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAuditFailure {
    /// None is made.
    #[default]
    Refuse,
    /// They are made without a record on the device, and counted: how many there were is recorded as soon as it can be.
    BestEffort,
}

/// Why audit settings are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuditSettingsFault {
    /// The quota is out of bounds.
    #[error("quota_mib is {0}, not between 16 and 65536")]
    Quota(u32),
    /// The days are out of bounds.
    #[error("keep_days is {0}, more than 90")]
    Keeping(u32),
}

/// The quota where nothing is said, in MiB.
const USUAL_QUOTA: u32 = 512;
/// How long receipted records stay where nothing is said, in days.
const USUAL_KEEPING: u32 = 7;

impl AuditSettings {
    /// Checks the bounds.
    ///
    /// # Errors
    /// An [`AuditSettingsFault`].
    pub fn check(&self) -> Result<(), AuditSettingsFault> {
        if !(16..=65_536).contains(&self.quota_mib) {
            return Err(AuditSettingsFault::Quota(self.quota_mib));
        }
        if self.keep_days > 90 {
            return Err(AuditSettingsFault::Keeping(self.keep_days));
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_usual_quota(mib: &u32) -> bool {
    *mib == USUAL_QUOTA
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_usual_keeping(days: &u32) -> bool {
    *days == USUAL_KEEPING
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_refuse(on_failure: &OnAuditFailure) -> bool {
    *on_failure == OnAuditFailure::Refuse
}
