//! Connecting assistants: where their configuration is on this machine, what they start, and the change that a person was shown.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use assistants::{Assistant, Change, Connection, Found, Ledger, Machine, Reached, Target, Undone};
use model::{Advice, ForPerson as _, ServerId};

use super::addresses::Address;
use super::home::Home;
use super::runtime::blocking;
use crate::view::{self, AssistantChangeView, ConnectedView, LocalAssistantView};

type Told<T> = Result<T, Advice>;

/// The machine as this program's environment says it.
///
/// # Errors
/// Where that names no folder of a person.
pub fn machine() -> Told<Machine> {
    Machine::of_this().ok_or_else(|| {
        Advice::new(
            "no-home",
            "The environment does not say where your folder is.",
            "Assistants keep their configuration there.",
            "Set HOME.",
        )
    })
}

/// What was connected before. One that is damaged is set aside, and says so.
///
/// # Errors
/// Where it cannot be read.
pub fn ledger(home: &Home) -> Told<Ledger> {
    Ledger::open(home.path()).map_err(|fault| {
        Advice::new(
            "ledger-unreadable",
            format!("What was connected before cannot be read: {fault}."),
            "Nothing was changed.",
            "Check that Deskgate's folder belongs to you.",
        )
    })
}

/// What an assistant is connected to: the address, and how it starts the bridge: the program `deskgate` beside this one, and where
/// Deskgate's folder is if that is not where it usually is.
///
/// # Errors
/// Where it is not known where these lie.
pub fn target(home: &Home, address: &Address) -> Told<Target> {
    let unknown = |what: &str| {
        let happened = format!("It is not known where {what} lies.");
        Advice::new("bridge-unknown", happened, "Nothing was changed.", "")
    };
    let beside = std::env::current_exe().map(|program| program.with_file_name(PROGRAM)).ok();
    let program = beside.filter(|program| program.is_file()).and_then(|program| text(&program));
    let mut bridge = vec![program.ok_or_else(|| unknown("the program deskgate"))?];
    if Home::usual().as_ref() != Some(home) {
        let folder = std::path::absolute(home.path()).ok().and_then(|folder| text(&folder));
        bridge.extend(["--home".to_owned(), folder.ok_or_else(|| unknown("Deskgate's folder"))?]);
    }
    bridge.extend(["bridge".to_owned(), address.id.to_string()]);
    Ok(Target { server: address.id.clone(), url: address.url.clone(), bridge })
}

/// The command line.
const PROGRAM: &str = if cfg!(windows) { "deskgate.exe" } else { "deskgate" };

fn text(path: &Path) -> Option<String> {
    path.to_str().map(str::to_owned)
}

/// Whether an entry has an earlier address of its virtual server.
pub fn is_old(reached: &Reached, current: &[Address]) -> bool {
    let named = current.iter().find(|address| address.id.as_str() == reached.server);
    named.zip(reached.url.as_ref()).is_some_and(|(now, url)| now.url.as_str() != url)
}

/// The assistants on this computer, for a window. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    home: Home,
    shown: Arc<Mutex<Shown>>,
}

/// The change that a person looks at.
#[derive(Debug, Default)]
struct Shown {
    number: u32,
    change: Option<Change>,
}

impl Connections {
    /// Those of the installation at `home`.
    pub fn of(home: Home) -> Self {
        Self { home, shown: Arc::default() }
    }

    /// The assistants that are on this computer, and what each is connected to.
    ///
    /// # Errors
    /// Where they cannot be looked for.
    pub async fn here(&self, current: Vec<Address>) -> Told<Vec<LocalAssistantView>> {
        blocking(move || {
            let found = assistants::find(&machine()?);
            Ok(found
                .iter()
                .filter(|found| !found.by.is_empty())
                .map(|found| local(found, &current))
                .collect())
        })
        .await
    }

    /// The change that connects an assistant to a virtual server, or takes that back, for a person to look at; nothing where it is so
    /// already. It is made by [`Self::make`], as it was shown or not at all.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn propose(&self, assistant: String, wanted: Wanted) -> Told<Option<AssistantChangeView>> {
        let this = self.clone();
        blocking(move || {
            let assistant = Assistant::named(&assistant).ok_or_else(unknown_assistant)?;
            let (machine, ledger) = (machine()?, ledger(&this.home)?);
            let change = match &wanted {
                Wanted::Connected(address) => {
                    let target = target(&this.home, address)?;
                    match assistants::connect(&machine, assistant, &target, &ledger) {
                        Ok(Connection::Already { .. }) => return Ok(None),
                        Ok(Connection::Change(change)) => change,
                        Err(fault) => return Err(fault.advice()),
                    }
                }
                Wanted::Disconnected(server) => {
                    match assistants::disconnect(&machine, assistant, server.as_str(), &ledger) {
                        Ok(Undone::Gone(change) | Undone::Change(change)) => change,
                        Err(fault) => return Err(fault.advice()),
                    }
                }
            };
            let (file, diff) = (change.file.display().to_string(), change.diff());
            let mut shown = this.shown();
            shown.number = shown.number.wrapping_add(1);
            let view = AssistantChangeView {
                id: shown.number,
                file,
                diff,
                exact: change.exact,
                next: assistant.next.to_owned(),
            };
            shown.change = Some(change);
            Ok(Some(view))
        })
        .await
    }

    /// Makes the change that was shown last, if it is the one of this number.
    ///
    /// # Errors
    /// Where it cannot be made, or the file is not as it was when it was looked at.
    pub async fn make(&self, number: u32) -> Told<()> {
        let this = self.clone();
        blocking(move || {
            let mut shown = this.shown();
            let change = if shown.number == number { shown.change.take() } else { None };
            let change = change.ok_or_else(|| {
                Advice::new(
                    "change-gone",
                    "This change is not the one that was shown last.",
                    "Nothing was changed.",
                    "Look at it once more.",
                )
            })?;
            change.apply(&mut ledger(&this.home)?).map_err(|fault| fault.advice())
        })
        .await
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wanted of an assistant.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// That it is connected to this virtual server.
    Connected(Address),
    /// That it is not.
    Disconnected(ServerId),
}

fn local(found: &Found, current: &[Address]) -> LocalAssistantView {
    let connected = found.connected.iter().map(|(_, reached)| ConnectedView {
        server: reached.server.clone(),
        is_old: is_old(reached, current),
    });
    LocalAssistantView {
        id: found.assistant.id.to_owned(),
        title: found.assistant.title.to_owned(),
        file: found.file.as_ref().map(|file| file.display().to_string()),
        connected: connected.collect(),
        others: found.others.iter().map(|it| it.place.to_string()).collect(),
        can_import: found.others.iter().any(|it| it.server.is_ok()),
        imported: Vec::new(),
        trouble: found.trouble.as_ref().map(|fault| view::advice(&fault.advice())),
    }
}

fn unknown_assistant() -> Advice {
    Advice::new("no-such-assistant", "Deskgate does not know this assistant.", "", "")
}
