//! A range of audit records with its proof: what an auditor takes away and checks on another machine, without the server.
//!
//! An export is lines of JSON. The first is the header: the statement, signed by the organisation's receipt key, and the root
//! document that names this key. Below it stand the very lines of each chain that the statement names, in its order. The lines
//! of a chain reach from the last record before the range, if there is one, to the first after it, so that nobody has to be
//! believed that there was nothing between.
//!
//! What is proved: that the organisation states these to be all chains that it has, and that within each of them nothing was
//! changed, left out, put in or moved since it was stored. What a device never recorded or never delivered is in no chain;
//! what the chains themselves say of that is a [`Remark`].

mod remark;

use model::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dsse::{DsseFault, Envelope};
use crate::key::SigningKey;
use crate::record::{AuditRecord, ChainFault, ChainLink, Head, LineFault};
use crate::refusal::Refusal;
use crate::root::RootFingerprint;
use crate::trust::TrustState;
use crate::upload::Delivered;

use remark::Remarks;
pub use remark::{LONGEST_SILENCE, Remark, RemarkKind};

/// The payload type of a statement's envelope.
pub const EXPORT_TYPE: &str = "application/vnd.deskgate.audit-export+json";

/// The format version of exports that this program writes and reads.
pub const EXPORT_FORMAT: u32 = 1;

/// What the organisation states of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportStatement {
    /// The format version: [`EXPORT_FORMAT`].
    pub format: u32,
    /// The organisation's id.
    pub org: String,
    /// The range begins here, by the clock of whoever wrote the records.
    pub since: Timestamp,
    /// It ends before this.
    pub until: Timestamp,
    /// The control plane's clock when it stated this.
    pub made_at: Timestamp,
    /// All chains that it has.
    pub chains: Vec<ExportedChain>,
    /// The places of records that devices have set aside: nothing else may stand for a record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<AsidePlace>,
}

/// The place of a record that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsidePlace {
    /// Whose it is.
    pub device: DeviceId,
    /// Where it stands, and its digest.
    pub place: Head,
    /// When it was written, as its device says.
    pub at: Timestamp,
}

/// The part of one chain that an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedChain {
    /// Whose it is.
    pub device: DeviceId,
    /// The first record that is exported.
    pub first: u64,
    /// The last one.
    pub last: Head,
    /// Whether nothing that follows it directly was stored when the statement was made.
    pub ends: bool,
    /// Whether the records before the first are lost to the organisation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_loss: bool,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    statement: Envelope,
    root: Box<RawValue>,
}

/// Why an export proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportFault {
    /// The first line is no header.
    #[error("the first line is not the header of an export: {0}")]
    Header(String),
    /// A format version that is not known here.
    #[error("the export has format {0}, which this version cannot read")]
    Format(u32),
    /// The root document is not that of the organisation which was pinned.
    #[error("the root document is refused: {0}")]
    Root(Refusal),
    /// No receipt key of the root document has signed the statement.
    #[error("the statement's signature is not good")]
    Signature(#[source] DsseFault),
    /// The statement is of another organisation than the root document.
    #[error("the statement is of the organisation {found}, the root document of {expected}")]
    Org {
        /// The root document's.
        expected: String,
        /// The statement's.
        found: String,
    },
    /// A line is no record, or was changed.
    #[error("line {line}: {fault}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// A record does not follow the one before it, or is of another chain than is due.
    #[error("line {line}: {fault}")]
    Chain {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        fault: ChainFault,
    },
    /// A record of another chain than is due.
    #[error("line {line}: a record of {expected} is due, one of {found} stands there")]
    Foreign {
        /// Its number, from 1.
        line: u64,
        /// The device whose record is due.
        expected: DeviceId,
        /// The device of the record.
        found: DeviceId,
    },
    /// A chain's last record is another one than is stated.
    #[error("line {line}: the last record of this chain is not the one that is stated")]
    OtherEnd {
        /// Its number, from 1.
        line: u64,
    },
    /// A chain is exported from within the range on, although it began earlier.
    #[error("the records of {device} in epoch {epoch} begin within the range, and not with the epoch")]
    BeginsLate {
        /// The device.
        device: DeviceId,
        /// The epoch.
        epoch: u64,
    },
    /// A chain is exported up to within the range, although it goes on.
    #[error("the records of {device} in epoch {epoch} end within the range, and their chain does not")]
    EndsEarly {
        /// The device.
        device: DeviceId,
        /// The epoch.
        epoch: u64,
    },
    /// Lines are missing at the end.
    #[error("the export ends before record {seq} of {device} in epoch {epoch}: it was cut off")]
    CutOff {
        /// The device.
        device: DeviceId,
        /// The epoch.
        epoch: u64,
        /// The record that is due.
        seq: u64,
    },
    /// There are more lines than the statement names.
    #[error("line {line}: more records follow than are stated")]
    Surplus {
        /// Its number, from 1.
        line: u64,
    },
}

/// What was proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// What the organisation states.
    pub statement: ExportStatement,
    /// How many records lie within the range.
    pub records: u64,
    /// How many of their personal fields were erased. What those said, nobody can prove any more; that they were there, the chain does.
    pub erased: u64,
    /// What the chains say of what they do not hold.
    pub remarks: Vec<Remark>,
}

/// The first line of an export, without its line end: the statement, signed with the receipt key, and the root document's
/// envelope.
///
/// # Errors
/// [`ExportFault::Header`] where `root` is no JSON.
pub fn export_header(
    statement: &ExportStatement,
    key: &SigningKey,
    root: &[u8],
) -> Result<String, ExportFault> {
    let header = |fault: serde_json::Error| ExportFault::Header(fault.to_string());
    let payload = serde_json::to_vec(statement).map_err(header)?;
    // Anew, and so on one line, whatever the document looks like.
    let root: serde_json::Value = serde_json::from_slice(root).map_err(header)?;
    let root = serde_json::value::to_raw_value(&root).map_err(header)?;
    let statement = Envelope::sign(EXPORT_TYPE, &payload, &[key]);
    serde_json::to_string(&Header { format: EXPORT_FORMAT, statement, root }).map_err(header)
}

/// Checks an export, line by line. The first fault is final.
#[derive(Debug)]
pub struct ExportCheck {
    statement: ExportStatement,
    /// How many chains have been seen to their end.
    chain: usize,
    /// The last record of the one that is being read.
    head: Option<Head>,
    line: u64,
    records: u64,
    erased: u64,
    remarks: Remarks,
}

impl ExportCheck {
    /// Begins with the first line. `fingerprint` is the organisation's, as whoever checks knows it from elsewhere.
    ///
    /// # Errors
    /// An [`ExportFault`]: nothing in the export is to be believed.
    pub fn begin(header: &str, fingerprint: RootFingerprint) -> Result<Self, ExportFault> {
        let header = read_header(header)?;
        let unverified =
            read_statement(&header.statement.unverified_payload().map_err(ExportFault::Signature)?)?;
        let root = header.root.get().as_bytes();
        let trust = TrustState::begin(fingerprint, root, unverified.made_at).map_err(ExportFault::Root)?;
        let keys = trust.root().receipt_keys();
        let payload = header.statement.verified(EXPORT_TYPE, &keys, 1).map_err(ExportFault::Signature)?;
        let statement = read_statement(&payload)?;
        let expected = &trust.root().org;
        if statement.org != *expected {
            return Err(ExportFault::Org { expected: expected.clone(), found: statement.org });
        }
        let remarks = Remarks::within(&statement);
        Ok(Self { statement, chain: 0, head: None, line: 1, records: 0, erased: 0, remarks })
    }

    /// What the organisation states: for whoever fetches the lines.
    pub fn statement(&self) -> &ExportStatement {
        &self.statement
    }

    /// Takes the next line; gives its record, if it lies within the range.
    ///
    /// # Errors
    /// An [`ExportFault`]: the export proves nothing.
    pub fn push(&mut self, line: &str) -> Result<Option<AuditRecord>, ExportFault> {
        self.line += 1;
        let number = self.line;
        let (link, record) = match Delivered::read(line) {
            Ok(Delivered::Record(record)) => (record.link().clone(), Some(record)),
            // The chain goes on over it; the remark says that it is not there.
            Ok(Delivered::SetAside(aside)) => (self.stated(&aside.link())?, None),
            Ok(Delivered::Resumed(_)) => {
                let fault = LineFault::Unreadable("it is no record".to_owned());
                return Err(ExportFault::Line { line: number, fault });
            }
            Err(fault) => return Err(ExportFault::Line { line: number, fault }),
        };
        let Some(chain) = self.statement.chains.get(self.chain).copied() else {
            return Err(ExportFault::Surplus { line: number });
        };
        if link.device != chain.device {
            let (expected, found) = (chain.device, link.device);
            return Err(ExportFault::Foreign { line: number, expected, found });
        }
        let head = self.follow(&chain, &link)?;
        if self.head.is_none() && chain.after_loss {
            self.remarks.lost(&link);
        }
        let is_within = (self.statement.since..self.statement.until).contains(&link.at);
        self.records += u64::from(is_within);
        self.erased += if is_within { link.erased } else { 0 };
        self.remarks.see(&link, record.as_ref().map(AuditRecord::body));
        self.head = Some(head);
        if head.seq >= chain.last.seq {
            self.end(&chain, &link, head)?;
        }
        Ok(record.filter(|_| is_within))
    }

    /// Says what was proved.
    ///
    /// # Errors
    /// [`ExportFault::CutOff`] where lines are missing.
    pub fn finish(self) -> Result<ExportReport, ExportFault> {
        if let Some(chain) = self.statement.chains.get(self.chain) {
            let seq = self.head.map_or(chain.first, |head| head.seq.saturating_add(1));
            return Err(ExportFault::CutOff { device: chain.device, epoch: chain.last.epoch, seq });
        }
        let Self { records, erased, .. } = self;
        Ok(ExportReport { records, erased, remarks: self.remarks.finish(), statement: self.statement })
    }

    /// The place of a record that is not there, if the statement names it: whoever has the file could put such a line anywhere.
    fn stated(&self, link: &ChainLink) -> Result<ChainLink, ExportFault> {
        let place = AsidePlace { device: link.device, place: link.head(), at: link.at };
        if self.statement.set_aside.contains(&place) {
            return Ok(link.clone());
        }
        let fault = LineFault::Unreadable("no such record is stated to have been set aside".to_owned());
        Err(ExportFault::Line { line: self.line, fault })
    }

    /// The head after a record that is the very next one of its chain.
    fn follow(&self, chain: &ExportedChain, link: &ChainLink) -> Result<Head, ExportFault> {
        let epoch = chain.last.epoch;
        let broken = |fault| ExportFault::Chain { line: self.line, fault };
        let gap = |expected| broken(ChainFault::Gap { epoch, expected, found: link.seq });
        match self.head {
            Some(head) if link.epoch == epoch => head.followed_by(link).map_err(broken),
            Some(head) => Err(gap(head.seq.saturating_add(1))),
            None if (link.epoch, link.seq) != (epoch, chain.first) => Err(gap(chain.first)),
            None if link.seq == 1 => Head::before(epoch).followed_by(link).map_err(broken),
            None if link.at >= self.statement.since && !chain.after_loss => {
                Err(ExportFault::BeginsLate { device: chain.device, epoch })
            }
            None => Ok(link.head()),
        }
    }

    /// A chain has been read.
    fn end(&mut self, chain: &ExportedChain, link: &ChainLink, head: Head) -> Result<(), ExportFault> {
        if head != chain.last {
            return Err(ExportFault::OtherEnd { line: self.line });
        }
        if !chain.ends && link.at < self.statement.until {
            return Err(ExportFault::EndsEarly { device: chain.device, epoch: chain.last.epoch });
        }
        self.remarks.end(chain.ends);
        (self.chain, self.head) = (self.chain + 1, None);
        Ok(())
    }
}

fn read_header(line: &str) -> Result<Header, ExportFault> {
    let unreadable = |fault: serde_json::Error| ExportFault::Header(fault.to_string());
    let OnlyFormat { format } = serde_json::from_str(line).map_err(unreadable)?;
    if format != EXPORT_FORMAT {
        return Err(ExportFault::Format(format));
    }
    serde_json::from_str(line).map_err(unreadable)
}

fn read_statement(payload: &[u8]) -> Result<ExportStatement, ExportFault> {
    let unreadable = |fault: serde_json::Error| ExportFault::Header(fault.to_string());
    let OnlyFormat { format } = serde_json::from_slice(payload).map_err(unreadable)?;
    if format != EXPORT_FORMAT {
        return Err(ExportFault::Format(format));
    }
    serde_json::from_slice(payload).map_err(unreadable)
}

#[derive(Deserialize)]
struct OnlyFormat {
    format: u32,
}

#[cfg(test)]
mod tests;
