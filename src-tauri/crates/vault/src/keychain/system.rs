//! The real keychain. On Linux the Secret Service over D-Bus, through a store that is built explicitly for each use, so
//! that a service that starts, restarts or ends later is noticed; elsewhere the platform's own.

use keyring::{Entry, Error};

use super::{Keychain, KeychainFault};
use crate::SecretBytes;

const SERVICE: &str = "dev.deskgate";

/// The keychain of this login session.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemKeychain;

impl Keychain for SystemKeychain {
    fn read(&self, account: &str) -> Result<Option<SecretBytes>, KeychainFault> {
        match entry(account)?.get_secret() {
            Ok(secret) => Ok(Some(secret.into())),
            Err(Error::NoEntry) => Ok(None),
            Err(fault) => Err(told(&fault)),
        }
    }

    fn write(&self, account: &str, secret: &SecretBytes) -> Result<(), KeychainFault> {
        entry(account)?.set_secret(secret.expose_secret()).map_err(|fault| told(&fault))
    }

    fn remove(&self, account: &str) -> Result<(), KeychainFault> {
        match entry(account)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(fault) => Err(told(&fault)),
        }
    }
}

#[cfg(target_os = "linux")]
fn entry(account: &str) -> Result<Entry, KeychainFault> {
    use keyring_core::api::CredentialStoreApi as _;
    let store = zbus_secret_service_keyring_store::Store::new().map_err(|fault| told(&fault))?;
    let inner = store.build(SERVICE, account, None).map_err(|fault| told(&fault))?;
    Ok(Entry { inner })
}

#[cfg(not(target_os = "linux"))]
fn entry(account: &str) -> Result<Entry, KeychainFault> {
    Entry::new(SERVICE, account).map_err(|fault| told(&fault))
}

// A locked keyring, a dismissed password prompt and a keyring without a collection all come as `NoStorageAccess`.
fn told(fault: &Error) -> KeychainFault {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open, and what is unknown is a refusal")]
    match fault {
        Error::NoStorageAccess(why) => KeychainFault::Locked(why.to_string()),
        Error::PlatformFailure(why) => {
            let why = why.to_string();
            if why.contains("AccessDenied") { KeychainFault::Denied(why) } else { KeychainFault::Absent(why) }
        }
        Error::NoDefaultStore => KeychainFault::Absent("no store for this platform".to_owned()),
        other => KeychainFault::Denied(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_errors_are_told_apart() {
        let platform = |text: &str| told(&Error::PlatformFailure(text.to_owned().into()));
        assert!(matches!(
            platform("zbus error: org.freedesktop.DBus.Error.AccessDenied: no"),
            KeychainFault::Denied(_)
        ));
        assert!(matches!(platform("zbus error: ServiceUnknown"), KeychainFault::Absent(_)));
        assert!(matches!(told(&Error::NoStorageAccess("locked".into())), KeychainFault::Locked(_)));
        assert!(matches!(told(&Error::Ambiguous(Vec::new())), KeychainFault::Denied(_)));
    }
}
