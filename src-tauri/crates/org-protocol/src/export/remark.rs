//! What chains that are whole say of what they do not hold.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{CallId, DeviceId, Timestamp};
use serde::Serialize;

use super::ExportStatement;
use crate::record::{AuditEvent, ChainLink, EpochReason, RecordBody};

/// The longest that a chain is silent while Deskgate runs: two heartbeats, which come every quarter of an hour, and five minutes.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(35 * 60);

/// Something that an auditor should ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Whose chain says it.
    pub device: DeviceId,
    /// The epoch.
    pub epoch: u64,
    /// The record that says it, or the last one before.
    pub seq: u64,
    /// What.
    #[serde(flatten)]
    pub kind: RemarkKind,
}

/// What an auditor should ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "remark", rename_all = "snake_case")]
pub enum RemarkKind {
    /// Calls were made without a record, as policy allows.
    Gap {
        /// How many.
        missing: u64,
        /// Since when.
        since: Timestamp,
    },
    /// The records before this one are lost to the organisation, as it states itself.
    Lost,
    /// A record was refused by the organisation and lies on the device alone; the device says so.
    SetAside,
    /// A chain began that does not continue the one before.
    NewEpoch {
        /// Why.
        reason: EpochReason,
    },
    /// Nothing was recorded although the program was not stopped: the computer slept or was switched off, the program was
    /// killed, or its records did not come.
    Silence {
        /// After this.
        from: Timestamp,
        /// Until this.
        to: Timestamp,
    },
    /// What became of a call was not recorded.
    NoOutcome {
        /// The call.
        call: CallId,
    },
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { device, epoch, seq, kind } = self;
        write!(f, "{device}, epoch {epoch}, record {seq}: ")?;
        match kind {
            RemarkKind::Gap { missing, since } => {
                write!(f, "{missing} calls were made without a record since {since}")
            }
            RemarkKind::Lost => write!(f, "the organisation has lost the records before this one"),
            RemarkKind::SetAside => {
                write!(
                    f,
                    "the device says that this record was refused and set aside; what it said is not here"
                )
            }
            RemarkKind::NewEpoch { reason } => write!(f, "a chain begins: {}", words(*reason)),
            RemarkKind::Silence { from, to } => write!(f, "nothing was recorded from {from} to {to}"),
            RemarkKind::NoOutcome { call } => write!(f, "what became of call {call} was not recorded"),
        }
    }
}

fn words(reason: EpochReason) -> &'static str {
    match reason {
        EpochReason::First => "it is the device's first",
        EpochReason::HistoryMissing => "the history before was gone, or its end was",
        EpochReason::HistoryDamaged => "the history before was changed or could not be read",
        EpochReason::DeviceChanged => "the device had another identity before",
        EpochReason::OrgChanged => "the device belonged to another organisation before, or to none",
        EpochReason::KeyChanged => "the device had another key for its journal before, or named none",
        EpochReason::StorageFailed => "writing failed and went on in another file",
    }
}

/// Collects remarks over the chains of an export.
#[derive(Debug)]
pub(super) struct Remarks {
    since: Timestamp,
    until: Timestamp,
    made_at: Timestamp,
    found: Vec<Remark>,
    last: Option<Last>,
    /// Whether nothing follows the last record in its chain.
    is_end: bool,
    open: BTreeMap<CallId, u64>,
}

/// The record before.
#[derive(Debug, Clone, Copy)]
struct Last {
    device: DeviceId,
    epoch: u64,
    seq: u64,
    at: Timestamp,
    is_stop: bool,
}

impl Remarks {
    pub(super) fn within(statement: &ExportStatement) -> Self {
        let ExportStatement { since, until, made_at, .. } = *statement;
        Self { since, until, made_at, found: Vec::new(), last: None, is_end: false, open: BTreeMap::new() }
    }

    /// Looks at the next record of a chain.
    pub(super) fn see(&mut self, link: &ChainLink, body: Option<&RecordBody>) {
        match self.last {
            // One epoch of a device goes on where the one before ended.
            Some(last) if last.device == link.device => self.silence(last, link.at),
            Some(_) | None => self.leave(),
        }
        let mut is_stop = false;
        match body {
            // Whatever time it claims: what it says of itself nobody has checked.
            None => self.found.push(Remark {
                device: link.device,
                epoch: link.epoch,
                seq: link.seq,
                kind: RemarkKind::SetAside,
            }),
            Some(RecordBody::Intent(intent)) => {
                self.open.insert(intent.call, link.seq);
            }
            Some(RecordBody::Outcome(outcome)) => {
                self.open.remove(&outcome.of.call);
            }
            Some(RecordBody::Gap(gap)) => {
                self.remark(link, RemarkKind::Gap { missing: gap.missing, since: gap.since });
            }
            Some(RecordBody::Epoch(epoch)) => {
                self.remark(link, RemarkKind::NewEpoch { reason: epoch.reason })
            }
            Some(RecordBody::Event(event)) => is_stop = event.event == AuditEvent::Stop,
            Some(RecordBody::Denial(_) | RecordBody::Heartbeat(_) | RecordBody::Unknown) => {}
        }
        let (device, epoch, seq, at) = (link.device, link.epoch, link.seq, link.at);
        self.last = Some(Last { device, epoch, seq, at, is_stop });
    }

    /// Records before this one are stated to be lost.
    pub(super) fn lost(&mut self, link: &ChainLink) {
        let (device, epoch, seq) = (link.device, link.epoch, link.seq);
        self.found.push(Remark { device, epoch, seq, kind: RemarkKind::Lost });
    }

    /// A chain has been read.
    pub(super) fn end(&mut self, ends: bool) {
        self.is_end = ends;
        let Some(Last { device, epoch, at, .. }) = self.last else { return };
        let open = std::mem::take(&mut self.open);
        // What is under way when the exported part ends is no finding, unless the whole chain has ended before the range does.
        let is_over = ends && at.plus(LONGEST_SILENCE) < self.until.min(self.made_at);
        for (call, seq) in open.into_iter().filter(|_| is_over) {
            self.found.push(Remark { device, epoch, seq, kind: RemarkKind::NoOutcome { call } });
        }
    }

    pub(super) fn finish(mut self) -> Vec<Remark> {
        self.leave();
        self.found
    }

    /// The chains of a device have been read.
    fn leave(&mut self) {
        if let (Some(last), true) = (self.last.take(), self.is_end) {
            self.silence(last, self.until.min(self.made_at));
        }
    }

    fn silence(&mut self, last: Last, to: Timestamp) {
        let Last { device, epoch, seq, at, is_stop } = last;
        let (from, to) = (at.max(self.since), to.min(self.until));
        if !is_stop && from < to && to.since(from) > LONGEST_SILENCE {
            self.found.push(Remark { device, epoch, seq, kind: RemarkKind::Silence { from, to } });
        }
    }

    fn remark(&mut self, link: &ChainLink, kind: RemarkKind) {
        if (self.since..self.until).contains(&link.at) {
            let (device, epoch, seq) = (link.device, link.epoch, link.seq);
            self.found.push(Remark { device, epoch, seq, kind });
        }
    }
}
