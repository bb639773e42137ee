//! HTTP with the central URL: bounded answers, no redirects, and a proof of the device's key where it is asked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use model::{BoxFuture, Timestamp};
use org_protocol::ErrorBody;
use org_protocol::dpop::{self, Fresh, Jwk, ProofFor};
use os::Again;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use vault::DeviceKey;

use crate::OrgFault;

/// How long the server may take to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an ordinary request may take.
pub(crate) const ORDINARY: Duration = Duration::from_secs(30);
/// The largest answer to an ordinary request, in bytes.
pub(crate) const SMALL: usize = 1024 * 1024;

/// What carries requests to the central URL.
pub trait Transport: Send + Sync {
    /// Carries a request that is written; gives the answer once its head is there. The answer's body comes as it is read.
    ///
    /// # Errors
    /// [`OrgFault::NotReached`] where nothing of the request can have arrived, else [`OrgFault::Unreachable`]; also where the
    /// request's own timeout passes.
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, OrgFault>>;
}

/// The network of this machine.
struct Network {
    base: Url,
    again: Again,
    /// What carries, with the round in which it was made.
    carrier: Mutex<(u64, reqwest::Client)>,
}

impl Network {
    /// The connections of an earlier round may have died while the machine slept: whoever asked over one would wait for nothing.
    fn carrier(&self) -> reqwest::Client {
        let mut carrier = self.carrier.lock().unwrap_or_else(PoisonError::into_inner);
        let round = self.again.round();
        if carrier.0 != round
            && let Ok(fresh) = client(&self.base)
        {
            *carrier = (round, fresh);
        }
        carrier.1.clone()
    }
}

impl Transport for Network {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, OrgFault>> {
        Box::pin(async { Ok(self.carrier().execute(request).await?) })
    }
}

/// Talks to one central URL.
#[derive(Clone)]
pub(crate) struct Wire {
    /// Writes requests.
    http: reqwest::Client,
    transport: Arc<dyn Transport>,
    base: Url,
}

/// What asks at an address.
pub(crate) fn client(at: &Url) -> Result<reqwest::Client, OrgFault> {
    let http =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).connect_timeout(CONNECT);
    // On this machine a proxy has no business.
    Ok(if model::is_on_this_machine(at) { http.no_proxy() } else { http }.build()?)
}

impl Wire {
    /// Over the network.
    pub(crate) fn new(base: Url, again: Again) -> Result<Self, OrgFault> {
        Self::over(base.clone(), |http| {
            let carrier = Mutex::new((again.round(), http));
            Arc::new(Network { base, again, carrier })
        })
    }

    /// Over another transport, which may use the client that writes the requests.
    pub(crate) fn over(
        mut base: Url,
        transport: impl FnOnce(reqwest::Client) -> Arc<dyn Transport>,
    ) -> Result<Self, OrgFault> {
        if !is_protected(&base) {
            return Err(OrgFault::Insecure(base.to_string()));
        }
        base.set_query(None);
        base.set_fragment(None);
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = client(&base)?;
        Ok(Self { transport: transport(http.clone()), http, base })
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The address of `path`, which stays below the configuration URL whatever it says.
    pub(crate) fn url(&self, path: &str) -> Result<Url, OrgFault> {
        let url = self.base.join(path).ok().filter(|url| {
            let same_place = url.origin() == self.base.origin() && url.path().starts_with(self.base.path());
            same_place && !path.contains(['?', '#', '\\', '%']) && !path.split('/').any(|part| part == "..")
        });
        url.ok_or_else(|| OrgFault::Unusable(format!("the path {path:?} leads away")))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`OrgFault::NotReached`] or [`OrgFault::Unreachable`].
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, OrgFault> {
        self.transport.carry(request.build()?).await
    }

    /// A request that proves nothing.
    pub(crate) fn get(&self, path: &str) -> Result<RequestBuilder, OrgFault> {
        Ok(self.http.get(self.url(path)?).timeout(ORDINARY))
    }

    /// A request that proves the device's key, for the session where there is one (RFC 9449).
    pub(crate) fn proved(
        &self,
        method: Method,
        path: &str,
        key: &dyn DeviceKey,
        token: Option<&SecretString>,
        now: Timestamp,
    ) -> Result<RequestBuilder, OrgFault> {
        let url = self.url(path)?;
        let token = token.map(|token| token.expose_secret());
        let proof = proof(&method, &url, key, token, now)?;
        let request = self.http.request(method, url).header("dpop", proof);
        Ok(match token {
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("DPoP {token}"))
                    .map_err(|_| OrgFault::Unusable("the session token is no text".to_owned()))?;
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
            None => request,
        })
    }
}

/// The body of an answer that is a success; at most `limit` bytes.
pub(crate) async fn body(answer: Response, limit: usize) -> Result<Bytes, OrgFault> {
    let status = answer.status();
    let body = read(answer, limit).await?;
    if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
}

/// The body of an answer, whatever its status; at most `limit` bytes.
pub(crate) async fn read(mut answer: Response, limit: usize) -> Result<Bytes, OrgFault> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(OrgFault::Unusable(format!("it is longer than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// What an answer that is no success says.
pub(crate) fn refused(status: StatusCode, body: &[u8]) -> OrgFault {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { error: advice }) => OrgFault::Refused { status: status.as_u16(), advice },
        Err(_) => OrgFault::Unusable(format!("HTTP status {}", status.as_u16())),
    }
}

fn proof(
    method: &Method,
    url: &Url,
    key: &dyn DeviceKey,
    token: Option<&str>,
    now: Timestamp,
) -> Result<String, OrgFault> {
    let jwk: Jwk = serde_json::from_value(key.public_jwk())
        .map_err(|_| OrgFault::Unusable("the device's key has another form".to_owned()))?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(OrgFault::Random)?;
    let proof_for = ProofFor { method: method.as_str(), url, access_token: token };
    let sign = |input: &[u8]| Ok::<_, OrgFault>(key.sign(input)?);
    let fresh = Fresh { jti: &URL_SAFE_NO_PAD.encode(random), now, nonce: None };
    dpop::prove(&jwk, proof_for, fresh, sign)
}

/// https, or http on this machine.
fn is_protected(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => model::is_on_this_machine(url),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(base: &str) -> Result<Wire, OrgFault> {
        Wire::new(base.parse().expect("a URL"), Again::default())
    }

    #[test]
    fn only_protected_addresses_are_spoken_to() {
        for good in
            ["https://config.acme.test", "http://127.0.0.1:7700/x", "http://localhost/", "http://[::1]:1/"]
        {
            assert!(wire(good).is_ok(), "{good}");
        }
        for bad in
            ["http://config.acme.test/", "http://127.0.0.1.evil.test/", "file:///etc/passwd", "data:,x"]
        {
            assert!(matches!(wire(bad), Err(OrgFault::Insecure(_))), "{bad}");
        }
    }

    #[test]
    fn paths_stay_below_the_configuration_url() {
        let wire = wire("https://config.acme.test/deskgate?x=1").expect("good");
        assert_eq!(
            wire.url("v1/bundles/a.json").map(String::from).ok(),
            Some("https://config.acme.test/deskgate/v1/bundles/a.json".to_owned())
        );
        for bad in [
            "/v1/x",
            "../x",
            "v1/../../x",
            "https://evil.test/x",
            "//evil.test/x",
            "v1/%2e%2e/x",
            "v1\\x",
            "v1?x",
        ] {
            assert!(wire.url(bad).is_err(), "{bad}");
        }
    }
}
