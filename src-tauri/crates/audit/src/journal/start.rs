//! From what a start finds to a writer that can go on.

use std::path::{Path, PathBuf};

use org_protocol::{AuditEvent, EventRecord, PreparedBody};

use super::queue::{Entry, Then, outcome_entry, unknown};
use super::recovery::{Found, Torn, Verdict};
use super::writer::{Current, Writer};
use super::{Recovery, encoding};
use crate::fault::JournalFault;

/// Acts on what was found; durable when it returns.
pub(super) fn start(
    writer: &mut Writer,
    found: Found,
    lost: &[(Option<PathBuf>, &str)],
) -> Result<Recovery, JournalFault> {
    let mut recovery = Recovery {
        epoch: found.head.epoch,
        began: None,
        detail: String::new(),
        set_aside: None,
        unknown_outcomes: found.open.keys().copied().collect(),
    };
    let mut batch = Vec::new();
    for context in found.open.values() {
        batch.push(outcome_entry(context, unknown("crash"))?);
    }
    let torn_at = found.torn.as_ref().map(|torn| torn.offset);
    if let Some(torn) = &found.torn {
        let aside = set_torn_aside(writer, torn)?;
        let length = torn.bytes.len().to_string();
        batch.push(event_entry(&repaired(&aside).with("torn_bytes", length))?);
        recovery.set_aside = Some(aside);
    }
    for (path, what) in lost {
        if let Some(path) = path {
            batch.push(event_entry(&repaired(path).with("lost", *what))?);
        }
    }
    if found.head_file_lost {
        batch.push(event_entry(&EventRecord::new(AuditEvent::JournalRepaired).with("lost", "head file"))?);
    }
    match found.verdict {
        Verdict::Continue { path, offset, length, is_current } => {
            let length = torn_at.unwrap_or(length);
            let file =
                writer.storage.open(&path, offset).map_err(|fault| JournalFault::storage(&path, fault))?;
            writer.current = Some(Current { path, file, offset, length });
            if !is_current {
                writer.turn()?;
            }
            if !batch.is_empty() {
                writer.write(&mut batch)?;
            }
        }
        Verdict::Begin { reason, previous, detail } => {
            recovery.began = Some(reason);
            recovery.detail.clone_from(&detail);
            let record = writer.beginning(reason, previous, detail);
            writer.begin_epoch(&record, &mut batch)?;
        }
    }
    recovery.epoch = writer.head.epoch;
    Ok(recovery)
}

fn set_torn_aside(writer: &Writer, torn: &Torn) -> Result<PathBuf, JournalFault> {
    let mut aside = torn.path.clone().into_os_string();
    aside.push(format!(".torn-{}", torn.offset));
    let aside = PathBuf::from(aside);
    os::write_durable(&aside, &torn.bytes).map_err(|fault| JournalFault::storage(&aside, fault))?;
    let cut = writer.storage.cut(&torn.path, torn.offset);
    cut.map_err(|fault| JournalFault::storage(&torn.path, fault))?;
    Ok(aside)
}

fn repaired(aside: &Path) -> EventRecord {
    let name = aside.file_name().unwrap_or_default().to_string_lossy();
    EventRecord::new(AuditEvent::JournalRepaired).with("set_aside", name)
}

fn event_entry(record: &EventRecord) -> Result<Entry, JournalFault> {
    Ok(Entry { body: PreparedBody::event(record).map_err(encoding)?, then: Then::Nothing })
}

/// Files that an earlier process was about to make; they hold nothing that was acknowledged.
pub(super) fn remove_leftovers(dir: &Path) {
    for name in ["spare", "new"] {
        // One that is not there is as good; one that cannot be removed is replaced when the next is made.
        let _ = std::fs::remove_file(dir.join(name));
    }
}
