//! What the control plane tells desktops on its event stream (server-sent events, HTML standard, section 9.2).
//!
//! The stream only says that something changed; what is true is fetched and verified. A lost event costs time, not
//! correctness.

use std::time::Duration;

use model::{LeaseId, Timestamp};
use serde::{Deserialize, Serialize};

/// Where the stream is, relative to the configuration URL.
pub const EVENTS_PATH: &str = "v1/events";
/// How often a silent stream sends a comment.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// One event. Its sequence number is the stream's `id`, from which a device resumes with `Last-Event-ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts the control plane's events.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub what: EventKind,
}

/// What happened. A kind that is not known is passed over: it can only mean less than fetching everything would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// Another manifest is published.
    BundleUpdated {
        /// Its epoch.
        epoch: u64,
        /// Its version.
        version: u64,
    },
    /// This device was revoked by an administrator.
    SessionRevoked,
    /// This device is suspended: another one holds its key as well.
    DeviceSuspended,
    /// The person's sign-in was ended: at the identity provider, or by an administrator. It opens no session any more;
    /// somebody has to sign in anew.
    SignInEnded,
    /// A lease was ended before its time: the secret is not to be used any more.
    LeaseEnded {
        /// The lease.
        lease: LeaseId,
    },
    /// The secret of a lease was rotated: calls that are under way with it may finish, within two minutes. Others ask for a lease anew.
    LeaseRetires {
        /// The lease.
        lease: LeaseId,
    },
    /// An administrator has stopped something, or lets it go on.
    HaltsChanged,
    /// An administrator asks this device for diagnostics, or does not any more.
    DiagnosticsChanged,
    /// Events were missed that are not kept any more: fetch everything.
    Resync,
    /// A kind of a later version.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_kinds_are_read_as_unknown() {
        let json =
            r#"{"seq":3,"at":"2026-11-23T14:07:00.000001Z","what":{"kind":"weather_changed","to":"x"}}"#;
        let event: Event = serde_json::from_str(json).expect("reads");
        assert_eq!((event.seq, event.what), (3, EventKind::Unknown));
    }

    #[test]
    fn the_written_form_is_fixed() {
        let event = Event {
            seq: 1,
            at: Timestamp::from_seconds(0),
            what: EventKind::BundleUpdated { epoch: 1, version: 2 },
        };
        assert_eq!(
            serde_json::to_string(&event).expect("writes"),
            r#"{"seq":1,"at":"1970-01-01T00:00:00.000000Z","what":{"kind":"bundle_updated","epoch":1,"version":2}}"#
        );
    }
}
