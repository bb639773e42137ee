//! How much room the journal takes, how much it may take, and what happens when it cannot be written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Timestamp;
use org_protocol::{GapRecord, OnAuditFailure};
use tokio::sync::watch;

use crate::fault::JournalFault;

const MIB: u64 = 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the organisation, or the person, wants of the journal. May change while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalRules {
    /// The most bytes that it may take on disk.
    pub quota: u64,
    /// How long records stay after the organisation has signed for them.
    pub keep_receipted: Duration,
    /// How long records stay that nobody signs for, as in personal mode. Even then they go only when the quota is near.
    pub keep_own: Duration,
    /// What becomes of calls while nothing can be written.
    pub on_failure: OnAuditFailure,
}

impl Default for JournalRules {
    /// 512 MiB, 7 days, 90 days; calls are refused.
    fn default() -> Self {
        Self {
            quota: 512 * MIB,
            keep_receipted: 7 * DAY,
            keep_own: 90 * DAY,
            on_failure: OnAuditFailure::Refuse,
        }
    }
}

/// How much of its quota the journal takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// What it takes, in bytes.
    pub bytes: u64,
    /// What it may take, in bytes.
    pub quota: u64,
}

/// The steps at which it is said how much of the quota is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Fill {
    /// Less than half of it.
    #[default]
    Low,
    /// Half of it.
    Half,
    /// Four fifths.
    High,
    /// 95 percent.
    Near,
    /// All: nothing new is written.
    Full,
}

impl Usage {
    /// In whole percent, rounded down.
    pub fn percent(self) -> u64 {
        self.bytes.saturating_mul(100) / self.quota.max(1)
    }

    /// The last step that it has reached.
    pub fn fill(self) -> Fill {
        match self.percent() {
            0..50 => Fill::Low,
            50..80 => Fill::Half,
            80..95 => Fill::High,
            95..100 => Fill::Near,
            100.. => Fill::Full,
        }
    }
}

/// The account of the room, shared by all that change it.
pub(super) struct Room {
    rules: Mutex<JournalRules>,
    /// The bytes of files that are not written any more.
    closed: AtomicU64,
    pub(super) usage: watch::Sender<Usage>,
}

impl Room {
    pub(super) fn new(rules: JournalRules, closed: u64) -> Self {
        let usage = Usage { bytes: closed, quota: rules.quota };
        Self { rules: Mutex::new(rules), closed: AtomicU64::new(closed), usage: watch::Sender::new(usage) }
    }

    pub(super) fn rules(&self) -> JournalRules {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_rules(&self, rules: JournalRules) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// A file of so many bytes is not written any more.
    pub(super) fn closed(&self, bytes: u64) {
        self.closed.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Files of so many bytes are gone.
    pub(super) fn freed(&self, bytes: u64) {
        let less = |closed: u64| Some(closed.saturating_sub(bytes));
        // Never fails: the closure always gives a value.
        let _ = self.closed.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// How it stands while the file that is written has so many bytes.
    pub(super) fn look(&self, written: u64) -> Usage {
        let bytes = self.closed.load(Ordering::Acquire).saturating_add(written);
        let now = Usage { bytes, quota: self.rules().quota };
        // Nobody wants to hear of each record.
        self.usage.send_if_modified(|told| {
            let news = told.percent() != now.percent() || told.quota != now.quota;
            *told = now;
            news
        });
        now
    }

    /// Whether a call may be made although its record cannot be written.
    pub(super) fn lets_go_on(&self, fault: &JournalFault) -> bool {
        self.rules().on_failure == OnAuditFailure::BestEffort && fault.is_of_the_storage()
    }
}

/// Calls that were made without a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) missing: u64,
    since: Timestamp,
    reason: String,
}

impl Gap {
    /// One more.
    pub(super) fn with(gap: Option<Self>, fault: &JournalFault, now: Timestamp) -> Self {
        let first = || Self { missing: 0, since: now, reason: fault.to_string() };
        let gap = gap.unwrap_or_else(first);
        Self { missing: gap.missing.saturating_add(1), ..gap }
    }

    pub(super) fn record(self) -> GapRecord {
        let Self { missing, since, reason } = self;
        GapRecord { missing, since, reason }
    }
}
