//! Dynamic client registration (RFC 7591): public clients whose code goes to loopback.

use std::time::Duration;

use serde::Deserialize;

use crate::clients::{Client, CrowdFault};
use crate::issuer::Core;
use crate::name::{ClientName, NameFault};
use crate::redirect::{self, RedirectFault, RedirectUri};
use crate::secret::client_id;
use crate::{Event, IssuerRequest, IssuerResponse};

const REDIRECT_LIMIT: usize = 16;
const GRANT_TYPES: &[&str] = &["authorization_code", "refresh_token"];

/// The metadata that matters here; the rest is ignored, as RFC 7591, section 2 asks.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
}

/// Why a registration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum MetadataFault {
    #[error("the body is not a JSON object of client metadata")]
    Form,
    #[error("redirect_uris must hold 1 to {REDIRECT_LIMIT} entries")]
    RedirectCount,
    #[error("no redirect URI is acceptable: {0}")]
    Redirect(RedirectFault),
    #[error(transparent)]
    Name(#[from] NameFault),
    #[error("only public clients are registered: token_endpoint_auth_method must be none")]
    AuthMethod,
    #[error("grant_types must have authorization_code")]
    GrantTypes,
    #[error("response_types must have code")]
    ResponseTypes,
}

impl MetadataFault {
    /// RFC 7591, section 3.2.2.
    fn code(&self) -> &'static str {
        match self {
            Self::RedirectCount | Self::Redirect(_) => "invalid_redirect_uri",
            Self::Form | Self::Name(_) | Self::AuthMethod | Self::GrantTypes | Self::ResponseTypes => {
                "invalid_client_metadata"
            }
        }
    }
}

impl Core {
    pub(crate) async fn register(&self, request: &IssuerRequest) -> IssuerResponse {
        if !request.is_of_type("application/json") {
            return IssuerResponse::error(
                415,
                "invalid_client_metadata",
                "the body must be application/json",
            );
        }
        let (name, redirects) = match acceptable(&request.body) {
            Ok(accepted) => accepted,
            Err(fault) => return IssuerResponse::error(400, fault.code(), &fault.to_string()),
        };
        let Ok(id) = client_id() else { return server_error() };
        let now = self.now();
        let client = Client { id, name, redirects, registered: Some(now), last_used: None };
        let _writing = self.writing.lock().await;
        match self.clients.admit(client.clone(), &self.grants.clients(), now).await {
            Ok(()) => {
                self.ledger.report(Event::ClientRegistered {
                    client_id: client.id.clone(),
                    client_name: client.name.as_str().to_owned(),
                });
                IssuerResponse::json(201, &information(&client))
            }
            Err(CrowdFault::Rate { retry_after }) => busy("too many registrations", retry_after),
            Err(CrowdFault::Full) => busy("too many clients are registered", Duration::from_secs(15 * 60)),
            Err(CrowdFault::Store(_)) => server_error(),
        }
    }
}

/// The parts of the metadata that are kept. A wish for a client secret is not (RFC 7591, section 3.2.1).
fn acceptable(body: &[u8]) -> Result<(ClientName, Vec<RedirectUri>), MetadataFault> {
    let metadata: Metadata = serde_json::from_slice(body).map_err(|_| MetadataFault::Form)?;
    if metadata.redirect_uris.is_empty() || metadata.redirect_uris.len() > REDIRECT_LIMIT {
        return Err(MetadataFault::RedirectCount);
    }
    match metadata.token_endpoint_auth_method.as_deref() {
        None | Some("none" | "client_secret_basic" | "client_secret_post") => {}
        Some(_) => return Err(MetadataFault::AuthMethod),
    }
    if metadata.grant_types.is_some_and(|types| !types.iter().any(|known| known == "authorization_code")) {
        return Err(MetadataFault::GrantTypes);
    }
    if metadata.response_types.is_some_and(|types| !types.iter().any(|known| known == "code")) {
        return Err(MetadataFault::ResponseTypes);
    }
    let name = metadata.client_name.map_or_else(|| Ok(ClientName::unnamed()), |name| name.parse())?;
    let redirects = redirect::acceptable(&metadata.redirect_uris)
        .map_err(|fault| fault.map_or(MetadataFault::RedirectCount, MetadataFault::Redirect))?;
    Ok((name, redirects))
}

/// RFC 7591, section 3.2.1: the metadata as it was registered.
fn information(client: &Client) -> serde_json::Value {
    let redirects: Vec<_> = client.redirects.iter().map(ToString::to_string).collect();
    serde_json::json!({
        "client_id": client.id,
        "client_id_issued_at": client.registered.map(model::Timestamp::seconds),
        "client_name": client.name.as_str(),
        "redirect_uris": redirects,
        "token_endpoint_auth_method": "none",
        "grant_types": GRANT_TYPES,
        "response_types": ["code"],
        "application_type": "native",
    })
}

fn busy(why: &str, retry_after: Duration) -> IssuerResponse {
    IssuerResponse::error(429, "temporarily_unavailable", why)
        .with("retry-after", retry_after.as_secs().max(1).to_string())
}

fn server_error() -> IssuerResponse {
    IssuerResponse::error(500, "server_error", "the registration could not be kept")
}
