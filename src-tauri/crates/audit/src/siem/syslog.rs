//! Records as messages of the syslog protocol (RFC 5424).

use org_protocol::{AuditRecord, RecordBody};

use super::{ocsf, record_id};

/// The facility "log audit" (RFC 5424, section 6.2.1).
const LOG_AUDIT: u8 = 13;
/// The severities "warning" and "informational" (the same).
const WARNING: u8 = 4;
const INFORMATIONAL: u8 = 6;
/// The structured data's name. Deskgate has no enterprise number of its own: this is the one for examples (RFC 5612).
const SD_ID: &str = "deskgate@32473";

/// One message, without framing: the OCSF event, and in the structured data what names the record, which may come twice.
pub fn syslog_message(record: &AuditRecord, org: &str) -> String {
    let link = record.link();
    let severity = match record.body() {
        RecordBody::Denial(_) | RecordBody::Gap(_) => WARNING,
        RecordBody::Epoch(_)
        | RecordBody::Intent(_)
        | RecordBody::Outcome(_)
        | RecordBody::Event(_)
        | RecordBody::Heartbeat(_)
        | RecordBody::Unknown => INFORMATIONAL,
    };
    format!(
        "<{}>1 {} {} deskgate - {} [{SD_ID} record=\"{}\" org=\"{}\"] {}",
        LOG_AUDIT * 8 + severity,
        link.at,
        link.device,
        token(&link.kind),
        value(&record_id(record)),
        value(org),
        ocsf(record, org)
    )
}

/// A MSGID: at most 32 visible characters of ASCII.
fn token(kind: &str) -> String {
    let visible: String = kind.chars().filter(char::is_ascii_graphic).take(32).collect();
    if visible.is_empty() { "-".to_owned() } else { visible }
}

/// A PARAM-VALUE (RFC 5424, section 6.3.3).
fn value(text: &str) -> String {
    text.chars().flat_map(|c| matches!(c, '"' | '\\' | ']').then_some('\\').into_iter().chain([c])).collect()
}
