//! The documents that assistants name themselves by, as they are published.

use issuer::Documents;
use model::BoxFuture;
use signin::{FaultKind, Http, HttpRequest, NamedHosts, Reach};
use url::Url;

/// Fetches over the public network only: anybody can name an address here, also one inside the organisation's network.
pub(crate) struct Published(Reach);

/// Nobody's own place (RFC 6761, section 6.4), so that no address counts as one beside it.
const AFAR: &str = "https://assistant.invalid/";

impl Published {
    /// # Errors
    /// If TLS cannot be set up.
    pub(crate) fn new() -> Result<Self, FaultKind> {
        let afar = Url::parse(AFAR).map_err(|fault| FaultKind::Internal(fault.to_string()))?;
        Ok(Self(Http::new(NamedHosts::default())?.from(&afar)))
    }

    async fn document(&self, url: Url) -> Result<Vec<u8>, String> {
        let mut request = HttpRequest::new(Vec::new());
        *request.uri_mut() =
            url.as_str().parse().map_err(|_| "its address cannot be asked for".to_owned())?;
        request.headers_mut().insert("accept", http::HeaderValue::from_static("application/json"));
        let answer = self.0.send(request).await.map_err(|fault| fault.to_string())?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("HTTP status {}", answer.status()));
        }
        Ok(answer.into_body())
    }
}

impl Documents for Published {
    fn fetch(&self, url: Url) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        Box::pin(self.document(url))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn nothing_inside_is_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let published = Published::new().unwrap();
        let places =
            ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "192.168.0.1", "169.254.169.254", "[fd00::1]"];
        for host in places {
            let url = Url::parse(&format!("https://{host}:{port}/client.json")).unwrap();
            let fault = published.fetch(url).await.unwrap_err();
            assert!(fault.contains("not allowed"), "{host}: {fault}");
        }
        let asked =
            std::future::poll_fn(|context| std::task::Poll::Ready(listener.poll_accept(context).is_ready()));
        assert!(!asked.await, "somebody was connected to");
    }
}
