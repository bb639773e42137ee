//! Reading a journal without writing it: for the command line, whether or not somebody writes it meanwhile.

use std::path::Path;

use model::Digest;
use org_protocol::{AuditRecord, Head};

use crate::fault::JournalFault;
use crate::journal::Position;
use crate::reader::{Limit, Span, read_after};

/// Up to `limit` records of the journal in `dir` that follow `position`, oldest first, across epochs. An empty answer is
/// the end. Blocks for the disk.
///
/// # Errors
/// [`JournalFault::Damaged`] where the next record cannot be read, [`JournalFault::Storage`] where a file cannot.
pub fn export(dir: &Path, position: Position, limit: usize) -> Result<Vec<AuditRecord>, JournalFault> {
    let end = Head { epoch: u64::MAX, seq: u64::MAX, digest: Digest::from_bytes([0; 32]) };
    read_after(dir, position, end, Limit { records: limit, bytes: usize::MAX }, Span::All)
}
