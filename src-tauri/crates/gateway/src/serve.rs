//! The loopback socket: bound to 127.0.0.1 and nothing else, with time and number limits on connections.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::{Advice, ForPerson};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use crate::gate::Gate;
use crate::peer::Peer;
use crate::routes::router;

/// The port that is tried first (then the next free one; assistants store it, so it is kept).
const DEFAULT_PORT: u16 = 7717;
const PORTS_TRIED: u16 = 100;
/// A request's headers must have arrived within this time.
const HEADER_DEADLINE: Duration = Duration::from_secs(5);
const MOST_CONNECTIONS: usize = 512;

/// A bound socket that nobody serves yet.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

/// Why the socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindFault {
    /// Another program has the port that assistants know.
    #[error("port {port} is taken by another program")]
    Taken {
        /// The port.
        port: u16,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// No port near the default one is free.
    #[error("no port from {from} on is free")]
    NoneFree {
        /// The first that was tried.
        from: u16,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl ForPerson for BindFault {
    fn advice(&self) -> Advice {
        match self {
            Self::Taken { port, .. } => Advice::new(
                "port-taken",
                format!("Another program uses port {port}, where your assistants look for Deskgate."),
                "No assistant can reach Deskgate until the port is free.",
                "Quit the other program, then start Deskgate again; or delete the file \"port\" in Deskgate's folder \
                 and connect your assistants anew.",
            ),
            Self::NoneFree { from, .. } => Advice::new(
                "no-port",
                format!("No port from {from} on is free on this computer."),
                "No assistant can reach Deskgate.",
                "Quit programs that you do not need, then start Deskgate again.",
            ),
        }
    }
}

/// Binds the port that was kept, or at first start the default one or the next free one.
///
/// # Errors
/// A [`BindFault`]. A port that was kept is never silently given up: assistants and tokens hold it.
pub async fn bind(kept: Option<u16>) -> Result<Listening, BindFault> {
    if let Some(port) = kept {
        return open(port).await.map_err(|source| BindFault::Taken { port, source });
    }
    let mut failure = std::io::Error::other("no port was tried");
    for port in DEFAULT_PORT..DEFAULT_PORT + PORTS_TRIED {
        match open(port).await {
            Ok(listening) => return Ok(listening),
            Err(error) => failure = error,
        }
    }
    Err(BindFault::NoneFree { from: DEFAULT_PORT, source: failure })
}

async fn open(port: u16) -> std::io::Result<Listening> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    Ok(Listening { listener, address })
}

impl Listening {
    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

/// Serves until `stop` becomes true, then lets requests in flight end for a moment.
pub async fn serve(listening: Listening, gate: Arc<Gate>, mut stop: watch::Receiver<bool>) {
    let router = router(gate, listening.port());
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let local = listening.address;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listening.listener, &room) => accepted,
            () = stopped(&mut stop) => return,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        let (router, stop) = (router.clone(), stop.clone());
        tokio::spawn(async move {
            connection(stream, router, Arc::new(Peer::new(peer, local)), stop).await;
            drop(permit);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Out of file descriptors, most likely: trying at once would only spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, router: Router, peer: Arc<Peer>, mut stop: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with Nagle's algorithm");
    }
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&peer));
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            // Streams of notices never end by themselves.
            tokio::time::timeout(Duration::from_secs(2), connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Waits until it is time to end.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone has ended without a word, which means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}
