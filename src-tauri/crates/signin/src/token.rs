//! The token endpoint (RFC 6749, sections 4.1.3 and 6) and what its refusals mean (section 5.2); the revocation
//! endpoint (RFC 7009).

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ExtraTokenFields,
    PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, StandardErrorResponse,
    StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::answer::error_code;
use crate::obtain::is_passing;
use crate::prover::TokenRequests;
use crate::{FaultKind, HttpFault, HttpRequest, Prover, Reach};

/// The longest that an access token is believed to last, so that arithmetic on it stays in range.
const LONGEST_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// The error of a request to a token endpoint.
type TokenRequestError = RequestTokenError<HttpFault, StandardErrorResponse<BasicErrorResponseType>>;

/// Why a renewal brought no token. The difference decides whether the refresh token may be sent again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenewFault {
    /// The server refused it for good; its error code.
    #[error("refused: {0}")]
    Ended(String),
    /// The server did not act on it: trying again is safe.
    #[error("not done: {0}")]
    NotDone(FaultKind),
    /// The server may have acted on it, and the answer was lost. A server that rotates refresh tokens takes a second
    /// use for theft and ends the whole family (RFC 9700, section 4.14.2).
    #[error("unknown: {0}")]
    Unknown(FaultKind),
}

impl RenewFault {
    /// Whether the server only wanted its nonce in the proof, which is known now (RFC 9449, section 8).
    pub fn wants_nonce(&self) -> bool {
        matches!(self, Self::NotDone(FaultKind::Unreachable(code)) if code == "use_dpop_nonce")
    }
}

/// An authorization server's endpoints for tokens, and who we are there.
#[derive(Debug, Clone)]
pub struct TokenEndpoint {
    /// The token endpoint.
    pub token: Url,
    /// The revocation endpoint, where there is one.
    pub revocation: Option<Url>,
    /// Our client id.
    pub client_id: String,
    /// The secret that came with it, where the server insisted on one.
    pub client_secret: Option<SecretString>,
    /// Whether the secret goes into the body (`client_secret_post`) instead of the header.
    pub secret_in_body: bool,
    /// What proves possession of the key that tokens are to be bound to; bearer tokens where there is none.
    pub prover: Option<Prover>,
}

/// What a token endpoint gave.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The access token.
    pub access: SecretString,
    /// The refresh token.
    pub refresh: Option<SecretString>,
    /// The ID token, unverified.
    pub id_token: Option<SecretString>,
    /// How long the access token lasts; `None` where the server did not say.
    pub lasts: Option<Duration>,
    /// The scopes that were granted, where they differ from those asked for.
    pub scopes: Option<BTreeSet<String>>,
    /// Whether they are bound to the key of [`TokenEndpoint::prover`] (RFC 9449).
    pub bound: bool,
}

/// A code and what proves that we asked for it.
#[derive(Debug)]
pub struct Redemption<'a> {
    /// The code.
    pub code: String,
    /// The PKCE verifier (RFC 7636).
    pub verifier: &'a SecretString,
    /// The redirect URI of the attempt.
    pub redirect_uri: &'a Url,
    /// The resource that the token is for (RFC 8707).
    pub resource: Option<&'a str>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct MoreFields {
    #[serde(default)]
    id_token: Option<String>,
}

impl ExtraTokenFields for MoreFields {}

pub(crate) type TokenResponse = StandardTokenResponse<MoreFields, BasicTokenType>;

type Client = oauth2::Client<
    BasicErrorResponse,
    TokenResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl TokenEndpoint {
    /// Redeems a code.
    ///
    /// # Errors
    /// [`FaultKind`]. A code is never sent twice.
    pub async fn redeem(&self, reach: &Reach, redemption: Redemption<'_>) -> Result<Tokens, FaultKind> {
        let client = self.client();
        let mut request = client
            .exchange_code(AuthorizationCode::new(redemption.code))
            .set_pkce_verifier(PkceCodeVerifier::new(redemption.verifier.expose_secret().to_owned()))
            .set_redirect_uri(std::borrow::Cow::Owned(RedirectUrl::from_url(
                redemption.redirect_uri.clone(),
            )));
        if let Some(resource) = redemption.resource {
            request = request.add_extra_param("resource", resource.to_owned());
        }
        let requests = self.requests(reach);
        self.tokens(request.request_async(&requests).await.map_err(exchange_fault)?)
    }

    /// Uses a refresh token once.
    ///
    /// # Errors
    /// [`RenewFault`], which says whether it may be used again.
    pub async fn renew(
        &self,
        reach: &Reach,
        refresh: &SecretString,
        resource: Option<&str>,
    ) -> Result<Tokens, RenewFault> {
        let client = self.client();
        let refresh = RefreshToken::new(refresh.expose_secret().to_owned());
        let mut request = client.exchange_refresh_token(&refresh);
        if let Some(resource) = resource {
            request = request.add_extra_param("resource", resource.to_owned());
        }
        let requests = self.requests(reach);
        let response = request.request_async(&requests).await.map_err(renew_fault)?;
        self.tokens(response).map_err(RenewFault::Unknown)
    }

    /// Tells the server that a token is no longer used; nothing happens where it has no revocation endpoint.
    ///
    /// # Errors
    /// [`FaultKind`].
    pub async fn revoke(&self, reach: &Reach, tokens: &Tokens) -> Result<(), FaultKind> {
        let Some(endpoint) = &self.revocation else { return Ok(()) };
        let request = self.revocation_request(endpoint, tokens)?;
        let answer = reach.send(request).await?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(FaultKind::Unreachable(format!("HTTP status {}", answer.status().as_u16())))
        }
    }

    fn revocation_request(&self, endpoint: &Url, tokens: &Tokens) -> Result<HttpRequest, FaultKind> {
        let (token, hint) = match &tokens.refresh {
            Some(refresh) => (refresh, "refresh_token"),
            None => (&tokens.access, "access_token"),
        };
        let fields = [("token", token.expose_secret()), ("token_type_hint", hint)];
        self.form(endpoint, &fields, self.client_secret.as_ref())
    }

    /// A form to one of the server's endpoints, in the client's name and with this secret.
    pub(crate) fn form(
        &self,
        endpoint: &Url,
        fields: &[(&str, &str)],
        secret: Option<&SecretString>,
    ) -> Result<HttpRequest, FaultKind> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut request = oauth2::http::Request::post(endpoint.as_str())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json");
        match secret {
            Some(secret) if !self.secret_in_body => {
                request = request.header("authorization", basic(&self.client_id, secret));
            }
            Some(secret) => {
                form.append_pair("client_id", &self.client_id);
                form.append_pair("client_secret", secret.expose_secret());
            }
            None => {
                form.append_pair("client_id", &self.client_id);
            }
        }
        request.body(form.finish().into_bytes()).map_err(|fault| FaultKind::Internal(fault.to_string()))
    }

    /// The way to the token endpoint.
    pub(crate) fn requests<'a>(&'a self, reach: &'a Reach) -> TokenRequests<'a> {
        TokenRequests { reach, prover: self.prover.as_ref(), repeats: true }
    }

    /// What was given. A server may give bearer tokens although a key was shown (RFC 9449, section 5).
    pub(crate) fn tokens(&self, response: TokenResponse) -> Result<Tokens, FaultKind> {
        let bound = match response.token_type() {
            BasicTokenType::Bearer => false,
            BasicTokenType::Extension(kind) if self.prover.is_some() && kind.eq_ignore_ascii_case("dpop") => {
                true
            }
            BasicTokenType::Mac | BasicTokenType::Extension(_) => {
                return Err(FaultKind::NotOffered("bearer tokens".to_owned()));
            }
        };
        Ok(Tokens {
            access: response.access_token().secret().clone().into(),
            refresh: response.refresh_token().map(|token| token.secret().clone().into()),
            id_token: response.extra_fields().id_token.clone().map(SecretString::from),
            lasts: response.expires_in().map(|lasts| lasts.min(LONGEST_LIFE)),
            scopes: response.scopes().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
            bound,
        })
    }

    pub(crate) fn client(&self) -> Client {
        let mut client = oauth2::Client::new(ClientId::new(self.client_id.clone()))
            .set_token_uri(TokenUrl::from_url(self.token.clone()));
        if let Some(secret) = &self.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        }
        if self.secret_in_body || self.client_secret.is_none() {
            client = client.set_auth_type(AuthType::RequestBody);
        }
        client
    }
}

/// HTTP Basic authentication of a client (RFC 6749, section 2.3.1).
fn basic(client_id: &str, secret: &SecretString) -> String {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose_secret()));
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

fn renew_fault(error: TokenRequestError) -> RenewFault {
    match error {
        RequestTokenError::ServerResponse(response) => {
            let code = error_code(response.error().as_ref());
            if is_passing(&code) {
                RenewFault::NotDone(FaultKind::Unreachable(code))
            } else {
                RenewFault::Ended(code)
            }
        }
        RequestTokenError::Request(fault) if fault.acted() => RenewFault::Unknown(fault.into()),
        RequestTokenError::Request(fault) => RenewFault::NotDone(fault.into()),
        // The body is not repeated: it may hold a token.
        RequestTokenError::Parse(fault, _) => {
            RenewFault::Unknown(FaultKind::Unreadable(fault.path().to_string()))
        }
        RequestTokenError::Other(what) => RenewFault::Unknown(FaultKind::Unreadable(what)),
    }
}

pub(crate) fn exchange_fault(error: TokenRequestError) -> FaultKind {
    match error {
        RequestTokenError::ServerResponse(response) => {
            FaultKind::Refused(error_code(response.error().as_ref()))
        }
        RequestTokenError::Request(fault) => fault.into(),
        RequestTokenError::Parse(fault, _) => FaultKind::Unreadable(fault.path().to_string()),
        RequestTokenError::Other(what) => FaultKind::Unreadable(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: &str) -> TokenRequestError {
        RequestTokenError::ServerResponse(
            serde_json::from_value(serde_json::json!({ "error": code })).unwrap(),
        )
    }

    #[test]
    fn only_a_lost_answer_is_unknown() {
        assert_eq!(renew_fault(answered("invalid_grant")), RenewFault::Ended("invalid_grant".to_owned()));
        assert_eq!(renew_fault(answered("invalid_client")), RenewFault::Ended("invalid_client".to_owned()));
        assert_eq!(
            renew_fault(answered("temporarily_unavailable")),
            RenewFault::NotDone(FaultKind::Unreachable("temporarily_unavailable".to_owned()))
        );
        assert!(matches!(
            renew_fault(RequestTokenError::Request(HttpFault::NotSent("refused".to_owned()))),
            RenewFault::NotDone(FaultKind::Unreachable(_))
        ));
        assert!(matches!(
            renew_fault(RequestTokenError::Request(HttpFault::Lost("reset".to_owned()))),
            RenewFault::Unknown(FaultKind::Unreachable(_))
        ));
        assert!(matches!(
            renew_fault(RequestTokenError::Request(HttpFault::Status(500))),
            RenewFault::Unknown(FaultKind::Unreachable(_))
        ));
        assert!(matches!(
            renew_fault(RequestTokenError::Request(HttpFault::Status(503))),
            RenewFault::NotDone(FaultKind::Unreachable(_))
        ));
        assert!(matches!(
            renew_fault(RequestTokenError::Other("empty".to_owned())),
            RenewFault::Unknown(FaultKind::Unreadable(_))
        ));
    }
}
