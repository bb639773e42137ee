//! Assistants that reach a virtual server over a local connection of their own instead of HTTP.
//!
//! There is no token: the open connection is what a token is elsewhere, good for one virtual server. The client is the
//! program that asks, not a name that it claims. Whatever ends a token ends the connection's grant: [`Admission::check`]
//! is asked for every message.

use std::sync::{Arc, Mutex, PoisonError};

use model::{
    Advice, Consent, ConsentRequest, ForPerson, ListeningProcess, PersonFault, ServerId, Subject, Timestamp,
};

use crate::consents::Consented;
use crate::grants::{Agreement, GrantFault};
use crate::issuer::{Core, Interrupted, to_the_end};
use crate::name::ClientName;
use crate::secret::FamilyId;
use crate::{AccessGrant, Event, ProgramLookup, TokenFault};

/// What stands where other consents have their redirect.
const REDIRECT: &str = "stdio";
/// What the client id of whatever comes through a socket begins with.
const SOCKET: &str = "socket";

/// A program asks for a virtual server over a local connection.
pub struct Visit {
    /// The virtual server.
    pub server: ServerId,
    /// The program; asked before and after the person, who must have been shown the right one.
    pub program: ProgramLookup,
    /// The file of the socket that the program has opened for others, if it asks on their behalf: assistants that cannot be told,
    /// in a container or on another computer. The person is asked each time, and nothing is remembered.
    pub through: Option<String>,
}

/// Why a program is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionFault {
    /// There is no such virtual server, or not for this person.
    #[error("the virtual server {0} does not exist for the person")]
    NoServer(ServerId),
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    SignedOut,
    /// The program belongs to another user of this computer.
    #[error("the program belongs to another user")]
    ForeignProgram,
    /// Another program took the place of the one that was shown.
    #[error("the program changed while the person was asked")]
    ProgramChanged,
    /// Another person signed in while the question waited.
    #[error("somebody else signed in meanwhile")]
    PersonChanged,
    /// Too many questions wait already.
    #[error("too many requests wait for the person")]
    Busy,
    /// The person refused.
    #[error("the person refused")]
    Denied,
    /// The person gave no answer.
    #[error("{0}")]
    NoAnswer(#[from] PersonFault),
    /// The consent could not be kept.
    #[error("the consent could not be kept")]
    NotKept,
}

impl ForPerson for AdmissionFault {
    fn advice(&self) -> Advice {
        let again = "Start the assistant's connection again.";
        match self {
            Self::NoServer(server) => Advice::new(
                "no-server",
                format!("There is no virtual server {server} for you."),
                "",
                "See which there are with: deskgate status",
            ),
            Self::SignedOut => {
                Advice::new("signed-out", "Nobody is signed in.", "", "Sign in, then connect again.")
            }
            Self::ForeignProgram => Advice::new(
                "foreign-program",
                "The program that started the bridge belongs to another user of this computer.",
                "Nothing was allowed.",
                "",
            ),
            Self::ProgramChanged => Advice::new(
                "program-changed",
                "The program that started the bridge went away while you were asked about it.",
                "Nothing was allowed.",
                again,
            ),
            Self::PersonChanged => Advice::new(
                "person-changed",
                "Somebody else signed in meanwhile.",
                "Nothing was allowed.",
                again,
            ),
            Self::Busy => Advice::new(
                "consent-busy",
                "Too many assistants wait for your answer.",
                "",
                "Answer or deny what waits, then connect again.",
            ),
            Self::Denied => Advice::new(
                "consent-denied",
                "The person at this computer did not let the assistant in.",
                "",
                again,
            ),
            Self::NoAnswer(fault) => Advice::new(
                "consent-unanswered",
                format!("The assistant was not let in: {fault}."),
                "",
                again,
            ),
            Self::NotKept => Advice::new(
                "consent-not-kept",
                "Deskgate could not keep your consent.",
                "The assistant was not let in.",
                again,
            ),
        }
    }
}

/// A local connection that was let in.
pub struct Admission {
    core: Arc<Core>,
    family: FamilyId,
    current: Mutex<Arc<AccessGrant>>,
}

impl Admission {
    /// The one virtual server that the connection is good for.
    pub fn server(&self) -> ServerId {
        self.current().server.clone()
    }

    /// What the connection stands for now. In memory, without waiting; meant for every message.
    ///
    /// # Errors
    /// [`TokenFault`] says why the connection stands for nothing any more.
    pub fn check(&self, now: Timestamp) -> Result<Arc<AccessGrant>, TokenFault> {
        let expires = self.core.grants.used(&self.family, now)?;
        let present = self.core.seams.resources.current_subject().ok_or(TokenFault::SignedOut)?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.subject.is_same_person(&present) {
            return Err(TokenFault::OtherPerson);
        }
        if self.core.seams.resources.server(&current.server).is_none() {
            return Err(TokenFault::ServerGone);
        }
        if current.subject != present || current.expires != expires {
            *current = Arc::new(AccessGrant { subject: present, expires, ..AccessGrant::clone(&current) });
        }
        Ok(Arc::clone(&current))
    }

    fn current(&self) -> Arc<AccessGrant> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the person is asked about.
struct Question {
    client_id: String,
    client_name: ClientName,
    server: ServerId,
    title: String,
    subject: Arc<Subject>,
    process: Option<ListeningProcess>,
    through: Option<String>,
}

pub(crate) async fn admit(core: &Arc<Core>, visit: Visit) -> Result<Admission, AdmissionFault> {
    let _waiting = core.waiting.try_acquire().map_err(|_| AdmissionFault::Busy)?;
    let question = question(core, &visit).await?;
    let outcome = decide(core, &question, &visit.program).await;
    if let Err(fault) = &outcome {
        core.ledger.report(Event::Refused {
            client_id: question.client_id.clone(),
            server: question.server.clone(),
            why: fault.to_string(),
        });
    }
    let remembered = outcome?;
    let core = Arc::clone(core);
    to_the_end(async move { keep(core, question, remembered).await }).await
}

async fn question(core: &Core, visit: &Visit) -> Result<Question, AdmissionFault> {
    let resources = &core.seams.resources;
    let subject = resources.signed_in().await.ok_or(AdmissionFault::SignedOut)?;
    let title = resources.server(&visit.server).filter(|_| resources.servers().contains(&visit.server));
    let title = title.ok_or_else(|| AdmissionFault::NoServer(visit.server.clone()))?;
    let process = (visit.program)();
    if let (Some(process), Some(user)) = (&process, core.config.user_id)
        && process.user_id != user
    {
        return Err(AdmissionFault::ForeignProgram);
    }
    let (client_id, client_name) = match &visit.through {
        Some(socket) => (format!("{SOCKET}:{socket}"), name_of_file(socket)),
        None => client(process.as_ref()),
    };
    let (server, through) = (visit.server.clone(), visit.through.clone());
    Ok(Question { client_id, client_name, server, title, subject, process, through })
}

/// The person agrees now or agreed before, which is told; then the world is looked at once more.
async fn decide(core: &Core, question: &Question, program: &ProgramLookup) -> Result<bool, AdmissionFault> {
    let remembered = question.consented(core.now()).is_some_and(|consented| core.consents.holds(&consented));
    if !remembered {
        match core.answer(question.request(core)).await? {
            Consent::Allow => {}
            Consent::Deny => return Err(AdmissionFault::Denied),
        }
    }
    if program() != question.process {
        return Err(AdmissionFault::ProgramChanged);
    }
    let present = core.seams.resources.current_subject();
    if !present.is_some_and(|present| present.is_same_person(&question.subject)) {
        return Err(AdmissionFault::PersonChanged);
    }
    if !core.seams.resources.servers().contains(&question.server) {
        return Err(AdmissionFault::NoServer(question.server.clone()));
    }
    Ok(remembered)
}

/// Writes down what was agreed. A consent that was only remembered must still be: it may have been revoked just now.
async fn keep(core: Arc<Core>, question: Question, remembered: bool) -> Result<Admission, AdmissionFault> {
    let _writing = core.writing.lock().await;
    let now = core.now();
    let consented = question.consented(now);
    if remembered && !consented.as_ref().is_some_and(|consented| core.consents.holds(consented)) {
        return Err(AdmissionFault::Denied);
    }
    if let Some(consented) = consented.filter(|_| !remembered) {
        core.consents.remember(consented).await.map_err(|_| AdmissionFault::NotKept)?;
    }
    let agreement = question.agreement(&core);
    let family = core.grants.admit(&agreement, now).await.map_err(|fault| match fault {
        GrantFault::Random(_)
        | GrantFault::Store(_)
        | GrantFault::Unknown
        | GrantFault::Reused
        | GrantFault::Expired
        | GrantFault::OtherClient
        | GrantFault::OtherResource
        | GrantFault::OtherPerson => AdmissionFault::NotKept,
    })?;
    core.ledger.report(question.event(remembered));
    let grant = AccessGrant {
        client_id: agreement.client_id,
        client_name: agreement.client_name,
        subject: agreement.subject,
        server: agreement.server,
        expires: core.grants.used(&family, now).unwrap_or(now),
        executable: agreement.executable,
        process: question.assistant().cloned(),
    };
    Ok(Admission { core: Arc::clone(&core), family, current: Mutex::new(Arc::new(grant)) })
}

/// The program is the client: its path is its id, and its file's name is what people read. A program that cannot be told
/// is nobody's client.
fn client(process: Option<&ListeningProcess>) -> (String, ClientName) {
    let executable = process.map_or("", |process| process.executable.as_str());
    (format!("{REDIRECT}:{executable}"), name_of_file(executable))
}

fn name_of_file(path: &str) -> ClientName {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.parse().unwrap_or_else(|_| ClientName::unnamed())
}

impl Question {
    fn request(&self, core: &Core) -> ConsentRequest {
        ConsentRequest {
            server: self.server.clone(),
            server_title: self.title.clone(),
            client_name: self.client_name.as_str().to_owned(),
            client_id: self.client_id.clone(),
            redirect_uri: None,
            process: self.process.clone(),
            through: self.through.clone(),
            subject: Subject::clone(&self.subject),
            deadline: core.config.limits.consent_deadline,
        }
    }

    fn consented(&self, now: Timestamp) -> Option<Consented> {
        if self.through.is_some() {
            return None;
        }
        let redirect = REDIRECT.to_owned();
        Consented::of(&self.client_id, &self.server, &self.subject, redirect, self.process.as_ref(), now)
    }

    fn agreement(&self, core: &Core) -> Agreement {
        Agreement {
            client_id: self.client_id.clone(),
            client_name: self.client_name.as_str().to_owned(),
            resource: core.origin.resource(&self.server),
            server: self.server.clone(),
            subject: Arc::clone(&self.subject),
            executable: self.assistant().map(|process| process.executable.clone()),
        }
    }

    /// The program that calls, where it can be told.
    fn assistant(&self) -> Option<&ListeningProcess> {
        self.process.as_ref().filter(|_| self.through.is_none())
    }

    fn event(&self, remembered: bool) -> Event {
        Event::Consented {
            client_id: self.client_id.clone(),
            client_name: self.client_name.as_str().to_owned(),
            server: self.server.clone(),
            subject: Arc::clone(&self.subject),
            process: self.process.clone(),
            remembered,
        }
    }
}

impl Interrupted for Result<Admission, AdmissionFault> {
    fn interrupted() -> Self {
        Err(AdmissionFault::NotKept)
    }
}
