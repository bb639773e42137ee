//! A socket that a person opens for assistants in a container or on another computer: it leads to one virtual server, for as long as
//! the command line stays that asked for it, and to nothing else of this instance.
//!
//! Who comes through it cannot be told: the person was asked about the socket (`issuer::Visit::through`), is asked anew for the next,
//! and policies that ask for a program find none.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use issuer::Admission;
use model::Advice;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::bridges::Bridges;
use super::socket::{done, refused, report};

/// How soon a socket closes whose access was taken back.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// The superuser, as whom containers may run.
const ROOT: u32 = 0;

/// The socket's file, which goes with it.
struct Opened {
    path: PathBuf,
    /// Device and number of the file: another may have its name by the end.
    file: (u64, u64),
}

impl Bridges {
    /// Lets in whoever comes through a socket at `path` until the command line goes away or access is taken back.
    pub(super) async fn keep_open(
        &self,
        path: &Path,
        admission: Arc<Admission>,
        mut reading: BufReader<OwnedReadHalf>,
        mut writing: OwnedWriteHalf,
    ) {
        let (listener, opened) = match open(path).await {
            Ok(opened) => opened,
            Err(fault) => {
                report(&mut writing, &refused(unopened(path, &fault))).await;
                return self.end_access(&admission).await;
            }
        };
        report(&mut writing, &done("The socket is open.")).await;
        self.let_in(&listener, &admission, &mut reading).await;
        drop((listener, opened));
        self.end_access(&admission).await;
    }

    /// Until the command line goes away, access is taken back, or the program ends.
    async fn let_in(
        &self,
        listener: &UnixListener,
        admission: &Arc<Admission>,
        reading: &mut BufReader<OwnedReadHalf>,
    ) {
        let mut looks = tokio::time::interval(LOOKS_EVERY);
        let mut stop = self.stop.clone();
        // Dropped with this, and with it whoever is still there.
        let mut inside = JoinSet::new();
        loop {
            tokio::select! {
                // It says nothing more: this is its end.
                _ended = reading.fill_buf() => return,
                // Only the end is told.
                _ = stop.changed() => return,
                Some(_) = inside.join_next() => {}
                _ = looks.tick() => if admission.check(self.now()).is_err() { return },
                Some(stream) = arrival(listener) => {
                    if admission.check(self.now()).is_err() {
                        return;
                    }
                    self.take_in(&mut inside, stream, admission);
                }
            }
        }
    }

    /// What was allowed was allowed to this socket, which is no more.
    async fn end_access(&self, admission: &Admission) {
        if let Ok(grant) = admission.check(self.now())
            && let Err(fault) = self.issuer.revoke(&grant.client_id, &grant.server).await
        {
            tracing::error!(%fault, "the end of a socket's access is not on disk");
        }
    }

    fn take_in(&self, inside: &mut JoinSet<()>, stream: UnixStream, admission: &Arc<Admission>) {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            tracing::warn!("too many assistants are connected: one more was turned away at a socket");
            return;
        };
        let (bridges, admission) = (self.clone(), Arc::clone(admission));
        inside.spawn(async move {
            let (reading, writing) = stream.into_split();
            bridges.converse(admission, BufReader::new(reading), writing).await;
            drop(place);
        });
    }
}

/// The next one that the file's permissions let through: a process of the owner's, or of root.
async fn arrival(listener: &UnixListener) -> Option<UnixStream> {
    match listener.accept().await {
        Ok((stream, _)) => {
            let (own, _) = os::current_user();
            let user = os::peer_uid(&stream);
            if user.is_some_and(|user| user == own || user == ROOT) {
                return Some(stream);
            }
            tracing::warn!(?user, "another user was turned away at a socket");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "nobody can come through a socket now");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn open(path: &Path) -> std::io::Result<(UnixListener, Opened)> {
    if !path.is_absolute() {
        return Err(std::io::ErrorKind::InvalidFilename.into());
    }
    let listener = os::bind_new_local(path).await?;
    Ok((listener, Opened::at(path)?))
}

impl Opened {
    fn at(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: number(path)? })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if number(&self.path).is_ok_and(|file| file == self.file) {
            // A socket that is left over is taken away by the next.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn number(path: &Path) -> std::io::Result<(u64, u64)> {
    let about = std::fs::symlink_metadata(path)?;
    Ok((about.dev(), about.ino()))
}

fn unopened(path: &Path, fault: &std::io::Error) -> Advice {
    Advice::new(
        "socket-unopened",
        format!("No socket can be opened at {}: {fault}.", path.display()),
        "Nobody was let in.",
        "Name a path that is free, in a folder of yours; it may be about 100 characters long.",
    )
}
