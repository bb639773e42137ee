//! How audit records travel to the control plane: the very lines, one below the other. The answer is a signed receipt.

use std::io::Read as _;

use model::{Advice, DeviceId, Digest, Timestamp};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde::{Deserialize, Serialize};

use crate::receipt::SignedReceipt;
use crate::record::{AuditRecord, ChainLink, Head, LineFault, to_one_line};

/// Where records go, relative to the configuration URL.
pub const AUDIT_PATH: &str = "v1/audit";
/// The media type of a batch: newline-delimited JSON.
pub const BATCH_TYPE: &str = "application/x-ndjson";
/// The content coding in which a batch may travel (RFC 9110, section 8.4; RFC 8878).
pub const BATCH_CODING: &str = "zstd";
/// The most records in a batch.
pub const BATCH_RECORDS: usize = 1000;
/// The largest batch in bytes.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Why a batch was not stored. Says how far the chain is stored, so that the device goes on from there.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRefused {
    /// A stable code and words for a person.
    pub error: Advice,
    /// The last record that is stored; none where there is none of this device.
    pub stored: Option<Head>,
}

/// Why bytes are not a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchFault {
    /// Not UTF-8.
    #[error("the batch is not UTF-8")]
    Text,
    /// No record at all.
    #[error("the batch has no record")]
    Empty,
    /// More than [`BATCH_RECORDS`] records or [`BATCH_BYTES`] bytes.
    #[error("the batch is too large")]
    TooLarge,
    /// It is not in the coding that it is said to be in.
    #[error("the batch is not {BATCH_CODING}")]
    Coding,
    /// A line is no record, or does not match its digest.
    #[error("line {line} of the batch: {fault}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
}

/// What a line of a batch is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all lines are records")]
pub enum Delivered {
    /// A record.
    Record(AuditRecord),
    /// Where a record would be, had the server taken it.
    SetAside(Box<SetAside>),
    /// The device has the records before the next no more, because they were signed for.
    Resumed(Box<Resumed>),
}

/// Stands for a record that the server refuses for ever, so that it does not keep those after it. The chain goes on over it; what it
/// said stays on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAside {
    /// The format version: 1.
    set_aside: u32,
    /// The device.
    pub device: DeviceId,
    /// The record's epoch.
    pub epoch: u64,
    /// Its position.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The digest of the record before it.
    pub prev: Digest,
    /// Its own digest.
    pub digest: Digest,
    /// Why it was refused, for people.
    pub reason: String,
}

/// Where a history goes on whose beginning the device has removed, for a server that lost what it had signed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumed {
    /// The format version: 1.
    resumed: u32,
    /// The last record that was removed.
    pub end: Head,
    /// The server's own receipt for it, or for a later record of the epoch.
    pub receipt: SignedReceipt,
}

impl SetAside {
    /// Stands for `record`.
    pub fn of(record: &AuditRecord, reason: impl Into<String>) -> Self {
        let ChainLink { device, epoch, seq, at, prev, digest, .. } = record.link().clone();
        Self { set_aside: 1, device, epoch, seq, at, prev, digest, reason: reason.into() }
    }

    /// Reads a line. `None` where it is another kind of line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Where the record stands.
    pub fn link(&self) -> ChainLink {
        let Self { device, epoch, seq, at, prev, digest, .. } = *self;
        ChainLink { device, epoch, seq, at, uptime: 0, kind: "set-aside".to_owned(), prev, digest, erased: 0 }
    }

    /// The line.
    ///
    /// # Errors
    /// What the JSON writer reports.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        to_one_line(self)
    }
}

impl Resumed {
    /// Goes on after `end`.
    pub fn new(end: Head, receipt: SignedReceipt) -> Self {
        Self { resumed: 1, end, receipt }
    }

    /// The line.
    ///
    /// # Errors
    /// What the JSON writer reports.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        to_one_line(self)
    }
}

impl Delivered {
    pub(crate) fn read(line: &str) -> Result<Self, LineFault> {
        AuditRecord::parse(line).map(Self::Record).or_else(|fault| {
            if let Some(aside) = SetAside::parse(line) {
                return Ok(Self::SetAside(Box::new(aside)));
            }
            serde_json::from_str(line).map(|said| Self::Resumed(Box::new(said))).map_err(|_| fault)
        })
    }
}

/// A batch in [`BATCH_CODING`].
pub fn pack_batch(batch: &str) -> Vec<u8> {
    compress_to_vec(batch.as_bytes(), CompressionLevel::Fastest)
}

/// The text of a batch in [`BATCH_CODING`]; never more than [`BATCH_BYTES`] of it are made.
///
/// # Errors
/// [`BatchFault::Coding`], [`BatchFault::TooLarge`].
pub fn unpack_batch(mut body: &[u8]) -> Result<Vec<u8>, BatchFault> {
    let mut text = Vec::new();
    let decoder = StreamingDecoder::new(&mut body).map_err(|_| BatchFault::Coding)?;
    let most = BATCH_BYTES as u64 + 1;
    decoder.take(most).read_to_end(&mut text).map_err(|_| BatchFault::Coding)?;
    if text.len() > BATCH_BYTES {
        return Err(BatchFault::TooLarge);
    }
    if body.is_empty() { Ok(text) } else { Err(BatchFault::Coding) }
}

/// As many of `records`, from the first on, as one batch may hold.
pub fn write_batch<'r>(records: impl IntoIterator<Item = &'r AuditRecord>) -> String {
    let mut batch = String::new();
    for record in records.into_iter().take(BATCH_RECORDS) {
        if batch.len() + record.line().len() + 1 > BATCH_BYTES {
            break;
        }
        batch.push_str(record.line());
        batch.push('\n');
    }
    batch
}

/// Reads a batch; every record in it matches its digest. That they are one chain is not checked here.
///
/// # Errors
/// A [`BatchFault`]; then nothing of the batch counts.
pub fn read_batch(body: &[u8]) -> Result<Vec<Delivered>, BatchFault> {
    if body.len() > BATCH_BYTES {
        return Err(BatchFault::TooLarge);
    }
    let text = std::str::from_utf8(body).map_err(|_| BatchFault::Text)?;
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if at == BATCH_RECORDS {
            return Err(BatchFault::TooLarge);
        }
        lines.push(Delivered::read(line).map_err(|fault| BatchFault::Line { line: at + 1, fault })?);
    }
    if lines.is_empty() { Err(BatchFault::Empty) } else { Ok(lines) }
}

#[cfg(test)]
mod tests {
    use model::{DeviceId, Timestamp};

    use super::*;
    use crate::record::{HeartbeatRecord, PreparedBody};

    fn records(count: usize) -> Vec<AuditRecord> {
        let device = DeviceId::new();
        let mut head = Head::before(1);
        let body = PreparedBody::heartbeat(&HeartbeatRecord { open_calls: 0 }).expect("JSON");
        std::iter::repeat_with(|| {
            let mut line = String::new();
            head = AuditRecord::seal_into(&mut line, device, &head, Timestamp::from_seconds(1), 1, &body)
                .expect("seals");
            AuditRecord::parse(line.trim_end()).expect("reads")
        })
        .take(count)
        .collect()
    }

    #[test]
    fn a_batch_is_read_back() {
        let records = records(3);
        let delivered: Vec<_> = records.iter().cloned().map(Delivered::Record).collect();
        assert_eq!(read_batch(write_batch(&records).as_bytes()), Ok(delivered));
    }

    #[test]
    fn what_stands_for_a_record_is_read_back_and_has_its_place() {
        let record = &records(2)[1];
        let aside = SetAside::of(record, "it cannot be read");
        assert_eq!(aside.link().head(), record.link().head());
        let line = aside.line().expect("JSON");
        assert_eq!(read_batch(line.as_bytes()), Ok(vec![Delivered::SetAside(Box::new(aside))]));
    }

    #[test]
    fn a_packed_batch_is_smaller_and_unpacks_to_the_same() {
        let batch = write_batch(&records(100));
        let packed = pack_batch(&batch);
        assert!(packed.len() < batch.len() / 2, "{} of {}", packed.len(), batch.len());
        assert_eq!(unpack_batch(&packed), Ok(batch.into_bytes()));
    }

    #[test]
    fn what_unpacks_to_too_much_or_is_not_packed_is_refused() {
        let bomb = pack_batch(&"0".repeat(20 * BATCH_BYTES));
        assert!(bomb.len() < BATCH_BYTES / 10, "{}", bomb.len());
        assert_eq!(unpack_batch(&bomb), Err(BatchFault::TooLarge));
        assert_eq!(unpack_batch(b"{}"), Err(BatchFault::Coding));
        let whole = pack_batch("{}");
        assert_eq!(unpack_batch(&whole[..whole.len() - 1]), Err(BatchFault::Coding));
        assert_eq!(unpack_batch(&[whole.as_slice(), b"x"].concat()), Err(BatchFault::Coding));
    }

    #[test]
    fn a_long_history_goes_in_several_batches() {
        let records = records(BATCH_RECORDS + 1);
        let batch = write_batch(&records);
        assert_eq!(read_batch(batch.as_bytes()).map(|read| read.len()), Ok(BATCH_RECORDS));
        let whole: String = records.iter().map(|record| format!("{}\n", record.line())).collect();
        assert_eq!(read_batch(whole.as_bytes()), Err(BatchFault::TooLarge));
    }

    #[test]
    fn faults_have_their_names() {
        assert_eq!(read_batch(b""), Err(BatchFault::Empty));
        assert_eq!(read_batch(&[0xff]), Err(BatchFault::Text));
        let edited = write_batch(&records(2)).replace("\"open_calls\":0", "\"open_calls\":1");
        assert!(matches!(
            read_batch(edited.as_bytes()),
            Err(BatchFault::Line { line: 1, fault: LineFault::Edited(_) })
        ));
    }
}
