//! The only way from the desktop to an authorization server: bounded, without redirects, to allowed addresses only, and
//! honest about whether a request may have been acted on.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::FaultKind;
use crate::reach::{GuardedResolver, NamedHosts, is_loopback, proxies, reachable};

pub use oauth2::{HttpRequest, HttpResponse};

/// Largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 512 * 1024;

/// Why a request brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFault {
    /// The address is not allowed; nothing was sent.
    #[error("{0} is not allowed")]
    NotAllowed(String),
    /// No connection was made; nothing was sent.
    #[error("nothing was sent: {0}")]
    NotSent(String),
    /// The request was sent and the answer did not come, or not wholly.
    #[error("the answer was lost: {0}")]
    Lost(String),
    /// The answer is larger than is read.
    #[error("the answer is too large")]
    TooLarge,
    /// An answer that says only that something is wrong.
    #[error("HTTP status {0}")]
    Status(u16),
}

impl HttpFault {
    /// Whether the server may have acted on the request.
    pub fn acted(&self) -> bool {
        match self {
            Self::NotAllowed(_) | Self::NotSent(_) => false,
            Self::Lost(_) | Self::TooLarge => true,
            // Too many requests and out of service say that nothing was done; other server errors do not.
            Self::Status(status) => *status >= 500 && *status != 503,
        }
    }
}

impl From<HttpFault> for FaultKind {
    fn from(fault: HttpFault) -> Self {
        match fault {
            HttpFault::NotAllowed(place) => Self::NotAllowed(place),
            HttpFault::NotSent(_) | HttpFault::Lost(_) | HttpFault::Status(_) => {
                Self::Unreachable(fault.to_string())
            }
            HttpFault::TooLarge => Self::Unreadable(fault.to_string()),
        }
    }
}

/// The HTTP client for authorization servers.
#[derive(Debug, Clone)]
pub struct Http {
    /// For this machine: a proxy has no business there.
    direct: reqwest::Client,
    outside: reqwest::Client,
    named: NamedHosts,
    /// The hosts of the proxies that this computer is set up with.
    proxies: NamedHosts,
}

impl Http {
    /// A client for which `named` are the hosts that may lie inside the network.
    ///
    /// # Errors
    /// [`FaultKind::Internal`] if TLS cannot be set up.
    pub fn new(named: NamedHosts) -> Result<Self, FaultKind> {
        let proxies = proxies();
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .connect_timeout(Duration::from_secs(10))
                .timeout(Duration::from_secs(30))
                .redirect(reqwest::redirect::Policy::none())
                // It is asked rarely: a connection that rests may have died in a sleep, and whoever used it would wait for nothing.
                .pool_max_idle_per_host(0)
                .dns_resolver(Arc::new(GuardedResolver::new(named.clone(), proxies.clone())))
                .user_agent(concat!("deskgate/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|fault| FaultKind::Internal(fault.to_string()))
        };
        Ok(Self {
            direct: build(reqwest::Client::builder().no_proxy())?,
            outside: build(reqwest::Client::builder())?,
            named: named.clone(),
            proxies,
        })
    }

    /// The hosts that may lie inside the network.
    pub fn named(&self) -> &NamedHosts {
        &self.named
    }

    /// The client as seen from `base`: a place on this machine may lead to this machine, others may not.
    pub fn from(&self, base: &Url) -> Reach {
        Reach { http: self.clone(), base: base.clone() }
    }
}

/// The HTTP client on behalf of one place.
#[derive(Debug, Clone)]
pub struct Reach {
    http: Http,
    base: Url,
}

impl Reach {
    /// Whether `url` may be asked for.
    ///
    /// # Errors
    /// [`HttpFault::NotAllowed`].
    pub fn allows(&self, url: &Url) -> Result<(), HttpFault> {
        // A proxy may lie inside the network. That is for going through it, not for asking it something.
        if self.http.proxies.is_of(url) && !self.http.named.is_of(url) {
            return Err(HttpFault::NotAllowed(url.host_str().unwrap_or_default().to_owned()));
        }
        reachable(&self.base, &self.http.named, url)
    }

    /// Sends one request. Answers from 300 on come back only if they are a JSON object (RFC 6749, section 5.2) or answer
    /// a `GET`; redirects are never followed.
    ///
    /// # Errors
    /// [`HttpFault`].
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let request =
            reqwest::Request::try_from(request).map_err(|fault| HttpFault::NotSent(fault.to_string()))?;
        self.allows(request.url())?;
        let is_get = *request.method() == reqwest::Method::GET;
        let client = if is_loopback(request.url()) { &self.http.direct } else { &self.http.outside };
        let mut answer = client.execute(request).await.map_err(|fault| not_answered(&fault))?;
        let status = answer.status();
        let mut body = Vec::new();
        // An event stream has no end; its status is all that is wanted of it.
        let endless = answer
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        while !endless
            && let Some(chunk) =
                answer.chunk().await.map_err(|fault| HttpFault::Lost(fault.without_url().to_string()))?
        {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(HttpFault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let says_why = status.is_client_error() && body.trim_ascii_start().starts_with(b"{");
        if status.is_server_error() || !(status.is_success() || is_get || says_why) {
            return Err(HttpFault::Status(status.as_u16()));
        }
        let mut response = HttpResponse::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = answer.headers().clone();
        Ok(response)
    }
}

impl<'c> oauth2::AsyncHttpClient<'c> for Reach {
    type Error = HttpFault;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpFault>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

fn not_answered(fault: &reqwest::Error) -> HttpFault {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(fault);
    let mut deepest = String::new();
    while let Some(cause) = source {
        if let Some(HttpFault::NotAllowed(place)) = cause.downcast_ref() {
            return HttpFault::NotAllowed(place.clone());
        }
        deepest = cause.to_string();
        source = cause.source();
    }
    if fault.is_connect() || fault.is_builder() {
        HttpFault::NotSent(deepest)
    } else {
        HttpFault::Lost(deepest)
    }
}
