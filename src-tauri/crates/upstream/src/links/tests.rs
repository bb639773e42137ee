use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;

/// A server that answers each request with `ok`, and ends a connection after so many answers without saying so.
struct Server {
    url: Url,
    connections: Arc<AtomicUsize>,
    closed: watch::Receiver<usize>,
}

impl Server {
    async fn start(answers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp?x=1", listener.local_addr().unwrap()).parse().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let (close, closed) = watch::channel(0);
        let close = Arc::new(close);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let close = Arc::clone(&close);
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    for _ in 0..answers {
                        let read = stream.read(&mut buffer).await.unwrap();
                        let head = String::from_utf8_lossy(&buffer[..read]).to_ascii_lowercase();
                        if read == 0 {
                            return;
                        }
                        assert!(head.starts_with("post /mcp?x=1 http/1.1\r\n"), "{head}");
                        assert!(head.contains("\r\nhost: 127.0.0.1:"), "{head}");
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    }
                    drop(stream);
                    close.send_modify(|closed| *closed += 1);
                });
            }
        });
        Self { url, connections, closed }
    }

    fn links(&self) -> Arc<Links> {
        Links::new(HttpClient::new().unwrap(), &self.url).unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn post() -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(b"{}")));
    *request.method_mut() = hyper::Method::POST;
    request
}

async fn ask(links: &Arc<Links>) -> Result<Bytes, UpstreamFault> {
    links.send(post()).await?.body(1024).await
}

#[tokio::test]
async fn requests_in_a_row_share_a_connection() {
    let server = Server::start(usize::MAX).await;
    let links = server.links();
    for _ in 0..5 {
        assert_eq!(ask(&links).await.unwrap(), "ok");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn requests_at_once_do_not_wait_for_each_other() {
    let server = Server::start(usize::MAX).await;
    let links = server.links();
    for _ in 0..2 {
        let answers = futures_util::future::join_all((0..20).map(|_| ask(&links))).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|body| body == "ok")), "{answers:?}");
    }
    assert!(server.connections() <= 20, "{} connections", server.connections());
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_fails_nobody() {
    let mut server = Server::start(1).await;
    let links = server.links();
    for number in 1..=20 {
        assert_eq!(ask(&links).await.unwrap(), "ok", "request {number}");
        server.closed.wait_for(|closed| *closed == number).await.unwrap();
        // The news of it takes one turn of the runtime.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.connections(), 20);
}

#[tokio::test]
async fn a_long_answer_is_cut_off() {
    let server = Server::start(usize::MAX).await;
    let links = server.links();
    let exchange = links.send(post()).await.unwrap();
    assert_eq!(exchange.body(1).await, Err(UpstreamFault::TooLarge));
    assert_eq!(ask(&links).await.unwrap(), "ok", "on another connection");
}

#[tokio::test]
async fn no_connection_from_before_a_sleep_is_used() {
    let server = Server::start(usize::MAX).await;
    let client = HttpClient::new().unwrap();
    let links = Links::new(client.clone(), &server.url).unwrap();
    assert_eq!(ask(&links).await.unwrap(), "ok");
    assert_eq!(ask(&links).await.unwrap(), "ok");
    assert_eq!(server.connections(), 1, "it is kept");
    client.again().now();
    assert_eq!(ask(&links).await.unwrap(), "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_says_so() {
    let url: Url = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap()
    };
    let links = Links::new(HttpClient::new().unwrap(), &url).unwrap();
    assert!(matches!(ask(&links).await, Err(UpstreamFault::Unreachable(_))));
}

#[test]
fn the_host_is_named_without_user_and_usual_port() {
    let client = HttpClient::new().unwrap();
    for (url, host) in [
        ("https://tools.example:443/mcp", "tools.example"),
        ("http://tools.example:8080/mcp", "tools.example:8080"),
        ("https://user:word@tools.example/mcp", "tools.example"),
        ("http://[::1]:9000/", "[::1]:9000"),
    ] {
        let links = Links::new(client.clone(), &url.parse().unwrap()).unwrap();
        assert_eq!(links.host, host);
    }
    assert!(Links::new(client, &"ftp://tools.example/".parse().unwrap()).is_err());
}
