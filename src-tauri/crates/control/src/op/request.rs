//! What desktops ask, read strictly: nothing that is there twice, nothing that is not understood where it matters.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Digest;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// The longest `state` and `nonce`, in bytes.
const TEXT_LIMIT: usize = 512;
/// Shortest and longest code verifier (RFC 7636, section 4.1).
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

/// The fields of a query or a form (`application/x-www-form-urlencoded`).
///
/// # Errors
/// [`RequestFault::Twice`] for a name that is there twice (RFC 6749, section 3.1).
pub(crate) fn fields(text: &[u8]) -> Result<BTreeMap<String, String>, RequestFault> {
    let mut fields = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(text) {
        if fields.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(RequestFault::Twice);
        }
    }
    Ok(fields)
}

/// Why a request is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestFault {
    /// A field is there twice.
    #[error("a field is there twice")]
    Twice,
    /// Not the one client.
    #[error("the client is not known")]
    Client,
    /// Not where Deskgate listens.
    #[error("the redirect URI is not Deskgate's")]
    Redirect,
    /// A field is missing or cannot be.
    #[error("{0} is missing or cannot be")]
    Field(&'static str),
    /// Another grant than those.
    #[error("the grant type is not known")]
    GrantType,
}

/// What a desktop asks for (RFC 6749, section 4.1.1; OpenID Connect Core 1.0, section 3.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Authorization {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: Url,
    pub(crate) state: String,
    pub(crate) nonce: String,
    /// Of the code verifier (RFC 7636, S256).
    pub(crate) challenge: String,
}

/// Why nobody is asked to sign in, and who may be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AuthorizeFault {
    /// Only whoever looks at the page: the redirect cannot be trusted.
    Page(RequestFault),
    /// The desktop, by this redirect, with an error code (RFC 6749, section 4.1.2.1).
    Redirect {
        /// Where.
        to: Box<Url>,
        /// The `state` that it sent, where it can be.
        state: Option<String>,
        /// The error code.
        error: &'static str,
    },
}

impl Authorization {
    /// Reads an authorization request of the one client. The second part is whether the person is to authenticate anew.
    ///
    /// # Errors
    /// An [`AuthorizeFault`].
    pub(crate) fn read(
        fields: &BTreeMap<String, String>,
        client_id: &str,
    ) -> Result<(Self, bool), AuthorizeFault> {
        let field = |name: &str| fields.get(name).map(String::as_str);
        if field("client_id") != Some(client_id) {
            return Err(AuthorizeFault::Page(RequestFault::Client));
        }
        let redirect_uri = field("redirect_uri").and_then(|uri| uri.parse().ok()).filter(is_loopback);
        let redirect_uri: Url = redirect_uri.ok_or(AuthorizeFault::Page(RequestFault::Redirect))?;
        let text = |name: &str| field(name).filter(|text| !text.is_empty() && text.len() <= TEXT_LIMIT);
        let state = text("state").map(str::to_owned);
        let wrong = |error: &'static str| AuthorizeFault::Redirect {
            to: Box::new(redirect_uri.clone()),
            state: state.clone(),
            error,
        };
        if field("request").is_some() {
            return Err(wrong("request_not_supported"));
        }
        if field("request_uri").is_some() {
            return Err(wrong("request_uri_not_supported"));
        }
        if field("response_type") != Some("code") {
            return Err(wrong("unsupported_response_type"));
        }
        if !field("scope").unwrap_or_default().split(' ').any(|scope| scope == "openid") {
            return Err(wrong("invalid_scope"));
        }
        let challenge = field("code_challenge").filter(|challenge| is_challenge(challenge));
        let asked = (state.clone(), text("nonce"), challenge, field("code_challenge_method"));
        let (Some(state), Some(nonce), Some(challenge), Some("S256")) = asked else {
            return Err(wrong("invalid_request"));
        };
        if field("response_mode").is_some_and(|mode| mode != "query") {
            return Err(wrong("invalid_request"));
        }
        let prompts: Vec<&str> = field("prompt").unwrap_or_default().split(' ').collect();
        if prompts.contains(&"none") {
            return Err(wrong("login_required"));
        }
        let authorization = Self {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.clone(),
            state,
            nonce: nonce.to_owned(),
            challenge: challenge.to_owned(),
        };
        Ok((authorization, prompts.contains(&"login")))
    }

    /// Whether a token request belongs to it: the same client and redirect, and the verifier of its challenge.
    pub(crate) fn fits(&self, client_id: &str, redirect_uri: &str, verifier: &str) -> bool {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let possible = VERIFIER.contains(&verifier.len()) && verifier.bytes().all(unreserved);
        let digest = URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).as_bytes());
        possible
            && digest == self.challenge
            && client_id == self.client_id
            && redirect_uri == self.redirect_uri.as_str()
    }

    /// Where the browser goes with the answer (RFC 6749, section 4.1.2; RFC 9207).
    pub(crate) fn answered(&self, issuer: &str, (name, value): (&str, &str)) -> Url {
        answered(&self.redirect_uri, Some(&self.state), issuer, (name, value))
    }
}

impl AuthorizeFault {
    /// Where the browser goes, if anywhere.
    pub(crate) fn redirect(&self, issuer: &str) -> Option<Url> {
        match self {
            Self::Page(_) => None,
            Self::Redirect { to, state, error } => {
                Some(answered(to, state.as_deref(), issuer, ("error", error)))
            }
        }
    }
}

fn answered(to: &Url, state: Option<&str>, issuer: &str, (name, value): (&str, &str)) -> Url {
    let mut url = to.clone();
    url.query_pairs_mut().append_pair(name, value).append_pair("iss", issuer);
    if let Some(state) = state {
        url.query_pairs_mut().append_pair("state", state);
    }
    url
}

/// `http://127.0.0.1/callback` or `http://[::1]/callback`, with any port (RFC 8252, section 7.3).
fn is_loopback(uri: &Url) -> bool {
    let local = match uri.host() {
        Some(Host::Ipv4(address)) => address == Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        Some(Host::Domain(_)) | None => false,
    };
    local
        && uri.scheme() == "http"
        && uri.path() == "/callback"
        && uri.query().is_none()
        && uri.fragment().is_none()
        && uri.username().is_empty()
        && uri.password().is_none()
}

fn is_challenge(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|digest| digest.len() == 32)
}

/// A request to the token endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenRequest<'a> {
    /// RFC 6749, section 4.1.3.
    Code {
        /// The code.
        code: &'a str,
        /// Where it went.
        redirect_uri: &'a str,
        /// What its challenge was made of.
        verifier: &'a str,
    },
    /// RFC 6749, section 6.
    Refresh {
        /// The refresh token.
        token: &'a str,
    },
}

impl<'a> TokenRequest<'a> {
    /// Reads a token request of the one client.
    ///
    /// # Errors
    /// A [`RequestFault`].
    pub(crate) fn read(fields: &'a BTreeMap<String, String>, client_id: &str) -> Result<Self, RequestFault> {
        let field =
            |name: &'static str| fields.get(name).map(String::as_str).ok_or(RequestFault::Field(name));
        if field("client_id")? != client_id || fields.contains_key("client_secret") {
            return Err(RequestFault::Client);
        }
        match field("grant_type")? {
            "authorization_code" => Ok(Self::Code {
                code: field("code")?,
                redirect_uri: field("redirect_uri")?,
                verifier: field("code_verifier")?,
            }),
            "refresh_token" => Ok(Self::Refresh { token: field("refresh_token")? }),
            _ => Err(RequestFault::GrantType),
        }
    }
}
