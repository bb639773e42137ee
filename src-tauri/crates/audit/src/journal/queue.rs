//! What waits for the writer.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{CallId, Timestamp};
use org_protocol::{CallContext, Head, Outcome, OutcomeRecord, OutcomeStatus, PreparedBody};
use tokio::sync::{oneshot, watch};

use super::Health;
use super::erase::{Erased, Wanted};
use super::intent::Intent;
use super::room::{Gap, JournalRules, Room};
use super::telling::{Tell, Told};
use crate::fault::JournalFault;

/// The most records that may wait. Outcomes are beyond it: their intents were within.
const MOST_WAITING: usize = 4096;

/// What callers and the writer share.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the writer, and nobody else.
    wake: Condvar,
    pub(super) head: watch::Sender<Head>,
    pub(super) health: watch::Sender<Health>,
    pub(super) room: Room,
}

#[derive(Default)]
struct Queue {
    entries: Vec<Entry>,
    /// How many of the entries somebody waits for.
    awaited: usize,
    writer: WriterWaits,
    state: State,
    /// Whether the quota is reached: only what became of calls is taken.
    full: bool,
    /// Calls that were made without a record, and are not recorded as missing yet.
    gap: Option<Gap>,
    /// The writer is asked to look how things stand.
    poked: bool,
}

/// Whether the writer must be woken. A wake-up is a system call, and the writer costs a switch of threads.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum WriterWaits {
    /// It is at work and will look at the queue by itself.
    #[default]
    No,
    /// It will look soon: only those who wait need to wake it.
    Shortly,
    /// It rests until it is woken.
    Long,
}

#[derive(Default)]
enum State {
    #[default]
    Open,
    /// The writer has not been able to write since.
    Failed(JournalFault),
    /// No more is taken; the writer finishes.
    Closing,
}

/// One record to be written.
pub(super) struct Entry {
    pub(super) body: PreparedBody,
    pub(super) then: Then,
}

/// What is done when a record is on disk.
pub(super) enum Then {
    /// The call may be made.
    Open(Arc<CallContext>, Tell<Intent>),
    /// Somebody waits.
    Tell(Tell<()>),
    /// Personal data are erased, from segments that are written no more: one is begun with this record.
    Erase(Box<Wanted>, oneshot::Sender<Result<Erased, JournalFault>>),
    /// The call is over.
    Close(CallId),
    /// Nobody waits.
    Nothing,
}

impl Then {
    fn is_awaited(&self) -> bool {
        matches!(self, Self::Open(..) | Self::Tell(_) | Self::Erase(..))
    }

    /// Whether the record must be written even if the disk refuses it now: nobody else knows what it says.
    pub(super) fn is_owed(&self) -> bool {
        !self.is_awaited()
    }
}

/// What the writer is to do next.
pub(super) enum Work {
    /// Write these.
    Write(Vec<Entry>),
    /// Nothing came within the short time after the last batch.
    Quiet,
    /// Nothing came within the long time.
    Silent,
    /// Something changed beside the queue.
    Look,
    /// Write these, then stop.
    Finish(Vec<Entry>),
}

impl Shared {
    pub(super) fn new(head: Head, room: Room) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            head: watch::Sender::new(head),
            health: watch::Sender::new(Health::Writing),
            room,
        }
    }

    /// Queues a record.
    pub(super) fn push(&self, entry: Entry) -> Result<(), JournalFault> {
        let awaited = entry.then.is_awaited();
        let mut queue = self.lock();
        match &queue.state {
            State::Open => {}
            State::Failed(fault) if awaited => return Err(fault.clone()),
            State::Failed(_) => {}
            State::Closing => return Err(JournalFault::Closed),
        }
        if queue.full && !matches!(entry.then, Then::Close(_)) {
            return Err(self.quota_reached());
        }
        if queue.entries.len() >= MOST_WAITING && !matches!(entry.then, Then::Close(_)) {
            return Err(JournalFault::Busy);
        }
        let wake = match queue.writer {
            WriterWaits::No => false,
            WriterWaits::Shortly => awaited,
            WriterWaits::Long => true,
        };
        if wake {
            queue.writer = WriterWaits::No;
        }
        queue.awaited += usize::from(awaited);
        queue.entries.push(entry);
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Queues what became of a call.
    pub(super) fn push_outcome(&self, of: &CallContext, outcome: Outcome) -> Result<(), JournalFault> {
        self.push(outcome_entry(of, outcome)?)
    }

    /// Waits for work: at once for what somebody waits for, after `short` for the rest. With nothing to write, returns
    /// after `short`, or, where `rest` is given, after that. `spare` is where the next records will be queued.
    pub(super) fn next(&self, short: Duration, rest: Option<Duration>, spare: &mut Vec<Entry>) -> Work {
        let mut queue = self.lock();
        loop {
            if matches!(queue.state, State::Closing) {
                queue.record_gap();
                return Work::Finish(queue.swap(spare));
            }
            if std::mem::take(&mut queue.poked) {
                return Work::Look;
            }
            if queue.awaited > 0 {
                return Work::Write(queue.swap(spare));
            }
            let (limit, waits) = match rest {
                Some(rest) if queue.entries.is_empty() => (rest, WriterWaits::Long),
                Some(_) | None => (short, WriterWaits::Shortly),
            };
            queue.writer = waits;
            let result;
            (queue, result) = self.wake.wait_timeout(queue, limit).unwrap_or_else(PoisonError::into_inner);
            queue.writer = WriterWaits::No;
            if result.timed_out() && !matches!(queue.state, State::Closing) && !queue.poked {
                return match (queue.entries.is_empty(), rest) {
                    (false, _) => Work::Write(queue.swap(spare)),
                    (true, Some(_)) => Work::Silent,
                    (true, None) => Work::Quiet,
                };
            }
        }
    }

    /// Refuses new intents with `fault` until [`Shared::recovered`]; fails those who wait; keeps what is owed.
    pub(super) fn failed(&self, fault: &JournalFault, batch: Vec<Entry>) {
        let mut queue = self.lock();
        let waiting = queue.take();
        let mut refused = Vec::new();
        for entry in batch.into_iter().chain(waiting) {
            if entry.then.is_owed() { queue.entries.push(entry) } else { refused.push(entry) }
        }
        if !matches!(queue.state, State::Closing) {
            queue.state = State::Failed(fault.clone());
        }
        self.tell_health(&queue);
        drop(queue);
        for entry in refused {
            refuse(entry, fault);
        }
    }

    /// While failed: waits up to `retry`. Returns false when the journal is to be closed instead.
    pub(super) fn wait_to_retry(&self, retry: Duration) -> bool {
        let queue = self.lock();
        let closing = |queue: &mut Queue| !matches!(queue.state, State::Closing);
        let (queue, _) =
            self.wake.wait_timeout_while(queue, retry, closing).unwrap_or_else(PoisonError::into_inner);
        !matches!(queue.state, State::Closing)
    }

    /// Takes what is owed from the time of the failure.
    pub(super) fn take_owed(&self) -> Vec<Entry> {
        self.lock().take()
    }

    /// Takes intents again.
    pub(super) fn recovered(&self) {
        let mut queue = self.lock();
        if matches!(queue.state, State::Failed(_)) {
            queue.state = State::Open;
        }
        queue.record_gap();
        self.tell_health(&queue);
    }

    /// Counts a call that is made although `fault` keeps its record from being written, if the rules let it go on.
    ///
    /// # Errors
    /// The fault, where they do not.
    pub(super) fn count_missing(&self, fault: JournalFault, now: Timestamp) -> Result<(), JournalFault> {
        if !self.room.lets_go_on(&fault) {
            return Err(fault);
        }
        let mut queue = self.lock();
        if matches!(queue.state, State::Closing) {
            return Err(JournalFault::Closed);
        }
        queue.gap = Some(Gap::with(queue.gap.take(), &fault, now));
        self.tell_health(&queue);
        drop(queue);
        // Where it can be written already, as after a moment of too many calls, nobody else would say so.
        self.poke();
        Ok(())
    }

    /// Takes nothing new while the quota is reached. Records how many calls are missing once something can be written.
    pub(super) fn set_full(&self, full: bool) {
        let mut queue = self.lock();
        let news = queue.full != full;
        queue.full = full;
        if matches!(queue.state, State::Open) && !full && queue.gap.is_some() {
            queue.record_gap();
        } else if !news {
            return;
        }
        self.tell_health(&queue);
    }

    /// Puts other rules in force.
    pub(super) fn set_rules(&self, rules: JournalRules) {
        self.room.set_rules(rules);
        self.tell_health(&self.lock());
        self.poke();
    }

    /// Queues a record of the journal about itself, for which there is room always.
    pub(super) fn push_own(&self, body: PreparedBody) {
        self.lock().entries.push(Entry { body, then: Then::Nothing });
        self.poke();
    }

    /// Has the writer look how things stand.
    pub(super) fn poke(&self) {
        let mut queue = self.lock();
        queue.poked = true;
        queue.writer = WriterWaits::No;
        drop(queue);
        self.wake.notify_one();
    }

    fn quota_reached(&self) -> JournalFault {
        JournalFault::Quota { quota: self.room.rules().quota }
    }

    /// Says whether records can be written; under the lock, so that what is said last is so.
    fn tell_health(&self, queue: &Queue) {
        let fault = match &queue.state {
            State::Failed(fault) => Some(fault.clone()),
            State::Open | State::Closing => queue.full.then(|| self.quota_reached()),
        };
        let missing = queue.gap.as_ref().map_or(0, |gap| gap.missing);
        self.health.send_replace(match fault {
            None => Health::Writing,
            Some(fault) if self.room.lets_go_on(&fault) => Health::BestEffort { fault, missing },
            Some(fault) => Health::Failed(fault),
        });
    }

    /// Takes no more, and lets the writer finish.
    pub(super) fn close(&self) {
        self.lock().state = State::Closing;
        self.wake.notify_all();
    }

    // No code that holds the lock can panic half way through a change.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Queues how many calls are missing, if any are.
    fn record_gap(&mut self) {
        let body = self.gap.take().map(|gap| PreparedBody::gap(&gap.record()));
        match body {
            Some(Ok(body)) => self.entries.push(Entry { body, then: Then::Nothing }),
            Some(Err(fault)) => tracing::error!(%fault, "a gap was not recorded"),
            None => {}
        }
    }

    fn take(&mut self) -> Vec<Entry> {
        self.swap(&mut Vec::new())
    }

    /// As [`Queue::take`], but goes on with the list `spare`, which is empty.
    fn swap(&mut self, spare: &mut Vec<Entry>) -> Vec<Entry> {
        self.awaited = 0;
        std::mem::replace(&mut self.entries, std::mem::take(spare))
    }
}

/// The record of what became of a call.
pub(super) fn outcome_entry(of: &CallContext, outcome: Outcome) -> Result<Entry, JournalFault> {
    let record = OutcomeRecord { of: of.clone(), outcome };
    let body = PreparedBody::outcome(&record).map_err(|fault| JournalFault::Encoding(fault.to_string()))?;
    Ok(Entry { body, then: Then::Close(of.call) })
}

/// An outcome that nobody knows, and why.
pub(super) fn unknown(code: &str) -> Outcome {
    Outcome::new(OutcomeStatus::Unknown).with_code(code)
}

/// Tells those who wait that their record is not written.
pub(super) fn refuse(entry: Entry, fault: &JournalFault) {
    // Somebody who no longer waits has given the call up already.
    match entry.then {
        Then::Open(_, tell) => drop(tell.send(Told::alone(Err(fault.clone())))),
        Then::Tell(tell) => drop(tell.send(Told::alone(Err(fault.clone())))),
        Then::Erase(_, tell) => drop(tell.send(Err(fault.clone()))),
        Then::Close(_) | Then::Nothing => {}
    }
}
