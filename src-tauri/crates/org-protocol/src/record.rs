//! The audit record: one line of JSON, sealed by its digest and chained to the line before it.
//!
//! The stored line *is* the record. Nothing may write it anew: whoever passes it on passes on the very bytes, so that
//! anybody can check it with a SHA-256 and nothing else. See [`seal`] for how.

mod arguments;
mod body;
mod chain;
mod effect;
mod erasure;
mod event_facts;
mod line;
mod payload;
mod personal;
#[cfg(feature = "schema")]
mod schema;
mod silent;

use std::borrow::Cow;
use std::sync::Arc;

use model::{DeviceId, Digest, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

pub use arguments::{Argument, ArgumentKind, ArgumentSummary, argument_mac};
pub use body::{
    AuditEvent, CallContext, DenialRecord, EpochReason, EpochRecord, EventRecord, IntentRecord, Outcome,
    OutcomeRecord, OutcomeStatus, PolicyReference, PreparedBody, RecordBody,
};
pub use chain::{ChainFault, ChainReport, ChainWalk, Finding, FindingKind, Head, Known, verify_chain};
pub use effect::{Effect, EffectMethod, EffectTarget, RecordedUri, bare_uri};
pub use erasure::Erasure;
pub use event_facts::Fact;
pub use line::{seal, sealed_digest, to_one_line};
pub use payload::PayloadFinding;
pub use personal::is_erased;
use personal::{Digests, PersonalField};
#[cfg(feature = "schema")]
pub use schema::RecordLine;
pub use silent::{GapRecord, HeartbeatRecord};

/// The format version of the lines that this program writes. It reads the one before as well, whose personal fields stand in the
/// body and cannot be erased.
pub const RECORD_FORMAT: u32 = 2;
const WITHOUT_PERSONAL: u32 = 1;

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
    /// How many of its personal fields were erased.
    pub erased: u64,
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
        read(line).map(|read| read.link)
    }

    /// The same, with the body's JSON, in which there is nothing personal.
    ///
    /// # Errors
    /// As [`ChainLink::parse`].
    pub fn parse_with_body(line: &str) -> Result<(Self, &str), LineFault> {
        read(line).map(|read| (read.link, read.body))
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
            r#"{{"format":{RECORD_FORMAT},"device":"{device}","epoch":{epoch},"seq":{seq},"at":"{at}","uptime":{uptime},"kind":"{kind}","body":{json}"#,
        );
        let (digests, values) = body.personal();
        if !digests.is_empty() {
            let _ = write!(out, r#","personal_digests":{digests}"#);
        }
        let _ = write!(out, r#","prev":"{prev}""#);
        let digest = seal(out, start);
        if !values.is_empty() {
            out.pop();
            personal::push_values(out, values);
            out.push('}');
        }
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
        let Read { link, body, fields, .. } = read(line)?;
        let body = if fields.is_empty() {
            RecordBody::read(&link.kind, &mut serde_json::Deserializer::from_str(body))
        } else {
            personal::joined(body, &fields).and_then(|body| RecordBody::read(&link.kind, body))
        };
        let body = body.map_err(|fault| LineFault::Unreadable(fault.to_string()))?;
        Ok(Self { link, body, line: line.into() })
    }

    /// The record as JSON, with the personal fields that it has in their places in the body: to be read, not to be checked.
    ///
    /// # Errors
    /// None in practice: what the JSON reader reports.
    pub fn readable(&self) -> Result<serde_json::Value, serde_json::Error> {
        let mut record: serde_json::Value = serde_json::from_str(&self.line)?;
        if let (Ok(Read { body, fields, .. }), Some(members)) = (read(&self.line), record.as_object_mut()) {
            members.insert("body".to_owned(), personal::joined(body, &fields)?);
            members.shift_remove("personal");
            members.shift_remove("personal_digests");
        }
        Ok(record)
    }

    /// The record without those of its personal fields of which `is_erased` says so, by their place in the body (a JSON pointer, RFC 6901)
    /// and the JSON of their value, and how many those are. It has the same digest. `None` where there is none.
    ///
    /// # Errors
    /// None in practice: what the JSON reader reports.
    pub fn without_personal(
        &self,
        is_erased: impl Fn(&str, &str) -> bool,
    ) -> Result<Option<(Self, u64)>, LineFault> {
        let Read { sealed, fields, .. } = read(&self.line)?;
        let (line, erased) = personal::without(sealed, &fields, is_erased)
            .map_err(|fault| LineFault::Unreadable(fault.to_string()))?;
        if erased == 0 { Ok(None) } else { Ok(Some((Self::parse(&line)?, erased))) }
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
    #[serde(borrow, default)]
    personal_digests: Option<Digests<'a>>,
    prev: Digest,
    digest: Digest,
    #[serde(borrow, default)]
    personal: Option<&'a RawValue>,
}

/// A line that is what its digests say.
struct Read<'l> {
    link: ChainLink,
    body: &'l str,
    /// The line without its personal fields and its last brace.
    sealed: &'l str,
    fields: Vec<PersonalField<'l>>,
}

#[derive(Deserialize)]
struct OnlyFormat {
    format: u32,
}

fn read(line: &str) -> Result<Read<'_>, LineFault> {
    if line.len() > LONGEST_LINE {
        return Err(LineFault::TooLong(line.len()));
    }
    if line.bytes().any(|byte| byte < b' ') {
        return Err(LineFault::Unreadable("it has a control character".to_owned()));
    }
    let written: Written<'_> =
        serde_json::from_str(line).map_err(|fault| match serde_json::from_str::<OnlyFormat>(line) {
            Ok(OnlyFormat { format }) if !is_known(format) => LineFault::Format(format),
            Ok(_) | Err(_) => LineFault::Unreadable(fault.to_string()),
        })?;
    if !is_known(written.format) {
        return Err(LineFault::Format(written.format));
    }
    if written.format == WITHOUT_PERSONAL
        && (written.personal_digests.is_some() || written.personal.is_some())
    {
        return Err(LineFault::Unreadable("its format has no personal fields".to_owned()));
    }
    let digests = written.personal_digests.unwrap_or_default();
    let mut link = ChainLink {
        device: written.device,
        epoch: written.epoch,
        seq: written.seq,
        at: written.at,
        uptime: written.uptime,
        kind: written.kind.into_owned(),
        prev: written.prev,
        digest: written.digest,
        erased: 0,
    };
    let values = written.personal.map(RawValue::get);
    let sealed =
        personal::sealed(line, values).filter(|sealed| line::open_digest(sealed) == Some(link.digest));
    let fields = values.map_or_else(|| Some(Vec::new()), |values| personal::checked(values, &digests));
    match (sealed, fields) {
        (Some(sealed), Some(fields)) => {
            link.erased = digests.len().saturating_sub(fields.len()) as u64;
            Ok(Read { link, body: written.body.get(), sealed, fields })
        }
        (None, _) | (_, None) => Err(LineFault::Edited(Box::new(link))),
    }
}

fn is_known(format: u32) -> bool {
    (WITHOUT_PERSONAL..=RECORD_FORMAT).contains(&format)
}

#[cfg(test)]
mod tests;
