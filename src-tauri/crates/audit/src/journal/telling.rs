//! Telling those who wait that their records are on disk. The writer wakes one of them, and that one tells the others of the
//! batch and frees what the batch took: from the writer's thread the first costs a switch of threads for each, and the
//! second fights with the callers for the memory that they took it from.

use std::sync::Arc;

use org_protocol::{CallContext, PreparedBody};
use tokio::sync::oneshot;

use super::intent::Intent;
use crate::fault::JournalFault;

/// Where an answer goes.
pub(super) type Tell<T> = oneshot::Sender<Told<T>>;

/// An answer, with those that are still to be passed on.
pub(super) struct Told<T> {
    answer: Result<T, JournalFault>,
    others: Others,
}

impl<T> Told<T> {
    /// An answer that is passed on to nobody.
    pub(super) fn alone(answer: Result<T, JournalFault>) -> Self {
        Self { answer, others: Others::default() }
    }

    /// Passes the others' answers on and gives this one.
    pub(super) fn pass_on(self) -> Result<T, JournalFault> {
        let Self { answer, others } = self;
        drop(others);
        answer
    }
}

/// Good news for somebody who waits.
pub(super) enum Telling {
    /// The call may be made.
    Open(Intent, Tell<Intent>),
    /// The record is on disk.
    Done(Tell<()>),
}

impl Telling {
    // Where nobody waits any more, the answer comes back and is dropped: the others are told, and an intent records
    // that it bought nothing.
    fn tell(self, others: Others) {
        match self {
            Self::Open(intent, tell) => drop(tell.send(Told { answer: Ok(intent), others })),
            Self::Done(tell) => drop(tell.send(Told { answer: Ok(()), others })),
        }
    }
}

/// What is done with when a batch is on disk.
#[derive(Default)]
pub(super) struct Spent {
    pub(super) bodies: Vec<PreparedBody>,
    pub(super) contexts: Vec<Arc<CallContext>>,
}

/// Who is told as soon as this is dropped, wherever that happens: nobody is forgotten because another gave up.
#[derive(Default)]
struct Others {
    tellings: Vec<Telling>,
    _spent: Spent,
}

impl Drop for Others {
    fn drop(&mut self) {
        for telling in self.tellings.drain(..) {
            telling.tell(Self::default());
        }
    }
}

/// Tells everybody, through the first.
pub(super) fn tell_all(mut tellings: Vec<Telling>, spent: Spent) {
    if tellings.is_empty() {
        return;
    }
    let first = tellings.remove(0);
    first.tell(Others { tellings, _spent: spent });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiters(count: usize) -> (Vec<Telling>, Vec<oneshot::Receiver<Told<()>>>) {
        (0..count)
            .map(|_| {
                let (tell, told) = oneshot::channel();
                (Telling::Done(tell), told)
            })
            .unzip()
    }

    #[test]
    fn the_first_tells_the_others() {
        let (tellings, mut told) = waiters(3);
        tell_all(tellings, Spent::default());
        let first = told.remove(0).try_recv().unwrap();
        assert!(told[0].try_recv().is_err(), "not yet");
        assert!(first.pass_on().is_ok());
        for mut other in told {
            assert!(other.try_recv().unwrap().pass_on().is_ok());
        }
    }

    #[test]
    fn nobody_is_forgotten_when_the_first_has_gone() {
        for at in ["before", "after"] {
            let (tellings, mut told) = waiters(3);
            let first = told.remove(0);
            if at == "before" {
                drop(first);
                tell_all(tellings, Spent::default());
            } else {
                tell_all(tellings, Spent::default());
                drop(first);
            }
            for mut other in told {
                assert!(other.try_recv().is_ok(), "gone {at} it was told");
            }
        }
    }
}
