//! What need not hold up the writer: preparing the next segment, writing the head file, removing what is no longer needed. One thread, one thing at a
//! time; a chore that fails is logged and asked for again by whoever still needs it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use org_protocol::{Head, PreparedBody};
use os::Clock;
use tokio::sync::oneshot;

use super::erase::{Erased, Eraser, Wanted};
use super::prune::Pruner;
use super::queue::Shared;
use super::writer::write_head;
use super::{JournalConfig, encoding};
use crate::fault::JournalFault;
use crate::receipts::Receipts;
use crate::storage::Storage;

/// The thread, as the writer sees it.
pub(super) struct Chores {
    send: Option<mpsc::Sender<Chore>>,
    thread: Option<JoinHandle<()>>,
    spare: Arc<Spare>,
}

enum Chore {
    Spare,
    Head(Head),
    Prune,
    Erase(Box<Wanted>, oneshot::Sender<Result<Erased, JournalFault>>),
}

/// What the chores are done with.
pub(super) struct Tools {
    pub(super) config: Arc<JournalConfig>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shared: Arc<Shared>,
    pub(super) receipts: Arc<Mutex<Receipts>>,
}

/// A segment file full of zeros, waiting to be used.
struct Spare {
    path: PathBuf,
    length: u64,
    ready: Mutex<bool>,
    asked: AtomicBool,
}

impl Chores {
    pub(super) fn start(tools: Tools) -> Self {
        let spare = Arc::new(Spare {
            path: tools.config.dir.join("spare"),
            length: tools.config.segment_bytes,
            ready: Mutex::new(false),
            asked: AtomicBool::new(false),
        });
        let (send, receive) = mpsc::channel();
        let shared = Arc::clone(&spare);
        let run = move || {
            for chore in receive {
                match chore {
                    Chore::Spare => shared.prepare(&*tools.storage),
                    Chore::Head(head) => tools.write_head(head),
                    Chore::Prune => tools.prune(),
                    // Whoever asked may have gone; it is recorded.
                    Chore::Erase(wanted, tell) => drop(tell.send(tools.erase(&wanted))),
                }
            }
        };
        let thread = std::thread::Builder::new().name("audit-chores".to_owned()).spawn(run);
        Self { send: Some(send), thread: thread.ok(), spare }
    }

    /// Asks for a spare segment, if there is none and none has been asked for.
    pub(super) fn want_spare(&self) {
        if !self.spare.asked.swap(true, Ordering::AcqRel) {
            self.send(Chore::Spare);
        }
    }

    /// Takes the spare segment, if it is ready: its path and length.
    pub(super) fn take_spare(&self) -> Option<(PathBuf, u64)> {
        let mut ready = self.spare.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *ready);
        taken.then(|| {
            self.spare.asked.store(false, Ordering::Release);
            (self.spare.path.clone(), self.spare.length)
        })
    }

    /// Asks for the head file to be written.
    pub(super) fn write_head(&self, head: Head) {
        self.send(Chore::Head(head));
    }

    /// Asks for what is no longer needed to be removed.
    pub(super) fn prune(&self) {
        self.send(Chore::Prune);
    }

    /// Asks for personal data to be erased.
    pub(super) fn erase(&self, wanted: Box<Wanted>, tell: oneshot::Sender<Result<Erased, JournalFault>>) {
        self.send(Chore::Erase(wanted, tell));
    }

    /// Finishes what was asked for and stops.
    pub(super) fn stop(&mut self) {
        self.send = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the runtime; there is nothing to add.
            let _ = thread.join();
        }
    }

    fn send(&self, chore: Chore) {
        if let Some(send) = &self.send {
            // Fails only where the thread could not be started: then there is no spare, and the head is written at close.
            let _ = send.send(chore);
        }
    }
}

impl Tools {
    fn write_head(&self, head: Head) {
        write_head(&self.config, head, self.clock.now());
    }

    fn prune(&self) {
        let pruner = Pruner {
            config: &self.config,
            storage: &*self.storage,
            receipts: &self.receipts,
            room: &self.shared.room,
            now: self.clock.now(),
        };
        let record = match pruner.prune() {
            Ok(None) => return,
            Ok(Some(record)) => record,
            Err(fault) => return tracing::warn!(%fault, "the journal was not pruned"),
        };
        match PreparedBody::event(&record) {
            Ok(body) => self.shared.push_own(body),
            Err(fault) => tracing::error!(%fault, "it was not recorded that the journal was pruned"),
        }
    }
}

impl Tools {
    fn erase(&self, wanted: &Wanted) -> Result<Erased, JournalFault> {
        let eraser = Eraser { config: &self.config, receipts: &self.receipts, room: &self.shared.room };
        let erased = eraser.erase(wanted.erasure.clone())?;
        self.shared.push_own(PreparedBody::event(&wanted.done(erased)).map_err(encoding)?);
        Ok(erased)
    }
}

impl Spare {
    fn prepare(&self, storage: &dyn Storage) {
        let prepared =
            storage.prepare(&self.path, self.length).and_then(|()| storage.open(&self.path, 0)?.sync());
        match prepared {
            Ok(()) => *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = true,
            Err(fault) => {
                tracing::warn!(%fault, "the next journal segment was not prepared");
                self.asked.store(false, Ordering::Release);
            }
        }
    }
}
