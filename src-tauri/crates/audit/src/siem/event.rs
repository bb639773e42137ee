//! Events as OCSF 1.8: each kind in the class whose questions it answers.

use org_protocol::{AuditEvent, EventRecord};
use serde_json::{Value, json};

use super::ocsf::{FAILURE, SUCCESS, base, classified, put, status, user};

/// What an event is to OCSF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Application Lifecycle (6002), with its `activity_id`.
    Lifecycle(u16),
    /// Authentication (3002): somebody came or went, and whether it succeeded.
    Authentication(u16, u8),
    /// User Access Management (3005): somebody was given something to use, or it was taken back; what it is, by the names of facts.
    Access(u16, &'static [&'static str]),
    /// Entity Management (3004): something changed; what, in one word and by the names of facts, and whether it succeeded.
    Entity(u16, &'static str, &'static [&'static str], u8),
    /// Application Error (6008).
    Error,
    /// Base Event (0).
    Base,
}

use Class::{Access, Authentication, Base, Entity, Error, Lifecycle};

/// `activity_id` of Entity Management.
const CREATE: u16 = 1;
const DELETE: u16 = 4;
const UPDATE: u16 = 3;
const ENROLL: u16 = 6;
const SUSPEND: u16 = 12;
const RESUME: u16 = 13;
const OTHER: u16 = 99;
/// `activity_id` of User Access Management.
const ASSIGN: u16 = 1;
const REVOKE: u16 = 2;

fn class(event: &AuditEvent) -> Class {
    match event {
        AuditEvent::Leaving => Lifecycle(2),
        AuditEvent::Start => Lifecycle(3),
        AuditEvent::Stop => Lifecycle(4),
        AuditEvent::Resumed => Lifecycle(6),
        AuditEvent::Paused => Lifecycle(7),
        AuditEvent::SignedIn => Authentication(1, SUCCESS),
        AuditEvent::SignInFailed => Authentication(1, FAILURE),
        AuditEvent::SignedOut | AuditEvent::SessionEnded => Authentication(2, SUCCESS),
        AuditEvent::ConsentGiven | AuditEvent::TokenIssued => Access(ASSIGN, &["server", "client"]),
        AuditEvent::ConsentRefused
        | AuditEvent::ConsentRevoked
        | AuditEvent::TokenRevoked
        | AuditEvent::ApprovalRevoked => Access(REVOKE, &["server", "client"]),
        AuditEvent::GrantObtained | AuditEvent::GrantRefreshed => Access(ASSIGN, &["connector", "account"]),
        AuditEvent::GrantLost => Access(REVOKE, &["connector", "account"]),
        AuditEvent::LeaseGranted | AuditEvent::LeaseRenewed => Access(ASSIGN, &["credential", "lease"]),
        AuditEvent::LeaseRefused | AuditEvent::LeaseEnded | AuditEvent::LeaseSecretRevoked => {
            Access(REVOKE, &["credential", "lease"])
        }
        AuditEvent::Enrolled => Entity(ENROLL, "device", &["device", "name"], SUCCESS),
        AuditEvent::EnrolmentRefused => Entity(ENROLL, "device", &["device", "name"], FAILURE),
        AuditEvent::DeviceSuspended => Entity(SUSPEND, "device", &["device", "name"], SUCCESS),
        AuditEvent::ClientRegistered => Entity(CREATE, "assistant", &["client", "name"], SUCCESS),
        AuditEvent::OrganisationConfirmed => Entity(UPDATE, "organisation", &["fingerprint"], SUCCESS),
        AuditEvent::ServersImported => Entity(CREATE, "connector", &["assistant", "connectors"], SUCCESS),
        AuditEvent::ServersGivenBack => Entity(OTHER, "connector", &["assistant", "connectors"], SUCCESS),
        AuditEvent::ConnectorAdded => Entity(CREATE, "connector", &["connector"], SUCCESS),
        AuditEvent::ConnectorRemoved => Entity(DELETE, "connector", &["connector"], SUCCESS),
        AuditEvent::BundleApplied => Entity(UPDATE, "policy", &["bundle", "policy", "version"], SUCCESS),
        AuditEvent::BundleRefused => Entity(UPDATE, "policy", &["bundle", "policy", "version"], FAILURE),
        AuditEvent::ManagedChanged => Entity(UPDATE, "settings", &["settings"], SUCCESS),
        AuditEvent::ManagedRefused => Entity(UPDATE, "settings", &["settings"], FAILURE),
        AuditEvent::UpdateOffered => Entity(OTHER, "update", &["version"], SUCCESS),
        AuditEvent::UpdateInstalled => Entity(UPDATE, "update", &["version"], SUCCESS),
        AuditEvent::UpdateRefused => Entity(OTHER, "update", &["version"], FAILURE),
        AuditEvent::HaltsChanged => Entity(UPDATE, "halt", &["target", "halt"], SUCCESS),
        AuditEvent::Diagnostics => Entity(OTHER, "diagnostics", &["request", "sha256"], SUCCESS),
        AuditEvent::ToolHeld => Entity(SUSPEND, "tool", &["tools", "connector"], SUCCESS),
        AuditEvent::ToolAccepted => Entity(RESUME, "tool", &["tools", "connector"], SUCCESS),
        AuditEvent::CredentialDrained => Entity(UPDATE, "credential", &["credential"], SUCCESS),
        AuditEvent::Administration => Entity(OTHER, "organisation", &["act"], SUCCESS),
        AuditEvent::AssistantSuspended => Entity(SUSPEND, "assistant", &["client", "name"], SUCCESS),
        AuditEvent::ApprovalAnswered => Entity(OTHER, "call", &["call", "tool"], SUCCESS),
        AuditEvent::PersonalDataErased => Entity(UPDATE, "records", &["of", "before"], SUCCESS),
        AuditEvent::JournalRepaired
        | AuditEvent::StateSetAside
        | AuditEvent::ClockMoved
        | AuditEvent::DeliveryFailed
        | AuditEvent::JournalFilling
        | AuditEvent::RecordSetAside
        | AuditEvent::ReceiptRefused => Error,
        AuditEvent::RequestRefused
        | AuditEvent::ConnectorState
        | AuditEvent::KeychainState
        | AuditEvent::JournalPruned
        | AuditEvent::Unknown(_) => Base,
    }
}

/// The OCSF event.
pub(super) fn of_event(record: &EventRecord) -> Value {
    let kind = record.event.as_str();
    let mut event = match (class(&record.event), &record.subject) {
        (Lifecycle(activity), _) => {
            let mut event = classified(6, 6002, activity, kind);
            let version = record.facts.get("version").map_or("unknown", String::as_str);
            put(
                &mut event,
                "app",
                json!({ "name": "Deskgate", "vendor_name": "Deskgate", "version": version }),
            );
            event
        }
        (Authentication(activity, id), Some(subject)) => {
            let mut event = classified(3, 3002, activity, kind);
            put(&mut event, "user", user(subject));
            put(&mut event, "service", json!({ "name": "Deskgate" }));
            status(&mut event, id, record.facts.get("code").map(String::as_str));
            event
        }
        (Access(activity, names), Some(subject)) => {
            let mut event = classified(3, 3005, activity, kind);
            put(&mut event, "user", user(subject));
            put(&mut event, "privileges", json!(named(record, names)));
            event
        }
        (Entity(activity, what, names, id), _) => {
            let mut event = classified(3, 3004, activity, kind);
            let name = named(record, names).into_iter().next().unwrap_or_else(|| what.to_owned());
            put(&mut event, "entity", json!({ "type": what, "name": name }));
            status(&mut event, id, None);
            event
        }
        (Error, _) => {
            let mut event = classified(6, 6008, 1, kind);
            put(&mut event, "message", json!(kind));
            event
        }
        (Base | Authentication(..) | Access(..), _) => base(kind, kind),
    };
    let mut unmapped = json!({ "event": kind, "facts": record.facts });
    if let Some(subject) = &record.subject {
        put(&mut unmapped, "user", user(subject));
    }
    put(&mut event, "unmapped", unmapped);
    event
}

/// The facts of these names that are there, each with its name.
fn named(record: &EventRecord, names: &[&str]) -> Vec<String> {
    names.iter().filter_map(|name| Some(format!("{name}:{}", record.facts.get(*name)?))).collect()
}
