//! Erasing personal data: segments that are not written any more are replaced by the same lines without the values. Each line keeps its
//! digest, so the chain, receipts and what somebody else knows of it stay true.
//!
//! What an organisation is to have stays until it has signed for it.

use std::sync::{Mutex, PoisonError};

use model::Timestamp;
use org_protocol::{AuditEvent, AuditRecord, ChainLink, Erasure, EventRecord};

use super::room::Room;
use super::{JournalConfig, Position};
use crate::fault::JournalFault;
use crate::kept;
use crate::receipts::Receipts;
use crate::segment::{Piece, Segment, SegmentHeader, SegmentName, list};

/// What became of an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// From how many records something was erased.
    pub records: u64,
    /// How many fields that were.
    pub fields: u64,
    /// How many records were left alone, because the organisation has not signed for them or will not take them.
    pub waiting: u64,
}

/// What is asked of the journal.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) erasure: Erasure,
    /// What is recorded when it is done, without the counts.
    pub(super) record: EventRecord,
}

impl Wanted {
    pub(super) fn done(&self, erased: Erased) -> EventRecord {
        self.record
            .clone()
            .with("state", "done")
            .with("records", erased.records.to_string())
            .with("fields", erased.fields.to_string())
            .with("waiting", erased.waiting.to_string())
    }
}

/// How an erasure is recorded before it is done: `of` is a digest with the journal's key, so that the record does not name whom it is about.
pub(super) fn asked(by: EventRecord, of: Option<String>, before: Option<Timestamp>) -> EventRecord {
    let record = EventRecord { event: AuditEvent::PersonalDataErased, ..by };
    let record = of.into_iter().fold(record, |record, of| record.with("of", of));
    before.into_iter().fold(record, |record, before| record.with("before", before.to_string()))
}

/// What erasing needs.
pub(super) struct Eraser<'a> {
    pub(super) config: &'a JournalConfig,
    pub(super) receipts: &'a Mutex<Receipts>,
    pub(super) room: &'a Room,
}

impl Eraser<'_> {
    /// Erases. The segment that is written is left alone: whoever asks has begun a new one.
    pub(super) fn erase(&self, mut erasure: Erasure) -> Result<Erased, JournalFault> {
        let dir = &self.config.dir;
        let names = list(dir).map_err(|fault| JournalFault::storage(dir, fault))?;
        let closed = names.split_last().map_or(&[][..], |(_current, closed)| closed);
        let kept = kept::read(dir).map_err(JournalFault::Encoding)?;
        for name in closed {
            let segment = self.read(*name)?;
            segment.pieces().filter_map(|piece| record(piece)).for_each(|record| erasure.learn(&record));
        }
        let mut all = Erased::default();
        for name in closed {
            self.segment(*name, &erasure, &kept, &mut all)?;
        }
        Ok(all)
    }

    fn read(&self, name: SegmentName) -> Result<Segment, JournalFault> {
        let path = name.path(&self.config.dir);
        Segment::read(&path).map_err(|fault| JournalFault::storage(path, fault))
    }

    fn segment(
        &self,
        name: SegmentName,
        erasure: &Erasure,
        kept: &[Position],
        all: &mut Erased,
    ) -> Result<(), JournalFault> {
        let segment = self.read(name)?;
        let mut pieces = segment.pieces();
        let Some(Piece::Line { text, .. }) = pieces.next() else { return Ok(()) };
        // What cannot be read is evidence.
        let Ok(header) = SegmentHeader::parse(text) else { return Ok(()) };
        let (mut lines, mut erased, mut first) = (Vec::new(), Erased::default(), None);
        for piece in pieces {
            let record = record(piece);
            first = first.or(record.as_ref().map(|record| record.link().at));
            let without = record.as_ref().map(|record| erasure.apply(record)).transpose();
            match (record, without.map_err(|fault| JournalFault::Encoding(fault.to_string()))?.flatten()) {
                (Some(record), Some(_)) if !self.may_erase(&header, record.link(), kept) => {
                    erased.waiting += 1;
                    piece.push_into(&mut lines);
                }
                (_, Some((record, fields))) => {
                    erased.records += 1;
                    erased.fields += fields;
                    lines.extend_from_slice(record.line().as_bytes());
                    lines.push(b'\n');
                }
                (_, None) => piece.push_into(&mut lines),
            }
        }
        let device = header.device;
        let stripped =
            header.without_people(|call| first.is_some_and(|first| erasure.covers(device, call, first)));
        if erased.records > 0 || stripped.is_some() {
            let header = stripped.unwrap_or(header).line().map_err(super::encoding)?;
            let whole = [header.as_bytes(), &lines].concat();
            let path = name.path(&self.config.dir);
            os::write_durable(&path, &whole).map_err(|fault| JournalFault::storage(path, fault))?;
            self.room.freed(segment.length().saturating_sub(whole.len() as u64));
        }
        all.records += erased.records;
        all.fields += erased.fields;
        all.waiting += erased.waiting;
        Ok(())
    }

    fn may_erase(&self, header: &SegmentHeader, link: &ChainLink, kept: &[Position]) -> bool {
        let Some(org) = &header.org else { return true };
        let is_kept = kept.contains(&Position { epoch: link.epoch, seq: link.seq });
        let receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        !is_kept && receipts.covering(header.device, org, link.head(), |_| true).is_some()
    }
}

fn record(piece: Piece<'_>) -> Option<AuditRecord> {
    match piece {
        Piece::Line { text, .. } => AuditRecord::parse(text).ok(),
        Piece::Garbage { .. } | Piece::Torn { .. } => None,
    }
}
