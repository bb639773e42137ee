//! The loopback socket: bound to 127.0.0.1 and nothing else, with time and number limits on connections.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::{Advice, ForPerson, ListeningProcess};
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
    #[error("port {port} is taken by {}", holder.as_ref().map_or("another program", |it| it.executable.as_str()))]
    Taken {
        /// The port.
        port: u16,
        /// The program that has it, where the system tells.
        holder: Option<ListeningProcess>,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The system does not let this program have the port that assistants know.
    #[error("port {port} cannot be used")]
    Refused {
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
            Self::Taken { port, holder, .. } => port_taken(*port, holder.as_ref()),
            Self::Refused { port, source } => Advice::new(
                "port-refused",
                format!("Port {port}, where your assistants look for Deskgate, cannot be used: {source}."),
                "No assistant can reach Deskgate.",
                MOVE,
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

/// How to get out without the other program's help.
const MOVE: &str = "Give Deskgate another port with: deskgate port --move. It says which addresses your assistants need then.";

/// What to do where another program has the port that assistants know.
pub fn port_taken(port: u16, holder: Option<&ListeningProcess>) -> Advice {
    let who = match holder {
        Some(ListeningProcess { pid, executable, .. }) => {
            let name = executable.rsplit(['/', '\\']).next().unwrap_or(executable);
            format!("{name} (process {pid}, {executable})")
        }
        None => "Another program, which the system does not name,".to_owned(),
    };
    Advice::new(
        "port-taken",
        format!("{who} uses port {port}, where your assistants look for Deskgate."),
        "No assistant can reach Deskgate, and what they say there, that program hears. When Deskgate has the port again, each \
         assistant asks you for access anew.",
        format!("Quit that program, then start Deskgate again. If it has to stay: {}", lower_first(MOVE)),
    )
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Binds the port that was kept, or at first start the default one or the next free one.
///
/// # Errors
/// A [`BindFault`]. A port that was kept is never silently given up: assistants and tokens hold it.
pub async fn bind(kept: Option<u16>) -> Result<Listening, BindFault> {
    if let Some(port) = kept {
        return match open(port).await {
            Ok(listening) => Ok(listening),
            Err(source) if source.kind() == std::io::ErrorKind::AddrInUse => {
                let holder = tokio::task::spawn_blocking(move || os::owner_of_listener(port)).await;
                Err(BindFault::Taken { port, holder: holder.ok().flatten(), source })
            }
            Err(source) => Err(BindFault::Refused { port, source }),
        };
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

/// The port to move to: the first from `from` on, wrapping around to the default one, that is free now.
pub async fn free_port(from: u16) -> Option<u16> {
    let near = (from..=u16::MAX).take(usize::from(PORTS_TRIED));
    for port in near.chain(DEFAULT_PORT..DEFAULT_PORT + PORTS_TRIED) {
        if open(port).await.is_ok() {
            return Some(port);
        }
    }
    None
}

/// Whether nobody listens on this port of 127.0.0.1 now, as far as this program may know.
///
/// # Errors
/// What the system says for another reason than that somebody does.
pub async fn is_free(port: u16) -> std::io::Result<bool> {
    match open(port).await {
        Ok(_) => Ok(true),
        Err(fault) if fault.kind() == std::io::ErrorKind::AddrInUse => Ok(false),
        Err(fault) => Err(fault),
    }
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
