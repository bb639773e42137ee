//! A loopback proxy that lets clients in which know nothing of tokens: it adds the token to each request, and where a
//! request names the proxy itself in `Host` or `Origin` it names what lies behind it instead. It changes nothing else, and
//! nothing of names that are not its own: what must be refused has to arrive as it was sent.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::PeerFault;
use crate::http_loop::serve_all;

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// A running proxy. Ends when dropped, and its connections with it.
#[derive(Debug)]
pub struct Injector {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Injector {
    /// Starts one on a free port of 127.0.0.1, in front of another port there.
    ///
    /// # Errors
    /// If no port can be had, or the token is none that a header can carry.
    pub async fn start(port: u16, token: &str) -> Result<Self, PeerFault> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| PeerFault::answer("token", "it cannot stand in a header"))?;
        let behind = SocketAddr::from(([127, 0, 0, 1], port));
        let task = tokio::spawn(serve_all(listener, move |mut request: Request<Incoming>| {
            rewrite(request.headers_mut(), address, behind, &bearer);
            async move { Ok(pass(request, behind).await.unwrap_or_else(|fault| bad_gateway(&fault))) }
        }));
        Ok(Self { address, task })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn rewrite(headers: &mut HeaderMap, own: SocketAddr, behind: SocketAddr, bearer: &HeaderValue) {
    headers.insert(AUTHORIZATION, bearer.clone());
    for name in ["127.0.0.1", "localhost"] {
        let (own, other) = (format!("{name}:{}", own.port()), format!("{name}:{}", behind.port()));
        replace(headers, &HOST, &own, &other);
        replace(headers, &ORIGIN, &format!("http://{own}"), &format!("http://{other}"));
    }
}

fn replace(headers: &mut HeaderMap, name: &http::HeaderName, from: &str, to: &str) {
    let same = headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(from.as_bytes()));
    if let (true, Ok(to)) = (same, HeaderValue::try_from(to)) {
        headers.insert(name, to);
    }
}

/// Over a connection of its own, which ends when nobody wants the answer any more.
async fn pass(request: Request<Incoming>, behind: SocketAddr) -> Result<Answer, PeerFault> {
    let failed = |fault: hyper::Error| PeerFault::answer("injector", fault.to_string());
    let stream = TcpStream::connect(behind).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = Connection(tokio::spawn(async move {
        let _closed = connection.await;
    }));
    let answer = sender.send_request(request).await.map_err(failed)?;
    // The body holds the connection: it goes with whoever reads it.
    Ok(answer.map(|body| {
        body.map_frame(move |frame| {
            let _held = &connection;
            frame
        })
        .boxed()
    }))
}

/// A connection that is driven until dropped.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn bad_gateway(fault: &PeerFault) -> Answer {
    let text = Full::new(Bytes::from(fault.to_string())).map_err(|never| match never {});
    let mut answer = Response::new(text.boxed());
    *answer.status_mut() = http::StatusCode::BAD_GATEWAY;
    answer
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// A connection that came through, with the head of its request.
    async fn accept(listener: &TcpListener) -> (TcpStream, String) {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a whole head"));
        }
        (stream, String::from_utf8(head).expect("text").to_ascii_lowercase())
    }

    async fn start() -> (TcpListener, Injector) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        (listener, Injector::start(port, "dga_1").await.expect("an injector"))
    }

    async fn send(injector: &Injector, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(injector.address()).await.expect("a connection");
        let head = format!("POST /s/x/mcp HTTP/1.1\r\ncontent-length: 0\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream
    }

    #[tokio::test]
    async fn its_own_name_is_replaced_and_no_other() {
        let (listener, injector) = start().await;
        let (own, behind) = (injector.address().port(), listener.local_addr().expect("an address").port());
        for (sent, arrived) in [
            (format!("127.0.0.1:{own}"), format!("127.0.0.1:{behind}")),
            (format!("localhost:{own}"), format!("localhost:{behind}")),
            ("evil.example.com".to_owned(), "evil.example.com".to_owned()),
            (format!("evil.example.com:{own}"), format!("evil.example.com:{own}")),
        ] {
            let headers = format!("Host: {sent}\r\nOrigin: http://{sent}\r\nMcp-Name: a b\r\n");
            let _client = send(&injector, &headers).await;
            let (_, head) = accept(&listener).await;
            assert!(head.contains(&format!("\r\nhost: {arrived}\r\n")), "{head}");
            assert!(head.contains(&format!("\r\norigin: http://{arrived}\r\n")), "{head}");
            assert!(head.contains("\r\nauthorization: bearer dga_1\r\n"), "{head}");
            assert!(head.contains("\r\nmcp-name: a b\r\n"), "{head}");
        }
    }

    #[tokio::test]
    async fn an_answer_streams_and_a_client_that_goes_closes_the_other_side() {
        let (listener, injector) = start().await;
        let mut client = send(&injector, "Host: x\r\n").await;
        let (mut behind, _) = accept(&listener).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        behind.write_all(format!("{head}9\r\ndata: 1\n\n\r\n").as_bytes()).await.expect("sent");
        let mut seen = Vec::new();
        // Seen before the answer has an end.
        while !seen.ends_with(b"data: 1\n\n\r\n") {
            seen.push(tokio::time::timeout(SOON, client.read_u8()).await.expect("in time").expect("a byte"));
        }
        drop(client);
        let mut rest = Vec::new();
        let end = tokio::time::timeout(SOON, behind.read_to_end(&mut rest)).await.expect("in time");
        assert_eq!(end.unwrap_or(0), 0, "nothing but the end");
    }

    #[tokio::test]
    async fn a_client_that_does_not_wait_for_the_answer_closes_the_other_side() {
        let (listener, injector) = start().await;
        let client = send(&injector, "Host: x\r\n").await;
        let (mut behind, _) = accept(&listener).await;
        drop(client);
        let mut rest = Vec::new();
        let end = tokio::time::timeout(SOON, behind.read_to_end(&mut rest)).await.expect("in time");
        assert_eq!(end.unwrap_or(0), 0, "nothing but the end");
    }
}
