//! Access tokens of an authorization server: for an account that is a client's own (RFC 6749, section 4.4), or for the person of
//! the call (RFC 8693), about whom this server signs an assertion.

use std::time::Duration;

use model::BoxFuture;
use oauth2::TokenResponse as _;
use oauth2::basic::{BasicErrorResponse, BasicTokenResponse};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::source::{Fetched, Hold, OauthSpec, Source, SourceFault};
use crate::assertion::Assertion;

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 256 * 1024;
/// A token whose end is not told is asked for anew so soon.
const UNSAID: Duration = Duration::from_secs(300);
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A client at an authorization server.
pub(super) struct Tokens {
    spec: OauthSpec,
    secret: SecretString,
    http: reqwest::Client,
    /// Whether each person gets a token of their own.
    personal: bool,
}

impl Tokens {
    pub(super) fn new(spec: OauthSpec, secret: SecretString, http: reqwest::Client, personal: bool) -> Self {
        Self { spec, secret, http, personal }
    }

    fn server(&self) -> String {
        format!("The authorization server at {}", self.spec.token_url)
    }

    async fn post(
        &self,
        url: &url::Url,
        fields: &[(&str, &str)],
    ) -> Result<(reqwest::StatusCode, Zeroizing<Vec<u8>>), SourceFault> {
        // RFC 6749, section 2.3.1: both are form-encoded first.
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let (id, secret) =
            (encoded(&self.spec.client_id), Zeroizing::new(encoded(self.secret.expose_secret())));
        let request = self.http.post(url.clone()).basic_auth(id, Some(secret.as_str())).form(fields);
        let request = request.header(http::header::ACCEPT, "application/json");
        let unreachable = |fault: reqwest::Error| {
            tracing::info!(fault = %fault.without_url(), "an authorization server was not reached");
            SourceFault::Unreachable(self.server())
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                return Err(SourceFault::Unreadable(self.server(), "too long an answer".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((answer.status(), body))
    }

    async fn token(&self, whose: Option<&Assertion<'_>>) -> Result<Fetched, SourceFault> {
        let scope = self.spec.scopes.join(" ");
        let assertion = match (self.personal, whose) {
            (true, Some(whose)) => Some(whose.to(self.spec.token_url.as_str()).ok_or(SourceFault::Nobody)?),
            (true, None) => return Err(SourceFault::Nobody),
            (false, _) => None,
        };
        let mut fields = match &assertion {
            Some(assertion) => vec![
                ("grant_type", TOKEN_EXCHANGE),
                ("subject_token", assertion.expose_secret()),
                ("subject_token_type", JWT),
                ("requested_token_type", ACCESS_TOKEN),
            ],
            None => vec![("grant_type", "client_credentials")],
        };
        if !scope.is_empty() {
            fields.push(("scope", &scope));
        }
        fields.extend(self.spec.resource.as_ref().map(|resource| ("resource", resource.as_str())));
        fields.extend(self.spec.audience.as_deref().map(|audience| ("audience", audience)));
        let (status, body) = self.post(&self.spec.token_url, &fields).await?;
        if status.is_success() { self.read(&body) } else { Err(self.refused(status, &body)) }
    }

    fn read(&self, body: &[u8]) -> Result<Fetched, SourceFault> {
        let unreadable = |what: String| SourceFault::Unreadable(self.server(), what);
        // The text may hold a token: only the place of the fault is said.
        let token: BasicTokenResponse = serde_json::from_slice(body)
            .map_err(|fault| unreadable(format!("no token, column {}", fault.column())))?;
        let is_bearer = matches!(token.token_type(), oauth2::basic::BasicTokenType::Bearer);
        if !is_bearer {
            return Err(unreadable("a token that is no bearer token".to_owned()));
        }
        let secret = SecretString::from(token.access_token().secret().as_str());
        let hold = match &self.spec.revocation_url {
            Some(_) => Hold::Token(secret.clone()),
            None => Hold::None,
        };
        Ok(Fetched { secret, parts: Vec::new(), life: Some(token.expires_in().unwrap_or(UNSAID)), hold })
    }

    fn refused(&self, status: reqwest::StatusCode, body: &[u8]) -> SourceFault {
        match serde_json::from_slice::<BasicErrorResponse>(body) {
            Ok(refusal) => {
                let code = refusal.error().to_string();
                if status.is_server_error() || code == "temporarily_unavailable" || code == "server_error" {
                    SourceFault::Unavailable(self.server(), code)
                } else {
                    SourceFault::Refused(self.server(), code)
                }
            }
            Err(_) if status.is_server_error() => {
                SourceFault::Unavailable(self.server(), format!("status {}", status.as_u16()))
            }
            Err(_) => SourceFault::Unreadable(self.server(), format!("status {}", status.as_u16())),
        }
    }
}

impl Source for Tokens {
    fn fetch<'a>(&'a self, whose: Option<&'a Assertion<'a>>) -> BoxFuture<'a, Result<Fetched, SourceFault>> {
        Box::pin(self.token(whose))
    }

    fn renew<'a>(&'a self, _hold: &'a Hold) -> BoxFuture<'a, Result<Option<Duration>, SourceFault>> {
        // Another token is had as easily.
        Box::pin(async { Ok(None) })
    }

    fn revoke<'a>(&'a self, hold: &'a Hold) -> BoxFuture<'a, Result<bool, SourceFault>> {
        Box::pin(async move {
            let (Hold::Token(token), Some(url)) = (hold, &self.spec.revocation_url) else { return Ok(false) };
            let fields = [("token", token.expose_secret()), ("token_type_hint", "access_token")];
            let (status, body) = self.post(url, &fields).await?;
            if status.is_success() { Ok(true) } else { Err(self.refused(status, &body)) }
        })
    }
}
