//! A token set at hand, and what is known about it beyond itself.

use std::time::Duration;

use super::Kept;
use super::machine::Rules;
use crate::{FaultKind, Moment};

/// A token that is refused again within this time of its renewal is not what the resource wants.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// How often a refresh token whose use may already have been answered is sent: once more, then never.
const MOST_DOUBTS: u8 = 2;

/// A token set at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<K> {
    kept: K,
    saved: bool,
    /// The resource refused the token.
    dead: bool,
    /// When a refusal last led to a renewal.
    rejected_at: Option<Duration>,
    /// How many renewals got no answer since the last that did.
    doubts: u8,
    failures: u32,
    failed_at: Option<Duration>,
    trouble: Option<FaultKind>,
    quiet_until: Option<Duration>,
    renew_now: bool,
}

impl<K: Kept> Held<K> {
    pub(super) fn read(kept: K, renew_now: bool) -> Self {
        let doubts = kept.uses();
        Self { saved: true, doubts, renew_now, ..Self::unsaved(kept) }
    }

    pub(super) fn unsaved(kept: K) -> Self {
        Self {
            kept,
            saved: false,
            dead: false,
            rejected_at: None,
            doubts: 0,
            failures: 0,
            failed_at: None,
            trouble: None,
            quiet_until: None,
            renew_now: false,
        }
    }

    /// What ended and could not be erased: good for nothing but being erased.
    pub(super) fn ended(kept: K) -> Self {
        Self { saved: true, dead: true, doubts: MOST_DOUBTS, ..Self::unsaved(kept) }
    }

    pub(super) fn renewed(&self, kept: K) -> Self {
        Self { rejected_at: self.rejected_at.filter(|_| self.dead), ..Self::unsaved(kept) }
    }

    pub(super) fn kept(&self) -> &K {
        &self.kept
    }

    pub(super) fn trouble(&self) -> Option<FaultKind> {
        self.trouble.clone()
    }

    pub(super) fn is_unsaved(&self) -> bool {
        !self.saved
    }

    pub(super) fn usable(&self, now: Moment) -> bool {
        self.saved && !self.dead && self.kept.life().usable(now)
    }

    pub(super) fn may_renew(&self) -> bool {
        self.kept.renewable() && self.doubts < MOST_DOUBTS
    }

    pub(super) fn next_use(&self) -> u8 {
        self.doubts.saturating_add(1)
    }

    /// Notes that the resource refused the token. False if that happened just after a renewal for the same reason:
    /// then another renewal will not help.
    pub(super) fn rejected(&mut self, now: Moment) -> bool {
        if self.dead {
            return true;
        }
        if self.rejected_at.is_some_and(|at| now.boot.saturating_sub(at) < REFUSED_AGAIN) {
            return false;
        }
        self.dead = true;
        self.rejected_at = Some(now.boot);
        true
    }

    pub(super) fn saved(&mut self) {
        self.saved = true;
        self.failed_at = None;
        self.trouble = None;
    }

    pub(super) fn not_saved(&mut self, fault: FaultKind, now: Moment) {
        self.failed_at = Some(now.boot);
        self.trouble = Some(fault);
    }

    /// Notes a renewal that brought nothing; `unknown` if the server may have answered.
    pub(super) fn not_renewed(&mut self, fault: FaultKind, unknown: bool, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now.boot);
        self.trouble = Some(fault);
        self.renew_now = false;
        if unknown {
            self.doubts = self.doubts.saturating_add(1);
        }
    }

    pub(super) fn forget_failures(&mut self) {
        self.failures = 0;
        self.failed_at = None;
    }

    pub(super) fn sign_in_failed(&mut self, fault: FaultKind, quiet_until: Option<Duration>) {
        self.trouble = Some(fault);
        self.quiet_until = quiet_until;
    }

    /// The last fault, while it is too early to ask a person again.
    pub(super) fn quiet(&self, now: Moment) -> Option<FaultKind> {
        self.trouble.clone().filter(|_| self.quiet_until.is_some_and(|until| now.boot < until))
    }

    /// The last fault, while it is too early to try again even for a call that waits.
    pub(super) fn failed_just_now(&self, rules: &Rules, now: Moment) -> Option<FaultKind> {
        let recent = self.failed_at.is_some_and(|at| now.boot.saturating_sub(at) < rules.gap);
        self.trouble.clone().filter(|_| recent)
    }

    pub(super) fn save_is_due(&self, rules: &Rules, now: Moment) -> bool {
        !self.saved && self.failed_just_now(rules, now).is_none()
    }

    pub(super) fn renewal_is_due(&self, rules: &Rules, now: Moment) -> bool {
        self.saved && self.until_renewal(rules, now) == Some(Duration::ZERO)
    }

    pub(super) fn until_look(&self, rules: &Rules, now: Moment) -> Option<Duration> {
        if self.saved { self.until_renewal(rules, now) } else { Some(self.remaining(rules.gap, now)) }
    }

    /// How long until a renewal in the background; never while it is in doubt whether the last one was answered.
    fn until_renewal(&self, rules: &Rules, now: Moment) -> Option<Duration> {
        if !self.kept.renewable() || self.doubts > 0 {
            return None;
        }
        let due = if self.renew_now { Duration::ZERO } else { self.kept.life().until_due(now)? };
        let backoff = match self.failures {
            0 => Duration::ZERO,
            failures => {
                let doubled = rules.gap.saturating_mul(1 << failures.saturating_sub(1).min(16));
                self.remaining(doubled.min(rules.longest_gap), now)
            }
        };
        Some(due.max(backoff))
    }

    fn remaining(&self, gap: Duration, now: Moment) -> Duration {
        self.failed_at.map_or(Duration::ZERO, |at| at.saturating_add(gap).saturating_sub(now.boot))
    }
}
