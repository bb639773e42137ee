//! Removing Deskgate from a person's account: what is Deskgate's own goes, and nothing else.
//!
//! The running instance gives back, hands over and signs out (`socket::leave`); this is for when it has ended.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{Advice, ForPerson as _};
use os::InstanceLock;
use tokio::time::Instant;
use vault::{KeychainFault, KeychainState, SystemKeychain};

use super::home::Home;

/// How long a running instance has to end.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// How much is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    All,
    /// All but the audit journal: the organisation has not received all of it.
    AllButRecords,
}

/// What is removed from a person's account, for the person to read first.
pub fn belongings(home: &Home, extent: Extent) -> Vec<PathBuf> {
    let mut ours = home.belongings();
    if extent == Extent::AllButRecords {
        ours.retain(|path| !home.is_record(path));
    }
    ours.extend(outside(home).filter(|path| std::fs::symlink_metadata(path).is_ok()));
    ours
}

/// What [`remove`] has left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    /// What else lies in Deskgate's folder.
    pub files: Vec<PathBuf>,
    /// Why the key is still in the keychain, where it may be.
    pub key: Option<Advice>,
}

/// Removes them, with the key in the keychain, once no instance runs any more. What else lies in the folder stays. A key that cannot be
/// removed stops it, unless `anyhow`.
///
/// # Errors
/// The words. What was removed until then is gone; doing it again goes on.
pub async fn remove(home: &Home, extent: Extent, anyhow: bool) -> Result<Left, Advice> {
    let mut key = None;
    if !home.belongings().is_empty() {
        let lock = alone(home).await?;
        // First: without its files, nobody would know which key it is.
        let forgotten = vault::forget_keys(&home.vault(), Arc::new(SystemKeychain)).await;
        match forgotten.map_err(|fault| key_stays(&fault)) {
            Err(advice) if anyhow => key = Some(advice),
            other => other?,
        }
        for path in belongings(home, extent) {
            erase(&path).map_err(|fault| stays(&path, &fault))?;
        }
        drop(lock);
    }
    for path in outside(home) {
        erase(&path).map_err(|fault| stays(&path, &fault))?;
    }
    let left = std::fs::read_dir(home.path()).into_iter().flatten().flatten().map(|it| it.path());
    let files: Vec<PathBuf> = left.collect();
    if files.is_empty() {
        // One that was never there is gone as well.
        let _ = std::fs::remove_dir(home.path());
    }
    Ok(Left { files, key })
}

/// What lies elsewhere: what starts with the session, and what web views keep. Only an installation in the usual place has it.
fn outside(home: &Home) -> impl Iterator<Item = PathBuf> {
    let usual = Home::usual().as_ref() == Some(home);
    let paths = crate::autostart_entry().into_iter().chain(crate::web_view_folders());
    paths.filter(move |_| usual)
}

async fn alone(home: &Home) -> Result<InstanceLock, Advice> {
    let until = Instant::now() + ENDS_WITHIN;
    loop {
        match os::lock_instance(&home.lock()) {
            Ok(lock) => return Ok(lock),
            Err(os::LockFault::Held { .. }) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(os::LockFault::File(fault)) => return Err(stays(&home.lock(), &fault)),
            Err(os::LockFault::Held { .. }) => {
                return Err(Advice::new(
                    "still-running",
                    "Deskgate is still running.",
                    "Nothing of it was removed.",
                    "End it with: deskgate quit. Then do this once more.",
                ));
            }
        }
    }
}

fn erase(path: &Path) -> io::Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(fault) => Err(fault),
    };
    match removed {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn key_stays(fault: &KeychainFault) -> Advice {
    Advice::new(
        "key-stays",
        "The key of Deskgate's secrets could not be removed from your keychain.",
        format!("{} Nothing of Deskgate's folder was removed.", KeychainState::from(fault).advice().happened),
        "Unlock or start your keychain, then do this once more; or go on without it: deskgate uninstall --as-it-is. The entry is \
         called dev.deskgate.",
    )
}

fn stays(path: &Path, fault: &io::Error) -> Advice {
    Advice::new(
        "belonging-stays",
        format!("{} could not be removed: {fault}.", path.display()),
        "The rest was not removed either.",
        "Check that it belongs to you, then do this once more.",
    )
}

#[cfg(test)]
mod tests {
    use model::DeviceId;

    use super::*;

    #[tokio::test]
    async fn a_folder_that_is_not_deskgates_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        for name in ["vault", "journal", "logs"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(belongings(&home, Extent::All), [] as [PathBuf; 0]);
        let left = remove(&home, Extent::All, true).await.unwrap();
        assert_eq!(left.files.len(), 3);
        assert!(folder.path().join("journal").is_dir());
    }

    #[test]
    fn only_what_is_deskgates_own_goes_and_records_only_where_they_may() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        std::fs::write(folder.path().join("device"), DeviceId::new().to_string()).unwrap();
        for name in [
            "deskgate.toml",
            "port",
            "journal.damaged-1",
            "journal.head",
            "notes.txt",
            "vault.kdbx",
            "assistants.json",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        for name in ["journal", "vault", "vault.damaged-2", "pictures"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let names = |extent| {
            let mut names: Vec<_> = belongings(&home, extent)
                .iter()
                .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        let all = names(Extent::All);
        assert_eq!(
            all,
            [
                "assistants.json",
                "deskgate.toml",
                "device",
                "journal",
                "journal.damaged-1",
                "journal.head",
                "port",
                "vault",
                "vault.damaged-2"
            ]
        );
        let kept: Vec<_> =
            all.into_iter().filter(|name| !name.starts_with("journal") && name != "device").collect();
        assert_eq!(names(Extent::AllButRecords), kept);
    }

    #[tokio::test]
    async fn a_folder_that_never_was_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("deskgate"));
        assert_eq!(remove(&home, Extent::All, false).await.unwrap(), Left::default());
        assert!(!home.path().exists(), "nothing was made to remove it");
    }
}
