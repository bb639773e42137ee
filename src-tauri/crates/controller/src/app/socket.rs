//! The local socket between the command line and the running instance: one JSON request and one JSON answer a line. A
//! bridge that is let in stays; what follows then is its assistant's conversation.
//!
//! Only the owner of the installation may speak here (peer credentials). What a terminal may answer is decided by the
//! desk, not here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use audit::Journal;
use gateway::Snapshots;
use model::{AccountId, Advice, ForPerson, ServerId, Timestamp};
use os::Clock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

mod approvals;
mod client;
mod diagnostics;
mod held;
mod import;
mod leave;
mod log;
mod sign_in;
mod update;

pub use client::{Client, ClientFault, Stay};
pub use leave::{Leave, Standing};

use super::accounts::OwnAccounts;
use super::bridges::{Bridges, Guest};
use super::catalog::Acceptances;
use super::diagnostics::AskedDiagnostics;
use super::doctor::Doctor;
use super::explain::{Explained, Standpoint};
use super::imports::{ImportWish, Imports};
use super::introduction::Introduction;
use super::logs::Logs;
use super::membership::SignIn;
use super::present::Present;
use super::updates::Updates;
use crate::event::{Act, Event};
use crate::pending::{PendingDesk, PendingId, PendingItem};
use crate::state::AppState;
use crate::{view, words};

mod erase;

const LONGEST_REQUEST: u64 = 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);
const PAGE_OPENS: &str = "A sign-in was asked for. It goes on in your browser or in a window.";
/// How long a command line that follows a log waits for the next entry before it is answered that there is none.
const NEXT_ENTRY_WITHIN: Duration = Duration::from_secs(5);

/// What the command line asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// How it is.
    Status,
    /// What is wrong.
    Doctor,
    /// What waits for the person.
    Pending,
    /// Answers what waits.
    Answer {
        /// The pending item.
        id: String,
        /// Allow or deny.
        allow: bool,
    },
    /// What connectors say otherwise than it was accepted.
    Held {
        /// This change is accepted.
        #[serde(default)]
        accept: Option<String>,
    },
    /// What the person has allowed for more than one call.
    Approvals {
        /// This one is taken back.
        #[serde(default)]
        forget: Option<String>,
    },
    /// What policy would decide, and why.
    Explain {
        /// The virtual server.
        server: ServerId,
        /// About what.
        about: Explained,
        /// From where.
        #[serde(default)]
        from: Standpoint,
    },
    /// Signs in now.
    SignIn {
        /// To this connector; to the organisation where none is named.
        connector: Option<AccountId>,
        /// To the organisation: on another device, by a code.
        #[serde(default)]
        by_code: bool,
    },
    /// Forgets a sign-in.
    SignOut {
        /// The account at this connector; the organisation's session where none is named.
        connector: Option<AccountId>,
        /// With the organisation's session, the person's accounts at connectors too.
        #[serde(default)]
        forget_accounts: bool,
    },
    /// The organisation that was met has the fingerprint that IT gave the person.
    Trust {
        /// As IT gave it.
        fingerprint: String,
    },
    /// What a connector's programs print, and what failed on the way to it.
    Logs {
        /// The connector.
        connector: AccountId,
        /// From the entry of this number on.
        after: u64,
        /// Whether to wait a moment for that entry.
        wait: bool,
    },
    /// Lets an assistant in that started `deskgate bridge` for this virtual server, and stays.
    Bridge {
        /// The virtual server.
        server: ServerId,
    },
    /// Opens a socket for assistants elsewhere, for as long as whoever asks stays.
    Door {
        /// The virtual server that it leads to.
        server: ServerId,
        /// The socket's file, absolute.
        path: PathBuf,
    },
    /// What taking over servers of an assistant would change, or taking that back.
    ProposeImport {
        /// What is wanted.
        wish: ImportWish,
    },
    /// Makes the change that was shown last.
    Import {
        /// Its number.
        id: u32,
    },
    /// Erases personal data from the journal.
    EraseAudit {
        /// Everything about this person: subject or e-mail address.
        person: Option<String>,
        /// Of records before this time only.
        before: Option<Timestamp>,
    },
    /// What would be sent to IT of what it asks for; or sends that.
    AskedDiagnostics {
        /// Send what was shown under this SHA-256.
        #[serde(default)]
        send: Option<String>,
    },
    /// Shows the main window, if a desktop owns the instance.
    Show,
    /// Where an update of the program stands.
    Update {
        /// Whether it is looked for one now.
        look: bool,
    },
    /// Tries the keychain again.
    TryKeychain,
    /// Refuses calls.
    Pause,
    /// Takes calls again.
    Resume,
    /// A step of removing Deskgate from the person's account.
    Leave {
        /// Which.
        step: Leave,
    },
    /// Ends the program.
    Quit,
}

/// The answer: words for a person and values for a script, or what is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Report {
    /// It worked.
    Ok {
        /// For a person.
        text: String,
        /// For a script.
        json: serde_json::Value,
    },
    /// It did not.
    Refused {
        /// Why, and what to do.
        advice: Advice,
    },
}

/// One pending item, for a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingLine {
    /// Its id, for `deskgate answer`.
    pub id: String,
    /// What is asked, in words.
    pub question: String,
    /// What a call that is to be approved would send, a line for each value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// When it is refused by itself.
    pub deadline: Timestamp,
}

impl std::fmt::Display for PendingLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}  {}", self.id, self.question)?;
        self.arguments.iter().try_for_each(|argument| write!(f, "\n    {argument}"))
    }
}

/// What the socket's side needs.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) pending: PendingDesk,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) state: watch::Receiver<Arc<AppState>>,
    pub(crate) snapshots: Snapshots,
    pub(crate) present: Present,
    pub(crate) bridges: Bridges,
    pub(crate) doctor: Doctor,
    pub(crate) logs: Logs,
    pub(crate) acceptances: Acceptances,
    pub(crate) imports: Imports,
    pub(crate) accounts: OwnAccounts,
    pub(crate) updates: Updates,
    /// Signing in to the organisation, where one decides here.
    pub(crate) sign_in: Option<Arc<SignIn>>,
    pub(crate) introduction: Introduction,
    pub(crate) diagnostics: AskedDiagnostics,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Answers until the application ends.
pub(crate) async fn serve(listener: UnixListener, desk: Desk) {
    let (own, _) = os::current_user();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if os::peer_uid(&stream) != Some(own) {
            tracing::warn!("another user of this computer tried the local socket");
            continue;
        }
        tokio::spawn(answer(stream, desk.clone()));
    }
}

async fn answer(stream: UnixStream, desk: Desk) {
    let peer = os::peer_pid(&stream);
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    match tokio::time::timeout(DEADLINE, command(&mut reading)).await {
        Ok(Some(Ok(Command::Bridge { server }))) => {
            desk.bridges.receive(Guest { server, through: None, peer, reading, writing }).await;
        }
        Ok(Some(Ok(Command::Door { server, path }))) => {
            desk.bridges.receive(Guest { server, through: Some(path), peer, reading, writing }).await;
        }
        Ok(Some(Ok(Command::Logs { connector, after, wait }))) => {
            if wait {
                // Whether it came in time is seen in the answer.
                let entry = desk.logs.reaches(&connector, after);
                let _ = tokio::time::timeout(NEXT_ENTRY_WITHIN, entry).await;
            }
            report(&mut writing, &desk.log(&connector, after)).await;
        }
        Ok(Some(Ok(Command::SignIn { connector: None, by_code }))) => {
            report(&mut writing, &desk.sign_in(by_code).await).await;
        }
        Ok(Some(Ok(Command::Trust { fingerprint }))) => {
            report(&mut writing, &desk.trust(&fingerprint).await).await;
        }
        Ok(Some(Ok(command))) => report(&mut writing, &desk.obey(command).await).await,
        Ok(Some(Err(advice))) => report(&mut writing, &refused(advice)).await,
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "a command line was too slow"),
    }
}

/// The first line of a connection; `None` where none comes.
async fn command(reading: &mut BufReader<OwnedReadHalf>) -> Option<Result<Command, Advice>> {
    let mut line = String::new();
    reading.take(LONGEST_REQUEST).read_line(&mut line).await.ok()?;
    Some(serde_json::from_str(&line).map_err(|fault| {
        Advice::new(
            "command-unknown",
            format!("The running Deskgate does not understand this command: {fault}."),
            "It may be of another version than the command line.",
            "Quit it and start it again.",
        )
    }))
}

/// Writes an answer.
pub(super) async fn report(writing: &mut OwnedWriteHalf, report: &Report) {
    let mut bytes = serde_json::to_vec(report).unwrap_or_default();
    bytes.push(b'\n');
    match tokio::time::timeout(DEADLINE, writing.write_all(&bytes)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a command line went away"),
        Err(error) => tracing::debug!(%error, "a command line does not read"),
    }
}

impl Desk {
    async fn obey(&self, command: Command) -> Report {
        match command {
            Command::Status => self.status(),
            Command::Doctor => self.doctor.report().await,
            Command::Pending => self.waiting(),
            Command::Answer { id, allow } => {
                match self.pending.answer_from_terminal(&PendingId::typed(id), allow) {
                    Ok(()) => done(if allow { "Allowed." } else { "Denied." }),
                    Err(fault) => refused(fault.advice()),
                }
            }
            Command::Approvals { forget: None } => self.approvals(),
            Command::Approvals { forget: Some(id) } => self.forget_approval(id),
            Command::Held { accept: None } => {
                held::list(&self.state.borrow(), &self.pending.answers_from_terminal())
            }
            Command::Held { accept: Some(change) } => self.accept(&change).await,
            Command::Explain { server, about, from } => self.explain(&server, &about, &from),
            Command::SignIn { connector: Some(account), by_code: _ } => match self.own_account(&account) {
                Ok(()) => self.act(Act::SignInTo(account), "A sign-in was asked for."),
                Err(advice) => refused(advice),
            },
            Command::SignOut { connector: Some(account), .. } => self.sign_out_of(account).await,
            Command::SignIn { connector: None, by_code: _ } => self.organisation(Act::SignIn, PAGE_OPENS),
            Command::SignOut { connector: None, forget_accounts } => {
                let words = words::signed_out(&self.state.borrow(), forget_accounts);
                self.organisation(Act::SignOut { forget_accounts }, &words)
            }
            Command::Logs { connector, after, wait: _ } => self.log(&connector, after),
            Command::Trust { .. } => refused(no_organisation()),
            Command::ProposeImport { wish } => self.propose_import(wish).await,
            Command::Import { id } => self.import(id).await,
            Command::EraseAudit { person, before } => self.erase(person, before).await,
            Command::AskedDiagnostics { send } => self.asked_diagnostics(send).await,
            Command::Bridge { .. } | Command::Door { .. } => {
                refused(Advice::new("bridge", "It stays connected.", "", ""))
            }
            Command::Show if self.state.borrow().desktop => {
                self.act(Act::Open(crate::effect::Place::Overview), "The window is shown.")
            }
            Command::Show => refused(Advice::new(
                "no-desktop",
                "Deskgate is running without a display (deskgate serve), so it has no window.",
                "",
                "End it with: deskgate quit. Then start the desktop application.",
            )),
            Command::Update { look } => self.update(look),
            Command::TryKeychain => self.act(
                Act::TryKeychain,
                "The keychain is tried again; it may ask you for its password. See: deskgate status",
            ),
            Command::Pause => {
                self.act(Act::Pause(crate::effect::PauseFor::Open), "Paused: every call is refused.")
            }
            Command::Resume => self.act(Act::Resume, "Resumed."),
            Command::Leave { step } => self.leave(step).await,
            Command::Quit => self.act(Act::Quit, "Deskgate ends."),
        }
    }

    fn organisation(&self, act: Act, text: &str) -> Report {
        match self.sign_in {
            Some(_) => self.act(act, text),
            None => refused(no_organisation()),
        }
    }

    fn act(&self, act: Act, text: &str) -> Report {
        match self.events.send(Event::Person(act)) {
            Ok(()) => done(text),
            Err(_) => refused(Advice::new("ending", "Deskgate is ending.", "", "")),
        }
    }

    fn status(&self) -> Report {
        let state = Arc::clone(&self.state.borrow());
        let window = view::window(&state);
        let mut text = window.summary.clone();
        for server in state.servers.values() {
            text.push_str(&format!("\n  {}: {}", server.title, server.url));
            let used = server.connectors.iter().filter_map(|id| Some((id, state.connectors.get(id)?)));
            for account in used.filter_map(|(id, it)| words::own_account(id, it)) {
                text.push_str(&format!("\n    {account}"));
            }
        }
        let now = self.clock.now();
        for outage in state.connectors.values().filter_map(|it| words::outage(&state, it, now)) {
            text.push_str(&format!("\n! {outage}"));
        }
        for advice in state.advice() {
            text.push_str(&format!("\n! {advice}"));
        }
        if let Some(grace) = words::grace(&state, now) {
            text.push_str(&format!("\n! {grace}"));
        }
        if let Some(help) = words::help(&state) {
            text.push_str(&format!("\n  {help}"));
        }
        if let Some(managed) = &state.managed {
            text.push_str(&format!("\n  {}", words::machine(managed)));
        }
        match serde_json::to_value(&window) {
            Ok(json) => Report::Ok { text, json },
            Err(fault) => {
                refused(Advice::new("status", format!("The status cannot be shown: {fault}."), "", ""))
            }
        }
    }

    fn waiting(&self) -> Report {
        let state = Arc::clone(&self.state.borrow());
        let lines: Vec<PendingLine> = self.pending.items().iter().map(|item| line(&state, item)).collect();
        let text = if lines.is_empty() {
            "Nothing waits for you.".to_owned()
        } else {
            lines.iter().map(PendingLine::to_string).collect::<Vec<_>>().join("\n")
        };
        Report::Ok { text, json: json!(lines) }
    }

    fn explain(&self, server: &ServerId, about: &Explained, from: &Standpoint) -> Report {
        let Some(subject) = self.present.now() else {
            return refused(Advice::new(
                "signed-out",
                "Nobody is signed in to the organisation.",
                "What policy decides depends on who asks.",
                "Sign in with: deskgate sign-in",
            ));
        };
        super::explain::explain(&self.snapshots.current(), self.clock.now(), &subject, server, about, from)
    }
}

fn no_organisation() -> Advice {
    Advice::new(
        "no-organisation",
        "This Deskgate belongs to no organisation.",
        "There is nothing to sign in to but its connectors.",
        "Name a connector.",
    )
}

fn line(state: &AppState, item: &PendingItem) -> PendingLine {
    let arguments = match view::pending(state, item).question {
        view::QuestionView::Approval(approval) => approval.arguments,
        view::QuestionView::Consent(_)
        | view::QuestionView::SignIn { .. }
        | view::QuestionView::Diagnostics(_) => Vec::new(),
    };
    PendingLine {
        arguments: arguments.into_iter().map(|it| format!("{}: {}", it.name, it.value)).collect(),
        id: item.id.to_string(),
        question: format!("{}: {}", words::title(item), words::detail(item)),
        deadline: item.deadline,
    }
}

pub(super) fn done(text: &str) -> Report {
    Report::Ok { text: text.to_owned(), json: json!({"ok": true}) }
}

pub(super) fn refused(advice: Advice) -> Report {
    Report::Refused { advice }
}
