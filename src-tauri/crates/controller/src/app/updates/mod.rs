//! Updates of the program: the organisation says which version is offered and where it lies, the publisher's signature says what is in
//! it, and an administrator installs it. Without an organisation that says so nothing is looked for.
//!
//! What lies in the installation's folder after a look is verified, and is not trusted for it: whatever runs as the person can change
//! it. `install`, which runs as root, verifies its own copy.

mod fault;
mod install;
mod installed;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::updates::{
    Form, Keys, Package, Release, SIGNATURE_FILE, SIGNATURE_LIMIT, STATEMENT_FILE, STATEMENT_LIMIT, Step,
};
use audit::{AuditEvent, EventRecord, Journal};
use model::{Advice, ReleaseVersion};
use org::{Looks, Mirror};
use org_protocol::{UpdateMode, UpdateRules};
use os::FolderWatch;
use tokio::sync::watch;

use super::home::Home;
use super::machine::Machine;
use super::offering::{By, Offering, Validity};
use super::tell::Tell;
use crate::event::Event;
use crate::state::{AppState, ReadyUpdate, UpdateState};

use fault::UpdateFault;
pub use install::{InstallWish, install};

/// The file of a mirror that names the version which devices without a pin are offered.
const LATEST: &str = "latest";
/// The longest such file, in bytes.
const LATEST_LIMIT: usize = 64;
/// How often the program's own file is looked at where the system does not tell of changes.
const REPLACED_POLL: Duration = Duration::from_secs(60);

/// Looks for updates. Clones share everything.
#[derive(Clone)]
pub(crate) struct Updates(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    keys: Keys,
    /// In what form the program was installed, where it can be updated from within.
    form: Option<Form>,
    tell: Tell,
    journal: Journal,
    state: watch::Sender<UpdateState>,
    /// How often somebody asked to look at once, and how many of these were answered.
    asked: watch::Sender<u64>,
    answered: watch::Sender<u64>,
    /// One look or installation at a time.
    busy: tokio::sync::Mutex<()>,
    /// What was refused last, so that it is recorded once.
    refused: Mutex<Option<String>>,
}

impl Updates {
    /// Begins to look, until the application ends.
    pub(crate) fn begin(
        home: &Home,
        (journal, tell): (&Journal, &Tell),
        offerings: watch::Receiver<Arc<Offering>>,
        state: watch::Receiver<Arc<AppState>>,
    ) -> Self {
        let this = Self(Arc::new(Inner {
            folder: home.updates(),
            keys: Keys::of_program(),
            form: Form::of_program(),
            tell: tell.clone(),
            journal: journal.clone(),
            state: watch::Sender::default(),
            asked: watch::Sender::default(),
            answered: watch::Sender::default(),
            busy: tokio::sync::Mutex::default(),
            refused: Mutex::default(),
        }));
        tokio::spawn(this.clone().follow(offerings, state));
        this
    }

    /// Where the update stands, and whether a look that somebody asked for is still under way.
    pub(crate) fn state(&self) -> (UpdateState, bool) {
        let is_looking = *self.0.answered.borrow() < *self.0.asked.borrow();
        (self.0.state.borrow().clone(), is_looking)
    }

    /// Has it looked at once.
    pub(crate) fn look_now(&self) {
        self.0.asked.send_modify(|asked| *asked += 1);
    }

    /// Looks at the start, about once a day, and whenever what IT says changes; what was under way for what it said before is given up.
    async fn follow(
        self,
        mut offerings: watch::Receiver<Arc<Offering>>,
        mut state: watch::Receiver<Arc<AppState>>,
    ) {
        let mut looks = Looks::default();
        let mut asked = self.0.asked.subscribe();
        let mut program = FolderWatch::new(REPLACED_POLL);
        loop {
            let round = *asked.borrow_and_update();
            let said = (rules(&offerings.borrow_and_update()), allowed(&state.borrow_and_update()));
            let succeeded = tokio::select! {
                succeeded = self.look(&said.0) => succeeded,
                () = said_otherwise(&mut offerings, &mut state, &said) => continue,
            };
            self.0.answered.send_replace(round);
            let pause = tokio::time::sleep(looks.pause(succeeded));
            tokio::select! {
                () = pause => {}
                () = said_otherwise(&mut offerings, &mut state, &said) => {}
                _ = asked.changed() => {}
                () = installed::replaced(&mut program) => {}
            }
        }
    }

    /// One look. `false` where it failed.
    async fn look(&self, said: &Said) -> bool {
        let _alone = self.0.busy.lock().await;
        let is_allowed = machine_allows().await;
        if !is_allowed || said.is_against() {
            self.clear().await;
        }
        if let Some(version) = installed::other_version().await {
            self.is(UpdateState::Installed { version });
            return true;
        }
        let rules = match said {
            Said::Rules(rules) if is_allowed && rules.mode != UpdateMode::Off => rules,
            Said::Unknown | Said::Nothing if is_allowed => {
                self.is(UpdateState::Elsewhere);
                return true;
            }
            Said::Rules(_) | Said::Unknown | Said::Nothing => {
                self.is(UpdateState::Off);
                return true;
            }
        };
        if self.0.keys.is_empty() {
            self.is(UpdateState::Unable);
            return true;
        }
        if self.0.state.borrow().ready().is_none() {
            self.is(UpdateState::Looking);
        }
        match self.found(rules).await {
            Ok(state) => {
                if state == UpdateState::Current {
                    self.clear().await;
                }
                self.is(state);
                true
            }
            Err(UpdateFault::Mirror(fault)) if self.is_ready_for(rules) => {
                tracing::info!(%fault, "the update that is ready stays so");
                false
            }
            Err(fault) => {
                self.failed(&fault);
                false
            }
        }
    }

    /// Whether what is ready is what the organisation wants, as far as is known without its folder.
    fn is_ready_for(&self, rules: &UpdateRules) -> bool {
        let state = self.0.state.borrow();
        state.ready().is_some_and(|ready| rules.version.is_none_or(|pinned| pinned == ready.version))
    }

    /// What the mirror has, verified and fetched.
    async fn found(&self, rules: &UpdateRules) -> Result<UpdateState, UpdateFault> {
        let running = ::updates::running().ok_or(UpdateFault::Version)?;
        let mirror = Mirror::at(rules.url.url())?;
        let wanted = match rules.version {
            Some(version) => version,
            None => latest(&mirror).await?,
        };
        let step = ::updates::step(running, wanted, rules.version.is_some());
        if step == Step::Stay {
            return Ok(UpdateState::Current);
        }
        let statement = mirror.small(&format!("{wanted}/{STATEMENT_FILE}"), STATEMENT_LIMIT).await?;
        let signature = mirror.small(&format!("{wanted}/{SIGNATURE_FILE}"), SIGNATURE_LIMIT).await?;
        let believed = Release::verified(&self.0.keys, &statement, &signature);
        let release = believed.and_then(|release| release.of_version(wanted));
        let release = release.map_err(|fault| UpdateFault::Refused(wanted, fault))?;
        let Some(form) = self.0.form else { return Ok(UpdateState::ForIt { version: wanted }) };
        let package = release.package(form).map_err(|fault| UpdateFault::Refused(wanted, fault))?;
        let fetching = Fetching { version: wanted, package, statement, signature };
        let is_new = self.fetched(&mirror, &fetching).await?;
        let package = self.folder_of(wanted).join(&package.file);
        if is_new {
            let record = EventRecord::new(AuditEvent::UpdateOffered);
            self.note(record.with("version", wanted.to_string()).with("running", running.to_string()));
        }
        let is_older = step == Step::Back;
        Ok(UpdateState::Ready(ReadyUpdate { version: wanted, package, is_older, is_new }))
    }

    /// Has the package lie in its folder, verified. `true` where it had to be fetched.
    async fn fetched(&self, mirror: &Mirror, it: &Fetching<'_>) -> Result<bool, UpdateFault> {
        let folder = self.folder_of(it.version);
        os::create_private_dir(&self.0.folder)?;
        self.keep_only(Some(it.version))?;
        os::create_private_dir(&folder)?;
        let place = folder.join(&it.package.file);
        let is_here = verified(place.clone(), it.package.clone()).await.is_ok();
        if !is_here {
            let part = Part::at(folder.join("part"))?;
            let version = it.version;
            let told = |there: u64| {
                let percent = u8::try_from(there.saturating_mul(100) / it.package.size).unwrap_or(100);
                self.is(UpdateState::Fetching { version, percent });
            };
            mirror.large(&format!("{version}/{}", it.package.file), it.package.size, &part.0, told).await?;
            let checked = verified(part.0.clone(), it.package.clone()).await;
            checked.map_err(|fault| UpdateFault::Refused(version, fault))?;
            std::fs::rename(&part.0, &place)?;
        }
        os::write_durable(&folder.join(STATEMENT_FILE), &it.statement)?;
        os::write_durable(&folder.join(SIGNATURE_FILE), &it.signature)?;
        Ok(!is_here)
    }

    fn folder_of(&self, version: ReleaseVersion) -> PathBuf {
        self.0.folder.join(version.to_string())
    }

    /// Removes what was fetched.
    async fn clear(&self) {
        let this = self.clone();
        let removed = tokio::task::spawn_blocking(move || this.keep_only(None)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "an update that is not wanted any more could not be removed");
        }
    }

    /// Removes every version but this one.
    fn keep_only(&self, version: Option<ReleaseVersion>) -> std::io::Result<()> {
        let kept = version.map(|version| self.folder_of(version));
        let entries = match std::fs::read_dir(&self.0.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if Some(&path) != kept.as_ref() {
                std::fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }

    /// Says where it stands, if that is news.
    fn is(&self, state: UpdateState) {
        let is_news = self.0.state.send_if_modified(|before| {
            let is_news = *before != state;
            before.clone_from(&state);
            is_news
        });
        if is_news {
            self.0.tell.event(Event::Update(state));
        }
    }

    fn failed(&self, fault: &UpdateFault) {
        tracing::warn!(%fault, "no update was found");
        if let UpdateFault::Refused(version, why) = fault {
            let said = format!("{version}: {why}");
            let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
            if refused.as_ref() != Some(&said) {
                let record = EventRecord::new(AuditEvent::UpdateRefused);
                self.note(record.with("version", version.to_string()).with("why", why.to_string()));
                *refused = Some(said);
            }
        }
        self.is(UpdateState::Failed(model::ForPerson::advice(fault)));
    }

    fn note(&self, record: EventRecord) {
        self.0.tell.note(&self.0.journal, &record);
    }
}

/// What is fetched.
struct Fetching<'a> {
    version: ReleaseVersion,
    package: &'a Package,
    statement: Vec<u8>,
    signature: Vec<u8>,
}

/// A file that is gone when it is not wanted any more, also where fetching it is broken off.
struct Part(PathBuf);

impl Part {
    /// Nothing of an earlier attempt is left there.
    fn at(path: PathBuf) -> std::io::Result<Self> {
        os::remove_durable(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After it was renamed there is none.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What is said of updates.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// Nothing that is to be obeyed now. What was fetched waits until that is known: at the start it is not.
    Unknown,
    /// Nobody offers any.
    Nothing,
    /// An organisation says this.
    Rules(UpdateRules),
}

impl Said {
    /// Whether nothing that was fetched is wanted any more.
    fn is_against(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Nothing => true,
            Self::Rules(rules) => rules.mode == UpdateMode::Off,
        }
    }
}

/// What an organisation says of updates: one whose identity is certain, and as long as what it says is to be obeyed.
fn rules(offering: &Offering) -> Said {
    match (&offering.by, &offering.validity) {
        (By::Organisation(managed), Validity::Fresh { .. } | Validity::Grace { .. })
            if managed.organisation.confirmed =>
        {
            managed.updates.clone().map_or(Said::Nothing, Said::Rules)
        }
        (By::Person, Validity::Own) => Said::Nothing,
        (By::Person | By::Organisation(_), _) => Said::Unknown,
    }
}

/// What the machine says, as the state has it: enough to notice that it says otherwise.
fn allowed(state: &AppState) -> Option<bool> {
    state.managed.as_ref().and_then(|managed| managed.settings.automatic_updates)
}

/// What the machine says, as it stands there now. What cannot be read allows nothing.
async fn machine_allows() -> bool {
    let machine = tokio::task::spawn_blocking(Machine::read).await;
    machine.is_ok_and(|machine| machine.allows_updates())
}

/// Waits until the organisation or the machine says something else.
async fn said_otherwise(
    offerings: &mut watch::Receiver<Arc<Offering>>,
    state: &mut watch::Receiver<Arc<AppState>>,
    (organisation, machine): &(Said, Option<bool>),
) {
    let ended = tokio::select! {
        said = offerings.wait_for(|now| rules(now) != *organisation) => said.is_err(),
        said = state.wait_for(|now| allowed(now) != *machine) => said.is_err(),
    };
    if ended {
        // The application is ending.
        std::future::pending().await
    }
}

/// The version that devices without a pin are offered.
async fn latest(mirror: &Mirror) -> Result<ReleaseVersion, UpdateFault> {
    let text = mirror.small(LATEST, LATEST_LIMIT).await?;
    let text = std::str::from_utf8(&text).map_err(|_| UpdateFault::Latest)?;
    text.trim().parse().map_err(|_| UpdateFault::Latest)
}

async fn verified(path: PathBuf, package: Package) -> Result<(), ::updates::ReleaseFault> {
    let check = move || {
        let file = std::fs::File::open(&path).map_err(|_| ::updates::ReleaseFault::OtherPackage)?;
        package.check(file)
    };
    let checked = tokio::task::spawn_blocking(check).await;
    checked.unwrap_or(Err(::updates::ReleaseFault::OtherPackage))
}

/// What an administrator types to install a package.
pub(crate) fn command_line(package: &Path) -> String {
    format!("sudo deskgate update --install {}", quoted(&package.to_string_lossy()))
}

/// A path as a shell takes it for one word.
fn quoted(path: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+~".contains(letter);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// That updates are switched off here.
pub(super) fn switched_off() -> Advice {
    Advice::new(
        "updates-off",
        "Your IT department has switched updates off on this computer.",
        "It updates Deskgate in another way.",
        "",
    )
}
