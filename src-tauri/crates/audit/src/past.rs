//! Calls that were made, looked for from a journal's end back: what an employee looks through. Whether the records are whole is for
//! [`crate::verify`] to say; a line that cannot be read is passed over here.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use model::{CallId, Timestamp};
use org_protocol::{AuditRecord, RecordBody};

use crate::fault::JournalFault;
use crate::segment::{Piece, Segment, SegmentName, list};

/// How many segments are read at most for one answer: some megabytes, so that whoever waits hears how far it is.
const SEGMENTS_AT_ONCE: usize = 8;

/// A call, as its records tell it.
#[derive(Debug, Clone)]
pub struct PastCall {
    /// What was recorded before it: its intent, or its denial.
    pub begun: AuditRecord,
    /// What became of it; none of a denial, and of a call that has not ended.
    pub ended: Option<AuditRecord>,
}

/// Where in a journal somebody is who looks back.
#[derive(Debug)]
pub struct PastCalls {
    dir: PathBuf,
    /// What has not been read, the newest last.
    left: Vec<SegmentName>,
    /// Ends of calls that began further back.
    ends: HashMap<CallId, AuditRecord>,
    /// What was read and not been asked for, the newest first.
    read: VecDeque<PastCall>,
    back_to: Option<Timestamp>,
}

impl PastCalls {
    /// Begins at the end of the journal in `dir`. Blocks for the disk.
    ///
    /// # Errors
    /// A [`JournalFault`] where the folder cannot be read.
    pub fn of(dir: &Path) -> Result<Self, JournalFault> {
        let left = list(dir).map_err(|fault| JournalFault::storage(dir, fault))?;
        let (ends, read) = (HashMap::new(), VecDeque::new());
        Ok(Self { dir: dir.to_owned(), left, ends, read, back_to: None })
    }

    /// The next `most` that `wanted` makes something of, the newest first. Fewer where they are rare, or where it is over: then
    /// [`Self::is_over`]. Blocks for the disk.
    ///
    /// # Errors
    /// A [`JournalFault`] where a file cannot be read; asked again, it is tried again.
    pub fn further<T>(
        &mut self,
        most: usize,
        mut wanted: impl FnMut(&PastCall) -> Option<T>,
    ) -> Result<Vec<T>, JournalFault> {
        let mut found = Vec::new();
        let mut segments = 0;
        while found.len() < most {
            if let Some(call) = self.read.pop_front() {
                self.back_to = Some(call.begun.link().at);
                found.extend(wanted(&call));
            } else if segments < SEGMENTS_AT_ONCE
                && let Some(name) = self.left.last().copied()
            {
                segments += 1;
                self.read_segment(name)?;
                self.left.pop();
            } else {
                break;
            }
        }
        Ok(found)
    }

    /// Whether there is nothing further.
    pub fn is_over(&self) -> bool {
        self.left.is_empty() && self.read.is_empty()
    }

    /// When the last call was begun that was looked at.
    pub fn back_to(&self) -> Option<Timestamp> {
        self.back_to
    }

    fn read_segment(&mut self, name: SegmentName) -> Result<(), JournalFault> {
        let Some(segment) = Segment::read_unless_pruned(&name.path(&self.dir))? else { return Ok(()) };
        let lines = segment.pieces().skip(1).filter_map(|piece| match piece {
            Piece::Line { text, .. } => AuditRecord::parse(text).ok(),
            Piece::Garbage { .. } | Piece::Torn { .. } => None,
        });
        let records: Vec<AuditRecord> = lines.collect();
        for record in records.into_iter().rev() {
            let Some(call) = record.body().call() else { continue };
            if record.body().begins_call() {
                let ended = self.ends.remove(&call);
                self.read.push_back(PastCall { begun: record, ended });
            } else if matches!(record.body(), RecordBody::Outcome(_)) {
                self.ends.insert(call, record);
            }
        }
        Ok(())
    }
}
