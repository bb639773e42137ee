//! What becomes of records: who gets them, and whether they have. What an employee asks of a journal.

use std::collections::BTreeMap;
use std::path::Path;

use model::{CallId, DeviceId};
use org_protocol::{AuditRecord, Receipt};

use crate::collected::{self, Collected};
use crate::fault::JournalFault;
use crate::journal::Position;
use crate::kept;
use crate::receipts::Receipts;
use crate::segment::{Piece, Segment, list};

/// What becomes of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It stays on this device: it is of the person's own, and is never uploaded.
    Stays,
    /// It is the organisation's, and has not been sent: nobody who takes it has been reached yet.
    Waits,
    /// The organisation has signed for it.
    Received,
    /// The organisation's collector has it, as a security event; nobody signs for it.
    Collected,
    /// The organisation could not read it, so it stays here.
    Refused,
}

/// What becomes of the records of a journal, as of when it was read.
#[derive(Debug, Clone)]
pub struct Fates {
    /// Whose records each epoch holds.
    epochs: BTreeMap<u64, (DeviceId, Option<String>)>,
    receipts: Vec<Receipt>,
    collected: Vec<Collected>,
    refused: Vec<Position>,
}

impl Fates {
    /// Reads what is known of a journal's epochs, and the receipts. Blocks for the disk.
    ///
    /// # Errors
    /// A [`JournalFault`] where a file cannot be read.
    pub fn read(dir: &Path) -> Result<Self, JournalFault> {
        let names = list(dir).map_err(|fault| JournalFault::storage(dir, fault))?;
        let mut epochs = BTreeMap::new();
        for name in names {
            let path = name.path(dir);
            // A segment that was pruned meanwhile, or cannot be read, says nothing; another of the epoch may.
            if !epochs.contains_key(&name.epoch)
                && let Ok(Ok(header)) = Segment::read_header(&path)
            {
                epochs.insert(name.epoch, (header.device, header.org));
            }
        }
        let receipts = Receipts::read(dir).map_err(JournalFault::Encoding)?.all().cloned().collect();
        let refused = kept::read(dir).map_err(JournalFault::Encoding)?;
        let collected = collected::read(dir).map_err(JournalFault::Encoding)?;
        Ok(Self { epochs, receipts, collected, refused })
    }

    /// Who gets a record, and what becomes of it.
    pub fn of(&self, record: &AuditRecord) -> (Option<&str>, Fate) {
        let link = record.link();
        let Some((device, Some(org))) = self.epochs.get(&link.epoch) else { return (None, Fate::Stays) };
        let place = Position { epoch: link.epoch, seq: link.seq };
        let covers = |receipt: &Receipt| {
            (receipt.device, &receipt.org, receipt.epoch) == (*device, org, link.epoch)
                && receipt.seq >= link.seq
        };
        let has = |kept: &Collected| {
            (kept.device, &kept.org, kept.head.epoch) == (*device, org, link.epoch)
                && kept.head.seq >= link.seq
        };
        let fate = if self.refused.contains(&place) {
            Fate::Refused
        } else if self.receipts.iter().any(covers) {
            Fate::Received
        } else if self.collected.iter().any(has) {
            Fate::Collected
        } else {
            Fate::Waits
        };
        (Some(org), fate)
    }
}

/// The records of one call, oldest first: looked for from the journal's end back to its intent, or to its denial. Blocks for the disk.
///
/// # Errors
/// A [`JournalFault`] where a file cannot be read.
pub fn of_call(dir: &Path, call: CallId) -> Result<Vec<AuditRecord>, JournalFault> {
    let wanted = format!("\"{call}\"");
    let mut found = Vec::new();
    let names = list(dir).map_err(|fault| JournalFault::storage(dir, fault))?;
    for name in names.into_iter().rev() {
        let Some(segment) = Segment::read_unless_pruned(&name.path(dir))? else { continue };
        let mut here = Vec::new();
        // The header names calls that are under way, too.
        for piece in segment.pieces().skip(1) {
            if let Piece::Line { text, .. } = piece
                && text.contains(&wanted)
                && let Ok(record) = AuditRecord::parse(text)
                && record.body().call() == Some(call)
            {
                here.push(record);
            }
        }
        here.append(&mut found);
        found = here;
        if found.first().is_some_and(|record| record.body().begins_call()) {
            break;
        }
    }
    Ok(found)
}
