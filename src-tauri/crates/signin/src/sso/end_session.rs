//! Signing out at the identity provider (OpenID Connect RP-Initiated Logout 1.0), in the surface where people sign in.

use std::str::FromStr as _;
use std::time::Duration;

use model::{PersonFault, SignInPurpose, SignInRequest};
use oauth2::CsrfToken;
use openidconnect::core::CoreIdToken;
use openidconnect::{ClientId, EndSessionUrl, LogoutRequest, PostLogoutRedirectUrl};
use secrecy::ExposeSecret as _;

use super::place::{MOST_PORTS, SsoPlace};
use super::session::Session;
use crate::{FaultKind, loopback_redirect, presentable};

/// How long the page of a provider that comes back is waited for: a person may have to say yes.
const DEADLINE: Duration = Duration::from_secs(2 * 60);
/// How long the page of a provider that does not is left open.
const SHOWN: Duration = Duration::from_secs(60);

impl SsoPlace {
    /// Shows the provider's page that ends its session, if it has one, until it comes back or is closed. A person who
    /// does not go on there is let be. Whether it came back, so that the session there has certainly ended.
    pub(super) async fn end_session(&self, kept: &Session) -> Result<bool, FaultKind> {
        let found = self.provider.discover(&self.reach).await?;
        let Some(endpoint) = found.end_session else { return Ok(false) };
        for _ in 0..MOST_PORTS {
            let request = self.farewell(endpoint.clone(), kept)?;
            match crate::ask(&*self.person, request).await {
                Ok(_) => return Ok(true),
                Err(PersonFault::Cancelled | PersonFault::Deadline) => return Ok(false),
                Err(PersonFault::PortTaken) => {}
                Err(fault @ PersonFault::Nobody(_)) => return Err(fault.into()),
            }
        }
        Err(PersonFault::PortTaken.into())
    }

    fn farewell(&self, endpoint: EndSessionUrl, kept: &Session) -> Result<SignInRequest, FaultKind> {
        let returns = self.provider.settings.sign_out_returns;
        let redirect_uri = loopback_redirect()?;
        let mut request = LogoutRequest::from(endpoint)
            .set_client_id(ClientId::new(self.provider.settings.client_id.clone()));
        // The hint says whose session it is; without it the provider asks.
        if let Ok(token) = CoreIdToken::from_str(kept.id_token().expose_secret()) {
            request = request.set_id_token_hint(&token);
        }
        if returns {
            request = request
                .set_post_logout_redirect_uri(PostLogoutRedirectUrl::from_url(redirect_uri.clone()))
                .set_state(CsrfToken::new_random());
        }
        let authorize_url = request.http_get_url();
        presentable(&authorize_url)?;
        let mut entrance = redirect_uri.clone();
        entrance.set_path(&format!("/sign-out/{}", CsrfToken::new_random().secret()));
        Ok(SignInRequest {
            purpose: SignInPurpose::SignOut { name: self.provider.organisation.clone() },
            authorize_url,
            entrance: Some(entrance),
            redirect_uri,
            deadline: if returns { DEADLINE } else { SHOWN },
        })
    }
}
