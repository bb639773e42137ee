//! The instance's side of bridges: finds out which program asks, has the person asked, and hands the conversation over to
//! the gateway.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::Gate;
use issuer::{Admission, Issuer, Visit};
use model::{Advice, ForPerson as _, ListeningProcess, ServerId, Timestamp};
use os::Clock;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, watch};

use super::socket::{done, refused, report};

/// The command line's file, which lies beside the desktop application's.
const BRIDGE: &str = "deskgate";

/// How many bridges are open at a time, those that wait for the person included.
const MOST_BRIDGES: usize = 64;

/// What bridges need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bridges {
    gate: Arc<Gate>,
    pub(super) issuer: Arc<Issuer>,
    pub(super) stop: watch::Receiver<bool>,
    own: Arc<Own>,
    pub(super) room: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
}

/// A connection that wants to be a bridge.
pub(crate) struct Guest {
    pub(crate) server: ServerId,
    /// The socket that it wants opened for others; it asks for itself where it names none.
    pub(crate) through: Option<PathBuf>,
    /// The process that connected.
    pub(crate) peer: Option<u32>,
    pub(crate) reading: BufReader<OwnedReadHalf>,
    pub(crate) writing: OwnedWriteHalf,
}

impl Bridges {
    pub(crate) fn new(
        gate: &Arc<Gate>,
        issuer: &Arc<Issuer>,
        stop: watch::Receiver<bool>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let (room, own) = (Arc::new(Semaphore::new(MOST_BRIDGES)), Arc::new(Own::here()));
        Self { gate: Arc::clone(gate), issuer: Arc::clone(issuer), stop, own, room, clock: Arc::clone(clock) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Has the person asked, and serves the assistant until either side ends.
    pub(crate) async fn receive(&self, guest: Guest) {
        let Guest { server, through, peer, mut reading, mut writing } = guest;
        let Ok(_place) = self.room.try_acquire() else {
            let advice = Advice::new(
                "bridges-full",
                "Too many assistants are connected by a bridge.",
                "",
                "Close one that you do not need.",
            );
            return report(&mut writing, &refused(advice)).await;
        };
        let own = Arc::clone(&self.own);
        let program = Arc::new(move || peer.and_then(|peer| own.assistant_behind(peer)));
        let socket = through.as_ref().map(|path| path.display().to_string());
        let admitted = tokio::select! {
            admitted = self.issuer.admit(Visit { server, program, through: socket }) => admitted,
            // A bridge says nothing before it is let in: this is its end, and the question is withdrawn.
            _ended = reading.fill_buf() => return,
        };
        match admitted {
            Ok(admission) => {
                let admission = Arc::new(admission);
                match through {
                    Some(path) => self.keep_open(&path, admission, reading, writing).await,
                    None => {
                        report(&mut writing, &done("The assistant is let in.")).await;
                        self.converse(admission, reading, writing).await;
                    }
                }
            }
            Err(fault) => {
                tracing::info!(%fault, "a bridge was not let in");
                report(&mut writing, &refused(fault.advice())).await;
            }
        }
    }

    pub(super) async fn converse(
        &self,
        admission: Arc<Admission>,
        reading: BufReader<OwnedReadHalf>,
        writing: OwnedWriteHalf,
    ) {
        gateway::converse(Arc::clone(&self.gate), admission, reading, writing, self.stop.clone()).await;
    }
}

/// The files of this installation's own bridge, as they are called at the start: an update may replace them.
struct Own([Option<PathBuf>; 2]);

impl Own {
    fn here() -> Self {
        let this = std::env::current_exe().ok();
        Self([this.as_deref().map(|this| this.with_file_name(BRIDGE)), this])
    }

    /// The program that asks through a connection: the one that started our bridge. Whatever else connected asks for itself.
    fn assistant_behind(&self, peer: u32) -> Option<ListeningProcess> {
        let program = os::program_of(peer)?;
        if self.is_bridge(Path::new(&program.executable)) { os::starter_of(peer) } else { Some(program) }
    }

    fn is_bridge(&self, executable: &Path) -> bool {
        self.0.iter().flatten().any(|own| own == executable)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn whoever_connects_without_being_the_bridge_asks_for_itself() {
        let us = std::process::id();
        let this = std::env::current_exe().unwrap();
        let stranger = Own([Some("/opt/deskgate/deskgate".into()), None]);
        let asks = stranger.assistant_behind(us).unwrap();
        assert_eq!((asks.pid, Path::new(&asks.executable)), (us, this.as_path()));

        let bridge = Own([None, Some(this)]);
        let asks = bridge.assistant_behind(us).unwrap();
        assert_eq!(asks.pid, std::os::unix::process::parent_id(), "the one that started us");
        assert!(bridge.assistant_behind(u32::MAX).is_none());
    }
}
