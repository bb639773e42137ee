//! The vault as the rest of the program sees it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use model::Timestamp;
use os::Clock;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::home::Home;
use crate::keychain::Caller;
use crate::seal::RootKey;
use crate::store::Store;
use crate::{
    DeviceKey, Finding, Keychain, KeychainFault, KeychainState, Kind, ProofKey, SecretBytes, VaultFault,
    device_key,
};

const DEVICE_KEY: &str = "key";

/// The secrets of one installation. Clones share it.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

/// Something that was found wrong, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// When it was found.
    pub at: Timestamp,
    /// What was found.
    pub finding: Finding,
}

struct Inner {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    caller: Caller,
    keeping: Mutex<Keeping>,
    // Apart from `keeping`, which is locked while the disk works.
    current: Mutex<Current>,
    found: Mutex<Vec<Found>>,
    state: watch::Sender<KeychainState>,
    opening: tokio::sync::Mutex<()>,
    device: tokio::sync::Mutex<()>,
    /// Holds the device's key in the vault's place.
    chip: OnceLock<Arc<dyn DeviceKey>>,
    late: Mutex<Option<AbortHandle>>,
}

enum Keeping {
    /// Until the program ends. `None` is a record that was deleted meanwhile.
    Memory(BTreeMap<(Kind, String), Option<SecretBytes>>),
    Sealed(Store),
}

#[derive(Clone)]
struct Current {
    root: Arc<RootKey>,
    durable: bool,
}

enum Obstacle {
    Keychain(KeychainFault),
    Disk(io::Error),
}

impl Vault {
    /// Opens the vault in `dir` with the key that the keychain holds for it, or makes both. Where that cannot be done
    /// the vault keeps everything in memory; [`Vault::state`] and [`Vault::found`] say so. Never fails, and takes no
    /// longer than the keychain's deadline for each of a few calls. `dir` must belong to this process alone.
    ///
    /// Sealed files without their key are never written over: they are set aside and reported.
    pub async fn open(dir: &Path, keychain: Arc<dyn Keychain>, clock: Arc<dyn Clock>) -> Self {
        let inner = Arc::new(Inner {
            dir: dir.to_owned(),
            clock,
            caller: Caller::new(keychain),
            keeping: Mutex::new(Keeping::Memory(BTreeMap::new())),
            current: Mutex::new(Current { root: Arc::new(RootKey::generate()), durable: false }),
            found: Mutex::default(),
            state: watch::Sender::new(KeychainState::Absent),
            opening: tokio::sync::Mutex::default(),
            device: tokio::sync::Mutex::default(),
            chip: OnceLock::new(),
            late: Mutex::default(),
        });
        let vault = Self(inner);
        vault.retry().await;
        vault.retry_when_late();
        vault
    }

    /// Whether the keychain keeps the vault's key.
    pub fn state(&self) -> KeychainState {
        *self.0.state.borrow()
    }

    /// The state as it changes. When it becomes available, records of earlier runs appear: read them again.
    pub fn watch(&self) -> watch::Receiver<KeychainState> {
        self.0.state.subscribe()
    }

    /// Whether what is put survives a restart.
    pub fn is_durable(&self) -> bool {
        lock(&self.0.current).durable
    }

    /// Returns once what is put survives a restart.
    pub async fn durable(&self) {
        let mut states = self.watch();
        while !self.is_durable() {
            // The sender lives as long as the vault.
            let _ = states.changed().await;
        }
    }

    /// Everything that was found wrong since the vault was opened: to be shown and audited.
    pub fn found(&self) -> Vec<Found> {
        lock(&self.0.found).clone()
    }

    /// Tries the keychain again, for instance after the person unlocked it. A locked keychain may ask the person for a
    /// password, so this is for when they want that. What was put into memory meanwhile is then sealed; where a record
    /// exists on disk too, the newer act of the person wins, except for device, pins, ratchets and cursors.
    pub async fn retry(&self) -> KeychainState {
        let _one = self.0.opening.lock().await;
        if self.is_durable() {
            return self.state();
        }
        let state = match self.unlock().await {
            Ok(()) => KeychainState::Available,
            Err(Obstacle::Keychain(fault)) => {
                tracing::warn!(%fault, "secrets are kept in memory only");
                KeychainState::from(&fault)
            }
            Err(Obstacle::Disk(fault)) => {
                tracing::warn!(%fault, "the vault's directory cannot be used; secrets are kept in memory only");
                self.0.report([Finding::Unusable { why: fault.to_string() }]);
                match self.probe(&Uuid::now_v7().to_string()).await {
                    Ok(()) => KeychainState::Available,
                    Err(fault) => KeychainState::from(&fault),
                }
            }
        };
        self.0.state.send_replace(state);
        state
    }

    /// Stores a record, replacing what was there. On disk when it returns, if the vault is durable; done even if the
    /// caller stops waiting.
    ///
    /// # Errors
    /// [`VaultFault::Disk`]: then the old value is still stored.
    pub async fn put(&self, kind: Kind, key: &str, value: &[u8]) -> Result<(), VaultFault> {
        let (key, value) = (key.to_owned(), SecretBytes::from(value));
        self.with(move |keeping, _| match keeping {
            Keeping::Memory(records) => {
                records.insert((kind, key), Some(value));
                Ok(())
            }
            Keeping::Sealed(store) => store.put(kind, &key, value.expose_secret()),
        })
        .await
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`VaultFault::Damaged`] where it is not what was stored; it is then set aside, reported and no longer listed.
    /// [`VaultFault::Disk`] where the file cannot be read.
    pub async fn get(&self, kind: Kind, key: &str) -> Result<Option<SecretBytes>, VaultFault> {
        let key = key.to_owned();
        self.with(move |keeping, findings| match keeping {
            Keeping::Memory(records) => Ok(records.get(&(kind, key)).cloned().flatten()),
            Keeping::Sealed(store) => store.get(kind, &key, findings),
        })
        .await
    }

    /// Removes a record, from disk too when it returns. One that is not there counts as removed.
    ///
    /// # Errors
    /// [`VaultFault::Disk`].
    pub async fn delete(&self, kind: Kind, key: &str) -> Result<(), VaultFault> {
        let key = key.to_owned();
        self.with(move |keeping, _| match keeping {
            Keeping::Memory(records) => {
                records.insert((kind, key), None);
                Ok(())
            }
            Keeping::Sealed(store) => store.delete(kind, &key),
        })
        .await
    }

    /// The keys of all records of a kind, in order.
    ///
    /// # Errors
    /// [`VaultFault::Ending`] only.
    pub async fn list(&self, kind: Kind) -> Result<Vec<String>, VaultFault> {
        self.with(move |keeping, _| match keeping {
            Keeping::Memory(records) => {
                let of_kind = records.iter().filter(|((of, _), value)| *of == kind && value.is_some());
                Ok(of_kind.map(|((_, key), _)| key.clone()).collect())
            }
            Keeping::Sealed(store) => Ok(store.list(kind)),
        })
        .await
    }

    /// Has something else hold this installation's key: a chip. To be said before the key is asked for; the first one stays.
    pub fn hold_device_key(&self, chip: Arc<dyn DeviceKey>) {
        if self.0.chip.set(chip).is_err() {
            tracing::error!("two chips are to hold the device's key");
        }
    }

    /// This installation's key; where nothing else holds it, made on first use.
    ///
    /// # Errors
    /// As for [`Vault::get`] and [`Vault::put`].
    pub async fn device_key(&self) -> Result<Arc<dyn DeviceKey>, VaultFault> {
        if let Some(chip) = self.0.chip.get() {
            return Ok(Arc::clone(chip));
        }
        let key = self.own_device_key().await?;
        Ok(device_key::own(key, self.is_durable()))
    }

    async fn own_device_key(&self) -> Result<ProofKey, VaultFault> {
        let _one = self.0.device.lock().await;
        if let Some(secret) = self.get(Kind::Device, DEVICE_KEY).await?
            && let Some(key) = ProofKey::from_secret(&secret)
        {
            return Ok(key);
        }
        let key = ProofKey::generate();
        self.put(Kind::Device, DEVICE_KEY, key.to_secret().expose_secret()).await?;
        Ok(key)
    }

    /// A key for a purpose of the caller's, derived from the root key (HKDF-SHA256): the same in every run while the
    /// keychain is available, another one in each run otherwise.
    pub fn mac_key(&self, purpose: &str) -> [u8; 32] {
        let root = Arc::clone(&lock(&self.0.current).root);
        *root.derive(&format!("mac {purpose}"))
    }

    async fn unlock(&self) -> Result<(), Obstacle> {
        let root = Arc::new(self.root_key().await?);
        self.with({
            let (dir, inner) = (self.0.dir.clone(), Arc::clone(&self.0));
            move |keeping, findings| {
                let Keeping::Memory(records) = keeping else { return Ok(()) };
                let store = adopt(Store::open(&dir, Arc::clone(&root), findings)?, records)?;
                *keeping = Keeping::Sealed(store);
                // At once: nobody is to write over what has just come to light, believing that there is nothing.
                *lock(&inner.current) = Current { root, durable: true };
                Ok(())
            }
        })
        .await
        .map_err(|fault| match fault {
            VaultFault::Disk(fault) => Obstacle::Disk(fault),
            VaultFault::Damaged { .. } | VaultFault::DeviceKey { .. } | VaultFault::Ending => {
                Obstacle::Disk(io::Error::other(fault))
            }
        })?;
        Ok(())
    }

    async fn root_key(&self) -> Result<RootKey, Obstacle> {
        let home = self.home(Home::prepare).await?;
        if let Some(root) = self.read_key(&home.id).await? {
            return Ok(root);
        }
        // Nothing there, or locked without saying so: only writing tells, and may unlock it.
        self.probe(&home.id).await?;
        if let Some(root) = self.read_key(&home.id).await? {
            return Ok(root);
        }
        let id = if home.holds_sealed_files { self.home(Home::start_afresh).await?.id } else { home.id };
        self.make_key(&id).await
    }

    async fn home(&self, make: fn(&Path) -> io::Result<Home>) -> Result<Home, Obstacle> {
        let dir = self.0.dir.clone();
        let home = tokio::task::spawn_blocking(move || make(&dir)).await.map_err(io::Error::other)??;
        self.0.report(home.lost.iter().map(|aside| Finding::KeyLost { aside: aside.clone() }));
        Ok(home)
    }

    async fn read_key(&self, id: &str) -> Result<Option<RootKey>, KeychainFault> {
        let account = key_account(id);
        let entry = self.0.caller.call(move |keychain| keychain.read(&account)).await?;
        Ok(entry.and_then(|entry| RootKey::from_entry(&entry)))
    }

    async fn make_key(&self, id: &str) -> Result<RootKey, Obstacle> {
        let root = RootKey::generate();
        let (account, entry) = (key_account(id), root.to_entry());
        let kept = self.0.caller.call(move |keychain| {
            keychain.write(&account, &entry)?;
            Ok(keychain.read(&account)? == Some(entry))
        });
        if kept.await? {
            return Ok(root);
        }
        Err(KeychainFault::Denied("it did not keep what it was given".to_owned()).into())
    }

    async fn probe(&self, id: &str) -> Result<(), KeychainFault> {
        let account = format!("vault-probe/{id}");
        let probe = move |keychain: &dyn Keychain| {
            keychain.write(&account, &SecretBytes::from("probe"))?;
            keychain.remove(&account)
        };
        self.0.caller.call(probe).await
    }

    // A call that outlived its deadline may have waited for the person, who has now answered.
    fn retry_when_late(&self) {
        let (late, inner) = (self.0.caller.late(), Arc::downgrade(&self.0));
        let task = tokio::spawn(async move {
            loop {
                late.notified().await;
                let Some(inner) = inner.upgrade() else { return };
                Self(inner).retry().await;
            }
        });
        *lock(&self.0.late) = Some(task.abort_handle());
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeping, &mut Vec<Finding>) -> Result<T, VaultFault> + Send + 'static,
    ) -> Result<T, VaultFault> {
        let inner = Arc::clone(&self.0);
        let work = move || {
            let mut findings = Vec::new();
            let result = work(&mut lock(&inner.keeping), &mut findings);
            inner.report(findings);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| VaultFault::Ending)?
    }
}

impl Inner {
    fn report(&self, findings: impl IntoIterator<Item = Finding>) {
        let mut found = lock(&self.found);
        for finding in findings {
            tracing::warn!(?finding, "the vault was not as it was left");
            if found.iter().all(|known| known.finding != finding) {
                found.push(Found { at: self.clock.now(), finding });
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.late).take() {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("dir", &self.0.dir)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl From<KeychainFault> for Obstacle {
    fn from(fault: KeychainFault) -> Self {
        Self::Keychain(fault)
    }
}

impl From<io::Error> for Obstacle {
    fn from(fault: io::Error) -> Self {
        Self::Disk(fault)
    }
}

fn adopt(
    mut store: Store,
    records: &BTreeMap<(Kind, String), Option<SecretBytes>>,
) -> Result<Store, VaultFault> {
    for ((kind, key), value) in records {
        match value {
            _ if kind.disk_wins() && store.contains(*kind, key) => {}
            Some(value) => store.put(*kind, key, value.expose_secret())?,
            None => store.delete(*kind, key)?,
        }
    }
    Ok(store)
}

/// Under which the keychain has the key of the vault with this id.
pub(crate) fn key_account(id: &str) -> String {
    format!("vault-key/{id}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
