//! Reading records back, in order, from a place on.

use std::path::Path;

use org_protocol::{AuditRecord, Head};

use crate::fault::JournalFault;
use crate::journal::Position;
use crate::pruned;
use crate::segment::{Piece, Segment, SegmentName, list};

/// How much is read at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Which epochs are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// Only that of the position.
    Epoch,
    /// That of the position and all later ones.
    All,
}

/// How often the segments are looked up again because one that was found has been pruned since.
const LOOKS: usize = 5;

/// Records after `position`, oldest first, and none after `until`. Blocks for the disk.
pub(crate) fn read_after(
    dir: &Path,
    position: Position,
    until: Head,
    limit: Limit,
    span: Span,
) -> Result<Vec<AuditRecord>, JournalFault> {
    let read = || read_found(dir, position, until, limit, span);
    for _ in 1..LOOKS {
        match read() {
            Err(fault) if fault.is_of_missing_file() => {}
            other => return other,
        }
    }
    read()
}

fn read_found(
    dir: &Path,
    position: Position,
    until: Head,
    limit: Limit,
    span: Span,
) -> Result<Vec<AuditRecord>, JournalFault> {
    let mut records = Vec::new();
    let mut bytes = 0;
    let mut at = position;
    let names = segments_from(dir, position)?;
    for name in &names {
        if span == Span::Epoch && name.epoch != position.epoch {
            break;
        }
        let skip = if name.epoch == at.epoch { (at.seq + 1).saturating_sub(name.first_seq) } else { 0 };
        if name.epoch != at.epoch {
            at = Position { epoch: name.epoch, seq: 0 };
        }
        // What is before was removed because it was no longer needed.
        if name.first_seq > at.seq.saturating_add(1)
            && pruned::of_epoch(dir, name.epoch)
                .is_some_and(|end| name.first_seq <= end.seq.saturating_add(1))
        {
            at.seq = name.first_seq.saturating_sub(1);
        }
        let path = name.path(dir);
        let segment = Segment::read(&path).map_err(|fault| JournalFault::storage(path, fault))?;
        let mut pieces = segment.pieces();
        pieces.skip_lines(skip.saturating_add(1)); // and the header
        for piece in pieces {
            if records.len() >= limit.records
                || bytes >= limit.bytes
                || (at.epoch, at.seq) >= (until.epoch, until.seq)
            {
                return Ok(records);
            }
            // A write is under way, or a crash cut one short.
            if matches!(piece, Piece::Torn { .. }) && Some(name) == names.last() {
                return Ok(records);
            }
            match read_piece(piece, at) {
                Ok(record) => {
                    at.seq += 1;
                    bytes += record.line().len();
                    records.push(record);
                }
                // What is good is of use; the next call, which begins here, says what is not.
                Err(_) if !records.is_empty() => return Ok(records),
                Err(detail) => return Err(JournalFault::Damaged { epoch: at.epoch, after: at.seq, detail }),
            }
        }
    }
    Ok(records)
}

/// The segments that hold `position` or come after it.
fn segments_from(dir: &Path, position: Position) -> Result<Vec<SegmentName>, JournalFault> {
    let names = list(dir).map_err(|fault| JournalFault::storage(dir, fault))?;
    let place = SegmentName { epoch: position.epoch, first_seq: position.seq.saturating_add(1) };
    let begin = names.partition_point(|name| *name <= place).saturating_sub(1);
    Ok(names.into_iter().skip(begin).filter(|name| name.epoch >= position.epoch).collect())
}

fn read_piece(piece: Piece<'_>, at: Position) -> Result<AuditRecord, String> {
    let Piece::Line { text, .. } = piece else { return Err("there are bytes that are no record".to_owned()) };
    let record = AuditRecord::parse(text).map_err(|fault| fault.to_string())?;
    let found = (record.link().epoch, record.link().seq);
    if found == (at.epoch, at.seq + 1) {
        Ok(record)
    } else {
        Err(format!("record {} of epoch {} stands there", found.1, found.0))
    }
}
