//! Which program is at the other end of a connection. The kernel is asked once for each connection, and not before somebody with a
//! token asks for something: it takes milliseconds.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use issuer::AccessGrant;
use model::ListeningProcess;
use tokio::sync::OnceCell;

/// The other end of a connection, put into each request by the server.
#[derive(Debug)]
pub(crate) struct Peer {
    peer: SocketAddr,
    local: SocketAddr,
    program: OnceCell<Option<ListeningProcess>>,
    /// The grant that was asked with last, without the program and with it.
    last: Mutex<Option<(Arc<AccessGrant>, Arc<AccessGrant>)>>,
}

impl Peer {
    /// As `accept` and `local_addr` gave them.
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        Self { peer, local, program: OnceCell::new(), last: Mutex::default() }
    }

    /// The program. `None` where it cannot be told.
    pub(crate) async fn program(&self) -> Option<ListeningProcess> {
        let (peer, local) = (self.peer, self.local);
        let look_up = || async move {
            tokio::task::spawn_blocking(move || os::owner_of_connection(peer, local)).await.ok().flatten()
        };
        self.program.get_or_init(look_up).await.clone()
    }

    /// What a token stands for in the hands of this program.
    pub(crate) async fn with(&self, grant: Arc<AccessGrant>) -> Arc<AccessGrant> {
        let process = self.program().await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((bare, whole)) = &*last
            && Arc::ptr_eq(bare, &grant)
        {
            return Arc::clone(whole);
        }
        let whole = Arc::new(AccessGrant { process, ..AccessGrant::clone(&grant) });
        *last = Some((grant, Arc::clone(&whole)));
        whole
    }
}
