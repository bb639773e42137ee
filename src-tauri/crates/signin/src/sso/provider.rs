//! The identity provider as IT names it, and as it describes itself (OpenID Connect Discovery 1.0).

use openidconnect::core::CoreJsonWebKeySet;
use openidconnect::{DiscoveryError, EndSessionUrl, IssuerUrl, JsonWebKeySetUrl};
use org_protocol::IdentityProvider;
use serde::Deserialize;
use url::Url;

use crate::{FaultKind, HttpFault, HttpRequest, Reach, TokenEndpoint, presentable};

/// The identity provider as IT names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The organisation's name, as people read it.
    pub organisation: String,
    /// What IT says of it. `offline_access` is added to its scopes where the provider knows it.
    pub settings: IdentityProvider,
}

/// What discovery found. Fetched for each sign-in and each renewal, so that rotated keys are never stale.
pub(super) struct Found {
    pub(super) issuer: IssuerUrl,
    pub(super) authorization_endpoint: Url,
    pub(super) tokens: TokenEndpoint,
    pub(super) keys: CoreJsonWebKeySet,
    pub(super) offline_access: bool,
    pub(super) announces_issuer: bool,
    /// Where people sign out (OpenID Connect RP-Initiated Logout 1.0, section 2.1), if they can.
    pub(super) end_session: Option<EndSessionUrl>,
}

/// The parts of the provider's metadata that are used.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    revocation_endpoint: Option<Url>,
    #[serde(default)]
    end_session_endpoint: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Provider {
    /// The issuer identifier. Compared as text, but for the slash that alone makes up a path.
    pub(super) fn issuer(&self) -> &str {
        self.settings.issuer.as_str()
    }

    pub(super) async fn discover(&self, reach: &Reach) -> Result<Found, FaultKind> {
        let metadata = self.metadata(reach).await?;
        presentable(&metadata.authorization_endpoint)?;
        // One that cannot be shown keeps nobody from signing in.
        let end_session = metadata
            .end_session_endpoint
            .and_then(|endpoint| EndSessionUrl::new(endpoint).ok())
            .filter(|endpoint| presentable(endpoint.url()).is_ok());
        for endpoint in
            [&metadata.token_endpoint, &metadata.jwks_uri].into_iter().chain(&metadata.revocation_endpoint)
        {
            reach.allows(endpoint)?;
        }
        // Many providers support PKCE without saying so; one that says it lacks S256 does lack it.
        if metadata
            .code_challenge_methods_supported
            .as_ref()
            .is_some_and(|known| !known.iter().any(|m| m == "S256"))
        {
            return Err(FaultKind::NotOffered("PKCE with S256".to_owned()));
        }
        let keys = CoreJsonWebKeySet::fetch_async(&JsonWebKeySetUrl::from_url(metadata.jwks_uri), reach)
            .await
            .map_err(keys_fault)?;
        Ok(Found {
            issuer: IssuerUrl::new(metadata.issuer)
                .map_err(|fault| FaultKind::Unreadable(fault.to_string()))?,
            authorization_endpoint: metadata.authorization_endpoint,
            tokens: TokenEndpoint {
                token: metadata.token_endpoint,
                revocation: metadata.revocation_endpoint,
                client_id: self.settings.client_id.clone(),
                client_secret: self.settings.client_secret.clone().map(Into::into),
                secret_in_body: true,
                prover: None,
            },
            keys,
            offline_access: metadata.scopes_supported.iter().any(|scope| scope == "offline_access"),
            end_session,
            announces_issuer: metadata.authorization_response_iss_parameter_supported,
        })
    }

    async fn metadata(&self, reach: &Reach) -> Result<Metadata, FaultKind> {
        let place = format!("{}/.well-known/openid-configuration", self.issuer().trim_end_matches('/'));
        let request = HttpRequest::new(Vec::new());
        let (mut parts, body) = request.into_parts();
        parts.uri = place.parse().map_err(|_| FaultKind::NotAllowed(place.clone()))?;
        let answer = reach.send(HttpRequest::from_parts(parts, body)).await?;
        if answer.status().as_u16() != 200 {
            return Err(FaultKind::Unreachable(format!("{place}: HTTP status {}", answer.status().as_u16())));
        }
        let metadata: Metadata = serde_json::from_slice(answer.body())
            .map_err(|fault| FaultKind::Unreadable(format!("{place}: {fault}")))?;
        if same_issuer(&metadata.issuer, self.issuer()) {
            Ok(metadata)
        } else {
            Err(FaultKind::Mismatch(format!("{place} speaks for {}", metadata.issuer)))
        }
    }
}

/// Exact, but for a path that is nothing but a slash: a parsed URL cannot tell whether it was written.
fn same_issuer(said: &str, named: &str) -> bool {
    let bare = |issuer: &str| match Url::parse(issuer) {
        Ok(url) if url.path() == "/" && url.query().is_none() && url.fragment().is_none() => {
            issuer.trim_end_matches('/').to_owned()
        }
        Ok(_) | Err(_) => issuer.to_owned(),
    };
    said == named || bare(said) == bare(named)
}

fn keys_fault(fault: DiscoveryError<HttpFault>) -> FaultKind {
    if let DiscoveryError::Request(fault) = fault {
        return fault.into();
    }
    FaultKind::Unreadable(format!("keys: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_compared_as_text_but_for_a_lonely_slash() {
        assert!(same_issuer("https://accounts.example", "https://accounts.example/"));
        assert!(same_issuer("https://acme.example/", "https://acme.example/"));
        assert!(!same_issuer("https://acme.example/a/", "https://acme.example/a"));
        assert!(!same_issuer("https://acme.example:444", "https://acme.example"));
        assert!(!same_issuer("https://acme.example.evil", "https://acme.example"));
        assert!(!same_issuer("HTTPS://acme.example", "https://acme.example"));
    }
}
