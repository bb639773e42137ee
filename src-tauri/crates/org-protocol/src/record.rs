//! The audit record: one line of JSON, sealed by its digest and chained to the line before it.
//!
//! The stored line *is* the record. Nothing may write it anew: whoever passes it on passes on the very bytes, so that
//! anybody can check it with a SHA-256 and nothing else. See [`seal`] for how.

mod arguments;
mod body;
mod chain;
mod effect;
mod event_facts;
mod line;
mod payload;

use std::borrow::Cow;
use std::sync::Arc;

use model::{DeviceId, Digest, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

pub use arguments::{Argument, ArgumentKind, ArgumentSummary, argument_mac};
pub use body::{
    AuditEvent, CallContext, DenialRecord, EpochReason, EpochRecord, EventRecord, GapRecord, HeartbeatRecord,
    IntentRecord, Outcome, OutcomeRecord, OutcomeStatus, PolicyReference, PreparedBody, RecordBody,
};
pub use chain::{ChainFault, ChainReport, ChainWalk, Finding, FindingKind, Head, Known, verify_chain};
pub use effect::{Effect, EffectMethod, EffectTarget, RecordedUri, bare_uri};
pub use event_facts::Fact;
pub use line::{seal, sealed_digest, to_one_line};
pub use payload::PayloadFinding;

/// The format version of the lines that this program writes and reads.
pub const RECORD_FORMAT: u32 = 1;

/// The longest line that is written or read, in bytes. A call whose record would be longer is refused.
pub const LONGEST_LINE: usize = 256 * 1024;

/// The `prev` of an epoch's first record: 32 zero bytes. What came before is said in that record's body.
pub const GENESIS: Digest = Digest::from_bytes([0; 32]);

/// Where a record stands: everything but its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainLink {
    /// Whose journal it is.
    pub device: DeviceId,
    /// Which chain of the device. Epochs only grow; each begins with an [`EpochRecord`].
    pub epoch: u64,
    /// The position in the chain, from 1.
    pub seq: u64,
    /// The wall clock when it was written.
    pub at: Timestamp,
    /// Milliseconds of the clock that nobody can set, which also counts suspend: shows when the wall clock was moved.
    pub uptime: u64,
    /// The kind of the body, such as `intent`.
    pub kind: String,
    /// The digest of the record before it; [`GENESIS`] for the first.
    pub prev: Digest,
    /// Its own digest.
    pub digest: Digest,
}

/// Why a line is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Longer than [`LONGEST_LINE`].
    #[error("the line has {0} bytes, more than {LONGEST_LINE}")]
    TooLong(usize),
    /// Not the JSON of a record, or not one line.
    #[error("the line cannot be read: {0}")]
    Unreadable(String),
    /// A format version that is not known here.
    #[error("the line has format {0}, which this version cannot read")]
    Format(u32),
    /// The line is not what its digest says: it was changed after it was written.
    #[error("record {} of epoch {} does not match its digest", .0.seq, .0.epoch)]
    Edited(Box<ChainLink>),
}

impl ChainLink {
    /// Reads a line and checks it against its digest. The body is not looked at, so that bodies of later versions do
    /// not break a chain.
    ///
    /// # Errors
    /// A [`LineFault`]; [`LineFault::Edited`] carries what the line claims.
    pub fn parse(line: &str) -> Result<Self, LineFault> {
        read(line).map(|(link, _)| link)
    }

    /// The same, with the body's JSON.
    ///
    /// # Errors
    /// As [`ChainLink::parse`].
    pub fn parse_with_body(line: &str) -> Result<(Self, &str), LineFault> {
        read(line)
    }

    /// The head of a chain that ends with this record.
    pub fn head(&self) -> Head {
        Head { epoch: self.epoch, seq: self.seq, digest: self.digest }
    }
}

/// A record whose line matches its digest.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditRecord {
    link: ChainLink,
    body: RecordBody,
    line: Arc<str>,
}

impl AuditRecord {
    /// Appends to `out` the line, with its line end, of the record that follows `head` in the chain of `device`. Returns
    /// the new head. An epoch begins with [`Head::before`].
    ///
    /// # Errors
    /// [`LineFault::TooLong`]; `out` is then as it was.
    pub fn seal_into(
        out: &mut String,
        device: DeviceId,
        head: &Head,
        at: Timestamp,
        uptime: u64,
        body: &PreparedBody,
    ) -> Result<Head, LineFault> {
        use std::fmt::Write as _;
        let start = out.len();
        let seq = head.seq.saturating_add(1);
        let (kind, json) = (body.kind(), body.json());
        let (epoch, prev) = (head.epoch, head.digest);
        // Writing to a String does not fail.
        let _ = write!(
            out,
            r#"{{"format":{RECORD_FORMAT},"device":"{device}","epoch":{epoch},"seq":{seq},"at":"{at}","uptime":{uptime},"kind":"{kind}","body":{json},"prev":"{prev}""#,
        );
        let digest = seal(out, start);
        let length = out.len() - start;
        if length > LONGEST_LINE {
            out.truncate(start);
            return Err(LineFault::TooLong(length));
        }
        out.push('\n');
        Ok(Head { epoch, seq, digest })
    }

    /// Reads a line, checks it against its digest and reads its body.
    ///
    /// # Errors
    /// A [`LineFault`]. A body of a kind that is not known here is no fault: [`RecordBody::Unknown`].
    pub fn parse(line: &str) -> Result<Self, LineFault> {
        let (link, body) = read(line)?;
        let body =
            RecordBody::read(&link.kind, body).map_err(|fault| LineFault::Unreadable(fault.to_string()))?;
        Ok(Self { link, body, line: line.into() })
    }

    /// Where it stands.
    pub fn link(&self) -> &ChainLink {
        &self.link
    }

    /// What it says.
    pub fn body(&self) -> &RecordBody {
        &self.body
    }

    /// The very bytes that are stored, without a line end: what is uploaded, exported and checked.
    pub fn line(&self) -> &str {
        &self.line
    }
}

impl std::fmt::Debug for AuditRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    format: u32,
    device: DeviceId,
    epoch: u64,
    seq: u64,
    at: Timestamp,
    uptime: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
    prev: Digest,
    digest: Digest,
}

#[derive(Deserialize)]
struct OnlyFormat {
    format: u32,
}

fn read(line: &str) -> Result<(ChainLink, &str), LineFault> {
    if line.len() > LONGEST_LINE {
        return Err(LineFault::TooLong(line.len()));
    }
    if line.bytes().any(|byte| byte < b' ') {
        return Err(LineFault::Unreadable("it has a control character".to_owned()));
    }
    let written: Written<'_> =
        serde_json::from_str(line).map_err(|fault| match serde_json::from_str::<OnlyFormat>(line) {
            Ok(OnlyFormat { format }) if format != RECORD_FORMAT => LineFault::Format(format),
            Ok(_) | Err(_) => LineFault::Unreadable(fault.to_string()),
        })?;
    if written.format != RECORD_FORMAT {
        return Err(LineFault::Format(written.format));
    }
    let link = ChainLink {
        device: written.device,
        epoch: written.epoch,
        seq: written.seq,
        at: written.at,
        uptime: written.uptime,
        kind: written.kind.into_owned(),
        prev: written.prev,
        digest: written.digest,
    };
    match sealed_digest(line) {
        Some(digest) if digest == link.digest => Ok((link, written.body.get())),
        Some(_) | None => Err(LineFault::Edited(Box::new(link))),
    }
}

#[cfg(test)]
mod tests;
