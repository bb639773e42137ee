//! What a connector is asked with.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::fault::UpstreamFault;

/// The header of proofs (RFC 9449, section 4).
const PROOF: HeaderName = HeaderName::from_static("dpop");
/// The header of nonces (RFC 9449, section 8).
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Proves possession of the key that a token is bound to (RFC 9449).
pub trait Possesses: Send + Sync {
    /// The proof for one request with this token, made anew for each; `None` if none can be made.
    fn proof(&self, method: &str, url: &Url, token: &SecretString) -> Option<String>;

    /// Takes the nonce that a server answered with; whether it is one.
    fn hear(&self, url: &Url, nonce: &str) -> bool;
}

/// An access token for a connector; never one of the gateway's own.
#[derive(Clone)]
pub struct Bearer {
    token: SecretString,
    sent: Sent,
    /// What is sent with it, in a header of its own.
    beside: Option<(HeaderName, SecretString)>,
}

/// How a token is sent.
#[derive(Clone)]
enum Sent {
    /// As a bearer token (RFC 6750, section 2.1).
    Bearer,
    /// By itself in a header of this name.
    InHeader(HeaderName),
    /// With a proof of its key (RFC 9449, section 7.1).
    Bound(Arc<dyn Possesses>),
}

impl Bearer {
    /// Wraps a token.
    pub fn new(token: SecretString) -> Self {
        Self { token, sent: Sent::Bearer, beside: None }
    }

    /// Has it sent by itself in the header of this name, as servers want their API keys.
    ///
    /// # Errors
    /// [`UpstreamFault::Unusable`] if there is no header of such a name.
    pub fn in_header(self, name: &str) -> Result<Self, UpstreamFault> {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| UpstreamFault::Unusable("a header without a name".to_owned()))?;
        Ok(Self { sent: Sent::InHeader(header), ..self })
    }

    /// Has each request prove that whoever sends the token holds its key (RFC 9449, section 7.1).
    pub fn bound(self, key: Arc<dyn Possesses>) -> Self {
        Self { sent: Sent::Bound(key), ..self }
    }

    /// Has something else go with it in a header of this name: who it is used for, say.
    #[must_use]
    pub fn beside(self, name: &'static str, value: SecretString) -> Self {
        Self { beside: Some((HeaderName::from_static(name), value)), ..self }
    }

    /// Whether requests are proved.
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self.sent, Sent::Bound(_))
    }

    /// Puts it on a request to `url`, with a proof of its own where it is bound to a key.
    pub(crate) fn put_on(&self, request: &mut Request<Full<Bytes>>, url: &Url) {
        let token = self.token.expose_secret();
        if let Some((name, value)) = &self.beside {
            put(request, name.clone(), value.expose_secret());
        }
        match &self.sent {
            Sent::Bearer => put(request, header::AUTHORIZATION, &format!("Bearer {token}")),
            Sent::InHeader(name) => put(request, name.clone(), token),
            Sent::Bound(key) => {
                put(request, header::AUTHORIZATION, &format!("DPoP {token}"));
                if let Some(proof) = key.proof(request.method().as_str(), url, &self.token) {
                    put(request, PROOF, &proof);
                }
            }
        }
    }

    /// Takes what a server answered with; whether the request is worth being made again, with another nonce.
    pub(crate) fn hear(&self, url: &Url, answer: &HeaderMap) -> bool {
        let Sent::Bound(key) = &self.sent else { return false };
        let nonce = answer.get(NONCE).and_then(|nonce| nonce.to_str().ok());
        nonce.is_some_and(|nonce| key.hear(url, nonce))
    }

    /// Whether both are the same token, compared by their digests.
    pub fn same_as(&self, other: &Self) -> bool {
        model::Digest::of(self.token.expose_secret().as_bytes())
            == model::Digest::of(other.token.expose_secret().as_bytes())
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(..)")
    }
}

/// What is no header value could be sent by nobody: the server says so.
fn put(request: &mut Request<Full<Bytes>>, name: HeaderName, text: &str) {
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
}
