//! A call's records, as they were written and as they are sent.

use audit::{AuditRecord, Fate, RecordBody};

use super::RecordView;

/// One record, and what becomes of it.
pub(crate) fn record(record: &AuditRecord, (org, fate): (Option<&str>, Fate)) -> RecordView {
    RecordView {
        title: title(record.body()),
        fate: fate_words(&org.map_or_else(say::person_organisation, str::to_owned), fate),
        line: record.line().to_owned(),
    }
}

fn title(body: &RecordBody) -> String {
    match body {
        RecordBody::Intent(_) => say::record_before(),
        RecordBody::Outcome(_) => say::record_outcome(),
        RecordBody::Denial(_) => say::record_denial(),
        RecordBody::Epoch(_)
        | RecordBody::Event(_)
        | RecordBody::Gap(_)
        | RecordBody::Heartbeat(_)
        | RecordBody::Unknown => say::record_other(),
    }
}

/// What becomes of a record, in a sentence.
pub fn fate_words(org: &str, fate: Fate) -> String {
    match fate {
        Fate::Stays => say::record_stays(),
        Fate::Waits => say::record_waits(org),
        Fate::Received => say::record_received(org),
        Fate::Collected => say::record_collected(org),
        Fate::Refused => say::record_refused(org),
    }
}
