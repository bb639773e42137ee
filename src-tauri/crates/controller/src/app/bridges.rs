//! The instance's side of bridges: finds out which program asks, has the person asked, and hands the conversation over to
//! the gateway.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::Gate;
use issuer::{Issuer, Visit};
use model::{Advice, ForPerson as _, ListeningProcess, ServerId};
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
    issuer: Arc<Issuer>,
    stop: watch::Receiver<bool>,
    own: Arc<Own>,
    room: Arc<Semaphore>,
}

/// A connection that wants to be a bridge.
pub(crate) struct Guest {
    pub(crate) server: ServerId,
    /// The process that connected.
    pub(crate) peer: Option<u32>,
    pub(crate) reading: BufReader<OwnedReadHalf>,
    pub(crate) writing: OwnedWriteHalf,
}

impl Bridges {
    pub(crate) fn new(gate: Arc<Gate>, issuer: Arc<Issuer>, stop: watch::Receiver<bool>) -> Self {
        let room = Arc::new(Semaphore::new(MOST_BRIDGES));
        Self { gate, issuer, stop, own: Arc::new(Own::here()), room }
    }

    /// Has the person asked, and serves the assistant until either side ends.
    pub(crate) async fn receive(&self, guest: Guest) {
        let Guest { server, peer, mut reading, mut writing } = guest;
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
        let admitted = tokio::select! {
            admitted = self.issuer.admit(Visit { server, program }) => admitted,
            // A bridge says nothing before it is let in: this is its end, and the question is withdrawn.
            _ended = reading.fill_buf() => return,
        };
        match admitted {
            Ok(admission) => {
                report(&mut writing, &done("The assistant is let in.")).await;
                gateway::converse(Arc::clone(&self.gate), admission, reading, writing, self.stop.clone())
                    .await;
            }
            Err(fault) => {
                tracing::info!(%fault, "a bridge was not let in");
                report(&mut writing, &refused(fault.advice())).await;
            }
        }
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
