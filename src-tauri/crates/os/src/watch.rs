//! Noticing that something changed in a folder, without looking again and again.

use std::path::Path;
use std::time::Duration;

/// How often it is looked all the same: not every file system tells of changes that another machine makes.
const ALL_THE_SAME: Duration = Duration::from_secs(60);

/// Notices changes of the files that lie directly in some folders.
#[derive(Debug)]
pub struct FolderWatch {
    /// How often it is looked where the system tells nothing.
    poll: Duration,
    #[cfg(target_os = "linux")]
    told: Option<told::Told>,
}

impl FolderWatch {
    /// Watches nothing yet. `poll` is how often it is to be looked where the system does not tell of changes.
    pub fn new(poll: Duration) -> Self {
        Self {
            poll,
            #[cfg(target_os = "linux")]
            told: None,
        }
    }

    /// Watches these folders from now on, and no others; of one that does not exist the nearest folder that does. Whatever changes
    /// after this is told by [`Self::changed`]: look at the files between the two.
    pub fn look_at(&mut self, folders: &[&Path]) {
        #[cfg(target_os = "linux")]
        {
            let folders: Vec<&Path> = folders.iter().map(|folder| existing(folder)).collect();
            // Where the system's limit is reached, it is looked again and again instead.
            self.told = told::Told::of(&folders).ok();
        }
        #[cfg(not(target_os = "linux"))]
        let _ = folders;
    }

    /// Waits until something may have changed. [`Self::look_at`] them anew then: what was watched may be another folder now.
    pub async fn changed(&mut self) {
        #[cfg(target_os = "linux")]
        if let Some(told) = &self.told {
            // Whether it was told or not, it is time to look.
            let _late = tokio::time::timeout(ALL_THE_SAME, told.told()).await;
            return;
        }
        tokio::time::sleep(self.poll.min(ALL_THE_SAME)).await;
    }
}

#[cfg(target_os = "linux")]
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder)
}

#[cfg(target_os = "linux")]
mod told {
    //! inotify(7).

    use std::io;
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
    use tokio::io::unix::AsyncFd;

    /// Tells of changes; not of files being opened or read, which happens all the time.
    #[derive(Debug)]
    pub(super) struct Told(AsyncFd<OwnedFd>);

    impl Told {
        #[expect(unsafe_code, reason = "registering a descriptor rests on its owner's promise to keep it")]
        pub(super) fn of(folders: &[&Path]) -> io::Result<Self> {
            let changes = WatchFlags::CREATE
                | WatchFlags::CLOSE_WRITE
                | WatchFlags::MOVED_FROM
                | WatchFlags::MOVED_TO
                | WatchFlags::DELETE
                | WatchFlags::ATTRIB
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR;
            let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            for folder in folders {
                add_watch(&inotify, *folder, changes)?;
            }
            // SAFETY: an `OwnedFd` is its descriptor's only owner and always gives the same one, which stays open as long as it lives.
            Ok(Self(unsafe { AsyncFd::register(inotify) }?))
        }

        /// Waits until there is something to read. What it is does not matter: it is looked at all of it.
        pub(super) async fn told(&self) {
            // An error is the end of the runtime.
            drop(self.0.readable().await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    /// Whether a change is told of what `act` does.
    async fn tells(folder: &Path, act: impl FnOnce()) -> bool {
        let mut watch = FolderWatch::new(NEVER);
        watch.look_at(&[folder]);
        act();
        tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.is_ok()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn whatever_changes_in_a_folder_is_told_and_reading_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a"), folder.path().join("b"));
        assert!(tells(folder.path(), || std::fs::write(&file, "one").unwrap()).await, "made");
        assert!(tells(folder.path(), || std::fs::write(&file, "two").unwrap()).await, "written");
        assert!(tells(folder.path(), || std::fs::rename(&file, &other).unwrap()).await, "renamed");
        let read_only = |file: &Path| {
            let mut rights = std::fs::metadata(file).unwrap().permissions();
            rights.set_readonly(true);
            std::fs::set_permissions(file, rights).unwrap();
        };
        assert!(tells(folder.path(), || read_only(&other)).await, "other rights");
        let mut watch = FolderWatch::new(NEVER);
        watch.look_at(&[folder.path()]);
        std::fs::read(&other).unwrap();
        let soon = tokio::time::timeout(Duration::from_millis(200), watch.changed()).await;
        assert!(soon.is_err(), "reading changes nothing");
        assert!(tells(folder.path(), || std::fs::remove_file(&other).unwrap()).await, "removed");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_folder_that_is_made_later_is_noticed_and_so_is_one_that_takes_its_place() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("managed").join("d");
        let file = folder.join("a.json");
        assert!(tells(&folder, || std::fs::create_dir_all(&folder).unwrap()).await, "the first part of it");
        assert!(tells(&folder, || std::fs::write(&file, "{}").unwrap()).await);
        assert!(tells(&folder, || std::fs::rename(&folder, root.path().join("old")).unwrap()).await, "moved");
    }
}
