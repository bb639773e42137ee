//! Something between a computer and a server that does what a test wants: it passes everything on, or it is as bad a network, portal
//! or proxy as there are.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use crate::PeerFault;

/// What it does with whoever connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// Passes everything on.
    Nothing,
    /// Closes every connection at once.
    Hangup,
    /// Takes everything and never answers.
    Silence,
    /// Begins an answer, and says of it a byte a second.
    Drip,
    /// Answers everything with a page, as a hotel's network does before one has signed in there.
    Portal,
    /// Answers with half of a JSON document.
    HalfJson,
    /// Answers with a JSON document of another kind.
    OtherJson,
    /// Answers as a proxy does that does not reach the server.
    BadGateway,
    /// Answers without end.
    Endless,
}

/// A running go-between. Its address stays; what it does is changed while it runs, which ends what is under way.
#[derive(Debug)]
pub struct Meddler {
    url: Url,
    meddling: watch::Sender<Meddling>,
    serving: JoinHandle<()>,
}

impl Meddler {
    /// One that passes everything on to the server at `behind`.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn before(behind: SocketAddr) -> Result<Self, PeerFault> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
        let (meddling, does) = watch::channel(Meddling::Nothing);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut does = does.clone();
                tokio::spawn(async move {
                    let now = *does.borrow_and_update();
                    tokio::select! {
                        _ = meet(stream, now, behind) => {}
                        _ = does.changed() => {}
                    }
                });
            }
        });
        Ok(Self { url, meddling, serving })
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Does this from now on.
    pub fn does(&self, meddling: Meddling) {
        self.meddling.send_replace(meddling);
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A page, and half a document that looks whole.
const PAGE: &str = "<!doctype html><title>Welcome</title><p>Sign in to use this network.";
const HALF: &str = r#"{"payload":"eyJmb3JtYXQiOjEs"#;

async fn meet(mut stream: TcpStream, meddling: Meddling, behind: SocketAddr) -> std::io::Result<()> {
    if meddling == Meddling::Hangup {
        return Ok(());
    }
    if meddling == Meddling::Nothing {
        let mut server = TcpStream::connect(behind).await?;
        copy_bidirectional(&mut stream, &mut server).await?;
        return Ok(());
    }
    heard(&mut stream).await?;
    let json = |status: &str, body: &str| answer(status, "application/json", body);
    match meddling {
        Meddling::Nothing | Meddling::Hangup => Ok(()),
        Meddling::Silence => std::future::pending().await,
        Meddling::Drip => {
            for byte in json("200 OK", HALF).into_bytes() {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            std::future::pending().await
        }
        Meddling::Portal => say(&mut stream, &answer("200 OK", "text/html", PAGE)).await,
        Meddling::HalfJson => say(&mut stream, &json("200 OK", HALF)).await,
        Meddling::OtherJson => say(&mut stream, &json("200 OK", r#"{"status":"ok"}"#)).await,
        Meddling::BadGateway => say(&mut stream, &answer("502 Bad Gateway", "text/html", PAGE)).await,
        Meddling::Endless => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n[";
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&[b' '; 64 * 1024]).await?;
            }
        }
    }
}

/// Reads a request's head. What comes after it is left where it is.
async fn heard(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&piece[..length]);
    }
    Ok(())
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

async fn say(stream: &mut TcpStream, answer: &str) -> std::io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // A connection that is closed over what was not read takes the answer with it.
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
