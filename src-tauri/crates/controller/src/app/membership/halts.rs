//! What administrators have stopped: told to the person and to the journal. Policy refuses it (`catalog`).

use std::collections::BTreeMap;
use std::sync::Arc;

use audit::{AuditEvent, EventRecord, Journal};
use model::Advice;
use org::Org;
use org_protocol::{HALTED, Halt, Halts};
use tokio::sync::watch;

use crate::app::tell::Tell;
use crate::event::Event;

/// What is stopped now, and each change. Nothing, where no organisation decides.
#[derive(Debug, Clone)]
pub(crate) struct Stopped(Option<watch::Receiver<Arc<Halts>>>);

impl Stopped {
    /// Nobody can stop anything.
    pub(crate) fn never() -> Self {
        Self(None)
    }

    /// By an organisation.
    pub(super) fn by(org: &Org) -> Self {
        Self(Some(org.halts()))
    }

    /// What is stopped now.
    pub(crate) fn now(&mut self) -> Arc<Halts> {
        self.0.as_mut().map_or_else(Arc::default, |halts| Arc::clone(&halts.borrow_and_update()))
    }

    /// Returns when it is another than when it was last asked for; never, where it cannot be.
    pub(crate) async fn changed(&mut self) {
        let changed = match &mut self.0 {
            Some(halts) => halts.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            std::future::pending::<()>().await;
        }
    }
}

/// Tells of each halt as long as it stands. Runs until it is dropped.
pub(super) async fn tell_halts(mut stopped: Stopped, tell: Tell, journal: Journal) {
    let mut told = BTreeMap::new();
    loop {
        let halts = stopped.now();
        let standing: BTreeMap<u64, &Halt> = halts.halts.iter().map(|halt| (halt.id, halt)).collect();
        for (id, halt) in &standing {
            if told.insert(*id, halt.target.to_string()).is_none() {
                tell.event(Event::FaultRaised(advice(halt)));
                note(&tell, &journal, "stopped", *id, &halt.target.to_string());
            }
        }
        told.retain(|id, target| {
            let stands = standing.contains_key(id);
            if !stands {
                tell.event(Event::FaultCleared { code: code(*id) });
                note(&tell, &journal, "goes on", *id, target);
            }
            stands
        });
        stopped.changed().await;
    }
}

fn note(tell: &Tell, journal: &Journal, what: &str, id: u64, target: &str) {
    let record = EventRecord::new(AuditEvent::HaltsChanged)
        .with("halt", id.to_string())
        .with("what", what)
        .with("target", target);
    tell.note(journal, &record);
}

fn code(id: u64) -> String {
    format!("{HALTED}-{id}")
}

fn advice(halt: &Halt) -> Advice {
    Advice::new(
        code(halt.id),
        halt.words(),
        "Calls that need it are refused until it goes on.",
        "Ask your IT department when it goes on.",
    )
}
