//! What waits for a person: sign-ins, consents and approvals, each answered once or refused at its deadline.
//!
//! [`PendingDesk`] is the one implementation of [`model::Person`]. It keeps the questions, wakes whoever waits, and tells
//! the controller through events; it opens no window and never answers by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{
    Advice, Approval, ApprovalRequest, BoxFuture, Consent, ConsentRequest, ForPerson, Person, PersonFault,
    SignInOutcome, SignInPurpose, SignInRequest, Timestamp,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::event::Event;
use crate::redirect::{RedirectFault, RedirectListener};

/// Reads the wall clock; made from `os::Clock` at the composition root.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How many questions may wait at once. More than a person can look at is a flood, and is refused.
pub const MOST_PENDING: usize = 24;

/// The name of a pending item: six lower-case hexadecimal digits, so that it can be typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PendingId(String);

impl PendingId {
    /// Takes a text as somebody typed it. Whether such an item exists is found out when it is answered.
    pub fn typed(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn fresh() -> Self {
        let random = uuid::Uuid::now_v7().simple().to_string();
        Self(random.chars().skip(26).collect())
    }
}

impl std::fmt::Display for PendingId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// To sign in.
    SignIn(SignInRequest),
    /// Whether an assistant may use a virtual server.
    Consent(ConsentRequest),
    /// Whether one call may be made.
    Approval(ApprovalRequest),
}

/// One question that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingItem {
    /// Its name.
    pub id: PendingId,
    /// What is asked.
    pub question: Question,
    /// When it was asked.
    pub created: Timestamp,
    /// When it is refused by itself.
    pub deadline: Timestamp,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Somebody answered, or the sign-in came back.
    Answered,
    /// Somebody cancelled or closed the window.
    Cancelled,
    /// Nobody answered in time.
    Deadline,
    /// Whoever asked has gone away.
    Withdrawn,
}

/// Who can be asked here, and who may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// A desktop shows windows. A terminal cannot answer: an agent with a shell would approve itself.
    Desktop,
    /// There is no display. Sign-ins open the system browser; consents and approvals wait for `deskgate answer`.
    Terminal {
        /// Whether managed or user settings allow `deskgate answer`; otherwise there is nobody to ask.
        answers_allowed: bool,
    },
}

/// An answer to a consent or approval, or the end of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The redirect of a sign-in.
    SignedIn(SignInOutcome),
    /// To a consent.
    Consent(Consent),
    /// To an approval.
    Approval(Approval),
    /// Cancelled: the window was closed.
    Cancel,
}

/// Why an answer was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// No such item waits: it never did, was answered, or ran into its deadline.
    #[error("nothing with the id {0} is waiting")]
    Unknown(PendingId),
    /// The item asks for another kind of answer.
    #[error("{0} asks for another kind of answer")]
    Kind(PendingId),
    /// A sign-in is finished where it was opened, not by a word.
    #[error("{0} is a sign-in and is finished in its window or browser")]
    InBrowser(PendingId),
    /// A desktop owns this instance, so a terminal may not answer.
    #[error("a desktop owns this instance; it is answered there")]
    OnDesktop,
    /// The settings do not allow answers from a terminal.
    #[error("answers from a terminal are switched off")]
    NotAllowed,
}

impl ForPerson for AnswerFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Unknown(id) => Advice::new(
                "pending-unknown",
                format!("Nothing with the id {id} is waiting."),
                "It was answered already, ran out of time, or never existed.",
                "See what waits with: deskgate pending",
            ),
            Self::Kind(id) => Advice::new(
                "pending-kind",
                format!("{id} asks for another kind of answer."),
                "",
                "See what waits with: deskgate pending",
            ),
            Self::InBrowser(id) => Advice::new(
                "pending-sign-in",
                format!("{id} is a sign-in."),
                "It is finished in the browser that was opened for it.",
                "To give it up, use: deskgate answer ID deny",
            ),
            Self::OnDesktop => Advice::new(
                "pending-on-desktop",
                "This has to be answered in the Deskgate window.",
                "While the desktop application runs, a terminal cannot answer for you.",
                "Open Deskgate from the tray and look under Pending.",
            ),
            Self::NotAllowed => Advice::new(
                "pending-not-allowed",
                "Answering from a terminal is switched off.",
                "Otherwise a program with a shell could approve its own requests.",
                "Use the desktop application, or allow it in the settings.",
            ),
        }
    }
}

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
}

#[derive(Default)]
struct Waiting {
    items: BTreeMap<PendingId, Entry>,
    tickets: u64,
}

struct Entry {
    item: PendingItem,
    askers: BTreeMap<u64, oneshot::Sender<Answer>>,
}

impl PendingDesk {
    /// An empty desk. What happens on it is told to the controller through `events`.
    pub fn new(surface: Surface, now: Now, events: mpsc::UnboundedSender<Event>) -> Self {
        Self { shared: Arc::new(Shared { surface, now, events, waiting: Mutex::default() }) }
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

    /// Answers with a word from a terminal: `true` allows, `false` denies or cancels.
    ///
    /// # Errors
    /// [`AnswerFault`]; in particular never while a desktop owns the instance, and only where settings allow it.
    pub fn answer_from_terminal(&self, id: &PendingId, allow: bool) -> Result<(), AnswerFault> {
        match self.shared.surface {
            Surface::Desktop => return Err(AnswerFault::OnDesktop),
            Surface::Terminal { answers_allowed: false } => return Err(AnswerFault::NotAllowed),
            Surface::Terminal { answers_allowed: true } => {}
        }
        let question = self
            .waiting()
            .items
            .get(id)
            .map(|entry| entry.item.question.clone())
            .ok_or_else(|| AnswerFault::Unknown(id.clone()))?;
        let answer = match (question, allow) {
            (Question::SignIn(_), true) => return Err(AnswerFault::InBrowser(id.clone())),
            (Question::SignIn(_), false) => Answer::Cancel,
            (Question::Consent(_), true) => Answer::Consent(Consent::Allow),
            (Question::Consent(_), false) => Answer::Consent(Consent::Deny),
            (Question::Approval(_), true) => Answer::Approval(Approval::AllowOnce),
            (Question::Approval(_), false) => Answer::Approval(Approval::Deny),
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
            Some(Question::Consent(_) | Question::Approval(_)) => false,
            None => return Err(AnswerFault::Unknown(id.clone())),
        };
        if !fits {
            return Err(AnswerFault::Kind(id.clone()));
        }
        self.answer(id, Answer::SignedIn(SignInOutcome { redirected_to: to }))
    }

    async fn ask(&self, question: Question, deadline: Duration) -> Result<Answer, PersonFault> {
        if self.shared.surface == (Surface::Terminal { answers_allowed: false })
            && !matches!(question, Question::SignIn(_))
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
        let item = PendingItem { id: id.clone(), question, created: now, deadline: now.plus(deadline) };
        waiting
            .items
            .insert(id.clone(), Entry { item: item.clone(), askers: BTreeMap::from([(ticket, send)]) });
        drop(waiting);
        told.push(Event::PendingAdded(item));
        told.into_iter().for_each(|event| self.tell(event));
        Ok((Asker::new(self, id, ticket), receive))
    }

    fn leave(&self, id: &PendingId, ticket: u64, ending: Ending) {
        let mut waiting = self.waiting();
        let Some(entry) = waiting.items.get_mut(id) else { return };
        entry.askers.remove(&ticket);
        if entry.askers.is_empty() {
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
                Answer::Consent(_) | Answer::Approval(_) | Answer::Cancel => Err(PersonFault::Cancelled),
            }
        })
    }

    fn consent(&self, request: ConsentRequest) -> BoxFuture<'_, Result<Consent, PersonFault>> {
        Box::pin(async move {
            let deadline = request.deadline;
            match self.ask(Question::Consent(request), deadline).await? {
                Answer::Consent(answer) => Ok(answer),
                Answer::SignedIn(_) | Answer::Approval(_) | Answer::Cancel => Err(PersonFault::Cancelled),
            }
        })
    }

    fn approve(&self, request: ApprovalRequest) -> BoxFuture<'_, Result<Approval, PersonFault>> {
        Box::pin(async move {
            let deadline = request.deadline;
            match self.ask(Question::Approval(request), deadline).await? {
                Answer::Approval(answer) => Ok(answer),
                Answer::SignedIn(_) | Answer::Consent(_) | Answer::Cancel => Err(PersonFault::Cancelled),
            }
        })
    }
}

impl PendingDesk {
    fn sign_in_at(&self, redirect_uri: &Url) -> Option<PendingId> {
        self.waiting().items.values().find_map(|entry| match &entry.item.question {
            Question::SignIn(request) if request.redirect_uri == *redirect_uri => Some(entry.item.id.clone()),
            Question::SignIn(_) | Question::Consent(_) | Question::Approval(_) => None,
        })
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

fn fits(question: &Question, answer: &Answer) -> bool {
    match (question, answer) {
        (_, Answer::Cancel)
        | (Question::SignIn(_), Answer::SignedIn(_))
        | (Question::Consent(_), Answer::Consent(_))
        | (Question::Approval(_), Answer::Approval(_)) => true,
        (Question::SignIn(_) | Question::Consent(_) | Question::Approval(_), _) => false,
    }
}

/// Whether a new question is the very one that waits already: everything that the person sees is the same.
///
/// Approvals never fold: each is one call, and one permission must not be spent twice.
fn folds(waiting: &Question, asked: &Question) -> bool {
    match (waiting, asked) {
        (Question::Consent(a), Question::Consent(b)) => {
            ConsentRequest { deadline: b.deadline, ..a.clone() } == *b
        }
        (Question::SignIn(_) | Question::Consent(_) | Question::Approval(_), _) => false,
    }
}

/// Whether a new sign-in takes the place of one that waits: it is for the same account, and only one attempt can end.
fn replaces(asked: &Question, waiting: &Question) -> bool {
    match (asked, waiting) {
        (Question::SignIn(a), Question::SignIn(b)) => match (&a.purpose, &b.purpose) {
            (SignInPurpose::Organisation { .. }, SignInPurpose::Organisation { .. }) => true,
            (
                SignInPurpose::Connector { connector: a, .. },
                SignInPurpose::Connector { connector: b, .. },
            ) => a == b,
            (SignInPurpose::Organisation { .. } | SignInPurpose::Connector { .. }, _) => false,
        },
        (Question::SignIn(_) | Question::Consent(_) | Question::Approval(_), _) => false,
    }
}

#[cfg(test)]
mod tests;
