//! Forgetting a vault for good: its key leaves the keychain, and nothing can open its files any more.

use std::path::Path;
use std::sync::Arc;

use crate::home;
use crate::keychain::Caller;
use crate::store::Store;
use crate::vault::key_account;
use crate::{Keychain, KeychainFault};

/// Removes the key of the vault in `dir` from the keychain, and the keys of vaults that were set aside beside it. The files stay;
/// without a key they are noise. Where no vault was, nothing is removed.
///
/// # Errors
/// The keychain's fault: keys may be left in it.
pub async fn forget_keys(dir: &Path, keychain: Arc<dyn Keychain>) -> Result<(), KeychainFault> {
    let caller = Caller::new(keychain);
    for id in home::ids(dir) {
        match caller.call(move |keychain| keychain.remove(&key_account(&id))).await {
            // Where there is none, nothing was ever sealed with a key in it.
            Err(KeychainFault::Absent(_)) if !Store::holds_sealed_files(dir).unwrap_or(true) => {}
            other => other?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use os::SystemClock;

    use super::*;
    use crate::testing::{Behaviour, MemoryKeychain};
    use crate::{Kind, Vault};

    #[tokio::test]
    async fn the_keys_of_a_vault_and_of_those_set_aside_leave_the_keychain() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("vault");
        let keychain = Arc::new(MemoryKeychain::new());
        let open = || Vault::open(&dir, Arc::<MemoryKeychain>::clone(&keychain), Arc::new(SystemClock));
        open().await.put(Kind::Grant, "mail", b"secret").await.unwrap();
        os::set_aside(&dir).unwrap();
        open().await.put(Kind::Grant, "mail", b"secret").await.unwrap();
        assert_eq!(keychain.accounts().len(), 2);

        keychain.set(Behaviour::Locked);
        assert!(matches!(
            forget_keys(&dir, Arc::<MemoryKeychain>::clone(&keychain)).await,
            Err(KeychainFault::Locked(_))
        ));
        keychain.set(Behaviour::Available);
        forget_keys(&dir, Arc::<MemoryKeychain>::clone(&keychain)).await.unwrap();
        assert_eq!(keychain.accounts(), [] as [String; 0]);
        let none = folder.path().join("none");
        forget_keys(&none, Arc::<MemoryKeychain>::clone(&keychain)).await.unwrap();

        keychain.set(Behaviour::Absent);
        let unsealed = folder.path().join("unsealed");
        drop(Vault::open(&unsealed, Arc::<MemoryKeychain>::clone(&keychain), Arc::new(SystemClock)).await);
        forget_keys(&unsealed, keychain).await.unwrap();
    }
}
