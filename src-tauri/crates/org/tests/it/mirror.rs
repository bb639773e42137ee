//! A folder of releases whose host does what it wants.

use std::time::Duration;

use org::{Mirror, OrgFault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A host that answers each request with a head and, where it has no end, with parts for ever.
async fn host(head: &'static str, endless: bool) -> Mirror {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _asked = stream.read(&mut [0; 4096]).await;
                let _head = stream.write_all(head.as_bytes()).await;
                let part = format!("1000\r\n{}\r\n", "x".repeat(4096));
                while endless && stream.write_all(part.as_bytes()).await.is_ok() {}
            });
        }
    });
    Mirror::at(&format!("http://{address}/").parse().expect("a URL")).expect("a mirror")
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const AWAY: &str = "HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/\r\ncontent-length: 0\r\n\r\n";
const SHORT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nshort";

async fn fetched(mirror: &Mirror, size: u64) -> (Result<(), OrgFault>, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("package");
    let mut most = 0;
    let fetching = mirror.large("0.2.0/package", size, &place, |there| most = there);
    let ended = tokio::time::timeout(Duration::from_secs(60), fetching).await.expect("it ends");
    let written = std::fs::metadata(&place).map_or(0, |file| file.len());
    assert!(written <= size && most <= size, "never more than was stated: {written}, {most}");
    (ended, written)
}

#[tokio::test]
async fn an_endless_answer_ends_where_the_statement_says() {
    let mirror = host(CHUNKED, true).await;
    let (ended, _) = fetched(&mirror, 100_000).await;
    assert!(matches!(ended, Err(OrgFault::Unusable(_))), "{ended:?}");
    let small = mirror.small("latest", 64).await;
    assert!(matches!(small, Err(OrgFault::Unusable(_))), "{small:?}");
}

#[tokio::test]
async fn what_is_short_or_elsewhere_is_not_taken() {
    let mirror = host(SHORT, false).await;
    assert!(matches!(fetched(&mirror, 6).await.0, Err(OrgFault::Unusable(_))));
    assert!(matches!(fetched(&mirror, 5).await, (Ok(()), 5)));
    let away = host(AWAY, false).await;
    assert!(matches!(fetched(&away, 5).await.0, Err(OrgFault::Unusable(_))), "no redirect is followed");
    assert!(matches!(away.small("latest", 64).await, Err(OrgFault::Unusable(_))));
    for path in ["../latest", "//elsewhere.example/latest", "https://elsewhere.example/latest", "a/../../b"] {
        assert!(away.small(path, 64).await.is_err(), "{path}");
    }
    assert!(Mirror::at(&"http://mirror.example/".parse().expect("a URL")).is_err(), "not in the clear");
}
