//! Where an installation keeps its state.

use std::path::{Path, PathBuf};

use model::{Advice, DeviceId, ForPerson};

/// The person's own settings, in the folder of an installation.
pub(crate) const SETTINGS_FILE: &str = "deskgate.toml";

/// The audit journal, and what says whose it is.
const RECORDS: [&str; 4] = [DEVICE, "journal", "journal.checkpoint", "journal.head"];
/// The names of all else that Deskgate puts into its folder.
const OWN: [&str; 14] = [
    "assistants.json",
    "assistants.lock",
    "control.sock",
    "lock",
    "logs",
    "organisation",
    "policies",
    "port",
    "port.overheard",
    SETTINGS_FILE,
    "sign-in-windows",
    "updates",
    "vault",
    "welcomed",
];
/// By these the folder is known as Deskgate's, and taken; so they go last.
const LAST: [&str; 2] = [DEVICE, "lock"];
const DEVICE: &str = "device";

/// The folder of one installation and what lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the folder {} cannot be used", path.display())]
pub struct HomeFault {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl ForPerson for HomeFault {
    fn advice(&self) -> Advice {
        Advice::new(
            "home",
            format!("Deskgate cannot use its folder {}: {}.", self.path.display(), self.source),
            "It cannot start.",
            "Check that the folder belongs to you and that the disk has room, or set DESKGATE_HOME to another folder.",
        )
    }
}

impl Home {
    /// The folder that `DESKGATE_HOME` names, or else the platform's place for application data.
    pub fn from_environment() -> Option<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set("DESKGATE_HOME").map(Self).or_else(Self::usual)
    }

    /// The platform's place for application data, wherever the environment says that Deskgate's folder is.
    pub fn usual() -> Option<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let data = if cfg!(target_os = "windows") {
            set("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            set("HOME").map(|home| home.join("Library/Application Support"))
        } else {
            set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")))
        };
        data.map(|data| Self(data.join("deskgate")))
    }

    /// A folder of the caller's choice.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The person's own settings.
    pub fn settings(&self) -> PathBuf {
        self.0.join(SETTINGS_FILE)
    }

    /// The audit journal.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// The sealed store.
    pub fn vault(&self) -> PathBuf {
        self.0.join("vault")
    }

    /// The organisation's signed documents.
    pub fn organisation(&self) -> PathBuf {
        self.0.join("organisation")
    }

    /// Deskgate's own log; what was before lies beside it.
    pub fn log(&self) -> PathBuf {
        self.0.join("logs").join("deskgate.log")
    }

    /// Updates that were fetched, a folder for each version.
    pub fn updates(&self) -> PathBuf {
        self.0.join("updates")
    }

    /// Where the web views of sign-in windows would keep something if they kept anything.
    pub fn sign_in_windows(&self) -> PathBuf {
        self.0.join("sign-in-windows")
    }

    /// Held by the one instance that owns the folder.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Where the command line reaches the running instance.
    pub fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Makes the folder, for its owner only.
    pub(crate) fn create(&self) -> Result<(), HomeFault> {
        os::create_private_dir(&self.0).map_err(|source| self.fault(source))
    }

    /// The port that assistants know, if there is one.
    pub fn kept_port(&self) -> Option<u16> {
        std::fs::read_to_string(self.0.join("port")).ok()?.trim().parse().ok()
    }

    pub(crate) fn keep_port(&self, port: u16) -> Result<(), HomeFault> {
        os::write_durable(&self.0.join("port"), format!("{port}\n").as_bytes())
            .map_err(|source| self.fault(source))
    }

    /// Remembers that another program had the port: what assistants said there, it may have heard.
    pub(crate) fn note_overheard(&self) -> Result<(), HomeFault> {
        // Only that it is there counts; the format's version is for whoever adds to it.
        os::write_durable(&self.overheard(), b"{\"format\":1}\n").map_err(|source| self.fault(source))
    }

    /// Whether another program had the port, and nothing has followed from it yet.
    pub(crate) fn was_overheard(&self) -> bool {
        std::fs::symlink_metadata(self.overheard()).is_ok()
    }

    pub(crate) fn forget_overheard(&self) -> Result<(), HomeFault> {
        os::remove_durable(&self.overheard()).map_err(|source| self.fault(source))
    }

    fn overheard(&self) -> PathBuf {
        self.0.join("port.overheard")
    }

    /// Remembers that the person was shown around, or did not want to be.
    pub(crate) fn note_welcomed(&self) -> Result<(), HomeFault> {
        os::write_durable(&self.welcomed(), b"{\"format\":1}\n").map_err(|source| self.fault(source))
    }

    /// Whether they were.
    pub(crate) fn was_welcomed(&self) -> bool {
        std::fs::symlink_metadata(self.welcomed()).is_ok()
    }

    fn welcomed(&self) -> PathBuf {
        self.0.join("welcomed")
    }

    /// This installation's id, made at first use. Not a secret: the journal's records carry it.
    pub(crate) fn device(&self) -> Result<DeviceId, HomeFault> {
        let path = self.0.join(DEVICE);
        if let Some(id) = self.known_device() {
            return Ok(id);
        }
        let id = DeviceId::new();
        os::write_durable(&path, format!("{id}\n").as_bytes()).map_err(|source| self.fault(source))?;
        Ok(id)
    }

    fn known_device(&self) -> Option<DeviceId> {
        std::fs::read_to_string(self.0.join(DEVICE)).ok()?.trim().parse().ok()
    }

    /// Whether something in the folder belongs to the audit journal, or says whose it is.
    pub(crate) fn is_record(&self, path: &Path) -> bool {
        RECORDS.iter().any(|name| self.is_named(path, name))
    }

    /// Whether this is what has the name in the folder, or had it until it was set aside.
    fn is_named(&self, path: &Path, name: &str) -> bool {
        let original = self.0.join(name);
        path == original || os::is_set_aside(path, &original)
    }

    /// What Deskgate has put into the folder, set aside or half written among it; nothing else, since the folder may be any, and
    /// nothing where Deskgate never ran. In the order in which it may go.
    pub(crate) fn belongings(&self) -> Vec<PathBuf> {
        if self.known_device().is_none() {
            return Vec::new();
        }
        let here = std::fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.path());
        let ours = |path: &PathBuf| {
            self.is_record(path)
                || OWN.iter().any(|name| self.is_named(path, name))
                || path.file_name().is_some_and(os::is_leftover)
        };
        let mut ours: Vec<PathBuf> = here.filter(ours).collect();
        ours.sort_by_key(|path| LAST.iter().position(|last| path.ends_with(last)));
        ours
    }

    fn fault(&self, source: std::io::Error) -> HomeFault {
        HomeFault { path: self.0.clone(), source }
    }
}
