//! The operating system's keychain, as little of it as Deskgate needs: read, write and remove one small entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use model::{Advice, ForPerson};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::SecretBytes;

mod look;
mod system;

pub use look::look_at_keychain;
pub use system::SystemKeychain;

/// A keychain. Its calls may block, even for good: the vault makes them in a thread of their own with a deadline.
pub trait Keychain: Send + Sync + 'static {
    /// Reads an entry; `None` where there is none **or where the keychain is locked and does not say so**.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, account: &str) -> Result<Option<SecretBytes>, KeychainFault>;

    /// Writes an entry, replacing what was there.
    ///
    /// # Errors
    /// Why it cannot be written.
    fn write(&self, account: &str, secret: &SecretBytes) -> Result<(), KeychainFault>;

    /// Removes an entry. One that is not there counts as removed.
    ///
    /// # Errors
    /// Why it cannot be removed.
    fn remove(&self, account: &str) -> Result<(), KeychainFault>;

    /// How long one call may take before the vault goes on without an answer.
    fn deadline(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Why the keychain did not do what it was asked. The texts are for the log and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeychainFault {
    /// It is locked, or was never set up.
    #[error("the keychain is locked: {0}")]
    Locked(String),
    /// It, or the person that it asked, refused.
    #[error("the keychain refused: {0}")]
    Denied(String),
    /// There is none: no session bus, no service, a broken connection.
    #[error("there is no keychain: {0}")]
    Absent(String),
    /// No answer within the deadline; perhaps it is asking the person for a password.
    #[error("the keychain did not answer in time")]
    Silent,
}

/// Whether the keychain keeps Deskgate's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeychainState {
    /// It does: what the vault is given survives a restart.
    Available,
    /// It is locked or does not answer; secrets live in memory until it is unlocked.
    Locked,
    /// It, or the person, refused; secrets live in memory.
    Denied,
    /// There is none; secrets live in memory.
    Absent,
}

impl From<&KeychainFault> for KeychainState {
    fn from(fault: &KeychainFault) -> Self {
        match fault {
            KeychainFault::Locked(_) | KeychainFault::Silent => Self::Locked,
            KeychainFault::Denied(_) => Self::Denied,
            KeychainFault::Absent(_) => Self::Absent,
        }
    }
}

impl ForPerson for KeychainState {
    fn advice(&self) -> Advice {
        const MEANS: &str =
            "Sign-ins and permissions last only until Deskgate ends; nothing secret is written to disk.";
        match self {
            Self::Available => {
                Advice::new("keychain-available", "Your keychain protects Deskgate's secrets.", "", "")
            }
            Self::Locked => Advice::new(
                "keychain-locked",
                "Your keychain is locked or does not answer.",
                MEANS,
                "Unlock it, then choose “Try the keychain again” in the Deskgate menu, or: deskgate keychain",
            ),
            Self::Denied => Advice::new(
                "keychain-denied",
                "Your keychain refused access to Deskgate.",
                MEANS,
                "Allow Deskgate in your keychain's settings, then choose “Try the keychain again” in the Deskgate menu.",
            ),
            Self::Absent => Advice::new(
                "keychain-absent",
                "This session has no keychain.",
                MEANS,
                "Start a keychain service such as GNOME Keyring or KWallet, then choose “Try the keychain again” in the Deskgate menu, or: deskgate keychain",
            ),
        }
    }
}

/// Makes the calls, one at a time, each in a thread of its own.
pub(crate) struct Caller {
    keychain: Arc<dyn Keychain>,
    busy: Arc<AtomicBool>,
    late: Arc<Notify>,
}

impl Caller {
    pub(crate) fn new(keychain: Arc<dyn Keychain>) -> Self {
        Self { keychain, busy: Arc::default(), late: Arc::default() }
    }

    /// Notified when a call ends whose deadline had passed.
    pub(crate) fn late(&self) -> Arc<Notify> {
        Arc::clone(&self.late)
    }

    /// Makes one call. While an earlier one still hangs, this is [`KeychainFault::Silent`] at once, so that hanging
    /// threads never pile up.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Keychain) -> Result<T, KeychainFault> + Send + 'static,
    ) -> Result<T, KeychainFault> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(KeychainFault::Silent);
        }
        // No buffer: an answer is either received or known to be late.
        let (answer, answered) = mpsc::sync_channel(0);
        let keychain = Arc::clone(&self.keychain);
        let busy = Busy(Arc::clone(&self.busy));
        let late = Arc::clone(&self.late);
        let thread = std::thread::Builder::new().name("keychain".to_owned()).spawn(move || {
            let result = call(&*keychain);
            drop(busy);
            if answer.send(result).is_err() {
                late.notify_one();
            }
        });
        if let Err(fault) = thread {
            return Err(KeychainFault::Absent(fault.to_string()));
        }
        // Waiting blocks too, but never longer than the deadline, so that the runtime can always end.
        let deadline = self.keychain.deadline();
        let waited = tokio::task::spawn_blocking(move || answered.recv_timeout(deadline)).await;
        match waited {
            Ok(Ok(result)) => result,
            Ok(Err(mpsc::RecvTimeoutError::Timeout)) => Err(KeychainFault::Silent),
            Ok(Err(mpsc::RecvTimeoutError::Disconnected)) => {
                Err(KeychainFault::Denied("the call panicked".to_owned()))
            }
            Err(_) => Err(KeychainFault::Denied("the program is ending".to_owned())),
        }
    }
}

// Frees the way for the next call, also after a panic.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
