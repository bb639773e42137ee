//! A keychain in memory whose state a test switches. Nothing but tests may use it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Keychain, KeychainFault, SecretBytes};

/// How a [`MemoryKeychain`] behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// It works.
    #[default]
    Available,
    /// Reading finds nothing and writing is refused, as an unprompted GNOME Keyring does.
    Locked,
    /// Everything is refused.
    Denied,
    /// There is no service.
    Absent,
    /// Calls do not return until the behaviour changes.
    Hanging,
}

/// A keychain in memory. Clones share the entries and the behaviour, so that a test can "restart" on the same keychain.
#[derive(Debug, Clone, Default)]
pub struct MemoryKeychain {
    shared: Arc<(Mutex<Shared>, Condvar)>,
    deadline: Option<Duration>,
}

#[derive(Debug, Default)]
struct Shared {
    behaviour: Behaviour,
    entries: BTreeMap<String, SecretBytes>,
    writes: usize,
}

impl MemoryKeychain {
    /// An empty keychain that works.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives each call only this long.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Behaves so from now on; calls that hang go on with it.
    pub fn set(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
        self.shared.1.notify_all();
    }

    /// Removes every entry, as resetting a keychain does.
    pub fn clear(&self) {
        self.lock().entries.clear();
    }

    /// The names of the entries.
    pub fn accounts(&self) -> Vec<String> {
        self.lock().entries.keys().cloned().collect()
    }

    /// How often something was written.
    pub fn writes(&self) -> usize {
        self.lock().writes
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> Result<MutexGuard<'_, Shared>, KeychainFault> {
        let hanging = |shared: &mut Shared| shared.behaviour == Behaviour::Hanging;
        let guard = self.shared.1.wait_while(self.lock(), hanging).unwrap_or_else(PoisonError::into_inner);
        match guard.behaviour {
            Behaviour::Available | Behaviour::Locked | Behaviour::Hanging => Ok(guard),
            Behaviour::Denied => Err(KeychainFault::Denied("set by the test".to_owned())),
            Behaviour::Absent => Err(KeychainFault::Absent("set by the test".to_owned())),
        }
    }

    fn unlocked(&self) -> Result<MutexGuard<'_, Shared>, KeychainFault> {
        let guard = self.ready()?;
        if guard.behaviour == Behaviour::Locked {
            return Err(KeychainFault::Locked("set by the test".to_owned()));
        }
        Ok(guard)
    }
}

impl Keychain for MemoryKeychain {
    fn read(&self, account: &str) -> Result<Option<SecretBytes>, KeychainFault> {
        let guard = self.ready()?;
        if guard.behaviour == Behaviour::Locked {
            return Ok(None);
        }
        Ok(guard.entries.get(account).cloned())
    }

    fn write(&self, account: &str, secret: &SecretBytes) -> Result<(), KeychainFault> {
        let mut guard = self.unlocked()?;
        guard.entries.insert(account.to_owned(), secret.clone());
        guard.writes += 1;
        Ok(())
    }

    fn remove(&self, account: &str) -> Result<(), KeychainFault> {
        self.unlocked()?.entries.remove(account);
        Ok(())
    }

    fn deadline(&self) -> Duration {
        self.deadline.unwrap_or(Duration::from_secs(10))
    }
}
