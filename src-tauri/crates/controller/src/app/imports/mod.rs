//! Taking over the MCP servers that assistants have already: each becomes a connector of the person's, its secrets are sealed, and
//! its entry leaves the assistant's file. And all of that back.
//!
//! The order keeps a crash from losing a secret: sealed first, then the settings, the assistant's file last; on the way back the
//! file first and what is sealed last. Doing it again finishes what was begun.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assistants::{Assistant, Ledger, Machine, Outside, PutBack, Taken};
use audit::{AuditEvent, EventRecord, Journal};
use connector::typed_grant;
use mcp::Capabilities;
use model::{Advice, ConnectorId, ForPerson as _, ServerId};
use org_protocol::{ConnectorSpec, CredentialSpec};
use os::Clock;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use upstream::{HttpClient, Session, UpstreamFault};
use url::Url;
use vault::{Kind, Vault};

use super::accounts::OwnAccounts;
use super::approvals::Approvals;
use super::home::Home;
use super::tell::Tell;
use crate::view::{ImportView, LocalAssistantView};

mod own;
mod plan;
mod record;
pub(super) mod settings;
mod undo;
mod words;

use own::{Adding, Removing};
use plan::Planned;
pub(crate) use record::Sealed;
use record::{Record, account, person};
use settings::SettingsFile;
use undo::Undoing;

type Told<T> = Result<T, Advice>;

/// What the virtual server is called that is made where there is none.
const FIRST_SERVER: &str = "desk";
/// How long a server has to say whether one signs in there.
const ASKED_FOR: Duration = Duration::from_secs(4);

/// Where a person's files are, as whoever asks has it: a command line may have another environment than the desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folders {
    /// The person's folder.
    pub home: PathBuf,
    /// Variables of the environment that move others.
    pub variables: BTreeMap<String, PathBuf>,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportWish {
    /// The assistant's id.
    pub assistant: String,
    /// These servers; all where none is named.
    pub servers: Vec<String>,
    /// The virtual server that gets the connectors; the only one where none is named.
    pub into: Option<ServerId>,
    /// Whether an import is taken back.
    pub undo: bool,
    /// Where the person's files are.
    pub folders: Folders,
}

/// What would be changed, for a person to look at. Secrets are dots in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// By which it is made.
    pub id: u32,
    /// The changes of both files.
    pub diff: String,
    /// The servers that are taken over or given back, each with its connector.
    pub servers: Vec<(String, String)>,
    /// The servers that are not, each with why.
    pub left: Vec<(String, Advice)>,
    /// The virtual server.
    pub into: String,
    /// Whether the assistant's file will be as it was before, byte for byte; of an import, whether that can be undone so.
    pub exact: bool,
}

/// Takes servers over for one installation. Cheap to clone.
#[derive(Clone)]
pub struct Imports(Arc<Inner>);

struct Inner {
    home: Home,
    sealed: Sealed,
    clock: Arc<dyn Clock>,
    http: HttpClient,
    accounts: OwnAccounts,
    approvals: Approvals,
    /// Whether the person's own settings decide here.
    is_own: bool,
    /// Where what was done is recorded.
    noted: (Tell, Journal),
    shown: Mutex<(u32, Option<Prepared>)>,
    /// One at a time: both change the same files.
    making: tokio::sync::Mutex<()>,
}

/// Whether whoever asks may have secrets put back into an assistant's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivesBack {
    /// A person at a window, who alone adds and removes connectors there.
    Window,
    /// A terminal that may answer for a person.
    Yes,
    /// Only a window may; an assistant may have a shell.
    InWindow,
}

/// What a person looks at.
enum Prepared {
    Import(Box<Importing>),
    Undo(Box<Undoing>),
    Adding(Box<Adding>),
    Removing(Box<Removing>),
}

impl Prepared {
    /// What a window shows is not for every terminal to agree to.
    fn may_be_made(&self, gives_back: GivesBack) -> bool {
        match self {
            Self::Import(_) => true,
            Self::Undo(_) => gives_back != GivesBack::InWindow,
            Self::Adding(_) | Self::Removing(_) => gives_back == GivesBack::Window,
        }
    }
}

struct Importing {
    assistant: &'static Assistant,
    settings: SettingsFile,
    planned: Vec<Planned>,
    taken: Taken,
    into: (ServerId, bool),
}

impl Importing {
    fn connectors(&self) -> BTreeSet<ConnectorId> {
        self.planned.iter().map(|one| one.connector.clone()).collect()
    }
}

impl std::fmt::Debug for Imports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Imports")
    }
}

impl Imports {
    /// Those of the installation at `home`.
    pub(crate) fn of(
        home: Home,
        vault: Vault,
        clock: Arc<dyn Clock>,
        (http, accounts, approvals): (HttpClient, OwnAccounts, Approvals),
        is_own: bool,
        noted: (Tell, Journal),
    ) -> Self {
        let (shown, making) = (Mutex::default(), tokio::sync::Mutex::default());
        let sealed = Sealed(vault);
        Self(Arc::new(Inner { home, sealed, clock, http, accounts, approvals, is_own, noted, shown, making }))
    }

    /// What would be changed. It is made by [`Self::make`], as it was shown or not at all.
    ///
    /// # Errors
    /// Why nothing can be.
    pub async fn propose(&self, wish: ImportWish, gives_back: GivesBack) -> Told<Proposed> {
        let assistant = Assistant::named(&wish.assistant).ok_or_else(words::unknown)?;
        if wish.undo && gives_back == GivesBack::InWindow {
            return Err(words::in_window());
        }
        // What was taken over before is given back all the same: it is the person's.
        let settings = if wish.undo { self.settings()? } else { self.own_settings()? };
        let (prepared, mut proposed) = if wish.undo {
            let records = self.0.sealed.records().await?;
            let (undoing, proposed) =
                undo::proposed(assistant, &wish.servers, records, settings, &self.ledger()?)?;
            (Prepared::Undo(Box::new(undoing)), proposed)
        } else {
            let (importing, proposed) = self.importing(assistant, wish, settings).await?;
            (Prepared::Import(Box::new(importing)), proposed)
        };
        proposed.id = self.show(prepared);
        Ok(proposed)
    }

    /// Keeps what a person looks at; gives the number by which it is made.
    fn show(&self, prepared: Prepared) -> u32 {
        let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.0 = shown.0.wrapping_add(1);
        shown.1 = Some(prepared);
        shown.0
    }

    /// The settings, where secrets that are sealed now can be opened later.
    fn settings(&self) -> Told<SettingsFile> {
        if !self.0.sealed.0.is_durable() {
            return Err(words::not_kept(self.0.sealed.0.state()));
        }
        SettingsFile::read(&self.0.home.settings())
    }

    /// The same, where nobody but the person decides which connectors there are.
    fn own_settings(&self) -> Told<SettingsFile> {
        if !self.0.is_own {
            return Err(words::organisation());
        }
        let settings = self.settings()?;
        settings::own(&settings.settings)?;
        Ok(settings)
    }

    /// What would be changed, for a window.
    ///
    /// # Errors
    /// Why nothing can be.
    pub async fn view(&self, wish: ImportWish) -> Told<ImportView> {
        let proposed = self.propose(wish, GivesBack::Window).await?;
        let Proposed { id, diff, servers, left, exact, .. } = proposed;
        let servers = servers.into_iter().map(|(name, _)| name).collect();
        let left = left.into_iter().map(|(name, why)| format!("{name}: {why}")).collect();
        Ok(ImportView { id, diff, servers, left, exact })
    }

    /// Adds to what windows show of assistants which servers can become connectors here, and which did.
    ///
    /// # Errors
    /// Where the vault cannot be read.
    pub async fn complete(&self, assistants: &mut [LocalAssistantView]) -> Told<()> {
        let records = self.0.sealed.records().await?;
        for it in assistants {
            it.can_import &= self.0.is_own;
            let own = records.iter().filter(|record| record.assistant == it.id);
            it.imported = own.map(|record| record.taken.place.to_string()).collect();
        }
        Ok(())
    }

    /// The assistants, by id, whose servers were imported and not given back.
    ///
    /// # Errors
    /// Where the vault cannot be read.
    pub(crate) async fn assistants(&self) -> Told<BTreeSet<String>> {
        let records = self.0.sealed.records().await?;
        Ok(records.into_iter().map(|record| record.assistant).collect())
    }

    /// Makes the change that was shown last, if it is the one of this number.
    ///
    /// # Errors
    /// Why it was not made, or not all of it; then doing it again finishes it.
    pub async fn make(&self, number: u32, gives_back: GivesBack) -> Told<()> {
        let _one = self.0.making.lock().await;
        let prepared = {
            let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
            match &shown.1 {
                Some(prepared) if shown.0 == number && !prepared.may_be_made(gives_back) => {
                    return Err(words::in_window());
                }
                Some(_) if shown.0 == number => shown.1.take(),
                Some(_) | None => None,
            }
        };
        match prepared.ok_or_else(words::gone)? {
            Prepared::Import(importing) => {
                let (assistant, servers) = (importing.assistant.id, importing.connectors());
                self.import(*importing).await?;
                self.note(AuditEvent::ServersImported, assistant, &servers);
                Ok(())
            }
            Prepared::Undo(undoing) => {
                let (assistant, servers) = (undoing.assistant, undoing.connectors());
                undoing.make(&self.0.sealed, &mut self.ledger()?).await?;
                self.note(AuditEvent::ServersGivenBack, assistant, &servers);
                Ok(())
            }
            Prepared::Adding(adding) => self.add(*adding).await,
            Prepared::Removing(removing) => self.remove(*removing).await,
        }
    }

    async fn importing(
        &self,
        assistant: &'static Assistant,
        wish: ImportWish,
        mut settings: SettingsFile,
    ) -> Told<(Importing, Proposed)> {
        let file = wish.folders.machine().and_then(|machine| assistant.file(&machine));
        let file = file.ok_or_else(|| assistants::Fault::NoFile { assistant: assistant.title }.advice())?;
        let (mut planned, mut left) = chosen(assistant, &file, &wish.servers)?;
        let into = target(&settings, wish.into)?;
        let records = self.0.sealed.records().await?;
        for one in &mut planned {
            one.continues(&records, &settings.settings);
        }
        self.ask_addresses(&mut planned).await;
        // Whoever names servers means those; else what cannot be taken over stays, as other entries do.
        for one in std::mem::take(&mut planned) {
            let twice = planned.iter().any(|it| it.connector == one.connector && it.digest() == one.digest());
            match added(&mut settings, &records, &one, twice, &into.0) {
                Ok(()) => planned.push(one),
                Err(advice) if wish.servers.is_empty() => left.push((one.place.to_string(), advice)),
                Err(advice) => return Err(advice),
            }
        }
        if planned.is_empty() {
            return Err(words::none_fits(assistant.title, &left));
        }
        let places: Vec<_> = planned.iter().map(|it| it.place.clone()).collect();
        let taken = assistants::take_out(assistant, &file, &places, &self.ledger()?);
        let taken = taken.map_err(|fault| fault.advice())?;
        let secrets: Vec<&str> = planned.iter().flat_map(Planned::secrets).collect();
        let servers = planned.iter().map(|it| (it.place.to_string(), it.connector.to_string())).collect();
        let proposed = Proposed {
            id: 0,
            diff: settings.diff() + &taken.change.masked_diff(&secrets),
            servers,
            left,
            into: into.0.to_string(),
            exact: true,
        };
        Ok((Importing { assistant, settings, planned, taken, into }, proposed))
    }

    async fn import(&self, importing: Importing) -> Told<()> {
        let Importing { assistant, settings, planned, taken, into } = importing;
        // Before anything is sealed.
        settings.check()?;
        taken.change.check().map_err(|fault| fault.advice())?;
        let mut number = self.0.sealed.records().await?.last().map_or(1, |last| last.number + 1);
        for (one, out) in planned.iter().zip(&taken.out) {
            for (name, value) in &one.values {
                self.0.sealed.seal(&one.connector, name, value).await?;
            }
            if let Some(token) = &one.token {
                self.keep_token(one, token).await?;
            }
            let names = one.values.keys().cloned().collect();
            let (connector, file) = (one.connector.clone(), taken.change.file.clone());
            let grant = grant_key(&one.connector, &one.spec, &self.0.clock);
            let out = out.clone();
            let record = Record::new(
                number,
                assistant.id,
                file,
                (connector, grant),
                into.clone(),
                names,
                one.digest(),
                out,
            );
            self.0.sealed.remember(&record).await?;
            number += 1;
        }
        settings.write()?;
        let mut ledger = self.ledger().map_err(words::unfinished)?;
        taken.change.apply(&mut ledger).map_err(|fault| words::unfinished(fault.advice()))?;
        Ok(())
    }

    /// Keeps a token as if the person had typed it.
    async fn keep_token(&self, one: &Planned, token: &str) -> Told<()> {
        let at = account(&one.connector);
        let token = SecretString::from(token.to_owned());
        let grant = typed_grant(&person(), &at, &one.spec, token, &self.0.clock);
        let grant = grant.map_err(|fault| fault.at(&one.spec.title).advice())?;
        let (key, bytes) = grant.ok_or_else(words::unwritten)?;
        let kept = self.0.sealed.0.put(Kind::Grant, &key, bytes.expose_secret()).await;
        kept.map_err(|fault| fault.advice())
    }

    /// Finds out at which addresses one has to sign in: an assistant's configuration does not say it.
    async fn ask_addresses(&self, planned: &mut [Planned]) {
        let mut asked = tokio::task::JoinSet::new();
        for (at, url) in planned.iter().enumerate().filter_map(|(at, it)| Some((at, it.open_address()?))) {
            let (http, url) = (self.0.http.clone(), url.clone());
            asked.spawn(async move { (at, wants_sign_in(&http, &url).await) });
        }
        while let Some(answer) = asked.join_next().await {
            let Ok((at, true)) = answer else { continue };
            if let Some(one) = planned.get_mut(at) {
                one.spec.credential = CredentialSpec::UserOauth {
                    scopes: BTreeSet::new(),
                    client_id: None,
                    client_secret: None,
                    redirect_uris: Vec::new(),
                };
            }
        }
    }

    fn note(&self, event: AuditEvent, assistant: &str, connectors: &BTreeSet<ConnectorId>) {
        let connectors = connectors.iter().map(ConnectorId::as_str).collect::<Vec<_>>().join(" ");
        let record = EventRecord::new(event).with("assistant", assistant).with("connectors", connectors);
        self.0.noted.0.note(&self.0.noted.1, &record);
    }

    fn note_own(&self, event: AuditEvent, connector: &ConnectorId) {
        self.0.noted.0.note(&self.0.noted.1, &EventRecord::new(event).with("connector", connector.as_str()));
    }

    fn ledger(&self) -> Told<Ledger> {
        super::ledger(&self.0.home)
    }
}

/// Whether a server wants people to sign in. One that does not answer now is taken for one that does, unless it is on this machine.
async fn wants_sign_in(http: &HttpClient, url: &Url) -> bool {
    let opened = Session::open_url(http, url, None, &Capabilities::default(), None, ASKED_FOR).await;
    match opened {
        Ok(_) => false,
        Err(UpstreamFault::Unauthorized { .. }) => true,
        Err(_) => !model::is_on_this_machine(url),
    }
}

/// Makes one server a connector in the settings, unless it is one already.
fn added(
    settings: &mut SettingsFile,
    records: &[Record],
    one: &Planned,
    is_twice: bool,
    into: &ServerId,
) -> Told<()> {
    let same = |it: &Record| it.connector == one.connector && it.secrets == one.digest();
    match settings.settings.connectors.get(&one.connector) {
        Some(spec) if *spec == one.spec && records.iter().any(same) => settings.join(&one.connector, into),
        // Two entries of this import that say the same.
        Some(spec) if *spec == one.spec && is_twice => Ok(()),
        Some(_) => Err(words::taken(&one.connector, &one.spec.title)),
        None => settings.add(&one.connector, &one.spec, into),
    }
}

/// The servers that are wanted, as they are to be, and those that stay.
type Chosen = (Vec<Planned>, Vec<(String, Advice)>);

fn chosen(assistant: &'static Assistant, file: &Path, names: &[String]) -> Told<Chosen> {
    let others = assistants::outside_of(assistant, file).map_err(|fault| fault.advice())?;
    if others.is_empty() {
        return Err(words::none(assistant.title));
    }
    let known: Vec<String> = others.iter().map(|it| it.place.name.clone()).collect();
    if let Some(missing) = names.iter().find(|name| !known.contains(name)) {
        return Err(words::not_there(missing, &known));
    }
    let wanted = |it: &&Outside| names.is_empty() || names.contains(&it.place.name);
    let (mut planned, mut left) = (Vec::new(), Vec::new());
    for outside in others.iter().filter(wanted) {
        match Planned::of(outside) {
            Ok(one) => planned.push(one),
            Err(advice) => left.push((outside.place.to_string(), advice)),
        }
    }
    if planned.is_empty() || (!names.is_empty() && !left.is_empty()) {
        return Err(words::none_fits(assistant.title, &left));
    }
    Ok((planned, left))
}

/// The virtual server that gets the connectors, and whether it is made for them.
fn target(settings: &SettingsFile, wanted: Option<ServerId>) -> Told<(ServerId, bool)> {
    let servers: Vec<ServerId> = settings.settings.servers.keys().cloned().collect();
    match (wanted, servers.as_slice()) {
        (Some(wanted), all) => {
            let is_made = !all.contains(&wanted);
            Ok((wanted, is_made))
        }
        (None, []) => {
            let first = FIRST_SERVER.parse().map_err(|_| words::unwritten())?;
            Ok((first, true))
        }
        (None, [only]) => Ok((only.clone(), false)),
        (None, several) => Err(words::which(several)),
    }
}

impl Folders {
    /// Those of this program's environment.
    ///
    /// # Errors
    /// Where that names no folder of a person.
    pub fn of_this() -> Told<Self> {
        let machine = super::machine()?;
        Ok(Self { home: machine.home, variables: machine.variables })
    }

    fn machine(&self) -> Option<Machine> {
        let this = Machine::of_this()?;
        Some(Machine { home: self.home.clone(), variables: self.variables.clone(), ..this })
    }
}

/// The vault's key of a connector's token; none where it has none.
fn grant_key(connector: &ConnectorId, spec: &ConnectorSpec, clock: &Arc<dyn Clock>) -> Option<String> {
    let nothing = SecretString::from(String::new());
    let grant = typed_grant(&person(), &account(connector), spec, nothing, clock);
    grant.ok().flatten().map(|(key, _)| key)
}
