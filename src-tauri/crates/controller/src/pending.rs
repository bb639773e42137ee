//! What waits for a person: sign-ins, consents and approvals, each answered once or refused at its deadline.
//!
//! [`PendingDesk`] is the one implementation of [`model::Person`]. It keeps the questions, wakes whoever waits, and tells
//! the controller through events; it opens no window and never answers by itself.

mod item;
mod visit;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{
    Approval, ApprovalRequest, ApprovalScope, BoxFuture, CodeRequest, Consent, ConsentRequest, Person,
    PersonFault, SignInOutcome, SignInRequest, Timestamp,
};
use org_protocol::DiagnosticsRequest;
use tokio::sync::{mpsc, oneshot, watch};
use url::Url;

pub use item::{Answer, AnswerFault, Ending, PendingId, PendingItem, Question, Surface};
use item::{fits, folds, replaces};

use crate::event::Event;
use crate::redirect::{RedirectFault, RedirectListener};

/// Reads the wall clock; made from `os::Clock` at the composition root.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How many questions may wait at once. More than a person can look at is a flood, and is refused.
pub const MOST_PENDING: usize = 24;

/// Keeps what waits for a person. Cheap to clone; all clones are one desk.
#[derive(Clone)]
pub struct PendingDesk {
    shared: Arc<Shared>,
}

struct Shared {
    surface: Surface,
    now: Now,
    events: mpsc::UnboundedSender<Event>,
    waiting: Mutex<Waiting>,
    /// Counts the questions that were put.
    put: watch::Sender<u64>,
}

#[derive(Default)]
struct Waiting {
    items: BTreeMap<PendingId, Entry>,
    tickets: u64,
}

struct Entry {
    item: PendingItem,
    /// The name of a sign-in in the address that leads to it; nobody can guess it.
    visit: Option<String>,
    askers: BTreeMap<u64, oneshot::Sender<Answer>>,
}

impl PendingDesk {
    /// An empty desk. What happens on it is told to the controller through `events`.
    pub fn new(surface: Surface, now: Now, events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            shared: Arc::new(Shared {
                surface,
                now,
                events,
                waiting: Mutex::default(),
                put: watch::Sender::default(),
            }),
        }
    }

    /// What waits, the earliest deadline first.
    pub fn items(&self) -> Vec<PendingItem> {
        let mut items: Vec<_> = self.waiting().items.values().map(|entry| entry.item.clone()).collect();
        items.sort_by(|a, b| (a.deadline, &a.id).cmp(&(b.deadline, &b.id)));
        items
    }

    /// Answers from a window of the desktop, or from a redirect that was caught. The first answer counts.
    ///
    /// # Errors
    /// [`AnswerFault::Unknown`] if nothing waits under this id any more, [`AnswerFault::Kind`] if the answer does not fit.
    pub fn answer(&self, id: &PendingId, answer: Answer) -> Result<(), AnswerFault> {
        let mut waiting = self.waiting();
        let entry = waiting.items.get(id).ok_or_else(|| AnswerFault::Unknown(id.clone()))?;
        if !fits(&entry.item.question, &answer) {
            return Err(AnswerFault::Kind(id.clone()));
        }
        let late = (self.shared.now)() >= entry.item.deadline;
        let Some(entry) = waiting.items.remove(id) else { return Err(AnswerFault::Unknown(id.clone())) };
        drop(waiting);
        if late {
            // The machine slept through the deadline: the waiting side is refused, whatever is said now.
            self.tell(Event::PendingGone { id: id.clone(), ending: Ending::Deadline });
            return Err(AnswerFault::Unknown(id.clone()));
        }
        let ending = if answer == Answer::Cancel { Ending::Cancelled } else { Ending::Answered };
        for asker in entry.askers.into_values() {
            // An asker that has just gone away needs no answer.
            let _ = asker.send(answer.clone());
        }
        self.tell(Event::PendingGone { id: id.clone(), ending });
        Ok(())
    }

    /// Answers an approval from a window that showed so many calls as waiting for it.
    ///
    /// # Errors
    /// [`AnswerFault::More`] if there are more by now; else as [`Self::answer`].
    pub fn answer_approval(
        &self,
        id: &PendingId,
        approval: Approval,
        seen: usize,
    ) -> Result<(), AnswerFault> {
        let count = self.waiting().items.get(id).map_or(0, |entry| entry.item.count);
        if approval != Approval::Deny && count > seen {
            return Err(AnswerFault::More(id.clone()));
        }
        self.answer(id, Answer::Approval(approval))
    }

    /// Denies what waits, without a look at it.
    ///
    /// # Errors
    /// As [`Self::answer`]; [`AnswerFault::InBrowser`] for a sign-in, which is given up and not denied.
    pub fn deny(&self, id: &PendingId) -> Result<(), AnswerFault> {
        let denial = self.waiting().items.get(id).map(|entry| entry.item.question.denial());
        let denial = denial.ok_or_else(|| AnswerFault::Unknown(id.clone()))?;
        self.answer(id, denial.ok_or_else(|| AnswerFault::InBrowser(id.clone()))?)
    }

    /// Whether a person may decide at a terminal.
    ///
    /// # Errors
    /// [`AnswerFault::OnDesktop`] while a desktop owns the instance, [`AnswerFault::NotAllowed`] where settings do not allow it.
    pub fn answers_from_terminal(&self) -> Result<(), AnswerFault> {
        match self.shared.surface {
            Surface::Desktop => Err(AnswerFault::OnDesktop),
            Surface::Terminal { answers_allowed: false, .. } => Err(AnswerFault::NotAllowed),
            Surface::Terminal { answers_allowed: true, .. } => Ok(()),
        }
    }

    /// Answers with a word from a terminal: `true` allows, `false` denies or cancels.
    ///
    /// # Errors
    /// [`AnswerFault`]; in particular never while a desktop owns the instance, and only where settings allow it.
    pub fn answer_from_terminal(&self, id: &PendingId, allow: bool) -> Result<(), AnswerFault> {
        self.answers_from_terminal()?;
        let question = self
            .waiting()
            .items
            .get(id)
            .map(|entry| entry.item.question.clone())
            .ok_or_else(|| AnswerFault::Unknown(id.clone()))?;
        let answer = match (question, allow) {
            (Question::SignIn(_) | Question::Code(_), true) => {
                return Err(AnswerFault::InBrowser(id.clone()));
            }
            (Question::SignIn(_) | Question::Code(_), false) => Answer::Cancel,
            (Question::Consent(_), true) => Answer::Consent(Consent::Allow),
            (Question::Consent(_), false) => Answer::Consent(Consent::Deny),
            (Question::Approval(_), true) => Answer::Approval(Approval::Allow(ApprovalScope::Once)),
            (Question::Approval(_), false) => Answer::Approval(Approval::Deny),
            (Question::Diagnostics(_), true) => return Err(AnswerFault::Unseen(id.clone())),
            (Question::Diagnostics(_), false) => Answer::NotSent,
        };
        self.answer(id, answer)
    }

    /// Ends a sign-in with the redirect that a listener or a window caught. Anything but this attempt's own redirect is
    /// refused, so a page cannot end an attempt by navigating to a made-up address.
    ///
    /// # Errors
    /// [`AnswerFault::Unknown`] or [`AnswerFault::Kind`].
    pub fn redirected(&self, id: &PendingId, to: Url) -> Result<(), AnswerFault> {
        let fits = match self.waiting().items.get(id).map(|entry| &entry.item.question) {
            Some(Question::SignIn(request)) => crate::redirect::is_redirect(request, &to),
            Some(
                Question::Code(_) | Question::Consent(_) | Question::Approval(_) | Question::Diagnostics(_),
            ) => false,
            None => return Err(AnswerFault::Unknown(id.clone())),
        };
        if !fits {
            return Err(AnswerFault::Kind(id.clone()));
        }
        self.answer(id, Answer::SignedIn(SignInOutcome { redirected_to: to }))
    }

    async fn ask(&self, question: Question, deadline: Duration) -> Result<Answer, PersonFault> {
        if matches!(self.shared.surface, Surface::Terminal { answers_allowed: false, .. })
            && question.is_of_assistant()
        {
            return Err(PersonFault::Nobody("answers from a terminal are switched off".to_owned()));
        }
        let until = (self.shared.now)().plus(deadline);
        let (mut asker, answer) = self.put(question, deadline)?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            // The question was taken away: it was answered too late, or a newer attempt took its place.
            Ok(Err(_)) if (self.shared.now)() >= until => Err(PersonFault::Deadline),
            Ok(Err(_)) => Err(PersonFault::Cancelled),
            Err(_) => {
                asker.ending = Ending::Deadline;
                Err(PersonFault::Deadline)
            }
        }
    }

    fn put(
        &self,
        question: Question,
        deadline: Duration,
    ) -> Result<(Asker, oneshot::Receiver<Answer>), PersonFault> {
        let now = (self.shared.now)();
        let (send, receive) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.tickets += 1;
        let ticket = waiting.tickets;
        let mut told = Vec::new();

        if let Some(entry) = waiting.items.values_mut().find(|entry| folds(&entry.item.question, &question)) {
            entry.item.deadline = entry.item.deadline.max(now.plus(deadline));
            entry.askers.insert(ticket, send);
            entry.item.count = entry.askers.len();
            let item = entry.item.clone();
            drop(waiting);
            self.tell(Event::PendingAdded(item.clone()));
            return Ok((Asker::new(self, item.id, ticket), receive));
        }
        let replaced: Vec<_> = waiting
            .items
            .values()
            .filter(|entry| replaces(&question, &entry.item.question))
            .map(|entry| entry.item.id.clone())
            .collect();
        for id in replaced {
            waiting.items.remove(&id);
            told.push(Event::PendingGone { id, ending: Ending::Withdrawn });
        }
        if waiting.items.len() >= MOST_PENDING {
            return Err(PersonFault::Nobody("too many questions are waiting already".to_owned()));
        }
        let mut id = PendingId::fresh();
        while waiting.items.contains_key(&id) {
            id = PendingId::fresh();
        }
        let visit = visit::name_of(&question);
        let item =
            PendingItem { id: id.clone(), question, created: now, deadline: now.plus(deadline), count: 1 };
        let entry = Entry { item: item.clone(), visit, askers: BTreeMap::from([(ticket, send)]) };
        waiting.items.insert(id.clone(), entry);
        drop(waiting);
        self.shared.put.send_modify(|count| *count += 1);
        told.push(Event::PendingAdded(item));
        told.into_iter().for_each(|event| self.tell(event));
        Ok((Asker::new(self, id, ticket), receive))
    }

    fn leave(&self, id: &PendingId, ticket: u64, ending: Ending) {
        let mut waiting = self.waiting();
        let Some(entry) = waiting.items.get_mut(id) else { return };
        entry.askers.remove(&ticket);
        entry.item.count = entry.askers.len();
        if !entry.askers.is_empty() {
            let item = entry.item.clone();
            drop(waiting);
            self.tell(Event::PendingAdded(item));
        } else {
            waiting.items.remove(id);
            drop(waiting);
            self.tell(Event::PendingGone { id: id.clone(), ending });
        }
    }

    fn tell(&self, event: Event) {
        // The controller has ended when nobody receives: then there is nobody to tell.
        let _ = self.shared.events.send(event);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Person for PendingDesk {
    fn sign_in(&self, request: SignInRequest) -> BoxFuture<'_, Result<SignInOutcome, PersonFault>> {
        Box::pin(async move {
            let listener = RedirectListener::bind(&request).await.map_err(|fault| match fault {
                RedirectFault::Port { .. } => PersonFault::PortTaken,
                RedirectFault::NotLoopback => PersonFault::Nobody(fault.to_string()),
            })?;
            let deadline = request.deadline;
            let desk = self.clone();
            let asked = request.redirect_uri.clone();
            // The listener lives as long as the question: nobody else can take the port and catch the answer.
            let catching = async {
                let to = listener.caught().await;
                if let Some(id) = desk.sign_in_at(&asked)
                    && let Err(fault) = desk.redirected(&id, to)
                {
                    tracing::debug!(%fault, "a redirect came too late");
                }
                std::future::pending::<()>().await;
            };
            let answer = tokio::select! {
                answer = self.ask(Question::SignIn(request), deadline) => answer?,
                () = catching => return Err(PersonFault::Cancelled),
            };
            match answer {
                Answer::SignedIn(outcome) => Ok(outcome),
                Answer::Consent(_) | Answer::Approval(_) | Answer::NotSent | Answer::Cancel => {
                    Err(PersonFault::Cancelled)
                }
            }
        })
    }

    fn opens_pages(&self) -> bool {
        match self.shared.surface {
            Surface::Desktop => true,
            Surface::Terminal { browser, .. } => browser,
        }
    }

    fn show_code(&self, request: CodeRequest) -> BoxFuture<'_, PersonFault> {
        Box::pin(async move {
            let deadline = request.deadline;
            match self.ask(Question::Code(request), deadline).await {
                // Nothing but giving it up fits this question.
                Ok(_) => PersonFault::Cancelled,
                Err(fault) => fault,
            }
        })
    }

    fn consent(&self, request: ConsentRequest) -> BoxFuture<'_, Result<Consent, PersonFault>> {
        Box::pin(async move {
            let deadline = request.deadline;
            match self.ask(Question::Consent(request), deadline).await? {
                Answer::Consent(answer) => Ok(answer),
                Answer::SignedIn(_) | Answer::Approval(_) | Answer::NotSent | Answer::Cancel => {
                    Err(PersonFault::Cancelled)
                }
            }
        })
    }

    fn approve(&self, request: ApprovalRequest) -> BoxFuture<'_, Result<Approval, PersonFault>> {
        Box::pin(async move {
            let deadline = request.deadline;
            match self.ask(Question::Approval(request), deadline).await? {
                Answer::Approval(answer) => Ok(answer),
                Answer::SignedIn(_) | Answer::Consent(_) | Answer::NotSent | Answer::Cancel => {
                    Err(PersonFault::Cancelled)
                }
            }
        })
    }
}

impl PendingDesk {
    fn sign_in_at(&self, redirect_uri: &Url) -> Option<PendingId> {
        self.waiting().items.values().find_map(|entry| match &entry.item.question {
            Question::SignIn(request) if request.redirect_uri == *redirect_uri => Some(entry.item.id.clone()),
            Question::SignIn(_)
            | Question::Code(_)
            | Question::Consent(_)
            | Question::Approval(_)
            | Question::Diagnostics(_) => None,
        })
    }

    /// Waits until the person is asked to sign in to the organisation in a way that is wanted; the question.
    pub(crate) async fn sign_in_to_organisation(&self, wanted: impl Fn(&Question) -> bool) -> PendingItem {
        let mut put = self.shared.put.subscribe();
        loop {
            let theirs = |item: &PendingItem| item.signs_in_to() == Some(None) && wanted(&item.question);
            let found = self.items().into_iter().find(theirs);
            if let Some(item) = found {
                return item;
            }
            if put.changed().await.is_err() {
                // The desk is gone, and with it everything that could be waited for.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Shows that diagnostics are asked for, until this is dropped. Returns when the person does not send them; sending ends it from
    /// outside.
    ///
    /// # Errors
    /// A [`PersonFault`]: nobody was asked, or nobody answered in time.
    pub(crate) async fn diagnostics(&self, request: Arc<DiagnosticsRequest>) -> Result<(), PersonFault> {
        let left = request.until.since((self.shared.now)());
        match self.ask(Question::Diagnostics(request), left).await? {
            Answer::NotSent | Answer::Cancel => Ok(()),
            Answer::SignedIn(_) | Answer::Consent(_) | Answer::Approval(_) => Err(PersonFault::Cancelled),
        }
    }

    /// Gives a sign-in to the organisation up that goes on at a page; the person wants another way.
    pub(crate) fn leave_page_of_organisation(&self) {
        let at_page = |item: &PendingItem| {
            item.signs_in_to() == Some(None) && matches!(item.question, Question::SignIn(_))
        };
        for item in self.items().into_iter().filter(at_page) {
            // It has just ended by itself otherwise.
            let _ = self.answer(&item.id, Answer::Cancel);
        }
    }
}

/// One side that waits. When it is dropped — answered, timed out, or its connection was closed — it leaves the desk.
struct Asker {
    desk: PendingDesk,
    id: PendingId,
    ticket: u64,
    ending: Ending,
}

impl Asker {
    fn new(desk: &PendingDesk, id: PendingId, ticket: u64) -> Self {
        Self { desk: desk.clone(), id, ticket, ending: Ending::Withdrawn }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.desk.leave(&self.id, self.ticket, self.ending);
    }
}

#[cfg(test)]
mod tests;
