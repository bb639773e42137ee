//! A call's records, as they were written and as they are sent.

use audit::{AuditRecord, Fate, RecordBody};

use super::RecordView;

/// One record, and what becomes of it.
pub(crate) fn record(record: &AuditRecord, (org, fate): (Option<&str>, Fate)) -> RecordView {
    RecordView {
        title: title(record.body()).to_owned(),
        fate: fate_words(org.unwrap_or("your organisation"), fate),
        line: record.line().to_owned(),
    }
}

fn title(body: &RecordBody) -> &'static str {
    match body {
        RecordBody::Intent(_) => "Before the call",
        RecordBody::Outcome(_) => "What became of it",
        RecordBody::Denial(_) => "The refusal",
        RecordBody::Epoch(_)
        | RecordBody::Event(_)
        | RecordBody::Gap(_)
        | RecordBody::Heartbeat(_)
        | RecordBody::Unknown => "Record",
    }
}

/// What becomes of a record, in a sentence.
pub fn fate_words(org: &str, fate: Fate) -> String {
    match fate {
        Fate::Stays => "Stays on this computer. Nobody else receives it.".to_owned(),
        Fate::Waits => format!("Waits on this computer to be sent to {org}."),
        Fate::Received => format!("{org} has received exactly this."),
        Fate::Collected => format!("The collector of {org} has received this, as a security event."),
        Fate::Refused => format!("{org} could not read this, so it stays on this computer."),
    }
}
