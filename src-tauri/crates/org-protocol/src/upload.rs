//! How audit records travel to the control plane: the very lines, one below the other. The answer is a signed receipt.

use serde::{Deserialize, Serialize};

use model::Advice;

use crate::record::{AuditRecord, Head, LineFault};

/// Where records go, relative to the configuration URL.
pub const AUDIT_PATH: &str = "v1/audit";
/// The media type of a batch: newline-delimited JSON.
pub const BATCH_TYPE: &str = "application/x-ndjson";
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
    /// A line is no record, or does not match its digest.
    #[error("line {line} of the batch: {fault}")]
    Line {
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
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

/// Reads a batch; every record matches its digest. That they are one chain is not checked here.
///
/// # Errors
/// A [`BatchFault`]; then nothing of the batch counts.
pub fn read_batch(body: &[u8]) -> Result<Vec<AuditRecord>, BatchFault> {
    if body.len() > BATCH_BYTES {
        return Err(BatchFault::TooLarge);
    }
    let text = std::str::from_utf8(body).map_err(|_| BatchFault::Text)?;
    let mut records = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if at == BATCH_RECORDS {
            return Err(BatchFault::TooLarge);
        }
        let record = AuditRecord::parse(line).map_err(|fault| BatchFault::Line { line: at + 1, fault })?;
        records.push(record);
    }
    if records.is_empty() { Err(BatchFault::Empty) } else { Ok(records) }
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
        assert_eq!(read_batch(write_batch(&records).as_bytes()), Ok(records));
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
