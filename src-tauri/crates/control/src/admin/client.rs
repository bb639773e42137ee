//! The other end of the socket, for the command line.

use std::io;
use std::path::{Path, PathBuf};

use model::Advice;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::{Answer, Ask, Reply};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskFault {
    /// Nobody listens at the socket, or it may not be used.
    #[error("the control plane is not reached at {}: {source}; is `deskgate-control serve` running, and are you root or its user?", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the control plane broke off: {0}")]
    Broken(#[from] io::Error),
    /// The answer is not understood.
    #[error("the control plane's answer is not understood; is it of another version?")]
    Unreadable,
    /// The server elsewhere was not asked, or its answer is of no use.
    #[error(transparent)]
    Remote(super::remote::RemoteFault),
    /// It was not done.
    #[error("{0}")]
    Refused(Advice),
}

/// Asks the server that listens at `socket`.
///
/// # Errors
/// An [`AskFault`].
pub async fn ask(socket: &Path, ask: &Ask) -> Result<Answer, AskFault> {
    let connect = |source| AskFault::Connect { path: socket.to_owned(), source };
    let mut stream = UnixStream::connect(socket).await.map_err(connect)?;
    let request = Zeroizing::new(serde_json::to_vec(ask).map_err(io::Error::from)?);
    stream.write_all(&request).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    match serde_json::from_slice(&answer).map_err(|_| AskFault::Unreadable)? {
        Reply::Done(answer) => Ok(answer),
        Reply::Refused(error) => Err(AskFault::Refused(error)),
    }
}
