//! A company's ordinary HTTP proxy: it connects to what it is asked for (RFC 9110, section 9.3.6), and writes down what that was.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

use crate::PeerFault;

/// A running proxy. Whoever it serves is cut off when it is dropped.
#[derive(Debug)]
pub struct ForwardProxy {
    url: Url,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl ForwardProxy {
    /// One that leads to these places by their names and ports, such as `config.acme.test:443`, and nowhere else.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn to(places: BTreeMap<String, SocketAddr>) -> Result<Self, PeerFault> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let told = Arc::clone(&asked);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut under_way = JoinSet::new();
            let places = Arc::new(places);
            while let Ok((stream, _)) = listener.accept().await {
                let (places, told) = (Arc::clone(&places), Arc::clone(&told));
                under_way.spawn(async move { drop(serve(stream, &places, &told).await) });
                while under_way.try_join_next().is_some() {}
            }
        });
        Ok(Self { url, asked, _serving: serving })
    }

    /// What a program's environment says of it. `HTTP_PROXY` is for addresses without encryption.
    pub fn environment(&self) -> Vec<(String, String)> {
        let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"];
        names.map(|name| (name.to_owned(), self.url.to_string())).to_vec()
    }

    /// What it was asked for: `CONNECT config.acme.test:443`, for instance.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(
    stream: TcpStream,
    places: &BTreeMap<String, SocketAddr>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 && !line.trim().is_empty() {
        line.clear();
    }
    let what = first.rsplit_once(' ').map_or(first.trim(), |(what, _version)| what).to_owned();
    let place = what.strip_prefix("CONNECT ").and_then(|name| places.get(name)).copied();
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    let Some(place) = place else {
        return stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await;
    };
    let mut server = TcpStream::connect(place).await?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut stream, &mut server).await?;
    Ok(())
}
