//! The floor of any gateway: a relay that reads requests and answers with hyper and does nothing with them.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};

use crate::PeerFault;

/// A running relay: one connection to the upstream for each that comes in. Ends when dropped.
#[derive(Debug)]
pub struct PassThrough {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl PassThrough {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(upstream: SocketAddr) -> Result<Self, PeerFault> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // Dropped with this task, and the connections with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // An upstream or a client that goes away is no fault of the relay.
                connections.spawn(async move {
                    let _gone = relay(stream, upstream).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, task })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for ever.
    pub async fn run(mut self) {
        let _never = (&mut self.task).await;
    }
}

impl Drop for PassThrough {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(stream: TcpStream, upstream: SocketAddr) -> Result<(), PeerFault> {
    stream.set_nodelay(true)?;
    let onward = TcpStream::connect(upstream).await?;
    onward.set_nodelay(true)?;
    let failed = |fault: hyper::Error| PeerFault::answer("pass-through", fault.to_string());
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(onward)).await.map_err(failed)?;
    tokio::spawn(connection);
    let sender = Arc::new(Mutex::new(sender));
    let service = service_fn(move |request| pass(request, Arc::clone(&sender)));
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(failed)
}

async fn pass(
    request: Request<Incoming>,
    onward: Arc<Mutex<SendRequest<Incoming>>>,
) -> Result<Response<Incoming>, hyper::Error> {
    let mut onward = onward.lock().await;
    onward.ready().await?;
    onward.send_request(request).await
}
