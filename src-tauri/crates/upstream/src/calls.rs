//! The calls of one session that are under way: who hears what the connector says without saying to whom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use mcp::connector::{Notice, Question};
use serde_json::value::RawValue;

use crate::ear::Ear;

/// How many questions may wait for a call: programs ask as soon as the session is open.
const MOST_EARLY: usize = 8;
const NOBODY: &str = "there is nobody who could be asked this";

/// Sends a reply back to the connector.
pub(crate) type Replier = Arc<dyn Fn(String) + Send + Sync>;

/// The calls of one session.
#[derive(Default)]
pub(crate) struct Calls(Mutex<UnderWay>);

#[derive(Default)]
struct UnderWay {
    /// By the request's number.
    calls: BTreeMap<u64, Option<Heard>>,
    early: Vec<Question>,
}

#[derive(Clone)]
struct Heard {
    ear: Ear,
    replier: Replier,
}

/// A call that is under way, until this is dropped.
pub(crate) struct Registered<'a> {
    calls: &'a Calls,
    id: u64,
}

impl Calls {
    /// Registers a call. Questions that came before there was one are asked now.
    pub(crate) fn register(&self, id: u64, ear: Option<(&Ear, Replier)>) -> Registered<'_> {
        let heard = ear.map(|(ear, replier)| Heard { ear: ear.clone(), replier });
        let early = {
            let mut under_way = self.lock();
            under_way.calls.insert(id, heard.clone());
            if heard.is_some() { std::mem::take(&mut under_way.early) } else { Vec::new() }
        };
        for (question, heard) in early.into_iter().zip(std::iter::repeat(heard)) {
            if let Some(heard) = heard {
                heard.put(question);
            }
        }
        Registered { calls: self, id }
    }

    /// Hands a notice to the call that it concerns.
    pub(crate) fn tell(&self, notice: Notice) {
        let heard = match &notice {
            Notice::Progress { of, .. } => self.lock().calls.get(of).cloned().flatten(),
            Notice::Log { .. } => self.lock().only(),
            Notice::Changed(_) => None,
        };
        if let Some(heard) = heard {
            heard.ear.tell(notice);
        }
    }

    /// Puts a question to whoever the connector works for. The reply when that is nobody, or cannot be told.
    pub(crate) fn ask(&self, question: Question) -> Option<String> {
        let mut under_way = self.lock();
        if under_way.calls.is_empty() && under_way.early.len() < MOST_EARLY {
            under_way.early.push(question);
            return None;
        }
        let heard = under_way.only();
        drop(under_way);
        match heard {
            Some(heard) => {
                heard.put(question);
                None
            }
            None => Some(question.refusal(NOBODY)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// The oldest call, if all are made for the same assistant: one must never hear what was meant for another.
    fn only(&self) -> Option<Heard> {
        let mut calls = self.calls.values();
        let first = calls.next()?.as_ref()?;
        let owner = &first.ear.wants().owner;
        let same =
            |other: &Option<Heard>| other.as_ref().is_some_and(|other| other.ear.wants().owner == *owner);
        calls.all(same).then(|| first.clone())
    }
}

impl Heard {
    fn put(self, question: Question) {
        tokio::spawn(async move {
            (self.replier)(answered(&self.ear, question).await);
        });
    }
}

/// The reply to a question, once the assistant has answered it.
pub(crate) async fn answered(ear: &Ear, question: Question) -> String {
    let answer = ear.ask(question.ask.clone()).await;
    match &answer {
        Some(answer) => question.reply(answer.as_deref().map_err(|error| -> &RawValue { error })),
        None => question.refusal(NOBODY),
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.calls.lock().calls.remove(&self.id);
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Calls").field(&self.lock().calls.len()).finish()
    }
}
