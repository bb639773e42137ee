//! The socket: one request as JSON, one answer as JSON, then the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use model::Advice;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use zeroize::Zeroizing;

use super::{Administrator, Ask, REQUEST_LIMIT, Reply};
use crate::server::Plane;

/// How long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);
/// The superuser.
const ROOT: u32 = 0;

/// Answers administrators until the server ends.
pub(crate) async fn listen(listener: UnixListener, plane: Arc<Plane>) {
    let mut stopping = plane.stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let plane = Arc::clone(&plane);
                tokio::spawn(async move {
                    if let Err(fault) = serve(stream, &plane).await {
                        tracing::info!(%fault, "an administrator's request was cut off");
                    }
                });
            }
            Err(fault) => {
                tracing::error!(%fault, "the administrators' socket failed");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn serve(mut stream: UnixStream, plane: &Arc<Plane>) -> io::Result<()> {
    let (own, _) = os::current_user();
    let answer = match os::peer_uid(&stream) {
        Some(uid) if uid == ROOT || uid == own => match read(&mut stream).await? {
            Some(ask) => plane.act(ask, &Administrator::local(uid)).await,
            None => refused("bad-request", "The request is not understood."),
        },
        Some(_) | None => {
            refused("not-administrator", "Only root and the server's own user may administer it.")
        }
    };
    let json = Zeroizing::new(serde_json::to_vec(&answer)?);
    stream.write_all(&json).await?;
    stream.shutdown().await
}

async fn read(stream: &mut UnixStream) -> io::Result<Option<Ask>> {
    let mut request = Zeroizing::new(Vec::new());
    let mut limited = stream.take(REQUEST_LIMIT + 1);
    tokio::time::timeout(ARRIVAL, limited.read_to_end(&mut request)).await??;
    Ok(serde_json::from_slice(&request).ok())
}

fn refused(code: &str, happened: &str) -> Reply {
    Reply::Refused(Advice::new(code, happened, "", ""))
}
