//! What waits, how it can be answered, and which questions are the same.

use std::sync::Arc;

use model::{
    AccountId, Advice, Approval, ApprovalRequest, CodeRequest, Consent, ConsentRequest, ForPerson,
    SignInOutcome, SignInPurpose, SignInRequest, Timestamp,
};
use org_protocol::DiagnosticsRequest;
use serde::{Deserialize, Serialize};

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

    pub(super) fn fresh() -> Self {
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
    /// To sign in on another device, by a code.
    Code(CodeRequest),
    /// Whether an assistant may use a virtual server.
    Consent(ConsentRequest),
    /// Whether one call may be made.
    Approval(ApprovalRequest),
    /// Whether diagnostics that IT asks for are sent. They are looked at first, and sent from there.
    Diagnostics(Arc<DiagnosticsRequest>),
}

impl Question {
    /// What it signs in to or out of, if it does.
    pub fn purpose(&self) -> Option<&SignInPurpose> {
        match self {
            Self::SignIn(SignInRequest { purpose, .. }) | Self::Code(CodeRequest { purpose, .. }) => {
                Some(purpose)
            }
            Self::Consent(_) | Self::Approval(_) | Self::Diagnostics(_) => None,
        }
    }

    /// Whether it is an assistant that waits for the answer.
    pub(super) fn is_of_assistant(&self) -> bool {
        matches!(self, Self::Consent(_) | Self::Approval(_))
    }

    /// The answer that denies what is asked for; none where nothing is, but a sign-in is needed.
    pub fn denial(&self) -> Option<Answer> {
        match self {
            Self::Consent(_) => Some(Answer::Consent(Consent::Deny)),
            Self::Approval(_) => Some(Answer::Approval(Approval::Deny)),
            Self::Diagnostics(_) => Some(Answer::NotSent),
            Self::SignIn(_) | Self::Code(_) => None,
        }
    }
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
    /// How many wait for this one answer.
    pub count: usize,
}

impl PendingItem {
    /// What it signs in to: a connector, or none for the organisation. Nothing if it is no sign-in.
    pub fn signs_in_to(&self) -> Option<Option<AccountId>> {
        match self.question.purpose()? {
            SignInPurpose::Organisation { .. } => Some(None),
            SignInPurpose::Connector { account, .. } => Some(Some(account.clone())),
            SignInPurpose::SignOut { .. } => None,
        }
    }

    /// Whether it is no question, but a page on which the person signs out.
    pub fn is_sign_out(&self) -> bool {
        matches!(self.question.purpose(), Some(SignInPurpose::SignOut { .. }))
    }
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
        /// Whether the system browser can be opened ([`crate::can_open_browser`]).
        browser: bool,
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
    /// Diagnostics are not sent.
    NotSent,
    /// Cancelled: the window was closed.
    Cancel,
}

/// Why an answer was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// No such item waits: it never did, was answered, or ran into its deadline.
    #[error("nothing with the id {0} is waiting")]
    Unknown(PendingId),
    /// More calls wait for the answer than the person saw.
    #[error("more calls than were seen wait for {0} by now")]
    More(PendingId),
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
    /// Diagnostics are sent where they are seen, not by a word.
    #[error("{0} asks for diagnostics, which are seen before they are sent")]
    Unseen(PendingId),
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
            Self::More(id) => Advice::new(
                "pending-more",
                format!("More calls wait for {id} by now."),
                "The assistant has made the same call again meanwhile.",
                "Look how many it is, and answer then.",
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
                "It is finished on the page where you sign in.",
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
            Self::Unseen(id) => Advice::new(
                "pending-diagnostics",
                format!("{id} asks for diagnostics."),
                "You see what is in them before they are sent.",
                "See and send them with: deskgate diagnostics --send",
            ),
        }
    }
}

pub(super) fn fits(question: &Question, answer: &Answer) -> bool {
    match (question, answer) {
        (_, Answer::Cancel)
        | (Question::SignIn(_), Answer::SignedIn(_))
        | (Question::Consent(_), Answer::Consent(_))
        | (Question::Diagnostics(_), Answer::NotSent)
        | (Question::Approval(_), Answer::Approval(Approval::Deny)) => true,
        // No window can allow more than the policy does.
        (Question::Approval(request), Answer::Approval(Approval::Allow(scope))) => *scope <= request.most,
        (
            Question::SignIn(_)
            | Question::Code(_)
            | Question::Consent(_)
            | Question::Approval(_)
            | Question::Diagnostics(_),
            _,
        ) => false,
    }
}

/// Whether a new question is the very one that waits already: everything that the person sees is the same.
///
/// Identical calls of one assistant are one question, and their number is shown; each is made by a leave of its own.
pub(super) fn folds(waiting: &Question, asked: &Question) -> bool {
    match (waiting, asked) {
        (Question::Consent(a), Question::Consent(b)) => {
            ConsentRequest { deadline: b.deadline, ..a.clone() } == *b
        }
        (Question::Approval(a), Question::Approval(b)) => {
            ApprovalRequest { call: b.call, deadline: b.deadline, ..a.clone() } == *b
        }
        (
            Question::SignIn(_)
            | Question::Code(_)
            | Question::Consent(_)
            | Question::Approval(_)
            | Question::Diagnostics(_),
            _,
        ) => false,
    }
}

/// Whether a new sign-in takes the place of one that waits: it is for the same account, and only one attempt can end.
pub(super) fn replaces(asked: &Question, waiting: &Question) -> bool {
    let (Some(asked), Some(waiting)) = (asked.purpose(), waiting.purpose()) else { return false };
    match (asked, waiting) {
        (
            SignInPurpose::Organisation { .. } | SignInPurpose::SignOut { .. },
            SignInPurpose::Organisation { .. } | SignInPurpose::SignOut { .. },
        ) => true,
        (SignInPurpose::Connector { account: a, .. }, SignInPurpose::Connector { account: b, .. }) => a == b,
        (
            SignInPurpose::Organisation { .. }
            | SignInPurpose::SignOut { .. }
            | SignInPurpose::Connector { .. },
            _,
        ) => false,
    }
}
