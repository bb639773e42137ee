//! Removing what is no longer needed: whole segments, from the beginning of their epochs, never the one that is written.
//!
//! What the organisation has signed for goes some days after it has. What nobody signs for goes only when the quota is
//! near and it is old. How far is written down, durably, before anything is removed.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use model::{DeviceId, Timestamp};
use org_protocol::{AuditEvent, ChainLink, EventRecord, Head, SignedReceipt};

use super::room::{Fill, Room};
use super::{JournalConfig, Position};
use crate::collected::{self, Collected};
use crate::fault::JournalFault;
use crate::kept;
use crate::pruned::{self, Pruned};
use crate::receipts::Receipts;
use crate::segment::{Piece, Segment, SegmentName, list};
use crate::storage::Storage;

/// What pruning needs.
pub(super) struct Pruner<'a> {
    pub(super) config: &'a JournalConfig,
    pub(super) storage: &'a dyn Storage,
    pub(super) receipts: &'a Mutex<Receipts>,
    pub(super) room: &'a Room,
    pub(super) now: Timestamp,
}

/// The segments of one epoch that go.
struct Going {
    segments: Vec<(SegmentName, u64)>,
    last: Pruned,
}

/// A segment that is not written any more.
struct Closed {
    device: DeviceId,
    org: Option<String>,
    end: Head,
    at: Timestamp,
    bytes: u64,
}

impl Pruner<'_> {
    /// Removes what may go. What was removed, in words for a record; none where there was nothing.
    pub(super) fn prune(&self) -> Result<Option<EventRecord>, JournalFault> {
        let dir = &self.config.dir;
        let names = list(dir).map_err(|fault| JournalFault::storage(dir, fault))?;
        let Some((_current, closed)) = names.split_last() else { return Ok(None) };
        let mut before = pruned::read(dir).map_err(JournalFault::Encoding)?;
        let kept = kept::read(dir).map_err(JournalFault::Encoding)?;
        let mut going = Vec::new();
        // How much is to be freed of what nobody signs for.
        let mut wanted = self.wanted();
        for segments in closed.chunk_by(|one, next| one.epoch == next.epoch) {
            let epoch = segments.first().map_or(0, |name| name.epoch);
            let earlier = before.iter().find(|pruned| pruned.end.epoch == epoch);
            going.extend(self.going(segments, earlier, &kept, &mut wanted));
        }
        if going.is_empty() {
            return Ok(None);
        }
        for Going { last, .. } in &going {
            before.retain(|pruned| pruned.end.epoch != last.end.epoch);
            before.push(last.clone());
        }
        pruned::write(dir, self.config.device, before, &self.config.mac_key)?;
        let (mut count, mut freed) = (0_u64, 0);
        for (name, bytes) in going.iter().flat_map(|going| &going.segments) {
            let path = name.path(dir);
            self.storage.remove(&path).map_err(|fault| JournalFault::storage(&path, fault))?;
            self.room.freed(*bytes);
            count += 1;
            freed += bytes;
        }
        let ends: Vec<String> =
            going.iter().map(|going| format!("{}/{}", going.last.end.epoch, going.last.end.seq)).collect();
        Ok(Some(
            EventRecord::new(AuditEvent::JournalPruned)
                .with("segments", count.to_string())
                .with("bytes", freed.to_string())
                .with("to", ends.join(" ")),
        ))
    }

    /// The bytes by which the journal is too near to its quota.
    fn wanted(&self) -> u64 {
        let usage = *self.room.usage.borrow();
        if usage.fill() < Fill::Near { 0 } else { usage.bytes.saturating_sub(usage.quota / 100 * 90) }
    }

    /// The segments that go, from the first on, of those of one epoch.
    fn going(
        &self,
        segments: &[SegmentName],
        earlier: Option<&Pruned>,
        kept: &[Position],
        wanted: &mut u64,
    ) -> Option<Going> {
        let mut going: Option<Going> = None;
        for name in segments {
            // What cannot be read whole is evidence, and so is what comes after it.
            let Some(closed) = read(&name.path(&self.config.dir), *name) else { break };
            // What was set aside is nowhere else.
            let has_kept = |place: &Position| {
                place.epoch == name.epoch && (name.first_seq..=closed.end.seq).contains(&place.seq)
            };
            if kept.iter().any(has_kept) {
                break;
            }
            let left_over = earlier.filter(|earlier| earlier.end.seq >= closed.end.seq);
            let (last, own) = match left_over {
                Some(earlier) => (earlier.clone(), false),
                None => match self.may_go(&closed, *wanted > 0) {
                    Some(last) => {
                        let own = closed.org.is_none();
                        (last, own)
                    }
                    None => break,
                },
            };
            if own {
                *wanted = wanted.saturating_sub(closed.bytes);
            }
            let going = going.get_or_insert_with(|| Going { segments: Vec::new(), last: last.clone() });
            going.segments.push((*name, closed.bytes));
            going.last = last;
        }
        going
    }

    /// Up to where it is removed with this segment, if it may be.
    fn may_go(&self, closed: &Closed, is_wanted: bool) -> Option<Pruned> {
        let rules = self.room.rules();
        let pruned = Pruned { end: closed.end, at: self.now, receipt: None, collected: None };
        // What is an organisation's stays until that one has it, also when the device is another's by now.
        if closed.org.is_some() {
            let receipt = self.covering(closed);
            let collected = if receipt.is_none() { Some(self.collected(closed)?) } else { None };
            return Some(Pruned { receipt, collected, ..pruned });
        }
        let is_old = closed.at.plus(rules.keep_own) <= self.now;
        (is_wanted && is_old).then_some(pruned)
    }

    /// When a collector had all of it, if that is long enough ago, where the organisation never signed for anything.
    fn collected(&self, closed: &Closed) -> Option<Timestamp> {
        let org = closed.org.as_deref()?;
        let receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        if receipts.last(closed.device, org).is_some() {
            return None;
        }
        let keep = self.room.rules().keep_receipted;
        let covers = |kept: &&Collected| {
            (kept.device, kept.org.as_str(), kept.head.epoch) == (closed.device, org, closed.end.epoch)
                && kept.head.seq >= closed.end.seq
                && kept.at.plus(keep) <= self.now
        };
        collected::read(&self.config.dir).ok()?.iter().find(covers).map(|kept| kept.at)
    }

    /// A receipt for all of it that was given long enough ago.
    fn covering(&self, closed: &Closed) -> Option<SignedReceipt> {
        let keep = self.room.rules().keep_receipted;
        let receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |stored_at: Timestamp| stored_at.plus(keep) <= self.now;
        receipts.covering(closed.device, closed.org.as_deref()?, closed.end, is_old).cloned()
    }
}

/// A segment whose records all follow each other.
fn read(path: &Path, name: SegmentName) -> Option<Closed> {
    let segment = Segment::read(path).ok()?;
    let header = Segment::read_header(path).ok()?.ok()?;
    let mut last: Option<ChainLink> = None;
    for piece in segment.pieces().skip(1) {
        let Piece::Line { text, .. } = piece else { return None };
        let link = ChainLink::parse(text).ok()?;
        match &last {
            Some(last) => drop(last.head().followed_by(&link).ok()?),
            None if link.seq == name.first_seq && link.epoch == name.epoch => {}
            None => return None,
        }
        last = Some(link);
    }
    let last = last?;
    Some(Closed {
        device: header.device,
        org: header.org,
        end: last.head(),
        at: last.at,
        bytes: segment.length(),
    })
}
