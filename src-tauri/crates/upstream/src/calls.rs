//! The calls of one session that are under way: who hears what the connector says without saying to whom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use mcp::connector::{Notice, Question};
use serde_json::value::RawValue;
use tokio::sync::broadcast;

use crate::ear::Ear;

/// How many questions may wait for a call: programs ask as soon as the session is open.
const MOST_EARLY: usize = 8;
const NOBODY: &str = "there is nobody who could be asked this";

/// Sends a reply back to the connector.
pub(crate) type Replier = Arc<dyn Fn(String) + Send + Sync>;

/// How many updates of resources may wait for whoever follows them.
const MOST_UPDATES: usize = 256;
/// The longest update, in bytes; it says little more than a URI.
const LONGEST_UPDATE: usize = 16 * 1024;

/// A resource that was subscribed to changed.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    /// Its URI.
    pub(crate) uri: String,
    /// The parameters of the notification, as they were sent.
    pub(crate) params: Arc<RawValue>,
}

/// The calls of one session, and whoever follows resources over it.
pub(crate) struct Calls(Mutex<UnderWay>, broadcast::Sender<Update>);

impl Default for Calls {
    fn default() -> Self {
        Self(Mutex::default(), broadcast::Sender::new(MOST_UPDATES))
    }
}

#[derive(Default)]
struct UnderWay {
    /// By the request's number.
    calls: BTreeMap<u64, Option<Heard>>,
    /// Questions that came before there was any call.
    early: Vec<Question>,
    begun: bool,
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
            under_way.begun = true;
            if heard.is_some() { std::mem::take(&mut under_way.early) } else { Vec::new() }
        };
        for (question, heard) in early.into_iter().zip(std::iter::repeat(heard)) {
            if let Some(heard) = heard {
                heard.put(question);
            }
        }
        Registered { calls: self, id }
    }

    /// The updates of resources from now on.
    pub(crate) fn updates(&self) -> broadcast::Receiver<Update> {
        self.1.subscribe()
    }

    /// Hands a notice to whom it concerns.
    pub(crate) fn tell(&self, notice: Notice) {
        let heard = match &notice {
            Notice::Updated { params, .. } if params.get().len() > LONGEST_UPDATE => return,
            Notice::Updated { uri, params } => {
                // Nobody may follow any more.
                let _ = self.1.send(Update { uri: uri.clone(), params: params.clone().into() });
                return;
            }
            Notice::Progress { of, .. } => self.lock().calls.get(of).cloned().flatten(),
            Notice::Log { .. } => self.lock().only(),
            Notice::Changed(_) => None,
        };
        if let Some(heard) = heard {
            heard.ear.tell_aside(notice);
        }
    }

    /// Puts a question to whoever the connector works for. The reply when that is nobody, or cannot be told.
    pub(crate) fn ask(&self, question: Question) -> Option<String> {
        let mut under_way = self.lock();
        // The session was opened for the first call. Later there may be another's any moment.
        if !under_way.begun && under_way.early.len() < MOST_EARLY {
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
    /// The call that something without an address most likely concerns, if all are made for the same assistant: one must
    /// never hear what was meant for another. It is the newest that does not wait for an answer already.
    fn only(&self) -> Option<Heard> {
        let mut calls = self.calls.values();
        let owner = &calls.next()?.as_ref()?.ear.wants().owner;
        let same =
            |other: &Option<Heard>| other.as_ref().is_some_and(|other| other.ear.wants().owner == *owner);
        if !calls.all(same) {
            return None;
        }
        let newest = || self.calls.values().rev().flatten();
        newest().find(|heard| !heard.ear.is_asked()).or_else(|| newest().next()).cloned()
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

#[cfg(test)]
mod tests {
    use mcp::Capabilities;
    use mcp::connector::FromConnector;

    use super::*;
    use crate::ear::{Event, Hearing, LogWish, Wants, ear};

    fn opened(owner: &str) -> (Ear, Hearing) {
        let roots = serde_json::from_str(r#"{"roots":{}}"#).unwrap();
        let capabilities = Capabilities::read(Some(roots));
        ear(Wants { owner: owner.into(), capabilities, log: LogWish::Nothing, progress: true })
    }

    fn question() -> Question {
        let text = br#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#;
        let Ok(FromConnector::Question(question)) = FromConnector::parse(text) else { panic!("a question") };
        question
    }

    fn nowhere() -> Replier {
        Arc::new(|_| {})
    }

    #[tokio::test]
    async fn what_has_no_address_goes_to_nobody_where_it_could_be_another_s() {
        let calls = Calls::default();
        let ((ann, mut hears), (bob, _hearing)) = (opened("ann"), opened("bob"));
        let _one = calls.register(1, Some((&ann, nowhere())));
        assert!(calls.ask(question()).is_none());
        assert!(matches!(hears.next().await, Event::Asked(_)));
        let two = calls.register(2, Some((&bob, nowhere())));
        assert!(calls.ask(question()).is_some_and(|refusal| refusal.contains("-32601")));
        drop(two);
        let _three = calls.register(3, None);
        assert!(calls.ask(question()).is_some(), "a call that hears nothing may be the one");
    }

    #[tokio::test]
    async fn a_call_that_waits_for_an_answer_already_is_not_asked_again() {
        let calls = Calls::default();
        let ((old, mut old_hears), (new, mut new_hears)) = (opened("ann"), opened("ann"));
        let _old = calls.register(1, Some((&old, nowhere())));
        calls.ask(question());
        let Event::Asked(_open) = old_hears.next().await else { panic!("a question") };
        let _new = calls.register(2, Some((&new, nowhere())));
        calls.ask(question());
        assert!(matches!(new_hears.next().await, Event::Asked(_)));
        assert!(old_hears.take().is_none());
    }

    #[tokio::test]
    async fn who_asks_before_there_is_a_call_asks_the_first_one() {
        let calls = Calls::default();
        assert!((0..MOST_EARLY).all(|_| calls.ask(question()).is_none()));
        assert!(calls.ask(question()).is_some(), "bounded");
        let (ear, mut hearing) = opened("ann");
        let call = calls.register(1, Some((&ear, nowhere())));
        let Event::Asked(asked) = hearing.next().await else { panic!("a question") };
        asked.answer(Ok(mcp::raw(&1)));
        drop(call);
        assert!(calls.ask(question()).is_some(), "the next call may be another's");
    }
}
