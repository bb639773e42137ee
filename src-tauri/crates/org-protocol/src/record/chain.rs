//! Whether lines are one unbroken chain, and if not, what was done to them.
//!
//! A chain shows changes to what somebody else already knows: an earlier head, a receipt. By itself it cannot show that
//! its end was cut off, nor that its owner wrote the whole of it anew.

use std::collections::{BTreeMap, HashMap};

use model::{DeviceId, Digest, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ChainLink, GENESIS, LineFault};
use crate::upload::SetAside;

/// The end of a chain. `seq` 0 with [`GENESIS`] stands before an epoch's first record.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The epoch.
    pub epoch: u64,
    /// The last record's position.
    pub seq: u64,
    /// The last record's digest.
    pub digest: Digest,
}

/// Why a record does not extend a chain whose head is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// It is not after the head: perhaps sent twice. Whoever keeps the records compares digests.
    #[error("record {seq} of epoch {epoch} is already known")]
    Known {
        /// Its epoch.
        epoch: u64,
        /// Its position.
        seq: u64,
    },
    /// Records between head and this one are missing.
    #[error("record {expected} of epoch {epoch} is expected, {found} was found")]
    Gap {
        /// The epoch.
        epoch: u64,
        /// The expected position.
        expected: u64,
        /// The position found.
        found: u64,
    },
    /// It follows in number, but another record than the known one.
    #[error("record {seq} of epoch {epoch} follows another history than the known one")]
    Fork {
        /// The epoch.
        epoch: u64,
        /// The position of the record that does not follow.
        seq: u64,
    },
}

impl Head {
    /// Before the first record of `epoch`.
    pub const fn before(epoch: u64) -> Self {
        Self { epoch, seq: 0, digest: GENESIS }
    }

    /// The head after `link`, if it is the very next record of this chain, or the first of a later epoch.
    ///
    /// # Errors
    /// A [`ChainFault`] where it is not.
    pub fn followed_by(&self, link: &ChainLink) -> Result<Self, ChainFault> {
        let (epoch, seq) = (link.epoch, link.seq);
        let from = if epoch > self.epoch { Self::before(epoch) } else { *self };
        if epoch < self.epoch || seq <= from.seq {
            return Err(ChainFault::Known { epoch, seq });
        }
        if seq > from.seq.saturating_add(1) {
            return Err(ChainFault::Gap { epoch, expected: from.seq.saturating_add(1), found: seq });
        }
        if link.prev == from.digest { Ok(link.head()) } else { Err(ChainFault::Fork { epoch, seq }) }
    }
}

/// A head that a chain must reach, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The head.
    pub head: Head,
    /// Who says so, such as `the receipt of ...`; it goes into the finding's detail.
    pub from: String,
}

/// What was found in the lines of one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChainReport {
    /// How many records could be read.
    pub records: u64,
    /// The first record of the chain.
    pub first: Option<Head>,
    /// The last record of the chain.
    pub last: Option<Head>,
    /// How many personal fields were erased.
    pub erased: u64,
    /// What is wrong; nothing, for an unbroken chain that reaches every known head.
    pub findings: Vec<Finding>,
}

/// Something wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was done, as far as it can be told.
    pub kind: FindingKind,
    /// The epoch.
    pub epoch: u64,
    /// The first record concerned.
    pub from: u64,
    /// The last record concerned.
    pub to: u64,
    /// How it was noticed, for people.
    pub detail: String,
}

/// What was done to a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A record was changed.
    Edited,
    /// A line is no record at all.
    Unreadable,
    /// Records are missing between others, or at the beginning.
    Removed,
    /// Records were put in, or written twice.
    Inserted,
    /// Records stand in another order than they were written.
    Reordered,
    /// Records are missing at the end: a known head is not reached.
    Truncated,
    /// The chain parts from what is known: it was written anew from some record on.
    Forked,
    /// Records of another device.
    Foreign,
    /// A record that its device keeps to itself, because it was refused. No tampering by itself, and nobody else can say what it said.
    SetAside,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            FindingKind::Edited => "edited",
            FindingKind::Unreadable => "unreadable",
            FindingKind::Removed => "removed",
            FindingKind::Inserted => "inserted",
            FindingKind::Reordered => "reordered",
            FindingKind::Truncated => "truncated",
            FindingKind::Forked => "forked",
            FindingKind::Foreign => "foreign",
            FindingKind::SetAside => "set aside",
        };
        let Self { epoch, from, to, detail, .. } = self;
        if from == to {
            write!(f, "{kind}: record {from} of epoch {epoch}: {detail}")
        } else {
            write!(f, "{kind}: records {from} to {to} of epoch {epoch}: {detail}")
        }
    }
}

/// Checks the lines of one epoch, in the order in which they are stored, against each other and against `known` heads
/// (those of other epochs are ignored).
pub fn verify_chain<'l>(
    device: DeviceId,
    epoch: u64,
    lines: impl IntoIterator<Item = &'l str>,
    known: &[Known],
) -> ChainReport {
    let mut walk = ChainWalk::new(device, epoch, known);
    for line in lines {
        walk.push(line);
    }
    walk.finish()
}

/// [`verify_chain`] for lines that come one by one. Needs memory for breaks, not for records.
#[derive(Debug)]
pub struct ChainWalk {
    device: DeviceId,
    epoch: u64,
    /// What is not there any more, and rightfully so, ends here.
    after: Option<Head>,
    known: BTreeMap<u64, Vec<(Known, bool)>>,
    fragments: Vec<Fragment>,
    ends: HashMap<Digest, usize>,
    current: usize,
    unreadable: u64,
    report: ChainReport,
}

/// Records that follow each other without a break.
#[derive(Debug, Clone, Copy)]
struct Fragment {
    first: Head,
    prev: Digest,
    last: Head,
    /// The line numbers of its first and last record.
    lines: (u64, u64),
    /// Its last record before others stood between.
    first_run_to: Option<u64>,
    /// How many unreadable lines stand directly before it.
    unreadable_before: u64,
}

impl ChainWalk {
    /// Begins with no line.
    pub fn new(device: DeviceId, epoch: u64, known: &[Known]) -> Self {
        let mut by_seq: BTreeMap<u64, Vec<(Known, bool)>> = BTreeMap::new();
        for known in known.iter().filter(|known| known.head.epoch == epoch && known.head.seq > 0) {
            by_seq.entry(known.head.seq).or_default().push((known.clone(), false));
        }
        Self {
            device,
            epoch,
            after: None,
            known: by_seq,
            fragments: Vec::new(),
            ends: HashMap::new(),
            current: 0,
            unreadable: 0,
            report: ChainReport::default(),
        }
    }

    /// The records up to `end` may be missing: they were removed because they are no longer needed. What follows must follow them.
    #[must_use]
    pub fn after(mut self, end: Head) -> Self {
        let later = self.known.split_off(&end.seq);
        self.known = later;
        for (known, seen) in self.known.get_mut(&end.seq).into_iter().flatten() {
            *seen |= known.head.digest == end.digest;
        }
        self.after = Some(end);
        self
    }

    /// Takes the next line. Returns when it was written, if it says so.
    pub fn push(&mut self, line: &str) -> Option<Timestamp> {
        let link = match ChainLink::parse(line) {
            Ok(link) => link,
            Err(LineFault::Edited(link)) => {
                self.find(FindingKind::Edited, link.seq, link.seq, "the record does not match its digest");
                *link
            }
            Err(fault @ (LineFault::TooLong(_) | LineFault::Unreadable(_) | LineFault::Format(_))) => {
                if let Some(aside) = SetAside::parse(line) {
                    return self.push_set_aside(&aside.link());
                }
                let after = self.fragments.get(self.current).map_or(0, |fragment| fragment.last.seq);
                self.find(FindingKind::Unreadable, after + 1, after + 1, &fault.to_string());
                self.unreadable += 1;
                return None;
            }
        };
        self.take(&link)
    }

    /// Takes the place of a record that the device has set aside: what the record said is not there.
    fn push_set_aside(&mut self, link: &ChainLink) -> Option<Timestamp> {
        let detail = "the device says that this record was refused and set aside; what it said is not here";
        self.find(FindingKind::SetAside, link.seq, link.seq, detail);
        self.take(link)
    }

    fn take(&mut self, link: &ChainLink) -> Option<Timestamp> {
        if link.device != self.device || link.epoch != self.epoch {
            self.find(FindingKind::Foreign, link.seq, link.seq, "the record is of another device or epoch");
            return None;
        }
        self.report.records += 1;
        self.report.erased += link.erased;
        if let Some(known) = self.known.get_mut(&link.seq) {
            for (known, seen) in known {
                *seen |= known.head.digest == link.digest;
            }
        }
        self.place(link);
        Some(link.at)
    }

    /// Says what was found.
    pub fn finish(mut self) -> ChainReport {
        let chain = self.stitch();
        self.report.first = chain.first().map(|fragment| fragment.first);
        self.report.last = chain.last().map(|fragment| fragment.last);
        self.compare_with_known();
        self.report.findings.sort_by_key(|finding| (finding.from, finding.to, finding.kind));
        self.report
    }

    fn find(&mut self, kind: FindingKind, from: u64, to: u64, detail: &str) {
        self.report.findings.push(Finding { kind, epoch: self.epoch, from, to, detail: detail.to_owned() });
    }

    /// Appends the record to the fragment that it continues, or begins another.
    fn place(&mut self, link: &ChainLink) {
        let line = self.report.records;
        let continues = |fragment: &Fragment| {
            fragment.last.digest == link.prev && fragment.last.seq.checked_add(1) == Some(link.seq)
        };
        let here = self.fragments.get(self.current).is_some_and(continues).then_some(self.current);
        let found = here.or_else(|| {
            self.ends.get(&link.prev).copied().filter(|at| self.fragments.get(*at).is_some_and(continues))
        });
        match found.and_then(|at| Some((at, self.fragments.get_mut(at)?))) {
            Some((at, fragment)) => {
                fragment.last = link.head();
                fragment.lines.1 = line;
                if at != self.current {
                    self.leave(at);
                }
            }
            None => {
                self.fragments.push(Fragment {
                    first: link.head(),
                    prev: link.prev,
                    last: link.head(),
                    lines: (line, line),
                    first_run_to: None,
                    unreadable_before: self.unreadable,
                });
                self.leave(self.fragments.len() - 1);
            }
        }
        self.unreadable = 0;
    }

    /// Ends are kept in the map only when the walk turns to another fragment: the current one is compared directly.
    fn leave(&mut self, for_fragment: usize) {
        if let Some(left) = self.fragments.get_mut(self.current)
            && for_fragment != self.current
        {
            left.first_run_to.get_or_insert(left.last.seq);
            self.ends.insert(left.last.digest, self.current);
        }
        self.current = for_fragment;
    }

    /// Puts the fragments in the order of the chain and says what is between them.
    fn stitch(&mut self) -> Vec<Fragment> {
        let mut rest = self.fragments.clone();
        rest.sort_by_key(|fragment| (fragment.first.seq, fragment.lines.0));
        let mut chain: Vec<Fragment> = Vec::new();
        let starts_after = |end: &Head| rest.first().is_none_or(|fragment| fragment.first.seq > end.seq);
        let mut at = self.after.filter(starts_after).unwrap_or(Head::before(self.epoch));
        let mut line = 0;
        while let Some(next) = self.take_next(&mut rest, &at) {
            if at.seq == 0 && next.first.seq > 1 {
                self.find(FindingKind::Removed, 1, next.first.seq - 1, "the epoch's beginning is missing");
            } else {
                self.compare_neighbours(&at, &next);
            }
            if next.lines.0 < line {
                let to = next.first_run_to.unwrap_or(next.last.seq);
                let detail = "the records stand before their predecessors";
                self.find(FindingKind::Reordered, next.first.seq, to, detail);
            }
            line = line.max(next.lines.1);
            at = next.last;
            chain.push(next);
        }
        for stray in rest {
            let detail = "the record is there twice, or others follow its predecessor";
            self.find(FindingKind::Inserted, stray.first.seq, stray.last.seq, detail);
        }
        chain
    }

    /// The fragment that continues `at`: the very next record if it is there, else the one that leads furthest among
    /// those that begin earliest.
    fn take_next(&self, rest: &mut Vec<Fragment>, at: &Head) -> Option<Fragment> {
        let exact = |fragment: &Fragment| {
            fragment.prev == at.digest && at.seq.checked_add(1) == Some(fragment.first.seq)
        };
        // A forged record can continue the chain exactly and still lead nowhere: what leads furthest is the chain.
        let furthest = rest.iter().enumerate().filter(|(_, f)| exact(f)).max_by_key(|(_, f)| f.last.seq);
        let found = match furthest {
            Some((at, _)) => at,
            None => {
                let beyond = |fragment: &Fragment| fragment.last.seq > at.seq;
                rest.iter().enumerate().filter(|(_, f)| beyond(f)).min_by_key(|(_, f)| f.first.seq)?.0
            }
        };
        Some(rest.remove(found))
    }

    fn compare_neighbours(&mut self, at: &Head, next: &Fragment) {
        let expected = at.seq.saturating_add(1);
        let first = next.first.seq;
        if first == expected && next.prev == at.digest {
            return;
        }
        if first == expected && at.seq == 0 {
            self.find(FindingKind::Edited, first, first, "the epoch's first record names a predecessor");
        } else if first == expected {
            let detail = "the next record follows another one: the record and its digest were both changed";
            self.find(FindingKind::Edited, at.seq, at.seq, detail);
        } else if first > expected {
            if first - expected > next.unreadable_before {
                self.find(FindingKind::Removed, expected, first - 1, "the numbers leap");
            }
        } else if first == at.seq {
            self.find(FindingKind::Inserted, at.seq, at.seq, "two records have this number");
        } else {
            self.find(FindingKind::Forked, first, at.seq, "there are two histories");
        }
    }

    fn compare_with_known(&mut self) {
        let ended = self.after.map_or(0, |end| end.seq);
        let last = self.report.last.map_or(0, |head| head.seq).max(ended);
        let mut beyond = None;
        for (seq, known) in std::mem::take(&mut self.known) {
            for (Known { from, .. }, seen) in known {
                if seq > last {
                    beyond = Some((seq, from));
                    continue;
                }
                let named =
                    self.report.findings.iter().any(|finding| (finding.from..=finding.to).contains(&seq));
                if !named && !seen {
                    self.find(FindingKind::Forked, seq, seq, &format!("{from} names another record"));
                }
            }
        }
        if let Some((seq, from)) = beyond {
            self.find(
                FindingKind::Truncated,
                last.saturating_add(1),
                seq,
                &format!("{from} names them as written"),
            );
        }
    }
}
