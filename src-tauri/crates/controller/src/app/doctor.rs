//! Looks at an installation, from within a running gateway or from beside it. Nothing is started, written, or asked of a person,
//! and only the organisation's own server is asked anything: what time it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{ForPerson as _, Timestamp};
use org_protocol::{ConnectorSpec, Transport};
use os::{Clock as _, SystemClock};
use tokio::sync::watch;
use url::Url;
use vault::KeychainState;

use super::home::Home;
use super::machine::Machine;
use super::settings::{Loaded, OrganisationSettings, mib};
use super::socket::{Report, refused};
use crate::doctor::{
    Autostart, Examination, FolderFound, Instance, Looked, OrganisationFound, PortFound, ProgramFound,
    ProxyFound, RecordsFound, ServerClock, examine,
};
use crate::state::AppState;

/// How long the organisation's server, and the check of the records, may take: a person waits.
const PATIENCE: Duration = Duration::from_secs(4);
/// More records than this, in bytes, are not checked while a person waits.
const CHECKED_AT_ONCE: u64 = 16 * 1024 * 1024;
const TRAY_HOST: &str = "org.kde.StatusNotifierWatcher";
const NOTIFICATIONS: &str = "org.freedesktop.Notifications";
/// What opens pages, in the order in which it is tried.
const OPENERS: [&str; 4] = ["xdg-open", "gio", "gnome-open", "kde-open"];
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Looks at one installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Doctor(Place);

#[derive(Debug, Clone)]
enum Place {
    Within(Home, String, watch::Receiver<Arc<AppState>>),
    Beside(Home),
    Shown(Box<Examination>),
}

impl Doctor {
    /// Of the gateway that runs in this process, at this address.
    pub(crate) fn within(home: Home, address: &str, state: watch::Receiver<Arc<AppState>>) -> Self {
        Self(Place::Within(home, address.to_owned(), state))
    }

    /// Of an installation whose gateway does not run in this process.
    pub fn beside(home: Home) -> Self {
        Self(Place::Beside(home))
    }

    /// Of nothing: says what it was given, where no gateway runs behind the windows.
    pub fn showing(looked: &Looked) -> Self {
        Self(Place::Shown(Box::new(examine(looked))))
    }

    /// Looks, and says what it found. Takes some seconds at most.
    pub async fn examine(&self) -> Examination {
        match &self.0 {
            Place::Within(home, address, state) => {
                let state = Arc::clone(&state.borrow());
                examine(&look(home, Some((address.clone(), state))).await)
            }
            Place::Beside(home) => examine(&look(home, None).await),
            Place::Shown(examination) => (**examination).clone(),
        }
    }

    /// The same, for the command line.
    pub(super) async fn report(&self) -> Report {
        let examination = self.examine().await;
        match serde_json::to_value(&examination) {
            Ok(json) => Report::Ok { text: examination.to_string(), json },
            Err(fault) => refused(model::Advice::new(
                "doctor",
                format!("What was found cannot be told: {fault}."),
                "",
                "",
            )),
        }
    }
}

/// `gateway` is the one that runs in this process: its address, and what it knows.
async fn look(home: &Home, gateway: Option<(String, Arc<AppState>)>) -> Looked {
    let (address, state) = gateway.unzip();
    let (journal, folder) = (home.journal(), home.path().to_owned());
    let lock = home.lock();
    let within = state.is_some();
    let disk =
        blocking((FolderFound::Unusable("the look was broken off".to_owned()), Instance::None), move || {
            (folder_found(&folder), instance(&lock, within))
        });
    let settings = home.settings();
    let rule = blocking(Rule::default(), move || Rule::read(&settings));
    let services = [TRAY_HOST, NOTIFICATIONS];
    let ((folder, instance), rule, records, session, keychain, port) = tokio::join!(
        disk,
        rule,
        records(journal),
        os::session_services(&services),
        keychain(state.as_deref()),
        port(home, address),
    );
    let organisation = organisation(rule.organisation).await;
    Looked {
        now: SystemClock.now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        home: home.path().display().to_string(),
        folder,
        instance,
        port,
        keychain,
        machine: rule.machine,
        settings: rule.settings,
        organisation,
        records,
        quota: rule.quota,
        programs: rule.programs,
        session: session.and_then(|found| Some((*found.first()?, *found.get(1)?))),
        autostart: autostart(),
        browser: (crate::can_open_browser(), opener()),
        proxies: proxies(|name| std::env::var(name).ok()),
        proxies_spare_this_computer: spares_this_computer(|name| std::env::var(name).ok()),
        state,
    }
}

/// What blocks happens beside the runtime; `otherwise` where the program is ending.
async fn blocking<T: Send + 'static>(otherwise: T, look: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(look).await.unwrap_or(otherwise)
}

fn folder_found(path: &Path) -> FolderFound {
    match os::look_at_folder(path) {
        Ok(folder) => FolderFound::There(folder),
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => FolderFound::Absent,
        Err(fault) => FolderFound::Unusable(fault.to_string()),
    }
}

fn instance(lock: &Path, within: bool) -> Instance {
    if within {
        return Instance::This;
    }
    match os::holder_of_instance(lock) {
        None => Instance::None,
        Some(pid) => Instance::Silent { pid },
    }
}

async fn keychain(state: Option<&AppState>) -> Option<KeychainState> {
    let Some(state) = state else { return vault::look_at_keychain().await };
    let known = [KeychainState::Locked, KeychainState::Denied, KeychainState::Absent];
    let wrong = known.into_iter().find(|it| state.faults.contains_key(&it.advice().code));
    Some(wrong.unwrap_or(KeychainState::Available))
}

async fn port(home: &Home, address: Option<String>) -> PortFound {
    if let Some(address) = address {
        return PortFound::Ours(address);
    }
    let Some(port) = home.kept_port() else { return PortFound::None };
    match gateway::is_free(port).await {
        Ok(true) => PortFound::Free(port),
        Ok(false) => {
            PortFound::Taken { port, holder: blocking(None, move || os::owner_of_listener(port)).await }
        }
        Err(fault) => PortFound::Refused { port, why: fault.to_string() },
    }
}

/// Who decides, and what is wrong with what they wrote.
#[derive(Default)]
struct Rule {
    machine: Option<model::Advice>,
    settings: Option<model::Advice>,
    organisation: Option<(OrganisationSettings, bool)>,
    quota: Option<u64>,
    programs: Vec<ProgramFound>,
}

impl Rule {
    fn read(path: &Path) -> Self {
        let machine = Machine::read();
        let set_by_it = machine.managed().is_some_and(|managed| managed.settings.organisation.is_some());
        let organisation = machine.organisation(path).map(|organisation| (organisation, set_by_it));
        let (settings, wrong) = match machine.own_settings(path) {
            Ok(Loaded { settings, .. }) => (settings, None),
            Err(fault) => (super::Settings::default(), Some(fault.advice())),
        };
        let personal = organisation.is_none();
        let connectors = settings.connectors.iter().filter(|_| personal);
        Self {
            machine: machine.nothing(),
            settings: wrong,
            quota: personal.then(|| mib(settings.journal.quota_mib)),
            programs: connectors.filter_map(|(id, spec)| program(id.as_str(), spec)).collect(),
            organisation,
        }
    }
}

fn program(id: &str, spec: &ConnectorSpec) -> Option<ProgramFound> {
    let Ok(Transport::Stdio { program, .. }) = spec.transport() else { return None };
    let path =
        spec.environment.get("PATH").map(std::ffi::OsString::from).or_else(|| std::env::var_os("PATH"));
    Some(ProgramFound {
        connector: id.to_owned(),
        title: spec.title.clone(),
        program: program.to_owned(),
        found: found(program, path.as_deref()).is_some(),
    })
}

/// The file of a program, looked for as the system looks for it.
fn found(program: &str, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    if program.contains(std::path::is_separator) {
        return Some(PathBuf::from(program)).filter(|file| os::is_program(file));
    }
    std::env::split_paths(path?).map(|folder| folder.join(program)).find(|file| os::is_program(file))
}

fn opener() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("the system".to_owned());
    }
    let path = std::env::var_os("PATH");
    OPENERS.into_iter().find(|opener| found(opener, path.as_deref()).is_some()).map(str::to_owned)
}

async fn organisation(rule: Option<(OrganisationSettings, bool)>) -> Option<OrganisationFound> {
    let (OrganisationSettings { config_url, .. }, set_by_it) = rule?;
    let clock = match tokio::time::timeout(PATIENCE, org::server_time(&config_url)).await {
        Ok(Ok(Some(theirs))) => ServerClock::Ahead(ahead(SystemClock.now(), theirs)),
        Ok(Ok(None)) => ServerClock::Untold,
        Ok(Err(fault)) => ServerClock::Silent(fault.to_string()),
        Err(_) => ServerClock::Silent("it takes too long".to_owned()),
    };
    Some(OrganisationFound { address: shown(config_url), set_by_it, clock })
}

fn ahead(ours: Timestamp, theirs: Timestamp) -> i64 {
    ours.seconds().saturating_sub(theirs.seconds())
}

/// Without what could be a secret in it.
fn shown(mut address: Url) -> Url {
    let _ = address.set_password(None);
    let _ = address.set_username("");
    address.set_query(None);
    address.set_fragment(None);
    address
}

async fn records(journal: PathBuf) -> RecordsFound {
    let measured = journal.clone();
    let bytes = match blocking(Err(std::io::ErrorKind::Interrupted.into()), move || bytes_in(&measured)).await
    {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return RecordsFound::None,
        Err(fault) => return RecordsFound::Unreadable(fault.to_string()),
    };
    if bytes > CHECKED_AT_ONCE {
        return RecordsFound::Many { bytes };
    }
    let check = tokio::task::spawn_blocking(move || audit::verify(&journal));
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(Ok(Ok(report))) => checked(bytes, &report),
        Ok(Ok(Err(audit::VerifyFault::Absent(_)))) => RecordsFound::None,
        Ok(Ok(Err(fault))) => RecordsFound::Unreadable(fault.to_string()),
        Ok(Err(_)) | Err(_) => RecordsFound::Many { bytes },
    }
}

fn checked(bytes: u64, report: &audit::Report) -> RecordsFound {
    let undelivered = report.epochs.iter().filter(|epoch| epoch.org.is_some()).filter_map(|epoch| {
        let last = epoch.head?.seq;
        match report.acknowledged {
            Some(head) if head.epoch > epoch.epoch => None,
            Some(head) if head.epoch == epoch.epoch => Some(last.saturating_sub(head.seq)),
            Some(_) | None => Some(epoch.records),
        }
    });
    let faults = report.findings.iter().map(ToString::to_string).chain(report.faults.iter().cloned());
    RecordsFound::Checked {
        bytes,
        records: report.records,
        undelivered: undelivered.sum(),
        faults: faults.collect(),
    }
}

fn bytes_in(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0_u64;
    for entry in std::fs::read_dir(folder)? {
        // One that was removed meanwhile takes nothing.
        sum = sum.saturating_add(entry?.metadata().map(|about| about.len()).unwrap_or_default());
    }
    Ok(sum)
}

fn autostart() -> Autostart {
    match crate::autostart_entry() {
        None => Autostart::Unknown,
        Some(entry) if entry.is_file() => Autostart::On(entry.display().to_string()),
        Some(_) => Autostart::Off,
    }
}

fn proxies(variable: impl Fn(&str) -> Option<String>) -> Vec<ProxyFound> {
    let set =
        PROXIES.into_iter().filter_map(|name| Some((name, variable(name).filter(|it| !it.is_empty())?)));
    set.map(|(name, value)| ProxyFound { variable: name.to_owned(), address: proxy_address(&value) })
        .collect()
}

/// A name and a password may stand in front of a proxy's host: they are not for showing.
fn proxy_address(value: &str) -> Option<String> {
    let url = if value.contains("://") { Url::parse(value) } else { Url::parse(&format!("http://{value}")) };
    let url = url.ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn spares_this_computer(variable: impl Fn(&str) -> Option<String>) -> bool {
    let spared = variable("NO_PROXY").or_else(|| variable("no_proxy")).unwrap_or_default();
    spared.split(',').any(|host| matches!(host.trim(), "*" | "127.0.0.1" | "127.0.0.0/8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_in_a_proxy_s_address_is_not_shown() {
        let set = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://ada:hunter2@proxy.test:3128/".to_owned()),
            "http_proxy" => Some("ada:hunter2@proxy.test".to_owned()),
            "ALL_PROXY" => Some("http://".to_owned()),
            _ => None,
        };
        let found = proxies(set);
        let addresses: Vec<_> = found.iter().map(|it| it.address.as_deref()).collect();
        assert_eq!(addresses, [Some("proxy.test"), Some("proxy.test:3128"), None], "{found:?}");
        assert_eq!(shown("https://a:b@x.test/y?z=secret#w".parse().unwrap()).as_str(), "https://x.test/y");
        assert!(spares_this_computer(|name| (name == "no_proxy").then(|| "acme.test, 127.0.0.1".to_owned())));
        assert!(!spares_this_computer(|_| None));
    }

    #[test]
    fn programs_are_looked_for_as_the_system_does() {
        let path = Some(std::ffi::OsStr::new("/usr/local/bin:/usr/bin:/bin"));
        assert!(found("sh", path).is_some());
        assert!(found("/bin/sh", None).is_some());
        assert_eq!(found("no-such-program", path), None);
        assert_eq!(found("/etc/passwd", None), None, "no program");
        assert_eq!(found("sh", None), None);
    }

    #[tokio::test]
    async fn looking_beside_makes_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let absent = Home::at(folder.path().join("absent"));
        let found = look(&absent, None).await;
        assert_eq!((found.folder, found.instance), (FolderFound::Absent, Instance::None));
        assert_eq!((found.port, found.records), (PortFound::None, RecordsFound::None));
        assert!(!absent.path().exists());
    }
}
