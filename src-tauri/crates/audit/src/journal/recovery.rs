//! What a start finds on disk, and what follows from it.
//!
//! Nothing is believed that does not fit, and nothing is thrown away: damaged segments stay where they are, a torn end is
//! copied beside its segment before it is cut off.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::CallId;
use org_protocol::{AuditRecord, CallContext, ChainLink, EpochReason, Head, LineFault, RecordBody};
use serde::Deserialize;

use super::JournalConfig;
use crate::fault::JournalFault;
use crate::head_file::{self, Belief};
use crate::segment::{Piece, Pieces, Segment, SegmentHeader, SegmentName, list};

/// What a start finds.
pub(super) struct Found {
    pub(super) verdict: Verdict,
    /// The last record that is known of; epochs go on from its epoch.
    pub(super) head: Head,
    /// Calls whose outcome was never written.
    pub(super) open: BTreeMap<CallId, CallContext>,
    /// What a crash left at the end of the last segment.
    pub(super) torn: Option<Torn>,
    /// There are segments but no head file. It may not have been written yet, or somebody did not want it to be there.
    pub(super) head_file_lost: bool,
}

/// Bytes at the end of a segment that are no records.
pub(super) struct Torn {
    pub(super) path: PathBuf,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// Whether the chain goes on.
pub(super) enum Verdict {
    /// In this segment, after these bytes.
    Continue {
        path: PathBuf,
        offset: u64,
        length: u64,
        /// Whether records of today may be written into it.
        is_current: bool,
    },
    /// It does not: why, what is known to have been before, and what was found.
    Begin { reason: EpochReason, previous: Option<Head>, detail: String },
}

/// Looks at the head file and the last segment. Earlier segments are `audit verify`'s business.
pub(super) fn look(config: &JournalConfig, checkpoint_key: &str) -> Result<Found, JournalFault> {
    let names = list(&config.dir).map_err(|fault| JournalFault::storage(&config.dir, fault))?;
    let belief = head_file::believe(&config.dir, &config.mac_key);
    let Some(name) = names.last() else { return Ok(without_segments(belief)) };
    let path = name.path(&config.dir);
    let segment = Segment::read(&path).map_err(|fault| JournalFault::storage(&path, fault))?;
    let tail = Tail::read(*name, &segment);
    let damage = tail.damage.clone().or_else(|| contradiction(&tail, &belief));
    let last = tail.last().max(belief.good_head());
    let begin = |reason, detail| Verdict::Begin { reason, previous: last, detail };
    let verdict = match (&tail.header, damage) {
        (_, Some(damage)) => begin(EpochReason::HistoryDamaged, damage),
        (Some(header), None) if header.device != config.device => {
            begin(EpochReason::DeviceChanged, String::new())
        }
        (Some(header), None) if header.org != config.org => begin(EpochReason::OrgChanged, String::new()),
        // Nor does it go on where a version before this one named none: the chain's first record tells others the key.
        (Some(header), None) if header.checkpoint_key.as_deref() != Some(checkpoint_key) => {
            begin(EpochReason::KeyChanged, String::new())
        }
        (header, None) => Verdict::Continue {
            path: path.clone(),
            offset: tail.end,
            length: segment.length(),
            is_current: header.as_ref().is_some_and(SegmentHeader::is_current),
        },
    };
    let head = last.filter(|last| last.epoch >= name.epoch).unwrap_or(Head::before(name.epoch));
    let torn = segment.used_from(tail.end);
    let torn = (tail.damage.is_none() && !torn.is_empty()).then(|| Torn {
        path,
        offset: tail.end,
        bytes: torn.to_vec(),
    });
    Ok(Found { verdict, head, open: tail.open_calls(), torn, head_file_lost: belief == Belief::Absent })
}

fn without_segments(belief: Belief) -> Found {
    let (reason, previous, detail) = match belief {
        Belief::Absent => (EpochReason::First, None, String::new()),
        Belief::Good(file) => {
            (EpochReason::HistoryMissing, Some(file.head), "every segment is gone".to_owned())
        }
        Belief::OtherKey(file) => {
            let detail = "every segment is gone; the head file was written with another key";
            (EpochReason::HistoryMissing, Some(file.head), detail.to_owned())
        }
        Belief::Forged(fault) => (
            EpochReason::HistoryMissing,
            None,
            format!("every segment is gone; the head file is not good: {fault}"),
        ),
    };
    let head = previous.unwrap_or(Head::before(0));
    Found {
        verdict: Verdict::Begin { reason, previous, detail },
        head,
        open: BTreeMap::new(),
        torn: None,
        head_file_lost: false,
    }
}

/// How the head file contradicts the segment, in words.
fn contradiction(tail: &Tail<'_>, belief: &Belief) -> Option<String> {
    let known = match belief {
        Belief::Absent | Belief::OtherKey(_) => return None,
        Belief::Forged(fault) => return Some(format!("the head file is not good: {fault}")),
        Belief::Good(file) => file.head,
    };
    let Head { epoch, seq, .. } = known;
    if (epoch, seq) > (tail.head.epoch, tail.head.seq) {
        Some(format!("the head file knows record {seq} of epoch {epoch}, which is gone"))
    } else if tail.digest_at(&known).is_some_and(|digest| digest != known.digest) {
        Some(format!("the head file knows another record {seq} of epoch {epoch}"))
    } else {
        None
    }
}

/// The last segment, as far as it is good.
struct Tail<'s> {
    header: Option<SegmentHeader>,
    /// The digests of its records, from its first.
    digests: Vec<model::Digest>,
    first_seq: u64,
    head: Head,
    end: u64,
    open: BTreeMap<CallId, Open<'s>>,
    damage: Option<String>,
}

/// A call whose outcome has not been seen yet. Most are seen soon, so the intent is read only if it is not.
enum Open<'s> {
    Earlier(CallContext),
    Line(&'s str),
}

#[derive(Deserialize)]
struct OnlyCall {
    call: CallId,
}

#[derive(Deserialize)]
struct OnlyOf {
    of: OnlyCall,
}

impl<'s> Tail<'s> {
    fn read(name: SegmentName, segment: &'s Segment) -> Self {
        let mut tail = Self {
            header: None,
            digests: Vec::new(),
            first_seq: name.first_seq,
            head: Head { seq: name.first_seq.saturating_sub(1), ..Head::before(name.epoch) },
            end: 0,
            open: BTreeMap::new(),
            damage: None,
        };
        let mut pieces = segment.pieces();
        let header = match pieces.next() {
            Some(Piece::Line { text, end }) => {
                tail.end = end;
                SegmentHeader::parse(text)
            }
            Some(Piece::Garbage { .. } | Piece::Torn { .. }) | None => Err("it has no header".to_owned()),
        };
        match header {
            Ok(header) if (header.epoch, header.first_seq) == (name.epoch, name.first_seq) => {
                tail.open = header.open.iter().map(|open| (open.call, Open::Earlier(open.clone()))).collect();
                tail.header = Some(header);
            }
            Ok(_) => tail.damage = Some("the last segment has another segment's name".to_owned()),
            Err(fault) => tail.damage = Some(format!("the last segment: {fault}")),
        }
        if tail.damage.is_none() {
            tail.records(&mut pieces);
        }
        if tail.damage.is_none() && tail.digests.is_empty() {
            tail.damage = Some("the last segment has no record".to_owned());
        }
        tail
    }

    fn records(&mut self, pieces: &mut Pieces<'s>) {
        for piece in pieces.by_ref() {
            // What was being written when the operating system crashed: nobody has been told that any of it is on disk.
            if piece.has_a_hole() {
                return;
            }
            let fault = match piece {
                Piece::Line { text, end } => match ChainLink::parse_with_body(text) {
                    Ok((link, body)) => match self.take(text, &link, body) {
                        Ok(()) => {
                            self.end = end;
                            continue;
                        }
                        Err(fault) => Some(fault),
                    },
                    // What a later version wrote is left as it is.
                    Err(fault @ (LineFault::Edited(_) | LineFault::Format(_))) => Some(fault.to_string()),
                    Err(LineFault::TooLong(_) | LineFault::Unreadable(_)) => None,
                },
                Piece::Garbage { .. } | Piece::Torn { .. } => None,
            };
            // A crash leaves bytes that are no records. Records after them, or that do not follow, are another matter.
            let later = self.follow_calls(pieces);
            let seq = self.head.seq;
            self.damage =
                fault.or_else(|| later.then(|| format!("unreadable bytes stand after record {seq}")));
            return;
        }
    }

    fn take(&mut self, line: &'s str, link: &ChainLink, body: &str) -> Result<(), String> {
        if Some(link.device) != self.header.as_ref().map(|header| header.device) {
            return Err(format!("record {} is of another device", link.seq));
        }
        // What the segment's first record follows lies in the segment before.
        if self.digests.is_empty() {
            self.head.digest = link.prev;
        }
        self.head = self.head.followed_by(link).map_err(|fault| fault.to_string())?;
        self.digests.push(link.digest);
        self.follow_call(line, &link.kind, body);
        Ok(())
    }

    /// After a damage: what became of calls is still worth knowing. Returns whether there are records.
    fn follow_calls(&mut self, pieces: &mut Pieces<'s>) -> bool {
        let mut any = false;
        for piece in pieces {
            if let Piece::Line { text, .. } = piece {
                match ChainLink::parse_with_body(text) {
                    Ok((link, body)) => self.follow_call(text, &link.kind, body),
                    Err(LineFault::Edited(_)) => {}
                    Err(LineFault::TooLong(_) | LineFault::Unreadable(_) | LineFault::Format(_)) => continue,
                }
                any = true;
            }
        }
        any
    }

    fn follow_call(&mut self, line: &'s str, kind: &str, body: &str) {
        match kind {
            "intent" => {
                if let Ok(OnlyCall { call }) = serde_json::from_str(body) {
                    self.open.insert(call, Open::Line(line));
                }
            }
            "outcome" => {
                if let Ok(OnlyOf { of: OnlyCall { call } }) = serde_json::from_str(body) {
                    self.open.remove(&call);
                }
            }
            _ => {}
        }
    }

    /// The calls whose outcome is nowhere.
    fn open_calls(self) -> BTreeMap<CallId, CallContext> {
        let context = |open| match open {
            Open::Earlier(context) => Some(context),
            Open::Line(line) => match AuditRecord::parse(line).ok()?.body() {
                RecordBody::Intent(intent) => Some(CallContext::from(&**intent)),
                RecordBody::Epoch(_)
                | RecordBody::Outcome(_)
                | RecordBody::Denial(_)
                | RecordBody::Event(_)
                | RecordBody::Gap(_)
                | RecordBody::Heartbeat(_)
                | RecordBody::Unknown => None,
            },
        };
        self.open.into_iter().filter_map(|(call, open)| Some((call, context(open)?))).collect()
    }

    /// The last good record.
    fn last(&self) -> Option<Head> {
        (!self.digests.is_empty()).then_some(self.head)
    }

    fn digest_at(&self, known: &Head) -> Option<model::Digest> {
        let index = usize::try_from(known.seq.checked_sub(self.first_seq)?).ok()?;
        (known.epoch == self.head.epoch).then(|| self.digests.get(index).copied()).flatten()
    }
}
