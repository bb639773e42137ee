//! The OpenID provider towards desktops (OpenID Connect Core 1.0), where the organisation's people sign in by SAML: what the
//! identity provider says once, desktops hold as a code, an ID token and refresh tokens, like those of any other provider.
//!
//! Its one client is Deskgate: public, on loopback, with PKCE (RFC 8252, RFC 7636). It signs with a key of its own, and what
//! it has signed the control plane verifies without asking anybody.

mod grant;
mod key;
mod request;

use std::sync::{Arc, Mutex, PoisonError};

use openidconnect::core::{CoreJsonWebKeySet, CoreProviderMetadata};
use org_protocol::{IdentityProvider, SamlProvider};
use serde_json::{Value, json};
use url::Url;

pub(crate) use grant::{CODE_LIFE, Granted, QUESTION_LIFE, Question, session_end};
pub(crate) use key::TokenKey;
pub(crate) use request::{Authorization, RequestFault, TokenRequest, fields};

use crate::saml::{SamlFault, ServiceProvider};

/// Paths below the configuration URL.
const AUTHORIZE_PATH: &str = "v1/oidc/authorize";
const TOKEN_PATH: &str = "v1/oidc/token";
const REVOKE_PATH: &str = "v1/oidc/revoke";
const KEYS_PATH: &str = "v1/oidc/keys.json";

/// The provider.
pub(crate) struct Op {
    issuer: String,
    public_url: Url,
    key: TokenKey,
    /// The service provider for the description that was last in force.
    service_provider: Mutex<Option<(SamlProvider, Arc<ServiceProvider>)>>,
}

impl Op {
    /// The provider at `public_url`, which ends with a slash.
    pub(crate) fn new(public_url: &Url, key: TokenKey) -> Self {
        let issuer = own_issuer(public_url);
        Self { issuer, public_url: public_url.clone(), key, service_provider: Mutex::default() }
    }

    /// Its issuer identifier, without a slash at the end.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The key that it signs with.
    pub(crate) fn key(&self) -> &TokenKey {
        &self.key
    }

    /// Its metadata (OpenID Connect Discovery 1.0, section 3).
    pub(crate) fn metadata(&self, groups_claim: &str) -> Value {
        let at = |path: &str| self.public_url.join(path).map(String::from).unwrap_or_default();
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at(AUTHORIZE_PATH),
            "token_endpoint": at(TOKEN_PATH),
            "revocation_endpoint": at(REVOKE_PATH),
            "jwks_uri": at(KEYS_PATH),
            "scopes_supported": ["openid", "offline_access"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "request_uri_parameter_supported": false,
            "claims_supported":
                ["iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "sid", "email", "name", groups_claim],
        })
    }

    /// Its keys (RFC 7517).
    pub(crate) fn keys(&self) -> Value {
        json!({ "keys": [self.key.jwk()] })
    }

    /// What verifies its ID tokens, for this program itself.
    ///
    /// # Errors
    /// Never, unless what is written here cannot be read.
    pub(crate) fn own_metadata(&self) -> Result<CoreProviderMetadata, serde_json::Error> {
        let metadata: CoreProviderMetadata = serde_json::from_value(self.metadata("groups"))?;
        let keys: CoreJsonWebKeySet = serde_json::from_value(self.keys())?;
        Ok(metadata.set_jwks(keys))
    }

    /// Whether this is the provider that the signed content names.
    pub(crate) fn is(&self, provider: &IdentityProvider) -> bool {
        provider.saml.is_some() && is_issuer(&self.issuer, provider)
    }

    /// The service provider for what this identity provider says.
    ///
    /// # Errors
    /// A [`SamlFault`].
    pub(crate) fn service_provider(
        &self,
        provider: &SamlProvider,
    ) -> Result<Arc<ServiceProvider>, SamlFault> {
        let mut kept = self.service_provider.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, made)) = kept.as_ref().filter(|(known, _)| known == provider) {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(ServiceProvider::new(&self.public_url, provider)?);
        *kept = Some((provider.clone(), Arc::clone(&made)));
        Ok(made)
    }
}

/// The issuer identifier of the provider at this configuration URL.
pub(crate) fn own_issuer(public_url: &Url) -> String {
    public_url.as_str().trim_end_matches('/').to_owned()
}

/// Whether the signed content names this issuer. A URL without a path is written with a slash there.
pub(crate) fn is_issuer(issuer: &str, provider: &IdentityProvider) -> bool {
    provider.issuer.as_str().trim_end_matches('/') == issuer
}

#[cfg(test)]
mod tests;
